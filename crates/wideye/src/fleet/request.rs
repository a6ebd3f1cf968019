//! One request through the fleet: who makes it, what goes wrong, and the spans that it leaves behind.
//!
//! Owns: the call trees, their durations and the story (`Plan::story`). Never does: encode or send.

use super::{
    fields::{self, Context},
    otlp::{Attrs, Exception, Kind, Span},
    rng::{Rng, mix},
    world::{
        AUTH, BILLING, CART, CATALOG, FRONTEND, GATEWAY, IMAGE_EXPORT, N_SHARDS, NOTIFICATIONS, PROFILE, SEARCH, SERVICES, STORAGE,
        STORY_BUILD, STORY_BUTTON, STORY_SHARD, User, World,
    },
};

/// What a user does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Home,
    Search,
    Item,
    CartAdd,
    Checkout,
    Profile,
    Upload,
    Export,
    Login,
}

use Endpoint as E;

const ENDPOINTS: [E; 9] = [E::Home, E::Search, E::Item, E::CartAdd, E::Checkout, E::Profile, E::Upload, E::Export, E::Login];
const USUAL: [u32; 9] = [18, 20, 17, 9, 4, 6, 6, 14, 6];
/// Those who fulfil the story's personal conditions export more than others, and do all the rest as well.
const EXPORTING: [u32; 9] = [10, 12, 10, 5, 3, 5, 10, 40, 5];

impl Endpoint {
    /// Name of the root span, path, screen, buttons.
    fn facts(self) -> (&'static str, &'static str, &'static str, &'static [&'static str]) {
        match self {
            E::Home => ("GET /", "/", "home", &["logo", "back", "refresh", "menu"]),
            E::Search => ("GET /search", "/search", "results", &["search", "search", "suggest", "next-page", "filter"]),
            E::Item => ("GET /items/:id", "/items/:id", "item", &["tile", "related", "zoom"]),
            E::CartAdd => ("POST /cart", "/cart", "item", &["add-to-cart", "buy-again", "save-for-later"]),
            E::Checkout => ("POST /checkout", "/checkout", "checkout", &["pay-now", "pay-later", "one-tap"]),
            E::Profile => ("GET /me", "/me", "me", &["avatar", "settings"]),
            E::Upload => ("POST /images", "/images", "library", &["upload", "camera", "drop"]),
            E::Export => ("POST /export", "/export", "library", &["export-one", "export-one", "share", STORY_BUTTON, "print"]),
            E::Login => ("POST /login", "/login", "login", &["sign-in", "passkey"]),
        }
    }
}

/// What goes wrong without being the story.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    CardDeclined,
    SearchTimeout,
    SlowBucket,
    WrongPassword,
    CartConflict,
    EdgeReset,
    ReplicaLag,
    GcPause,
    RenderCrash,
}

/// A request before it is carried out.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Number of the request since the start of history.
    pub(crate) n: u64,
    /// Nanoseconds since the epoch.
    pub(crate) at_ns: i64,
    /// Seconds since the start of history.
    pub(crate) at_s: f64,
    pub(crate) user: User,
    pub(crate) endpoint: Endpoint,
    pub(crate) button: &'static str,
    pub(crate) fault: Option<Fault>,
    /// The instance of each service that serves it.
    pub(crate) instances: [usize; SERVICES.len()],
    /// The one hidden condition of the fleet: all of it together, nothing less, makes a request slow and fail.
    pub(crate) story: bool,
    rng: Rng,
    ids: Rng,
}

impl Plan {
    /// The `n`th request of the fleet.
    pub(crate) fn draw(world: &World, n: u64, at_ns: i64, at_s: f64) -> Plan {
        let mut rng = Rng::new(world.seed, n);
        let user = User::draw(world.seed, &mut rng);
        let endpoint = ENDPOINTS[rng.weighted(if user.in_story() { &EXPORTING } else { &USUAL })];
        let button = rng.pick(endpoint.facts().3);
        let instances = std::array::from_fn(|s| rng.below(SERVICES[s].n_instances as u64) as usize);
        let story = user.in_story()
            && endpoint == E::Export
            && button == STORY_BUTTON
            && world.build(IMAGE_EXPORT, instances[IMAGE_EXPORT], at_s) == STORY_BUILD;
        let fault = if story { None } else { Self::fault(&user, endpoint, &mut rng) };
        let ids = Rng::new(world.seed ^ world.run, n);
        Plan { n, at_ns, at_s, user, endpoint, button, fault, instances, story, rng, ids }
    }

    fn fault(user: &User, endpoint: Endpoint, rng: &mut Rng) -> Option<Fault> {
        if rng.chance(0.0012) {
            return Some(Fault::EdgeReset);
        }
        if user.shard == 3 && rng.chance(0.02) {
            return Some(Fault::ReplicaLag);
        }
        let (fault, p) = match endpoint {
            E::Checkout => (Fault::CardDeclined, 0.03),
            E::Search if user.os == "Android 8" => (Fault::SearchTimeout, 0.02),
            E::Search => (Fault::SearchTimeout, 0.003),
            E::Upload => (Fault::SlowBucket, 0.01),
            E::Export if rng.chance(0.3) => (Fault::RenderCrash, 0.006),
            E::Export => (Fault::SlowBucket, 0.004),
            E::Login => (Fault::WrongPassword, 0.05),
            E::CartAdd => (Fault::CartConflict, 0.01),
            E::Profile => (Fault::GcPause, 0.006),
            E::Home | E::Item => return None,
        };
        rng.chance(p).then_some(fault)
    }

    /// Whether a sampler that looks at whole traces would keep this one whatever its rate.
    pub(crate) fn unusual(&self) -> bool {
        self.story || self.fault.is_some()
    }

    /// Carries the request out: its spans, each with service and instance.
    pub(crate) fn trace(&self, sample_rate: u64) -> Vec<Placed> {
        let (mut rng, mut ids) = (self.rng.clone(), self.ids.clone());
        let (_, _, screen, _) = self.endpoint.facts();
        let context = Context::new(&self.user, screen, self.button, self.n, &mut rng, &mut ids);
        let mut trace_id = [0; 16];
        trace_id[..8].copy_from_slice(&ids.bits().to_be_bytes());
        trace_id[8..].copy_from_slice(&ids.bits().to_be_bytes());
        let mut trace = Trace { plan: self, rng, ids, context, trace_id, sample_rate, spans: Vec::with_capacity(24) };
        trace.run();
        trace.spans
    }
}

/// A span, and the running copy of a service that sends it.
#[derive(Debug)]
pub(crate) struct Placed {
    pub(crate) service: usize,
    pub(crate) instance: usize,
    pub(crate) span: Span,
}

const CALLS: [&str; SERVICES.len()] = [
    "call frontend",
    "call api-gateway",
    "call auth",
    "call user-profile",
    "call search",
    "call catalog",
    "call cart",
    "call billing",
    "call image-export",
    "call storage",
    "call notifications",
];

const OK: u16 = 200;

/// End of a piece of work in nanoseconds, and its HTTP status.
type Done = (i64, u16);

struct Trace<'p> {
    plan: &'p Plan,
    rng: Rng,
    ids: Rng,
    context: Context,
    trace_id: [u8; 16],
    sample_rate: u64,
    spans: Vec<Placed>,
}

impl Trace<'_> {
    /// A duration in nanoseconds, skewed around a median of milliseconds.
    fn ms(&mut self, median: f64) -> i64 {
        (self.rng.skewed(median, 0.45) * 1e6) as i64
    }

    fn open(&mut self, service: usize, parent: Option<usize>, name: &'static str, kind: Kind, start_ns: i64) -> usize {
        let mut attrs = Attrs::span();
        if kind == Kind::Server || kind == Kind::Consumer {
            attrs.extend(&self.context.full);
            fields::own(service, &mut attrs, &mut self.rng);
        } else {
            attrs.extend(&self.context.lean);
        }
        if self.sample_rate > 1 {
            attrs.int("SampleRate", self.sample_rate as i64);
        }
        let span = Span {
            trace_id: self.trace_id,
            id: self.ids.bits().to_be_bytes(),
            parent: parent.map(|p| self.spans[p].span.id),
            name,
            kind,
            start_ns,
            end_ns: start_ns,
            attrs,
            error: None,
            exception: None,
            link: None,
        };
        self.spans.push(Placed { service, instance: self.plan.instances[service], span });
        self.spans.len() - 1
    }

    fn span(&mut self, i: usize) -> &mut Span {
        &mut self.spans[i].span
    }

    /// One service calls another: a client span, a server span, and what happens inside.
    fn call(&mut self, from: usize, to: usize, route: &'static str, at: i64, body: impl FnOnce(&mut Self, usize, i64) -> Done) -> Done {
        let client = self.open(self.spans[from].service, Some(from), CALLS[to], Kind::Client, at);
        let there = at + self.ms(0.5);
        let server = self.open(to, Some(client), route, Kind::Server, there);
        let start = there + self.ms(0.3);
        let (end, status) = body(self, server, start);
        let end = end + self.ms(0.2);
        self.answer(server, route, end, status);
        let back = end + self.ms(0.5);
        let bytes = self.rng.skewed(1_800.0, 0.8) as i64;
        let span = self.span(client);
        span.end_ns = back;
        span.attrs.str("http.request.method", "POST");
        span.attrs.str("server.address", SERVICES[to].name);
        span.attrs.int("server.port", 8080);
        span.attrs.str("peer.service", SERVICES[to].name);
        span.attrs.str("rpc.method", route);
        span.attrs.int("http.status_code", i64::from(status));
        span.attrs.int("http.response.body.size", bytes);
        if status >= 400 {
            span.error = Some("upstream answered with an error");
        }
        (back, status)
    }

    /// Closes a server span.
    fn answer(&mut self, server: usize, route: &'static str, end: i64, status: u16) {
        let (request, response) = (self.rng.skewed(700.0, 0.7) as i64, self.rng.skewed(4_000.0, 1.0) as i64);
        let method = if route.starts_with("GET") { "GET" } else { "POST" };
        let span = self.span(server);
        span.end_ns = end;
        span.attrs.str("http.request.method", method);
        span.attrs.str("http.route", route.split_once(' ').map_or(route, |(_, path)| path));
        span.attrs.str("url.scheme", "https");
        span.attrs.str("network.protocol.version", "2");
        span.attrs.int("http.status_code", i64::from(status));
        span.attrs.int("http.request.body.size", request);
        span.attrs.int("http.response.body.size", response);
        if status >= 500 && span.error.is_none() {
            span.error = Some("internal server error");
        }
    }

    /// A look into a shared cache.
    fn cache(&mut self, from: usize, what: &str, at: i64, hit_share: f64) -> (i64, bool) {
        let i = self.open(self.spans[from].service, Some(from), "GET", Kind::Client, at);
        let hit = self.rng.chance(hit_share);
        let end = at + self.ms(0.4);
        let (user, ttl, bytes) = (self.plan.user.id, self.rng.below(3_600) as i64, self.rng.skewed(900.0, 0.9) as i64);
        let span = self.span(i);
        span.end_ns = end;
        span.attrs.str("db.system", "redis");
        span.attrs.str("db.operation", "GET");
        span.attrs.str("server.address", "redis-a.shop.internal");
        span.attrs.int("server.port", 6379);
        span.attrs.fmt("cache.key", format_args!("{what}:v2:{user}"));
        span.attrs.bool("cache.hit", hit);
        span.attrs.int("cache.ttl_s", ttl);
        span.attrs.int("cache.bytes", if hit { bytes } else { 0 });
        (end, hit)
    }

    /// A call to the sharded database.
    fn database(&mut self, from: usize, name: &'static str, table: &'static str, at: i64, median_ms: f64) -> (usize, i64) {
        let shard = self.plan.user.shard;
        let i = self.open(self.spans[from].service, Some(from), name, Kind::Client, at);
        let mut took = self.ms(median_ms);
        if self.plan.fault == Some(Fault::ReplicaLag) {
            took += self.ms(420.0);
        }
        self.database_fields(i, table, shard, 2);
        let (examined, returned) = (self.rng.skewed(40.0, 1.0) as i64, 1 + self.rng.below(40) as i64);
        let span = self.span(i);
        span.end_ns = at + took;
        span.attrs.int("db.rows_examined", examined.max(returned));
        span.attrs.int("db.rows_returned", returned);
        span.attrs.bool("db.plan_cached", true);
        (i, at + took)
    }

    fn database_fields(&mut self, i: usize, table: &'static str, shard: u64, key_version: u32) {
        let (wait, connection) = (self.rng.skewed(0.2, 1.0), self.rng.below(40) as i64);
        let replica = self.rng.chance(0.6);
        let team = mix(self.plan.user.hash ^ 2) % 30_000;
        let span = self.span(i);
        let operation = span.name.split(' ').next().unwrap_or("SELECT");
        span.attrs.str("db.system", "postgresql");
        span.attrs.str("db.name", "shop");
        span.attrs.str("db.operation", operation);
        span.attrs.str("db.sql.table", table);
        span.attrs.fmt("db.shard", format_args!("shard-{shard:02}"));
        span.attrs.fmt("server.address", format_args!("pg-{shard:02}.shop.internal"));
        span.attrs.int("server.port", 5432);
        span.attrs.str("db.role", if replica { "replica" } else { "primary" });
        span.attrs.fmt("cache.key", format_args!("{table}:v{key_version}:shard-{shard:02}:team-{team}"));
        span.attrs.int("cache.key_version", i64::from(key_version));
        span.attrs.float("db.pool.wait_ms", (wait * 1000.0).round() / 1000.0);
        span.attrs.int("db.connection.id", connection);
    }

    fn fail(&mut self, i: usize, message: &'static str, kind: &'static str, stacktrace: &'static str) {
        let span = self.span(i);
        span.error = Some(message);
        span.exception = Some(Exception { kind, message, stacktrace });
    }

    fn run(&mut self) {
        let (name, _, _, _) = self.plan.endpoint.facts();
        let start = self.plan.at_ns;
        let root = self.open(FRONTEND, None, name, Kind::Server, start);
        let at = start + self.ms(1.5);
        let (end, status) = if self.plan.fault == Some(Fault::EdgeReset) {
            self.fail(root, "connection reset by edge", "ConnectionResetError", "at Socket.onreset (edge.js:118)");
            (at + self.ms(30.0), 503)
        } else {
            self.call(root, GATEWAY, name, at, |t, gateway, at| t.gateway(gateway, at))
        };
        let rendered = end + self.ms(4.0);
        self.answer(root, name, rendered, status);
    }

    fn gateway(&mut self, gateway: usize, at: i64) -> Done {
        let (at, status) = self.call(gateway, AUTH, "POST /verify", at, |t, auth, at| t.auth(auth, at));
        if status != OK {
            return (at, status);
        }
        match self.plan.endpoint {
            E::Home => {
                let (at, _) = self.profile(gateway, at);
                self.call(gateway, CATALOG, "GET /featured", at, |t, catalog, at| {
                    let (at, hit) = t.cache(catalog, "featured", at, 0.8);
                    (if hit { at } else { t.database(catalog, "SELECT featured", "featured", at, 3.0).1 }, OK)
                })
            }
            E::Search => self.call(gateway, SEARCH, "GET /query", at, |t, search, at| t.search(search, at)),
            E::Item => self.call(gateway, CATALOG, "GET /items/:id", at, |t, catalog, at| {
                let (_, at) = t.database(catalog, "SELECT items", "items", at, 2.0);
                let (_, at) = t.database(catalog, "SELECT reviews", "reviews", at, 3.5);
                (at + t.ms(2.0), OK)
            }),
            E::CartAdd => self.call(gateway, CART, "POST /cart/items", at, |t, cart, at| {
                let (_, at) = t.database(cart, "SELECT carts", "carts", at, 1.5);
                if t.plan.fault == Some(Fault::CartConflict) {
                    return (at, 409);
                }
                (t.database(cart, "UPDATE carts", "carts", at, 3.0).1, OK)
            }),
            E::Checkout => self.checkout(gateway, at),
            E::Profile => self.profile(gateway, at),
            E::Upload => self.store(gateway, at),
            E::Export => self.call(gateway, IMAGE_EXPORT, "POST /export", at, |t, export, at| t.export(export, at)),
            E::Login => self.profile(gateway, at),
        }
    }

    fn auth(&mut self, auth: usize, at: i64) -> Done {
        let (at, hit) = self.cache(auth, "session", at, 0.9);
        let login = self.plan.endpoint == E::Login;
        let at = if hit && !login { at } else { self.database(auth, "SELECT sessions", "sessions", at, 1.8).1 };
        if self.plan.fault == Some(Fault::WrongPassword) {
            let end = at + self.ms(80.0);
            self.span(auth).attrs.str("auth.failure", "wrong password");
            return (end, 401);
        }
        (if login { at + self.ms(70.0) } else { at + self.ms(0.5) }, OK)
    }

    fn profile(&mut self, from: usize, at: i64) -> Done {
        self.call(from, PROFILE, "GET /profile", at, |t, profile, at| {
            let (at, hit) = t.cache(profile, "profile", at, 0.6);
            let at = if hit { at } else { t.database(profile, "SELECT users", "users", at, 2.4).1 };
            let pause = if t.plan.fault == Some(Fault::GcPause) { t.ms(900.0) } else { 0 };
            (at + pause + t.ms(1.0), OK)
        })
    }

    fn search(&mut self, search: usize, at: i64) -> Done {
        let scan = self.open(SEARCH, Some(search), "scan index", Kind::Internal, at);
        let timeout = self.plan.fault == Some(Fault::SearchTimeout);
        let end = at + if timeout { 2_000_000_000 } else { self.ms(14.0) };
        let span = self.span(scan);
        span.end_ns = end;
        span.attrs.bool("search.partial", timeout);
        if timeout {
            self.fail(scan, "deadline exceeded", "search::Timeout", "search::scan::run\nsearch::query::handle");
            return (end, 504);
        }
        (end + self.ms(2.0), OK)
    }

    fn checkout(&mut self, gateway: usize, at: i64) -> Done {
        let (at, _) = self.call(gateway, CART, "GET /cart", at, |t, cart, at| (t.database(cart, "SELECT carts", "carts", at, 1.5).1, OK));
        let (at, status) = self.call(gateway, BILLING, "POST /charge", at, |t, billing, at| {
            let (_, at) = t.database(billing, "SELECT accounts", "accounts", at, 2.0);
            let charge = t.open(BILLING, Some(billing), "charge card", Kind::Client, at);
            let end = at + t.ms(240.0);
            let declined = t.plan.fault == Some(Fault::CardDeclined);
            let span = t.span(charge);
            span.end_ns = end;
            span.attrs.str("peer.service", "payment-provider");
            span.attrs.bool("payment.declined", declined);
            if declined {
                t.fail(charge, "card declined", "CardDeclined", "com.shop.billing.Charge.run(Charge.java:88)");
                return (end, 402);
            }
            (t.database(billing, "INSERT ledger", "ledger", end, 4.0).1, OK)
        });
        if status != OK {
            return (at, status);
        }
        self.notify(gateway, at)
    }

    fn store(&mut self, from: usize, at: i64) -> Done {
        self.call(from, STORAGE, "PUT /objects", at, |t, storage, at| {
            let put = t.open(STORAGE, Some(storage), "PutObject", Kind::Client, at);
            let median = if t.plan.fault == Some(Fault::SlowBucket) { 800.0 } else { 45.0 };
            let end = at + t.ms(median);
            let span = t.span(put);
            span.end_ns = end;
            span.attrs.str("rpc.system", "aws-api");
            span.attrs.str("rpc.service", "S3");
            span.attrs.str("peer.service", "s3");
            (end, OK)
        })
    }

    fn notify(&mut self, from: usize, at: i64) -> Done {
        let publish = self.open(self.spans[from].service, Some(from), "publish notify", Kind::Producer, at);
        let end = at + self.ms(2.0);
        self.span(publish).end_ns = end;
        // The consumer works when it gets to it, after the answer has gone out.
        let later = end + self.ms(120.0);
        let consume = self.open(NOTIFICATIONS, Some(publish), "consume notify", Kind::Consumer, later);
        let link = (self.trace_id, self.spans[publish].span.id);
        let done = later + self.ms(9.0);
        let span = self.span(consume);
        span.link = Some(link);
        span.end_ns = done;
        (end, OK)
    }

    fn export(&mut self, export: usize, at: i64) -> Done {
        let (at, _) = self.cache(export, "export", at, 0.1);
        let read = if self.plan.story {
            self.wrong_shard(export, at)
        } else {
            (self.database(export, "SELECT export_jobs", "export_jobs", at, 4.0).1, OK)
        };
        let (at, status) = read;
        if status != OK {
            return (at, status);
        }
        let render = self.open(IMAGE_EXPORT, Some(export), "render layers", Kind::Internal, at);
        let end = at + self.ms(90.0);
        let tiles = 4 + self.rng.below(60) as i64;
        let span = self.span(render);
        span.end_ns = end;
        span.attrs.int("render.tiles", tiles);
        if self.plan.fault == Some(Fault::RenderCrash) {
            self.fail(render, "corrupt colour profile", "RenderError", "export/render.py:212 in blend\nexport/job.py:48 in run");
            return (end, 500);
        }
        let (at, _) = self.store(export, end);
        self.notify(export, at)
    }

    /// The story: the new build asks with the cache key of the version before, and for one shard, whatever the user's own is.
    fn wrong_shard(&mut self, export: usize, at: i64) -> Done {
        const { assert!(STORY_SHARD < N_SHARDS) };
        let i = self.open(IMAGE_EXPORT, Some(export), "SELECT export_jobs", Kind::Client, at);
        self.database_fields(i, "export_jobs", STORY_SHARD, 1);
        let end = at + self.ms(2_600.0);
        let examined = self.rng.skewed(2_100_000.0, 0.2) as i64;
        let span = self.span(i);
        span.end_ns = end;
        span.attrs.int("db.rows_examined", examined);
        span.attrs.int("db.rows_returned", 0);
        span.attrs.bool("db.plan_cached", false);
        self.fail(i, "no job under this cache key", "ExportJobNotFound", "export/jobs.py:131 in load\nexport/plan_cache.py:57 in lookup");
        (end, 500)
    }
}
