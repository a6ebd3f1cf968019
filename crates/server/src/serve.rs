//! From settings to a running server and back to a closed store.
//!
//! Owns: listeners, connections, signals, the order of start and stop. Never does: routes.

use crate::app::App;
use crate::error::{ServerError, chain};
use crate::settings::Settings;
use crate::{health, log, telemetry};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// A connection that sends no request for so long is closed.
const IDLE_SECONDS_MAX: u64 = 120;
/// How long requests get to notice that their run was ended.
const AFTER_CANCEL: Duration = Duration::from_secs(2);

/// A server that listens, with its store recovered; `run` makes it answer.
#[derive(Debug)]
pub struct Server {
    app: Arc<App>,
    http: TcpListener,
    grpc: Option<TcpListener>,
    addresses: Addresses,
}

/// Where a server listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// HTTP.
    pub http: SocketAddr,
    /// gRPC, if served.
    pub grpc: Option<SocketAddr>,
}

/// Serves until SIGTERM or SIGINT, then ends what is under way and closes the store.
///
/// # Errors
/// It did not start, or the store did not close well.
pub async fn serve(settings: Settings) -> Result<(), ServerError> {
    let failed = |source| ServerError::System { what: "signal handlers", source };
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let started = Instant::now();
    let server = Server::bind(settings).await?;
    let addresses = server.addresses();
    let grpc = addresses.grpc.map_or("off".to_owned(), |a| a.to_string());
    let keys = if server.app.door.is_open() { "not needed (loopback)".to_owned() } else { server.app.door.n_keys().to_string() };
    log::info(
        "started",
        &[
            ("version", &env!("CARGO_PKG_VERSION")),
            ("http", &format!("http://{}", addresses.http)),
            ("otlp_grpc", &grpc),
            ("data_dir", &server.app.settings.data_dir.display()),
            ("keys", &keys),
            ("ms", &started.elapsed().as_millis()),
        ],
    );
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        log::info("stopping", &[]);
    };
    server.run(stop).await?;
    log::info("stopped", &[]);
    Ok(())
}

impl Server {
    /// Listens and recovers.
    ///
    /// # Errors
    /// A wrong address, no key where one is needed, a data directory that cannot be opened.
    pub async fn bind(settings: Settings) -> Result<Server, ServerError> {
        let http = listen(&settings.listen).await?;
        let grpc = if settings.otlp_grpc_listen.is_empty() { None } else { Some(listen(&settings.otlp_grpc_listen).await?) };
        let address = |l: &TcpListener| l.local_addr().map_err(|source| ServerError::System { what: "the address of a socket", source });
        let addresses = Addresses { http: address(&http)?, grpc: grpc.as_ref().map(address).transpose()? };
        let reachable = [Some(addresses.http), addresses.grpc].into_iter().flatten().find(|a| !a.ip().is_loopback());
        let open = reachable.is_none() && !settings.require_keys;
        let data_dir = settings.data_dir.display().to_string();
        let opening = tokio::task::spawn_blocking(move || App::open(settings, open));
        let app = opening.await.map_err(|e| ServerError::System { what: "a thread", source: std::io::Error::other(e) })??;
        for finding in app.store.stats().recovery.findings {
            let path = finding.path.display().to_string();
            let fields: [(&str, &dyn std::fmt::Display); 2] = [("path", &path), ("message", &finding.message)];
            if finding.damage { log::error("damage", &fields) } else { log::info("recovery", &fields) }
        }
        if !open && app.door.n_keys() == 0 {
            let store = app.store.clone();
            // Nothing was written; what matters is why we do not start.
            drop(tokio::task::spawn_blocking(move || store.close()).await);
            return Err(ServerError::NeedsKey { address: reachable.unwrap_or(addresses.http), data_dir });
        }
        Ok(Server { app, http, grpc, addresses })
    }

    /// Where it listens; ports of 0 are resolved.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Answers until `stop` is done, then ends what is under way and closes the store.
    ///
    /// # Errors
    /// The store did not close well; acknowledged events are safe nevertheless.
    pub async fn run(self, stop: impl Future<Output = ()>) -> Result<(), ServerError> {
        let Server { app, http, grpc, .. } = self;
        let service = health::service(Arc::clone(&app));
        let (stopping, stopped) = watch::channel(());
        let graceful = Arc::new(GracefulShutdown::new());
        let mut accepting = Vec::new();
        for listener in [Some(http), grpc].into_iter().flatten() {
            let accepts = accept(listener, service.clone(), Arc::clone(&app), Arc::clone(&graceful), stopped.clone());
            accepting.push(tokio::spawn(accepts));
        }
        drop(stopped);
        let telling = tokio::spawn(telemetry::flush_forever(Arc::downgrade(&app)));
        stop.await;

        app.stop();
        drop(stopping);
        for task in accepting {
            // A listener that ended is what we want.
            drop(task.await);
        }
        let drain = Duration::try_from_secs_f64(app.settings.drain_seconds_max).unwrap_or(AFTER_CANCEL);
        if let Some(graceful) = Arc::into_inner(graceful) {
            let mut ending = std::pin::pin!(graceful.shutdown());
            if tokio::time::timeout(drain, &mut ending).await.is_err() {
                app.runs.cancel_all();
                if tokio::time::timeout(AFTER_CANCEL, ending).await.is_err() {
                    log::error("requests_cut", &[("connections", &app.metrics.connections.load(Ordering::Relaxed))]);
                }
            }
        }
        telling.abort();
        app.runs.cancel_all();
        if tokio::time::timeout(AFTER_CANCEL, telemetry::flush(&app)).await.is_err() {
            log::error("self_telemetry_lost", &[]);
        }
        let store = app.store.clone();
        match tokio::task::spawn_blocking(move || store.close()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(e)) => {
                log::error("close_failed", &[("error", &chain(&e))]);
                Err(ServerError::Close(e))
            }
            Err(e) => Err(ServerError::System { what: "a thread", source: std::io::Error::other(e) }),
        }
    }
}

async fn listen(address: &str) -> Result<TcpListener, ServerError> {
    let bad = |source| ServerError::Address { address: address.to_owned(), source };
    let mut found = tokio::net::lookup_host(address).await.map_err(bad)?;
    let Some(address) = found.next() else {
        return Err(bad(std::io::Error::new(std::io::ErrorKind::NotFound, "the name has no address")));
    };
    TcpListener::bind(address).await.map_err(|source| ServerError::Listen { address, source })
}

async fn accept(
    listener: TcpListener,
    service: axum::Router,
    app: Arc<App>,
    graceful: Arc<GracefulShutdown>,
    mut stopped: watch::Receiver<()>,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            // The sender is dropped at the end.
            _ = stopped.changed() => return,
        };
        match accepted {
            Ok((stream, _)) if app.metrics.connections.load(Ordering::Relaxed) >= app.connections_max => {
                app.metrics.refused("too_many_connections");
                turn_away(&stream);
            }
            Ok((stream, _)) => {
                app.metrics.connections.fetch_add(1, Ordering::Relaxed);
                drop(tokio::spawn(connection(stream, service.clone(), Arc::clone(&app), graceful.watcher())));
            }
            // Out of file descriptors: connections that end give some back.
            Err(e) => {
                log::error("accept_failed", &[("error", &e)]);
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Tells a client that there is no room for it, without waiting for it. (gRPC's see a connection that failed, and try again.)
fn turn_away(stream: &TcpStream) {
    const BODY: &str = r#"{"error":"the server has too many connections (connections_max); try again in a second"}"#;
    let head = "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 1\r\nconnection: close\r\n";
    // A fresh socket takes that much at once; if not, nobody is left without an answer who would have got one.
    drop(stream.try_write(format!("{head}content-length: {}\r\n\r\n{BODY}", BODY.len()).as_bytes()));
}

async fn connection(stream: TcpStream, service: axum::Router, app: Arc<App>, watcher: Watcher) {
    // Only latency is at stake.
    drop(stream.set_nodelay(true));
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(IDLE_SECONDS_MAX));
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Duration::from_secs(60))
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(4 << 20)
        .max_concurrent_streams(128)
        .max_header_list_size(64 << 10);
    let serving = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    // How a connection ends is the client's matter.
    drop(watcher.watch(serving.into_owned()).await);
    app.metrics.connections.fetch_sub(1, Ordering::Relaxed);
}
