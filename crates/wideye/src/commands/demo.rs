//! `wideye demo` (a server and the fleet in one process) and `wideye fleet` (the fleet alone).
//!
//! Owns: putting the two together. Never does: let the fleet reach the server other than over its address.

use super::serve;
use crate::{
    cli::{DemoArgs, FleetArgs, FleetFlags},
    client::Client,
    error::CliError,
    fleet::{Fleet, FleetOptions},
    term,
};
use question::duration_s;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// How long the demo waits for its own server.
const START_SECONDS_MAX: u32 = 60;

fn options(flags: &FleetFlags) -> Result<FleetOptions, CliError> {
    let history_s = duration_s(&flags.history)
        .ok_or_else(|| CliError::Usage(format!("--history {}: expected a duration such as 30m, 2h or 1d", flags.history)))?;
    Ok(FleetOptions {
        rate: flags.rate,
        history_s,
        history_spans: flags.history_spans,
        seed: flags.seed,
        gzip: flags.gzip,
        live: !flags.no_live,
    })
}

pub(super) fn fleet(args: &FleetArgs) -> Result<(), CliError> {
    let client = Client::new(&args.server.url, args.server.key.as_deref())?;
    Fleet::new(client, options(&args.fleet)?)?.run(&AtomicBool::new(false))
}

pub(super) fn run(args: &DemoArgs) -> Result<(), CliError> {
    let options = options(&args.fleet)?;
    let settings = serve::settings(args.config.as_deref(), &args.settings.given)?;
    // The fleet would send its history to whoever else is there.
    std::net::TcpListener::bind(&settings.listen).map_err(|e| {
        CliError::Server(format!("cannot listen on {}: {e}; `wideye fleet` sends to a server that runs already", settings.listen))
    })?;
    let url = format!("http://{}", settings.listen);
    let client = Client::new(&url, None)?;
    let stop = Arc::new(AtomicBool::new(false));
    let fleet = {
        let stop = Arc::clone(&stop);
        std::thread::spawn(move || send(client, options, &stop))
    };
    let served = serve::serve(settings);
    stop.store(true, Ordering::Relaxed);
    if fleet.join().is_err() {
        return Err(CliError::Server("the fleet ended by a defect of wideye".to_owned()));
    }
    served
}

/// The fleet's thread. It never ends the server: what fails is said, and the data that is there stays.
fn send(client: Client, options: FleetOptions, stop: &AtomicBool) {
    if !ready(&client, stop) {
        return;
    }
    let done = Fleet::new(client, options).and_then(|fleet| fleet.run(stop));
    if let Err(error) = done
        && !stop.load(Ordering::Relaxed)
    {
        term::say(format_args!("fleet: stopped: {error}"));
    }
}

/// Waits until the server answers that it is ready.
fn ready(client: &Client, stop: &AtomicBool) -> bool {
    for _ in 0..START_SECONDS_MAX * 10 {
        if stop.load(Ordering::Relaxed) {
            return false;
        }
        if client.get("/readyz").is_ok() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    term::say(format_args!("fleet: the server is not ready after {START_SECONDS_MAX} s"));
    false
}
