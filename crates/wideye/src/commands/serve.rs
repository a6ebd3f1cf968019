//! `wideye serve`: settings from flags, environment and file, then the server until it is told to end.
//!
//! Owns: reading the environment and the clock for the server. Never does: serve.

use crate::{error::CliError, term};
use server::Settings;
use std::{
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

/// Variables of the command line that are no settings of the server.
const OURS: [&str; 3] = ["WIDEYE_URL", "WIDEYE_KEY", "WIDEYE_CONFIG"];

/// Nanoseconds since the epoch.
pub(super) fn now_ns() -> model::TimeNs {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => since.as_nanos() as i64,
        Err(before) => -(before.duration().as_nanos() as i64),
    }
}

/// The settings that flags, environment and file come to.
pub(super) fn settings(config: Option<&Path>, flags: &[(String, String)]) -> Result<Settings, CliError> {
    let file = config.map(|path| std::fs::read_to_string(path).map_err(CliError::io("read", path.display())).map(|text| (path, text)));
    let file = file.transpose()?;
    // A variable whose text is no UTF-8 cannot be one of ours.
    let environment = std::env::vars_os().filter_map(|(n, v)| Some((n.into_string().ok()?, v.into_string().ok()?)));
    let environment = environment.filter(|(name, _)| !OURS.contains(&name.as_str()));
    let (settings, unknown) = Settings::load(flags, environment, file.as_ref().map(|(path, text)| (*path, text.as_str())))
        .map_err(|e| CliError::Usage(e.to_string()))?;
    for name in unknown {
        term::say(format_args!("wideye: {name} is no setting and was ignored"));
    }
    Ok(settings)
}

/// Serves until a signal ends it.
pub(super) fn serve(settings: Settings) -> Result<(), CliError> {
    // They move bytes; what computes has threads of its own. Fewer of them wake each other less often.
    let n_threads = std::thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(n_threads)
        .enable_all()
        .build()
        .map_err(|e| CliError::Server(format!("cannot start threads: {e}")))?;
    let done = runtime.block_on(server::serve(settings)).map_err(|e| CliError::Server(server::chain(&e)));
    // The store is closed: whatever still computes has nobody to answer.
    runtime.shutdown_background();
    done
}

pub(super) fn run(config: Option<&Path>, flags: &[(String, String)]) -> Result<(), CliError> {
    serve(settings(config, flags)?)
}
