//! The demo fleet: eleven simulated services whose traces are sent over OTLP as any client sends them.
//! Two hours of history first, then live traffic for as long as it runs. One story hides in it (`request::Plan::story`).
//!
//! Owns: the pace, the history and the deploy markers. Never does: touch a data directory or know the server's insides.

mod fields;
mod otlp;
mod request;
mod rng;
mod send;
#[cfg(test)]
mod tests;
mod world;

use crate::{
    client::{Client, segment},
    error::CliError,
    render::epoch_s,
    term::{self, Progress},
};
use otlp::Export;
use request::{Placed, Plan};
use send::Sender;
use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use world::{SERVICES, World};

/// How much the fleet sends.
#[derive(Clone, Debug)]
pub(crate) struct FleetOptions {
    /// Requests per second that users make.
    pub(crate) rate: f64,
    /// Seconds of history before the start.
    pub(crate) history_s: f64,
    /// Spans that history may have: with more, ordinary traces are sampled and carry their sample rate.
    pub(crate) history_spans: u64,
    pub(crate) seed: u64,
    pub(crate) gzip: bool,
    /// Whether to go on after the history.
    pub(crate) live: bool,
}

/// Spans of a trace, on average over all endpoints.
const SPANS_PER_TRACE: f64 = 12.5;

/// An exporter sends when it holds so many bytes.
const EXPORT_BYTES: usize = 2 << 20;

/// How often the live fleet exports.
const TICK: Duration = Duration::from_millis(500);

/// The exporters of all running copies.
#[derive(Debug)]
struct Exporters<'w> {
    world: &'w World,
    /// Per service, per instance: build and spans.
    running: Vec<Vec<Option<(u32, Export)>>>,
}

impl<'w> Exporters<'w> {
    fn new(world: &'w World) -> Self {
        let running = SERVICES.iter().map(|s| (0..s.n_instances).map(|_| None).collect()).collect();
        Exporters { world, running }
    }

    fn push(&mut self, placed: &Placed, at_s: f64, sender: &Sender) -> Result<(), CliError> {
        let build = self.world.build(placed.service, placed.instance, at_s);
        // A new build is a new process: the old one sends what it still holds.
        if self.running[placed.service][placed.instance].as_ref().is_some_and(|(b, _)| *b != build) {
            self.flush(placed.service, sender)?;
            self.running[placed.service][placed.instance] = None;
        }
        let (_, export) = self.running[placed.service][placed.instance].get_or_insert_with(|| {
            let resource = self.world.resource(placed.service, placed.instance, build);
            (build, Export::new(resource, SERVICES[placed.service].scope))
        });
        export.push(&placed.span);
        let waiting: usize = self.running[placed.service].iter().flatten().map(|(_, e)| e.bytes()).sum();
        if waiting >= EXPORT_BYTES {
            self.flush(placed.service, sender)?;
        }
        Ok(())
    }

    fn flush(&mut self, service: usize, sender: &Sender) -> Result<(), CliError> {
        let mut body = Vec::new();
        let n_spans = self.running[service].iter_mut().flatten().map(|(_, e)| e.drain(&mut body)).sum();
        if n_spans > 0 {
            sender.send(body, n_spans)?;
        }
        Ok(())
    }

    fn flush_all(&mut self, sender: &Sender) -> Result<(), CliError> {
        (0..SERVICES.len()).try_for_each(|service| self.flush(service, sender))
    }
}

/// What history came to.
#[derive(Debug)]
pub(crate) struct Filled {
    pub(crate) spans: u64,
    pub(crate) bytes: u64,
    pub(crate) seconds: f64,
    pub(crate) sample_rate: u64,
}

/// A fleet that has a past and may go on.
#[derive(Debug)]
pub(crate) struct Fleet {
    options: FleetOptions,
    world: World,
    client: Client,
    /// When history begins, in nanoseconds since the epoch.
    origin_ns: i64,
}

impl Fleet {
    /// A fleet whose history ends now.
    pub(crate) fn new(client: Client, options: FleetOptions) -> Result<Fleet, CliError> {
        let possible = options.rate > 0.0 && options.rate <= 100_000.0 && (0.0..=31.0 * 86_400.0).contains(&options.history_s);
        if !possible {
            return Err(CliError::Usage("the rate must lie above 0, the history between 0 and 31 days".to_owned()));
        }
        let origin_ns = now_ns() - (options.history_s * 1e9) as i64;
        let world = World::new(options.seed, options.history_s, origin_ns as u64);
        Ok(Fleet { options, world, client, origin_ns })
    }

    fn at(&self, n: u64) -> (i64, f64) {
        // Users come at random moments, so many a second.
        let jitter = rng::Rng::new(self.options.seed ^ 0x7469_6d65, n).unit();
        let at_s = (n as f64 + jitter) / self.options.rate;
        (self.origin_ns + (at_s * 1e9) as i64, at_s)
    }

    fn n_history(&self) -> u64 {
        (self.options.history_s * self.options.rate) as u64
    }

    /// Seconds of history that the server has already from a fleet that ran before.
    fn known_s(&self) -> f64 {
        let Ok(dataset) = self.client.get_json(&format!("/api/v1/datasets/{}", SERVICES[world::FRONTEND].name)) else { return 0.0 };
        let last = dataset["last_written_at"].as_str().and_then(epoch_s);
        last.map_or(0.0, |last| (last - self.origin_ns as f64 / 1e9).clamp(0.0, self.options.history_s))
    }

    /// Sends the past, in order of time. Ordinary traces are sampled if there are too many; unusual ones all stay.
    pub(crate) fn fill(&self, stop: &AtomicBool) -> Result<Filled, CliError> {
        let known_s = self.known_s();
        let (first, n_requests) = ((known_s * self.options.rate) as u64, self.n_history());
        let sample_rate = (n_requests as f64 * SPANS_PER_TRACE / self.options.history_spans.max(1) as f64).ceil().max(1.0) as u64;
        let sender = Sender::new(&self.client, self.options.gzip);
        let mut exporters = Exporters::new(&self.world);
        let mut progress = Progress::new("filling history", Some(n_requests - first));
        for n in (first..n_requests).take_while(|_| !stop.load(Ordering::Relaxed)) {
            let (at_ns, at_s) = self.at(n);
            let plan = Plan::draw(&self.world, n, at_ns, at_s);
            let rate = if plan.unusual() {
                1
            } else if rng::mix(self.options.seed ^ n).is_multiple_of(sample_rate) {
                sample_rate
            } else {
                continue;
            };
            for placed in plan.trace(rate) {
                exporters.push(&placed, plan.at_s, &sender)?;
            }
            progress.show(n - first, sender.counts.spans.load(Ordering::Relaxed), "spans");
        }
        exporters.flush_all(&sender)?;
        let counts = std::sync::Arc::clone(&sender.counts);
        sender.finish()?;
        progress.clear();
        self.mark_deploys(known_s, self.options.history_s);
        Ok(Filled {
            spans: counts.spans.load(Ordering::Relaxed),
            bytes: counts.bytes.load(Ordering::Relaxed),
            seconds: progress.seconds(),
            sample_rate,
        })
    }

    /// Sends what users do from now on, until told to stop.
    pub(crate) fn live(&self, stop: &AtomicBool) -> Result<(), CliError> {
        let mut exporters = Exporters::new(&self.world);
        let mut sender = Sender::new(&self.client, self.options.gzip);
        // Spans are exported when they have ended, as exporters do.
        let mut running: Vec<(Placed, f64)> = Vec::new();
        let mut n = self.n_history();
        let mut marked_s = self.options.history_s;
        while !stop.load(Ordering::Relaxed) {
            let now = now_ns();
            loop {
                let (at_ns, at_s) = self.at(n);
                if at_ns > now {
                    break;
                }
                running.extend(Plan::draw(&self.world, n, at_ns, at_s).trace(1).into_iter().map(|placed| (placed, at_s)));
                n += 1;
            }
            let mut sent = Ok(());
            running.retain(|(placed, at_s)| {
                let waits = placed.span.end_ns > now;
                if !waits && sent.is_ok() {
                    sent = exporters.push(placed, *at_s, &sender);
                }
                waits
            });
            if let Err(error) = sent.and_then(|()| exporters.flush_all(&sender)) {
                if stop.load(Ordering::Relaxed) {
                    return Ok(());
                }
                // Like any exporter: what cannot be delivered is dropped, and the service goes on.
                term::say(format_args!("fleet: spans dropped: {error}"));
                sender = Sender::new(&self.client, self.options.gzip);
                exporters = Exporters::new(&self.world);
                std::thread::sleep(Duration::from_secs(2));
            }
            let now_s = (now - self.origin_ns) as f64 / 1e9;
            self.mark_deploys(marked_s, now_s);
            marked_s = now_s;
            std::thread::sleep(TICK);
        }
        // What was on its way when the end came may find nobody any more.
        drop(sender.finish());
        Ok(())
    }

    /// Places a marker for each deploy after one moment up to another, in seconds since the start of history.
    fn mark_deploys(&self, after_s: f64, up_to_s: f64) {
        for deploy in self.world.deploys.iter().filter(|d| d.at_s > after_s && d.at_s <= up_to_s) {
            let service = SERVICES[deploy.service].name;
            let at_s = self.origin_ns / 1_000_000_000 + deploy.at_s as i64;
            let marker = serde_json::json!({
                "type": "deploy",
                "message": format!("{service} build {} by {}", deploy.build, deploy.author),
                "start_time": at_s,
            });
            if let Err(error) = self.client.post_json(&format!("/1/markers/{}", segment(service)), &marker) {
                term::say(format_args!("fleet: no marker for the deploy of {service}: {error}"));
            }
        }
    }

    /// Fills the past and goes on, with words about it.
    pub(crate) fn run(&self, stop: &AtomicBool) -> Result<(), CliError> {
        if self.options.history_s > 0.0 {
            let filled = self.fill(stop)?;
            if stop.load(Ordering::Relaxed) {
                return Ok(());
            }
            term::say(format_args!(
                "fleet: {} spans of {} services sent in {:.1} s ({} over OTLP); ordinary traces are sampled 1 in {}",
                term::grouped(filled.spans),
                SERVICES.len(),
                filled.seconds,
                term::bytes(filled.bytes),
                filled.sample_rate,
            ));
        }
        term::say(format_args!("{}", questions(self.client.base())));
        if self.options.live {
            term::say(format_args!("fleet: live traffic, {} requests a second, until Ctrl-C", self.options.rate));
            self.live(stop)?;
        }
        Ok(())
    }
}

fn now_ns() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos() as i64)
}

/// Three questions to paste. They lead from "something fails" to the service, its build and the people it fails for.
pub(crate) fn questions(url: &str) -> String {
    let at = if url == crate::cli::DEFAULT_URL { String::new() } else { format!(" --url {url}") };
    let command = std::env::args().next().filter(|c| c.contains('/')).unwrap_or_else(|| "wideye".to_owned());
    format!(
        r#"
Ask it something (the API is at {url}):

  1. Which services fail, and how slow are they?
     {command} query{at} 'COUNT, P99(duration_ms), P50(duration_ms) by service.name where error = true last 2h top 10'

  2. Exports are the slow ones. Since which build, on which system?
     {command} query{at} 'COUNT, P99(duration_ms) by build_id, device.os in image-export where name = "POST /export" and http.status_code >= 500 last 2h top 10'

  3. Who is it, and what do the failing calls have in common?
     {command} query{at} 'COUNT, AVG(duration_ms) by app.language_pack, geo.country, ui.button, cache.key_version, db.shard in image-export where name = "SELECT export_jobs" and error = true last 2h top 12'
"#
    )
}
