//! The many fields of the fleet's spans: who asks (context), and what each service says about its own work.
//!
//! Owns: names and spread of values that carry no story. Never does: decide what a request does or how long it takes.

use super::{
    otlp::Attrs,
    rng::{Rng, mix},
    world::{SERVICES, User},
};

/// How a field gets its value.
#[derive(Clone, Copy, Debug)]
enum Draw {
    Pick(&'static [&'static str]),
    Int(i64, i64),
    /// Median and spread.
    Float(f64, f64),
    Bool(f64),
    /// Prefix and how many there are.
    Id(&'static str, u64),
}

/// Name, share of spans that have it, value.
type Field = (&'static str, f64, Draw);

use Draw::{Bool, Float, Id, Int, Pick};

const FRONTEND: &[Field] = &[
    ("render.mode", 1.0, Pick(&["ssr", "ssr", "csr", "static"])),
    ("render.components", 1.0, Int(20, 900)),
    ("render.ms", 1.0, Float(14.0, 0.6)),
    ("render.hydration_ms", 0.7, Float(30.0, 0.5)),
    ("page.name", 1.0, Pick(&["home", "results", "item", "cart", "checkout", "me", "library"])),
    ("page.bundle", 1.0, Pick(&["main-8f2", "main-91c", "main-a07"])),
    ("page.bytes", 1.0, Int(9_000, 400_000)),
    ("page.prefetched", 1.0, Bool(0.3)),
    ("session.n_pages", 1.0, Int(1, 40)),
    ("session.age_s", 1.0, Float(240.0, 1.1)),
    ("csp.violations", 0.05, Int(1, 4)),
    ("consent.analytics", 1.0, Bool(0.6)),
    ("consent.version", 1.0, Pick(&["3", "4"])),
    ("http.request.header.referer", 0.5, Pick(&["https://search.example", "https://news.example", "https://mail.example", "app://home"])),
    ("http.request.header.dnt", 0.2, Pick(&["1"])),
    ("http.request.header.save_data", 0.04, Pick(&["on"])),
    ("utm.campaign", 0.15, Pick(&["autumn", "referral", "newsletter-41", "partners"])),
    ("utm.source", 0.15, Pick(&["mail", "search", "social"])),
    ("websocket.open", 1.0, Bool(0.4)),
    ("edge.cache_status", 1.0, Pick(&["MISS", "MISS", "HIT", "BYPASS"])),
];
const GATEWAY: &[Field] = &[
    ("gateway.route_id", 1.0, Id("rt-", 60)),
    ("gateway.upstream_attempts", 1.0, Int(1, 2)),
    ("gateway.policy", 1.0, Pick(&["default", "strict", "partner"])),
    ("gateway.queue_ms", 1.0, Float(0.4, 0.9)),
    ("ratelimit.bucket", 1.0, Pick(&["user", "ip", "team"])),
    ("ratelimit.remaining", 1.0, Int(0, 600)),
    ("ratelimit.cost", 1.0, Int(1, 9)),
    ("tls.version", 1.0, Pick(&["1.3", "1.3", "1.2"])),
    ("tls.cipher", 1.0, Pick(&["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"])),
    ("tls.resumed", 1.0, Bool(0.7)),
    ("waf.score", 1.0, Int(0, 40)),
    ("waf.rule", 0.03, Pick(&["sqli-14", "xss-3", "bot-22"])),
    ("jwt.age_s", 1.0, Float(900.0, 0.8)),
    ("jwt.kid", 1.0, Pick(&["k-2026-09", "k-2026-10"])),
    ("circuit.state", 1.0, Pick(&["closed", "closed", "closed", "closed", "half-open"])),
    ("api.version", 1.0, Pick(&["v1", "v1", "v2"])),
    ("partner.id", 0.08, Id("p-", 140)),
];
const AUTH: &[Field] = &[
    ("auth.method", 1.0, Pick(&["session", "session", "jwt", "api_key", "passkey"])),
    ("auth.mfa", 1.0, Bool(0.35)),
    ("auth.mfa_kind", 0.35, Pick(&["totp", "push", "webauthn"])),
    ("auth.session_age_s", 1.0, Float(5_000.0, 1.0)),
    ("auth.scopes", 1.0, Pick(&["read", "read write", "read write admin"])),
    ("auth.n_scopes", 1.0, Int(1, 12)),
    ("auth.token_issuer", 1.0, Pick(&["https://id.shop.example", "https://sso.partner.example"])),
    ("auth.risk_score", 1.0, Float(0.08, 0.8)),
    ("auth.password_age_days", 0.4, Int(1, 2_000)),
    ("auth.tenant", 1.0, Id("tn-", 900)),
    ("auth.key_cache", 1.0, Pick(&["hit", "hit", "hit", "miss"])),
    ("auth.clock_skew_ms", 0.3, Int(-400, 400)),
    ("oidc.provider", 0.25, Pick(&["google", "apple", "azure", "okta"])),
    ("session.store", 1.0, Pick(&["redis-a", "redis-b"])),
    ("session.rotated", 1.0, Bool(0.1)),
];
const PROFILE: &[Field] = &[
    ("profile.completeness", 1.0, Int(10, 100)),
    ("profile.avatar_bytes", 0.7, Int(2_000, 300_000)),
    ("profile.n_addresses", 1.0, Int(0, 5)),
    ("profile.n_followers", 1.0, Float(30.0, 1.6)),
    ("profile.visibility", 1.0, Pick(&["public", "friends", "private"])),
    ("profile.segments", 1.0, Int(0, 30)),
    ("profile.loyalty_tier", 1.0, Pick(&["none", "bronze", "silver", "gold"])),
    ("profile.loyalty_points", 1.0, Int(0, 90_000)),
    ("profile.newsletter", 1.0, Bool(0.4)),
    ("profile.cache_age_s", 1.0, Float(60.0, 1.0)),
    ("jvm.gc.pause_ms", 1.0, Float(0.8, 1.0)),
    ("jvm.heap.used_mb", 1.0, Float(900.0, 0.3)),
    ("jvm.threads", 1.0, Int(60, 240)),
    ("jvm.classes", 1.0, Int(18_000, 21_000)),
    ("hikari.active", 1.0, Int(0, 20)),
    ("hikari.pending", 1.0, Int(0, 3)),
];
const SEARCH: &[Field] = &[
    ("search.query_length", 1.0, Int(2, 60)),
    ("search.n_terms", 1.0, Int(1, 9)),
    ("search.index", 1.0, Pick(&["items", "items", "pictures", "people", "help"])),
    ("search.index_version", 1.0, Pick(&["2026-10-02", "2026-10-09"])),
    ("search.n_hits", 1.0, Float(240.0, 1.8)),
    ("search.n_shards", 1.0, Int(4, 16)),
    ("search.slowest_shard_ms", 1.0, Float(9.0, 0.7)),
    ("search.took_ms", 1.0, Float(12.0, 0.6)),
    ("search.page", 1.0, Int(1, 12)),
    ("search.sort", 1.0, Pick(&["relevance", "price", "newest", "rating"])),
    ("search.n_filters", 1.0, Int(0, 8)),
    ("search.spellchecked", 1.0, Bool(0.2)),
    ("search.synonyms", 1.0, Int(0, 14)),
    ("search.vector", 1.0, Bool(0.25)),
    ("search.model", 0.25, Pick(&["emb-s", "emb-m"])),
    ("search.rerank_ms", 0.25, Float(18.0, 0.5)),
    ("search.zero_results", 1.0, Bool(0.06)),
    ("search.personalised", 1.0, Bool(0.5)),
];
const CATALOG: &[Field] = &[
    ("item.id", 1.0, Id("it-", 80_000)),
    ("item.category", 1.0, Pick(&["books", "garden", "kitchen", "toys", "audio", "photo", "sport", "tools"])),
    ("item.price_cents", 1.0, Int(99, 250_000)),
    ("item.stock", 1.0, Int(0, 900)),
    ("item.rating", 1.0, Float(4.0, 0.1)),
    ("item.n_reviews", 1.0, Float(20.0, 1.5)),
    ("item.n_variants", 1.0, Int(1, 24)),
    ("item.seller_id", 1.0, Id("se-", 4_000)),
    ("item.brand", 1.0, Id("brand-", 700)),
    ("item.age_days", 1.0, Int(0, 3_000)),
    ("item.has_video", 1.0, Bool(0.2)),
    ("pricing.rule", 1.0, Pick(&["list", "list", "promo", "member", "clearance"])),
    ("pricing.currency_rate", 1.0, Float(1.0, 0.2)),
    ("pricing.rounding", 1.0, Pick(&["half-up", "nearest-9"])),
    ("recommend.model", 0.6, Pick(&["cf-7", "cf-8", "gnn-2"])),
    ("recommend.n_candidates", 0.6, Int(50, 2_000)),
    ("recommend.ms", 0.6, Float(6.0, 0.5)),
    ("gil.wait_ms", 1.0, Float(0.3, 0.9)),
];
const CART: &[Field] = &[
    ("cart.id", 1.0, Id("ca-", 400_000)),
    ("cart.n_items", 1.0, Int(1, 24)),
    ("cart.n_sellers", 1.0, Int(1, 6)),
    ("cart.total_cents", 1.0, Float(4_200.0, 0.9)),
    ("cart.age_s", 1.0, Float(800.0, 1.3)),
    ("cart.version", 1.0, Int(1, 90)),
    ("cart.coupon", 0.12, Id("CPN", 300)),
    ("cart.merged", 1.0, Bool(0.05)),
    ("cart.gift", 1.0, Bool(0.08)),
    ("cart.abandoned_before", 1.0, Bool(0.3)),
    ("cart.reservation", 1.0, Pick(&["none", "soft", "hard"])),
    ("cart.shipping", 1.0, Pick(&["standard", "express", "pickup"])),
    ("nodejs.eventloop.lag_ms", 1.0, Float(1.2, 0.9)),
    ("nodejs.heap.used_mb", 1.0, Float(210.0, 0.3)),
    ("cart.retries", 1.0, Int(0, 2)),
];
const BILLING: &[Field] = &[
    ("payment.provider", 1.0, Pick(&["stripe", "adyen", "paypal", "acme-pay"])),
    ("payment.method", 1.0, Pick(&["card", "card", "wallet", "sepa", "invoice"])),
    ("payment.amount_cents", 1.0, Float(4_600.0, 0.9)),
    ("payment.currency", 1.0, Pick(&["USD", "EUR", "GBP", "BRL", "INR", "JPY", "PLN"])),
    ("payment.attempt", 1.0, Int(1, 3)),
    ("payment.three_ds", 1.0, Bool(0.4)),
    ("payment.card_brand", 0.7, Pick(&["visa", "mastercard", "amex"])),
    ("payment.card_country", 0.7, Pick(&["US", "DE", "GB", "FR", "BR", "IN"])),
    ("payment.idempotency_key", 1.0, Id("ik-", 1 << 40)),
    ("fraud.score", 1.0, Float(0.05, 0.9)),
    ("fraud.rules_hit", 1.0, Int(0, 4)),
    ("fraud.model", 1.0, Pick(&["fr-11", "fr-12"])),
    ("invoice.id", 1.0, Id("in-", 1 << 30)),
    ("invoice.n_lines", 1.0, Int(1, 30)),
    ("tax.region", 1.0, Pick(&["eu", "us", "row"])),
    ("tax.rate", 1.0, Pick(&["0", "7", "19", "20", "21", "25"])),
    ("ledger.partition", 1.0, Int(0, 31)),
    ("jvm.gc.pause_ms", 1.0, Float(0.9, 1.0)),
    ("jvm.heap.used_mb", 1.0, Float(1_400.0, 0.3)),
];
const IMAGE_EXPORT: &[Field] = &[
    ("export.format", 1.0, Pick(&["png", "jpeg", "webp", "pdf", "tiff"])),
    ("export.preset", 1.0, Pick(&["web", "print", "social", "archive"])),
    ("export.n_layers", 1.0, Int(1, 120)),
    ("export.n_images", 1.0, Int(1, 40)),
    ("export.width_px", 1.0, Pick(&["1080", "1920", "2048", "3840", "6000"])),
    ("export.quality", 1.0, Int(60, 100)),
    ("export.colour_space", 1.0, Pick(&["srgb", "srgb", "p3", "cmyk"])),
    ("export.dpi", 1.0, Pick(&["72", "150", "300"])),
    ("export.input_bytes", 1.0, Float(3_000_000.0, 0.9)),
    ("export.output_bytes", 1.0, Float(900_000.0, 0.9)),
    ("export.watermark", 1.0, Bool(0.3)),
    ("export.strip_metadata", 1.0, Bool(0.5)),
    ("export.font_cache", 1.0, Pick(&["hit", "hit", "miss"])),
    ("export.n_fonts", 1.0, Int(0, 12)),
    ("export.template", 0.6, Id("tpl-", 500)),
    ("export.priority", 1.0, Pick(&["interactive", "interactive", "batch"])),
    ("export.worker", 1.0, Int(0, 15)),
    ("export.queue_depth", 1.0, Int(0, 30)),
    ("codec.name", 1.0, Pick(&["libpng", "mozjpeg", "libwebp", "cairo"])),
    ("codec.simd", 1.0, Pick(&["neon", "avx2"])),
    ("codec.encode_ms", 1.0, Float(60.0, 0.6)),
    ("gpu.used", 1.0, Bool(0.2)),
    ("gil.wait_ms", 1.0, Float(0.4, 0.9)),
    ("image.has_alpha", 1.0, Bool(0.4)),
    ("image.orientation", 0.5, Int(1, 8)),
];
const STORAGE: &[Field] = &[
    ("storage.bucket", 1.0, Pick(&["media-a", "media-b", "media-c", "exports"])),
    ("storage.class", 1.0, Pick(&["standard", "standard", "infrequent"])),
    ("storage.object_bytes", 1.0, Float(1_200_000.0, 1.0)),
    ("storage.n_parts", 1.0, Int(1, 9)),
    ("storage.checksum", 1.0, Pick(&["crc32c", "sha256"])),
    ("storage.encryption", 1.0, Pick(&["sse-s3", "sse-kms"])),
    ("storage.region", 1.0, Pick(&["eu-central-1", "eu-west-1"])),
    ("storage.retries", 1.0, Int(0, 2)),
    ("storage.dedup", 1.0, Bool(0.1)),
    ("storage.lifecycle_days", 1.0, Pick(&["30", "90", "365"])),
    ("storage.prefix", 1.0, Id("px-", 256)),
    ("storage.first_byte_ms", 1.0, Float(12.0, 0.6)),
    ("storage.throughput_mbps", 1.0, Float(400.0, 0.4)),
    ("storage.replica", 1.0, Int(0, 2)),
    ("go.goroutines", 1.0, Int(90, 900)),
    ("go.gc.pause_us", 1.0, Float(90.0, 0.8)),
];
const NOTIFICATIONS: &[Field] = &[
    ("notification.channel", 1.0, Pick(&["push", "mail", "sms", "in-app"])),
    ("notification.template", 1.0, Id("nt-", 80)),
    ("notification.locale_fallback", 1.0, Bool(0.1)),
    ("notification.n_recipients", 1.0, Int(1, 3)),
    ("notification.provider", 1.0, Pick(&["apns", "fcm", "ses", "twilio"])),
    ("notification.delay_s", 1.0, Float(2.0, 1.0)),
    ("notification.quiet_hours", 1.0, Bool(0.2)),
    ("notification.dedup_key", 1.0, Id("dk-", 1 << 30)),
    ("messaging.system", 1.0, Pick(&["kafka"])),
    ("messaging.destination.name", 1.0, Pick(&["notify-high", "notify-low"])),
    ("messaging.kafka.partition", 1.0, Int(0, 23)),
    ("messaging.kafka.offset", 1.0, Int(4_000_000, 9_000_000)),
    ("messaging.batch.message_count", 1.0, Int(1, 60)),
    ("messaging.consumer.lag", 1.0, Int(0, 400)),
    ("nodejs.eventloop.lag_ms", 1.0, Float(1.4, 0.9)),
];

/// What every server span tells about its process.
const RUNTIME: &[Field] = &[
    ("process.memory.rss_mb", 1.0, Float(480.0, 0.3)),
    ("process.cpu.utilization", 1.0, Float(0.3, 0.5)),
    ("process.uptime_s", 1.0, Int(60, 900_000)),
    ("process.open_fds", 1.0, Int(60, 900)),
    ("host.loadavg_1m", 1.0, Float(1.6, 0.4)),
    ("queue.wait_ms", 1.0, Float(0.3, 1.0)),
    ("pool.in_use", 1.0, Int(0, 40)),
    ("pool.idle", 1.0, Int(0, 40)),
    ("thread.id", 1.0, Int(1, 64)),
    ("net.connection.reused", 1.0, Bool(0.9)),
];

const OWN: [&[Field]; SERVICES.len()] =
    [FRONTEND, GATEWAY, AUTH, PROFILE, SEARCH, CATALOG, CART, BILLING, IMAGE_EXPORT, STORAGE, NOTIFICATIONS];

fn draw(fields: &[Field], a: &mut Attrs, rng: &mut Rng) {
    for &(name, share, value) in fields {
        if share < 1.0 && !rng.chance(share) {
            continue;
        }
        match value {
            Pick(words) => a.str(name, rng.pick(words)),
            Int(low, high) => a.int(name, low + rng.below((high - low + 1) as u64) as i64),
            Float(median, spread) => a.float(name, (rng.skewed(median, spread) * 1000.0).round() / 1000.0),
            Bool(p) => a.bool(name, rng.chance(p)),
            Id(prefix, n) => a.fmt(name, format_args!("{prefix}{}", rng.below(n))),
        }
    }
}

/// A service's own fields and those of its process, as its server spans carry them.
pub(crate) fn own(service: usize, a: &mut Attrs, rng: &mut Rng) {
    draw(OWN[service], a, rng);
    draw(RUNTIME, a, rng);
}

const FLAGS: [&str; 40] = [
    "feature_flag.new_checkout",
    "feature_flag.fast_search",
    "feature_flag.dark_mode_v2",
    "feature_flag.passkeys",
    "feature_flag.one_tap_pay",
    "feature_flag.vector_search",
    "feature_flag.image_webp",
    "feature_flag.image_avif",
    "feature_flag.export_queue",
    "feature_flag.export_retry",
    "feature_flag.cart_v3",
    "feature_flag.cart_merge",
    "feature_flag.gift_wrap",
    "feature_flag.loyalty",
    "feature_flag.loyalty_push",
    "feature_flag.profile_v2",
    "feature_flag.avatar_cdn",
    "feature_flag.http3",
    "feature_flag.edge_cache",
    "feature_flag.brotli",
    "feature_flag.price_rounding",
    "feature_flag.tax_engine",
    "feature_flag.three_ds_always",
    "feature_flag.fraud_model_12",
    "feature_flag.ssr_stream",
    "feature_flag.prefetch",
    "feature_flag.lazy_images",
    "feature_flag.reviews_top",
    "feature_flag.video_preview",
    "feature_flag.chat",
    "feature_flag.chat_ai",
    "feature_flag.notify_digest",
    "feature_flag.notify_quiet",
    "feature_flag.storage_dedup",
    "feature_flag.storage_kms",
    "feature_flag.read_replica",
    "feature_flag.shard_router",
    "feature_flag.plan_cache",
    "feature_flag.tracing_baggage",
    "feature_flag.slow_log",
];

/// Who asks, with what, and from where: what a request hands from service to service.
#[derive(Debug)]
pub(crate) struct Context {
    /// On server spans.
    pub(crate) full: Attrs,
    /// On all other spans.
    pub(crate) lean: Attrs,
}

impl Context {
    /// The context of a user's request on a screen, by a button.
    pub(crate) fn new(user: &User, screen: &'static str, button: &'static str, n: u64, rng: &mut Rng, ids: &mut Rng) -> Context {
        let h = user.hash;
        let of = |salt: u64, n: u64| mix(h ^ salt) % n;
        let plan = ["free", "free", "free", "plus", "pro", "team"][of(1, 6) as usize];
        let mut lean = Attrs::span();
        lean.fmt("user.id", format_args!("u{:06}", user.id));
        lean.str("user.last_name", user.last_name);
        lean.str("user.plan", plan);
        lean.fmt("user.team_id", format_args!("team-{}", of(2, 30_000)));
        lean.str("device.os", user.os);
        lean.str("device.os.name", user.os_name);
        lean.fmt("app.version", format_args!("8.{}.{}", 10 + of(3, 6), of(4, 4)));
        lean.str("app.language_pack", user.language_pack);
        lean.str("app.screen", screen);
        lean.fmt("app.session_id", format_args!("{:016x}", mix(h ^ (n / 50_000))));
        lean.str("app.experiment.cohort", ["control", "a", "b", "c"][of(5, 4) as usize]);
        lean.str("ui.button", button);
        lean.str("geo.country", user.country.0);
        lean.fmt("request.id", format_args!("{:016x}{:016x}", ids.bits(), ids.bits()));
        lean.str("request.priority", if plan == "free" { "normal" } else { "high" });
        lean.int("request.retry", i64::from(rng.chance(0.02)));

        let mut full = lean.clone();
        full.str("user.first_name", user.first_name);
        full.str("user.email_domain", ["mail.example", "post.example", "corp.example", "uni.example"][of(6, 4) as usize]);
        full.str("user.role", ["owner", "member", "member", "guest"][of(7, 4) as usize]);
        full.int("user.signup_days_ago", of(8, 2_800) as i64);
        full.bool("user.is_staff", of(9, 400) == 0);
        full.int("user.n_orders", of(10, 60) as i64);
        full.str("device.os.version", user.os_version);
        full.str("device.manufacturer", user.device_maker);
        full.str("device.model", user.device_model);
        full.str("device.network", rng.pick(&["wifi", "wifi", "5g", "4g", "4g", "ethernet"]));
        full.int("device.battery_pct", 1 + rng.below(100) as i64);
        full.int("device.screen.width", [360, 390, 412, 768, 1440, 1920][of(11, 6) as usize]);
        full.float("device.screen.scale", [1.0, 2.0, 3.0][of(12, 3) as usize]);
        full.int("device.memory_mb", [2_048, 4_096, 6_144, 8_192][of(13, 4) as usize]);
        full.str("app.locale", ["en_US", "de_DE", "fr_FR", "pt_BR", "ja_JP", "en_IE", "es_ES", "pl_PL"][of(14, 8) as usize]);
        full.str("app.theme", ["light", "dark", "system"][of(15, 3) as usize]);
        full.str("app.channel", ["store", "store", "store", "beta"][of(16, 4) as usize]);
        full.bool("app.cold_start", rng.chance(0.1));
        full.str("app.orientation", rng.pick(&["portrait", "portrait", "landscape"]));
        full.str("ui.gesture", rng.pick(&["tap", "tap", "tap", "key", "long-press", "voice"]));
        full.int("ui.ms_since_load", rng.skewed(2_400.0, 1.0) as i64);
        full.str("geo.city", user.country.3[of(17, 3) as usize]);
        full.str("geo.timezone", user.country.1);
        full.str("account.currency", user.country.2);
        full.int("geo.asn", 1_000 + of(18, 900) as i64);
        full.bool("geo.is_vpn", of(19, 25) == 0);
        full.fmt("client.address", format_args!("100.{}.{}.{}", 64 + of(20, 60), of(21, 256), of(22, 256)));
        full.fmt("user_agent.original", format_args!("Shop/8 ({}; {} {})", user.device_model, user.os_name, user.os_version));
        full.str("request.edge", rng.pick(&["fra1", "lhr2", "iad3", "nrt1", "syd1", "gru1"]));
        full.int("request.bot_score", rng.below(30) as i64);
        full.int("request.ab_bucket", of(23, 100) as i64);
        full.bool("request.first_of_session", rng.chance(0.05));
        // A request asks for some of the flags; each user always gets the same answers.
        let first = rng.below(FLAGS.len() as u64);
        for i in 0..8 {
            let flag = (first + i) % FLAGS.len() as u64;
            full.bool(FLAGS[flag as usize], mix(h ^ 0xf1a6 ^ flag).is_multiple_of(3));
        }
        Context { full, lean }
    }
}
