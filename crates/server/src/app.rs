//! What all requests share: store, engine, keys, budgets, counters.
//!
//! Owns: putting them together, and the threads that requests compute on. Never does: routes.

use crate::auth::Door;
use crate::budget::Budget;
use crate::compat::maps::Maps;
use crate::compat::results::Results;
use crate::depths::Depths;
use crate::error::{Failure, ServerError};
use crate::metrics::Metrics;
use crate::runs::Runs;
use crate::settings::Settings;
use crate::telemetry::Telemetry;
use crate::time::{now, thread_cpu_ns};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use engine::{Engine, EngineOptions};
use model::ErrorKind;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use store::{Store, StoreOptions};
use tokio::sync::Semaphore;

/// A request that waits longer than this for a thread is told to come back.
const QUEUE_SECONDS_MAX: u64 = 8;
/// Bytes of questions and documents that may be in work at once.
const SMALL_BYTES_MAX: usize = 64 << 20;

/// The server's inside.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) settings: Settings,
    pub(crate) store: Store,
    pub(crate) engine: Engine,
    pub(crate) door: Door,
    /// Of requests that bring events.
    pub(crate) budget: Arc<Budget>,
    /// Of all others.
    pub(crate) small_budget: Arc<Budget>,
    pub(crate) metrics: Metrics,
    pub(crate) telemetry: Option<Telemetry>,
    pub(crate) runs: Runs,
    pub(crate) results: Results,
    pub(crate) maps: Maps,
    pub(crate) depths: Depths,
    /// Connections that may be open at once.
    pub(crate) connections_max: u64,
    /// Held while saved calculated fields are changed.
    pub(crate) fields_lock: parking_lot::Mutex<()>,
    /// Held while boards are changed.
    pub(crate) boards_lock: parking_lot::Mutex<()>,
    /// One permit per thread that decodes.
    cpu: Arc<Semaphore>,
    stopping: AtomicBool,
}

impl App {
    pub(crate) fn open(settings: Settings, open_door: bool) -> Result<Arc<App>, ServerError> {
        let data_dir = settings.data_dir.display().to_string();
        let failed = |source| ServerError::Store { data_dir: data_dir.clone(), source };
        let mut options = StoreOptions::new(&settings.data_dir, now);
        options.limits = settings.limits.clone();
        options.seal_bytes = settings.seal_bytes;
        options.thread_cpu_ns = thread_cpu_ns;
        let store = Store::open(options).map_err(failed)?;
        let threads = settings.threads();
        store::segment::set_dict_cache_bytes(settings.dictionaries_bytes());
        let engine_options = EngineOptions { threads, cache_bytes: settings.cache_bytes_max, limits: settings.limits.clone() };
        let engine = Engine::new(store.clone(), engine_options);
        engine.set_calculated_fields(crate::fields::saved(&store).map_err(failed)?);
        let door = Door::load(&store, open_door).map_err(|e| ServerError::Keys { data_dir: data_dir.clone(), source: e })?;
        Ok(Arc::new(App {
            budget: Budget::new(settings.ingest_bytes_max),
            small_budget: Budget::new(SMALL_BYTES_MAX),
            metrics: Metrics::default(),
            telemetry: settings.self_telemetry.then(Telemetry::new),
            runs: Runs::new(settings.limits.questions_concurrent_max, settings.limits.question_seconds_max),
            results: Results::default(),
            maps: Maps::default(),
            depths: Depths::load(&store, settings.limits.flatten_depth_max),
            connections_max: connections_max(settings.connections_max),
            fields_lock: parking_lot::Mutex::new(()),
            boards_lock: parking_lot::Mutex::new(()),
            cpu: Arc::new(Semaphore::new(threads)),
            stopping: AtomicBool::new(false),
            settings,
            store,
            engine,
            door,
        }))
    }

    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Without keys, a page of the internet must not reach a server on this machine by a name that it made to point here
    /// (DNS rebinding): then the host is a name that is not ours.
    pub(crate) fn guard(&self, parts: &Parts) -> Result<(), Failure> {
        if !self.door.is_open() {
            return Ok(());
        }
        let host = parts.headers.get(header::HOST).and_then(|v| v.to_str().ok()).or_else(|| parts.uri.authority().map(|a| a.as_str()));
        let Some(host) = host else { return Ok(()) };
        if local_name(host) {
            return Ok(());
        }
        let mut failure = Failure::new(
            ErrorKind::Unauthorized,
            format!("this server asks for no keys and answers only to the names of this machine, host='{host}'"),
        )
        .with_status(StatusCode::FORBIDDEN, "foreign_host");
        failure.hint = Some("use 127.0.0.1 or localhost, or start it with --require-keys true".into());
        Err(failure)
    }

    /// Runs work that computes, on as many threads as there are cores; small work right here.
    pub(crate) async fn compute<T: Send + 'static>(&self, small: bool, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
        if small {
            return Ok(work());
        }
        let turn = Arc::clone(&self.cpu).acquire_owned();
        let Ok(Ok(permit)) = tokio::time::timeout(Duration::from_secs(QUEUE_SECONDS_MAX), turn).await else {
            return Err(Failure::overload("the server has more requests than it can decode; send again in a second"));
        };
        self.blocking(move || {
            let done = work();
            drop(permit);
            done
        })
        .await
    }

    /// Runs work that blocks.
    pub(crate) async fn blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
        match tokio::task::spawn_blocking(work).await {
            Ok(done) => Ok(done),
            Err(e) => Err(Failure::new(ErrorKind::Internal, format!("a thread of the server ended: {e}"))),
        }
    }
}

/// Half of the files that the system lets this process open are left to segments and logs.
fn connections_max(setting: usize) -> u64 {
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
    (setting as u64).min(files / 2).max(1)
}

/// The name or address of a host that may have a port, in lower case.
pub(crate) fn name_of(host: &str) -> String {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(""),
        None => host.rsplit_once(':').map_or(host, |(name, port)| if port.bytes().all(|b| b.is_ascii_digit()) { name } else { host }),
    };
    name.trim_end_matches('.').to_ascii_lowercase()
}

/// Whether a host (with or without port) is this machine by address or by a name that only this machine gives.
fn local_name(host: &str) -> bool {
    let name = name_of(host);
    name.is_empty() || name == "localhost" || name.ends_with(".localhost") || name.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::local_name;

    #[test]
    fn addresses_and_localhost_are_local() {
        for host in ["127.0.0.1:8080", "localhost", "LOCALHOST:1", "[::1]:8080", "10.0.0.7:80", "web.localhost:8080", "localhost."] {
            assert!(local_name(host), "{host}");
        }
        for host in ["evil.example", "evil.example:8080", "localhost.evil.example", "127.0.0.1.evil.example"] {
            assert!(!local_name(host), "{host}");
        }
    }
}
