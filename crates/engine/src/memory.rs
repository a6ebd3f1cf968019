//! Memory of questions: of one, and of all under way together.
//!
//! Owns: the counts and the rule who gets the last of it. Never does: allocate.

use crate::{EngineError, Run};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// This part of the shared memory is kept for questions that hold little: one that takes all must not end the others.
const KEPT: usize = 4;
/// A question that holds at most this part of it holds little.
const LITTLE: usize = 16;

/// The memory that all questions share.
#[derive(Debug)]
pub struct Memory {
    used: AtomicUsize,
    max: usize,
}

impl Memory {
    /// So many bytes for all.
    #[must_use]
    pub fn new(bytes_max: usize) -> Memory {
        Memory { used: AtomicUsize::new(0), max: bytes_max }
    }

    /// Bytes that questions hold.
    #[must_use]
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// What a question that holds so much may bring the sum to.
    fn limit(&self, holds: usize) -> usize {
        if holds <= self.max / LITTLE { self.max } else { self.most_of_one() }
    }

    /// What one question alone can have.
    fn most_of_one(&self) -> usize {
        self.max - self.max / KEPT
    }

    fn take(&self, bytes: usize, holds: usize) -> bool {
        let limit = self.limit(holds.saturating_add(bytes));
        let fits = |used: usize| used.checked_add(bytes).filter(|sum| *sum <= limit);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok()
    }
}

/// The memory that one question may use, counted by its threads together. What it took of the shared memory it gives
/// back at its end only: what a pass found lives on after the pass.
#[derive(Debug)]
pub(crate) struct Budget {
    used: AtomicUsize,
    max: usize,
    shared: Option<Arc<Memory>>,
    /// Taken of the shared memory.
    held: Mutex<usize>,
}

impl Budget {
    pub(crate) fn new(run: &Run) -> Budget {
        let max = run.memory.as_ref().map_or(usize::MAX, |m| m.most_of_one()).min(run.memory_bytes_max);
        Budget { used: AtomicUsize::new(0), max, shared: run.memory.clone(), held: Mutex::new(0) }
    }

    /// Counts bytes that are about to be allocated.
    pub(crate) fn reserve(&self, bytes: usize, what: &'static str, hint: &'static str) -> Result<(), EngineError> {
        let sum = self.used.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        if sum > self.max {
            self.used.fetch_sub(bytes, Ordering::Relaxed);
            return Err(EngineError::Memory { limit: self.max, what, hint });
        }
        let Some(shared) = &self.shared else { return Ok(()) };
        let mut held = self.held.lock();
        if sum > *held {
            if !shared.take(sum - *held, *held) {
                self.used.fetch_sub(bytes, Ordering::Relaxed);
                return Err(EngineError::SharedMemory { limit: shared.max, what, hint });
            }
            *held = sum;
        }
        Ok(())
    }

    /// Gives bytes back.
    pub(crate) fn release(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Bytes still free.
    pub(crate) fn free(&self) -> usize {
        let used = self.used.load(Ordering::Relaxed);
        let own = self.max.saturating_sub(used);
        let Some(shared) = &self.shared else { return own };
        let held = *self.held.lock();
        own.min(held.saturating_sub(used) + shared.most_of_one().saturating_sub(shared.used()))
    }
}

impl Drop for Budget {
    fn drop(&mut self) {
        if let Some(shared) = &self.shared {
            shared.used.fetch_sub(*self.held.get_mut(), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Budget, Memory};
    use crate::{EngineError, Run};
    use std::sync::Arc;

    fn budgets(memory: &Arc<Memory>, of_one: usize) -> Budget {
        let mut run = Run::new(0);
        (run.memory, run.memory_bytes_max) = (Some(Arc::clone(memory)), of_one);
        Budget::new(&run)
    }

    #[test]
    fn one_that_takes_all_leaves_some_to_those_that_need_little() {
        let memory = Arc::new(Memory::new(1_600));
        let (greedy, second, little) = (budgets(&memory, 1_000), budgets(&memory, 1_000), budgets(&memory, 1_000));
        greedy.reserve(1_000, "", "").unwrap();
        assert!(matches!(greedy.reserve(1, "", ""), Err(EngineError::Memory { limit: 1_000, .. })));
        second.reserve(200, "", "").unwrap();
        assert_eq!(second.free(), 0);
        assert!(matches!(second.reserve(1, "", ""), Err(EngineError::SharedMemory { limit: 1_600, .. })));
        little.reserve(100, "", "").unwrap();
        assert!(matches!(little.reserve(1, "", ""), Err(EngineError::SharedMemory { .. })));
        assert_eq!(memory.used(), 1_300);
        drop(greedy);
        little.reserve(1, "", "").unwrap();
        second.reserve(700, "", "").unwrap();
        drop((second, little));
        assert_eq!(memory.used(), 0);
    }

    #[test]
    fn what_was_given_back_is_held_until_the_end() {
        let memory = Arc::new(Memory::new(1_000));
        let budget = budgets(&memory, 600);
        budget.reserve(500, "", "").unwrap();
        budget.release(500);
        assert_eq!((memory.used(), budget.free()), (500, 600));
        budget.reserve(600, "", "").unwrap();
        assert_eq!((memory.used(), budget.free()), (600, 0));
        drop(budget);
        assert_eq!(memory.used(), 0);
    }

    #[test]
    fn a_share_smaller_than_the_limit_of_one_is_the_limit_of_one() {
        let memory = Arc::new(Memory::new(400));
        assert!(matches!(budgets(&memory, 1_000).reserve(301, "", ""), Err(EngineError::Memory { limit: 300, .. })));
    }
}
