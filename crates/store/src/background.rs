//! The threads of a store: when each job runs, and how long it waits after a failure.
//!
//! Owns: starting and pacing. Never does: the jobs.

use crate::{StoreError, Work, shared::Shared};
use std::{
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

/// How often the age of the memtable is looked at.
const SEAL_LOOK: Duration = Duration::from_millis(200);
/// Longest pause after failed seals: with room on the disk again, sealing goes on this soon.
const SEAL_PAUSE_MAX: Duration = Duration::from_secs(8);
/// Pause after a failed compaction.
const COMPACT_PAUSE: Duration = Duration::from_secs(10);
/// How often retention is applied and files are closed, if nothing else happens.
const TIDY_LOOK: Duration = Duration::from_secs(30);
/// How often doomed files are looked at, while there are any.
const DOOMED_LOOK: Duration = Duration::from_secs(1);

/// Starts the writer, and the others if wanted.
pub(crate) fn start(shared: &Arc<Shared>) -> Result<Vec<JoinHandle<()>>, StoreError> {
    let mut threads = Vec::new();
    let mut spawn = |name: &str, run: fn(&Shared)| {
        let mine = Arc::clone(shared);
        let started = thread::Builder::new().name(name.into()).spawn(move || run(&mine));
        started.map(|t| threads.push(t)).map_err(|e| StoreError::io("start a thread for", &shared.paths.root, e))
    };
    spawn("wideye-wal", Shared::run_writer)?;
    if shared.options.background {
        spawn("wideye-seal", run_seal)?;
        spawn("wideye-coalesce", run_coalesce)?;
        spawn("wideye-compact", run_compact)?;
    }
    Ok(threads)
}

fn run_seal(shared: &Shared) {
    let mut pause = Duration::ZERO;
    while !shared.stopping() {
        if shared.seal_due(shared.now()) {
            match shared.metered(Work::Seal, || shared.seal()) {
                Ok(_) => {
                    pause = Duration::ZERO;
                    shared.compact_bell.ring();
                }
                // Kept in the statistics; the events stay readable and on disk.
                Err(_) => pause = (pause * 2).clamp(Duration::from_secs(1), SEAL_PAUSE_MAX),
            }
        }
        let wait = if pause > Duration::ZERO { Some(pause) } else { shared.has_unsealed().then_some(SEAL_LOOK) };
        shared.seal_bell.wait(wait);
    }
}

fn run_coalesce(shared: &Shared) {
    while !shared.stopping() {
        shared.metered(Work::Coalesce, || shared.coalesce_all());
        shared.coalesce_bell.wait(None);
    }
}

fn run_compact(shared: &Shared) {
    low_priority();
    let mut wait = Duration::ZERO;
    while !shared.stopping() {
        shared.compact_bell.wait(Some(wait));
        if shared.stopping() {
            return;
        }
        let dropped = shared.retain();
        shared.note("retention", &dropped);
        shared.close_some();
        let mut failed = false;
        while !shared.stopping() && !failed {
            match shared.metered(Work::Compact, || shared.compact()) {
                Ok(true) => {}
                Ok(false) => break,
                Err(_) => failed = true,
            }
        }
        let left = shared.collect_garbage();
        wait = if failed {
            COMPACT_PAUSE
        } else if left > 0 {
            DOOMED_LOOK
        } else {
            TIDY_LOOK
        };
    }
}

/// Compaction must not take the processor from senders and questions.
fn low_priority() {
    #[cfg(target_os = "linux")]
    {
        // Linux keeps a priority per thread. Without the right to change it nothing is lost.
        let _kept = rustix::process::setpriority_process(Some(rustix::thread::gettid()), 10);
    }
}
