//! Questions under way: how many at once, and how to end one.
//!
//! Owns: the waiting line, run ids, cancellation. Never does: answer questions.

use crate::error::Failure;
use crate::ids;
use engine::EngineError;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How often one who waits is told so, and is looked for.
const TELL_EVERY: Duration = Duration::from_millis(200);

/// A question's place among those under way; given back when dropped.
pub(crate) type Place = OwnedSemaphorePermit;

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

    /// Questions under way.
    pub(crate) fn running(&self) -> usize {
        self.n_places.saturating_sub(self.places.available_permits())
    }

    /// Questions that were begun and not let go of, waiting ones included.
    #[cfg(test)]
    pub(crate) fn begun(&self) -> usize {
        self.cancels.lock().len()
    }

    pub(crate) fn begin(&self) -> RunHandle {
        let id = ids::random();
        let cancel = Arc::new(AtomicBool::new(false));
        self.cancels.lock().insert(id.clone(), Arc::clone(&cancel));
        RunHandle { id, cancel, deadline: Instant::now() + self.wait, cancels: Arc::clone(&self.cancels) }
    }

    /// Waits for a place, in order of arrival, and tells so several times a second; the time spent waiting counts as time of
    /// the question.
    pub(crate) async fn place(&self, run: &RunHandle, on_wait: impl Fn()) -> Result<Place, Failure> {
        let mut turn = std::pin::pin!(Arc::clone(&self.places).acquire_owned());
        loop {
            let left = run.deadline.saturating_duration_since(Instant::now());
            match tokio::time::timeout(left.min(TELL_EVERY), &mut turn).await {
                Ok(Ok(permit)) => return Ok(permit),
                Ok(Err(_)) => return Err(Failure::overload("the server is stopping; ask again in a moment")),
                Err(_) if run.cancel.load(Ordering::Relaxed) => return Err(EngineError::Cancelled.into()),
                Err(_) if left <= TELL_EVERY => return Err(Failure::overload("too many questions are under way; ask again in a second")),
                Err(_) => on_wait(),
            }
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

#[cfg(test)]
mod tests {
    use super::Runs;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[tokio::test]
    async fn who_waits_is_told_and_may_leave() {
        let runs = Runs::new(1, 60.0);
        let (first, second) = (runs.begin(), runs.begin());
        let place = runs.place(&first, || {}).await.unwrap();
        let told = AtomicUsize::new(0);
        let end = || {
            told.fetch_add(1, Ordering::Relaxed);
            assert!(runs.cancel(&second.id));
        };
        let failure = runs.place(&second, end).await.unwrap_err();
        assert_eq!(failure.kind, model::ErrorKind::Cancelled);
        assert_eq!((told.load(Ordering::Relaxed), runs.running()), (1, 1));
        drop(place);
        assert!(runs.place(&first, || {}).await.is_ok());
    }

    #[tokio::test]
    async fn waiting_ends_with_the_time_of_the_question() {
        let runs = Runs::new(1, 0.01);
        let run = runs.begin();
        let _place = runs.place(&run, || {}).await.unwrap();
        assert_eq!(runs.place(&run, || {}).await.unwrap_err().kind, model::ErrorKind::Exhausted);
    }
}
