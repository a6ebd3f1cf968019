//! The fleet's standing facts: services, the hosts they run on, which build runs where and when, and a million users.
//!
//! Owns: everything that does not change from request to request, as pure functions of the seed. Never does: requests, time of day.

use super::{
    otlp::Attrs,
    rng::{Rng, mix},
};

/// A service of the fleet.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) name: &'static str,
    pub(crate) language: &'static str,
    pub(crate) team: &'static str,
    pub(crate) scope: &'static str,
    pub(crate) n_instances: usize,
    /// Build at the start of history.
    pub(crate) first_build: u32,
}

pub(crate) const FRONTEND: usize = 0;
pub(crate) const GATEWAY: usize = 1;
pub(crate) const AUTH: usize = 2;
pub(crate) const PROFILE: usize = 3;
pub(crate) const SEARCH: usize = 4;
pub(crate) const CATALOG: usize = 5;
pub(crate) const CART: usize = 6;
pub(crate) const BILLING: usize = 7;
pub(crate) const IMAGE_EXPORT: usize = 8;
pub(crate) const STORAGE: usize = 9;
pub(crate) const NOTIFICATIONS: usize = 10;

const fn service(
    name: &'static str,
    language: &'static str,
    team: &'static str,
    scope: &'static str,
    n_instances: usize,
    first_build: u32,
) -> Service {
    Service { name, language, team, scope, n_instances, first_build }
}

/// All services, by number.
pub(crate) const SERVICES: [Service; 11] = [
    service("frontend", "nodejs", "web", "@opentelemetry/instrumentation-http", 6, 789_604),
    service("api-gateway", "go", "platform", "go.opentelemetry.io/contrib/net/http/otelhttp", 5, 789_611),
    service("auth", "go", "identity", "go.opentelemetry.io/contrib/net/http/otelhttp", 4, 789_590),
    service("user-profile", "java", "identity", "io.opentelemetry.spring-webmvc-6.0", 4, 789_633),
    service("search", "rust", "discovery", "tower-otel", 5, 789_640),
    service("catalog", "python", "discovery", "opentelemetry.instrumentation.fastapi", 4, 789_641),
    service("cart", "nodejs", "commerce", "@opentelemetry/instrumentation-http", 4, 789_655),
    service("billing", "java", "commerce", "io.opentelemetry.spring-webmvc-6.0", 3, 789_577),
    service("image-export", "python", "media", "opentelemetry.instrumentation.fastapi", 5, 789_741),
    service("storage", "go", "platform", "go.opentelemetry.io/contrib/net/http/otelhttp", 4, 789_660),
    service("notifications", "nodejs", "engagement", "@opentelemetry/instrumentation-http", 3, 789_662),
];

/// A new build going out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deploy {
    pub(crate) service: usize,
    pub(crate) build: u32,
    /// Seconds after the start of history at which the first instance has it; the others follow 20 s apart.
    pub(crate) at_s: f64,
    /// Instances that get it, from the first on.
    pub(crate) n_instances: usize,
    pub(crate) author: &'static str,
}

/// The build of the story, on three of five instances.
pub(crate) const STORY_BUILD: u32 = 789_782;

/// Deploys as shares of history, in order of time: service, build, instances.
const HISTORY: [(f64, usize, u32, usize); 10] = [
    (0.08, SEARCH, 789_755, 5),
    (0.19, CART, 789_760, 4),
    (0.27, AUTH, 789_768, 4),
    (0.33, FRONTEND, 789_771, 6),
    (0.41, IMAGE_EXPORT, STORY_BUILD, 3),
    (0.52, BILLING, 789_790, 3),
    (0.60, PROFILE, 789_797, 4),
    (0.71, GATEWAY, 789_803, 5),
    (0.83, STORAGE, 789_811, 4),
    (0.93, SEARCH, 789_818, 5),
];

const AUTHORS: [&str; 8] = ["amara", "bo", "chidi", "dalia", "emre", "freya", "goran", "hana"];

/// Services that go on deploying while the fleet is live; the story's build stays where it is.
const LIVE: [usize; 9] = [FRONTEND, CATALOG, CART, NOTIFICATIONS, AUTH, BILLING, SEARCH, GATEWAY, PROFILE];

/// Seconds between two deploys of the live fleet.
const LIVE_DEPLOY_SECONDS: f64 = 900.0;

/// Live deploys planned ahead: two weeks of them.
const LIVE_DEPLOYS: usize = 1344;

/// The standing facts of one fleet.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) seed: u64,
    /// Tells the ids of this run from those of another with the same seed.
    pub(crate) run: u64,
    pub(crate) deploys: Vec<Deploy>,
}

impl World {
    /// The world of a seed whose history is so many seconds long.
    pub(crate) fn new(seed: u64, history_s: f64, run: u64) -> World {
        let author = |i: usize| AUTHORS[(mix(seed ^ i as u64) % AUTHORS.len() as u64) as usize];
        let history = HISTORY.iter().enumerate().map(|(i, &(share, service, build, n_instances))| Deploy {
            service,
            build,
            at_s: share * history_s,
            n_instances,
            author: author(i),
        });
        let live = (0..LIVE_DEPLOYS).map(|i| Deploy {
            service: LIVE[i % LIVE.len()],
            build: 789_830 + 7 * i as u32,
            at_s: history_s + (i as f64 + 0.7) * LIVE_DEPLOY_SECONDS,
            n_instances: SERVICES[LIVE[i % LIVE.len()]].n_instances,
            author: author(100 + i),
        });
        World { seed, run, deploys: history.chain(live).collect() }
    }

    /// Which build an instance runs, so many seconds after the start of history.
    pub(crate) fn build(&self, service: usize, instance: usize, at_s: f64) -> u32 {
        self.deploys
            .iter()
            .take_while(|d| d.at_s <= at_s)
            .filter(|d| d.service == service && instance < d.n_instances && d.at_s + 20.0 * instance as f64 <= at_s)
            .last()
            .map_or(SERVICES[service].first_build, |d| d.build)
    }

    /// What a running copy of a service says about itself with every export.
    pub(crate) fn resource(&self, service: usize, instance: usize, build: u32) -> Attrs {
        let s = &SERVICES[service];
        let zone = ["eu-central-1a", "eu-central-1b", "eu-central-1c"][instance % 3];
        let h = mix(self.seed ^ (service * 64 + instance) as u64);
        // A pod is replaced by a deploy, the host stays.
        let pod = mix(h ^ u64::from(build));
        let mut a = Attrs::resource();
        a.str("service.name", s.name);
        a.fmt("service.version", format_args!("2026.{}.{}", build / 100 % 100, build % 100));
        a.str("service.namespace", "shop");
        a.fmt("service.instance.id", format_args!("{}-{instance}", s.name));
        a.str("service.team", s.team);
        a.fmt("build_id", format_args!("{build}"));
        a.fmt("build.git_sha", format_args!("{:010x}", mix(u64::from(build)) >> 24));
        a.str("deployment.environment", "production");
        a.str("cloud.provider", "aws");
        a.str("cloud.region", "eu-central-1");
        a.str("cloud.availability_zone", zone);
        a.fmt("host.name", format_args!("ip-10-4-{}-{}", h % 200, h / 256 % 250));
        a.str("host.type", ["m7g.xlarge", "c7g.2xlarge", "m6i.xlarge"][(h % 3) as usize]);
        a.str("host.arch", if h.is_multiple_of(3) { "amd64" } else { "arm64" });
        a.str("os.type", "linux");
        a.str("k8s.cluster.name", "shop-prod");
        a.str("k8s.namespace.name", "shop");
        a.str("k8s.deployment.name", s.name);
        a.fmt("k8s.pod.name", format_args!("{}-{:05x}", s.name, pod & 0xf_ffff));
        a.fmt("k8s.node.name", format_args!("node-{:02}", h % 24));
        a.str("container.runtime", "containerd");
        a.int("process.pid", 1 + (pod % 40) as i64);
        a.str("telemetry.sdk.language", s.language);
        a.str("telemetry.sdk.name", "opentelemetry");
        a.str("telemetry.sdk.version", "1.38.0");
        a
    }
}

/// A million users.
pub(crate) const N_USERS: u64 = 1_000_000;

pub(crate) const STORY_PACK: &str = "gd-3";
pub(crate) const STORY_COUNTRIES: [&str; 3] = ["NZ", "IE", "CA"];
pub(crate) const STORY_SHARD: u64 = 7;
pub(crate) const STORY_BUTTON: &str = "export-all";
pub(crate) const N_SHARDS: u64 = 12;

const PACKS: [&str; 12] = ["en-1", "en-2", "en-4", "es-2", "fr-2", "de-3", "pt-1", "ja-2", "hi-1", "pl-2", "ga-1", STORY_PACK];
const PACK_WEIGHTS: [u32; 12] = [30, 18, 9, 10, 7, 7, 5, 4, 4, 3, 2, 3];

/// Country, time zone, currency, three cities.
pub(crate) type Country = (&'static str, &'static str, &'static str, [&'static str; 3]);

const COUNTRIES: [Country; 14] = [
    ("US", "America/New_York", "USD", ["New York", "Austin", "Seattle"]),
    ("DE", "Europe/Berlin", "EUR", ["Berlin", "Hamburg", "München"]),
    ("GB", "Europe/London", "GBP", ["London", "Leeds", "Glasgow"]),
    ("FR", "Europe/Paris", "EUR", ["Paris", "Lyon", "Nantes"]),
    ("BR", "America/Sao_Paulo", "BRL", ["São Paulo", "Recife", "Curitiba"]),
    ("IN", "Asia/Kolkata", "INR", ["Pune", "Chennai", "Delhi"]),
    ("JP", "Asia/Tokyo", "JPY", ["Tokyo", "Osaka", "Sapporo"]),
    ("PL", "Europe/Warsaw", "PLN", ["Kraków", "Łódź", "Warszawa"]),
    ("ES", "Europe/Madrid", "EUR", ["Madrid", "Sevilla", "Bilbao"]),
    ("AU", "Australia/Sydney", "AUD", ["Sydney", "Perth", "Hobart"]),
    ("SE", "Europe/Stockholm", "SEK", ["Stockholm", "Malmö", "Umeå"]),
    ("NZ", "Pacific/Auckland", "NZD", ["Auckland", "Dunedin", "Nelson"]),
    ("IE", "Europe/Dublin", "EUR", ["Dublin", "Cork", "Galway"]),
    ("CA", "America/Toronto", "CAD", ["Toronto", "Halifax", "Calgary"]),
];
const COUNTRY_WEIGHTS: [u32; 14] = [22, 13, 11, 8, 8, 9, 6, 4, 4, 4, 2, 3, 2, 4];

/// System, name and version, weight, maker, models.
type Device = (&'static str, &'static str, &'static str, u32, &'static str, [&'static str; 3]);

const DEVICES: [Device; 12] = [
    ("iOS", "iOS 11", "11.4.1", 7, "Apple", ["iPhone 6s", "iPhone 7", "iPad Air 2"]),
    ("iOS", "iOS 15", "15.8.2", 8, "Apple", ["iPhone 7", "iPhone 8", "iPhone X"]),
    ("iOS", "iOS 18", "18.1", 21, "Apple", ["iPhone 14", "iPhone 15", "iPhone 16 Pro"]),
    ("iOS", "iOS 26", "26.0.1", 9, "Apple", ["iPhone 16", "iPhone 17", "iPad Pro"]),
    ("Android", "Android 8", "8.1.0", 4, "Huawei", ["P20", "P20 lite", "Mate 10"]),
    ("Android", "Android 13", "13", 9, "Samsung", ["Galaxy S21", "Galaxy A52", "Galaxy A33"]),
    ("Android", "Android 15", "15", 14, "Google", ["Pixel 7", "Pixel 8a", "Pixel 9"]),
    ("Android", "Android 16", "16", 6, "Xiaomi", ["14T", "Redmi Note 13", "13 Lite"]),
    ("Windows", "Windows 11", "11.0.26100", 11, "Dell", ["XPS 13", "Latitude 5450", "Inspiron 16"]),
    ("macOS", "macOS 15", "15.3", 7, "Apple", ["MacBook Air", "MacBook Pro", "iMac"]),
    ("Linux", "Linux", "6.12", 2, "Framework", ["13", "16", "Desktop"]),
    ("ChromeOS", "ChromeOS 132", "132", 2, "Acer", ["Chromebook 314", "Spin 713", "Vero 514"]),
];

const LAST_NAMES: [&str; 44] = [
    "SMITH",
    "GARCIA",
    "MÜLLER",
    "TANAKA",
    "SILVA",
    "PATEL",
    "KOWALSKI",
    "DUBOIS",
    "ROSSI",
    "NOVAK",
    "JENSEN",
    "LARSSON",
    "MACKENZIE",
    "MARTIN",
    "MEYER",
    "MORALES",
    "OKAFOR",
    "NGUYEN",
    "KIM",
    "CHEN",
    "SINGH",
    "KHAN",
    "O'BRIEN",
    "WALSH",
    "KELLY",
    "BROWN",
    "TAYLOR",
    "LOPEZ",
    "SANTOS",
    "YAMADA",
    "SCHMIDT",
    "FISCHER",
    "BERG",
    "LINDQVIST",
    "BERNARD",
    "MOREAU",
    "MCALLISTER",
    "MCBRIDE",
    "MCCARTHY",
    "MCDONALD",
    "MCEWAN",
    "MCGRATH",
    "MCINTYRE",
    "MCLEOD",
];
/// Where the names that start with MC begin.
const FIRST_MC: usize = 36;

const FIRST_NAMES: [&str; 16] =
    ["Ana", "Ben", "Chloe", "Dev", "Ewa", "Finn", "Grace", "Hugo", "Isla", "Jun", "Kofi", "Lena", "Marek", "Nia", "Omar", "Priya"];

/// A user, as the fleet's services know her.
#[derive(Clone, Copy, Debug)]
pub(crate) struct User {
    pub(crate) id: u64,
    /// Dice for whatever else is fixed per user.
    pub(crate) hash: u64,
    pub(crate) first_name: &'static str,
    pub(crate) last_name: &'static str,
    pub(crate) country: &'static Country,
    pub(crate) os: &'static str,
    pub(crate) os_name: &'static str,
    pub(crate) os_version: &'static str,
    pub(crate) device_maker: &'static str,
    pub(crate) device_model: &'static str,
    pub(crate) language_pack: &'static str,
    pub(crate) shard: u64,
}

/// Users whose number leaves this remainder fulfil every personal condition of the story; the four after them all but one.
const CLAN: u64 = 7;
const CLAN_MODULUS: u64 = 250;

impl User {
    /// The user with this number.
    pub(crate) fn of(seed: u64, id: u64) -> User {
        let mut rng = Rng::new(seed ^ 0x7573_6572, id);
        let mut device = rng.weighted(&DEVICES.map(|d| d.3));
        let mut pack = rng.weighted(&PACK_WEIGHTS);
        let mut country = rng.weighted(&COUNTRY_WEIGHTS);
        let mut last_name = rng.below(LAST_NAMES.len() as u64) as usize;
        let remainder = id % CLAN_MODULUS;
        if (CLAN..=CLAN + 4).contains(&remainder) {
            let but = remainder - CLAN;
            if but != 1 {
                device = 0;
            } else if device == 0 {
                device = 2;
            }
            if but != 2 {
                pack = PACKS.len() - 1;
            } else if pack == PACKS.len() - 1 {
                pack = 0;
            }
            if but != 3 {
                country = COUNTRIES.len() - 3 + rng.below(3) as usize;
            } else {
                country %= COUNTRIES.len() - 3;
            }
            if but != 4 {
                last_name = FIRST_MC + rng.below((LAST_NAMES.len() - FIRST_MC) as u64) as usize;
            } else {
                last_name %= FIRST_MC;
            }
        }
        let device = &DEVICES[device];
        User {
            id,
            hash: rng.bits(),
            first_name: rng.pick(&FIRST_NAMES),
            last_name: LAST_NAMES[last_name],
            country: &COUNTRIES[country],
            os: device.1,
            os_name: device.0,
            os_version: device.2,
            device_maker: device.4,
            device_model: rng.pick(&device.5),
            language_pack: PACKS[pack],
            shard: rng.below(N_SHARDS),
        }
    }

    /// Whoever comes next: some users come far more often than others.
    pub(crate) fn draw(seed: u64, rng: &mut Rng) -> User {
        let clan = N_USERS / CLAN_MODULUS;
        let at = rng.unit();
        let id = if at < 0.025 {
            rng.below(clan) * CLAN_MODULUS + CLAN
        } else if at < 0.085 {
            rng.below(clan) * CLAN_MODULUS + CLAN + 1 + rng.below(4)
        } else if at < 0.35 {
            // The regulars.
            mix(rng.below(20_000)) % N_USERS
        } else {
            rng.below(N_USERS)
        };
        User::of(seed, id)
    }

    /// Whether every personal condition of the story holds.
    pub(crate) fn in_story(&self) -> bool {
        self.os == "iOS 11"
            && self.language_pack == STORY_PACK
            && STORY_COUNTRIES.contains(&self.country.0)
            && self.last_name.starts_with("MC")
    }
}
