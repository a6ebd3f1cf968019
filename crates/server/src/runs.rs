//! Questions under way: how many at once, and how to end one.
//!
//! Owns: the waiting line, run ids, cancellation. Never does: answer questions.

use crate::error::Failure;
use crate::ids;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

type Cancels = Arc<Mutex<BTreeMap<String, Arc<AtomicBool>>>>;

/// All runs.
#[derive(Debug)]
pub(crate) struct Runs {
    places: Arc<Semaphore>,
    n_places: usize,
    wait: Duration,
    cancels: Cancels,
}

/// One run. Letting go of it ends the run.
#[derive(Debug)]
pub(crate) struct RunHandle {
    pub(crate) id: String,
    pub(crate) cancel: Arc<AtomicBool>,
    /// When the run has to end.
    pub(crate) deadline: Instant,
    cancels: Cancels,
}

impl Drop for RunHandle {
    fn drop(&mut self) {
        self.cancel.store(true, Ordering::Relaxed);
        self.cancels.lock().remove(&self.id);
    }
}

impl Runs {
    pub(crate) fn new(n_places: usize, seconds_max: f64) -> Runs {
        let n_places = n_places.clamp(1, Semaphore::MAX_PERMITS);
        let wait = Duration::try_from_secs_f64(seconds_max).unwrap_or(Duration::from_secs(86_400));
        Runs { places: Arc::new(Semaphore::new(n_places)), n_places, wait, cancels: Cancels::default() }
    }

    /// Questions that have a place now.
    pub(crate) fn running(&self) -> usize {
        self.n_places.saturating_sub(self.places.available_permits())
    }

    pub(crate) fn begin(&self) -> RunHandle {
        let id = ids::random();
        let cancel = Arc::new(AtomicBool::new(false));
        self.cancels.lock().insert(id.clone(), Arc::clone(&cancel));
        RunHandle { id, cancel, deadline: Instant::now() + self.wait, cancels: Arc::clone(&self.cancels) }
    }

    /// Waits for a place; the time spent waiting counts as time of the question.
    pub(crate) async fn place(&self, run: &RunHandle) -> Result<OwnedSemaphorePermit, Failure> {
        let left = run.deadline.saturating_duration_since(Instant::now());
        match tokio::time::timeout(left, Arc::clone(&self.places).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(Failure::overload("too many questions are running; ask again in a second")),
        }
    }

    /// Ends a run; false if there is none with this id.
    pub(crate) fn cancel(&self, id: &str) -> bool {
        match self.cancels.lock().get(id) {
            Some(cancel) => {
                cancel.store(true, Ordering::Relaxed);
                true
            }
            None => false,
        }
    }

    /// Ends all.
    pub(crate) fn cancel_all(&self) {
        for cancel in self.cancels.lock().values() {
            cancel.store(true, Ordering::Relaxed);
        }
    }
}
