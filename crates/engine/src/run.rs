//! How a question is to be run: time, threads, memory, deadline, cancel, progress.
//!
//! Owns: the knobs of one run and the checks against them. Never does: read data.

use crate::memory::Memory;
use crate::turns::Turn;
use crate::{Answer, EngineError};
use model::{Limits, TimeNs};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// When an answer has a series beside its results.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SeriesMode {
    /// If the question names a granularity, or has a calculation that needs buckets (HEATMAP, RATE_*).
    #[default]
    IfGranularity,
    /// Always; a granularity that is not given is chosen by the length of the range.
    Auto,
    /// Never.
    Never,
}

/// How far a run has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Rows dealt with.
    pub rows_done: u64,
    /// Rows that the question has to look at.
    pub rows_planned: u64,
}

/// Receives how far a run has come.
pub type OnProgress = Box<dyn Fn(Progress) + Send + Sync>;
/// Receives the answer so far.
pub type OnPartial = Box<dyn Fn(Answer) + Send + Sync>;

/// The knobs of one run.
pub struct Run {
    /// The present, for relative ranges.
    pub now: TimeNs,
    /// Set to end the run.
    pub cancel: Arc<AtomicBool>,
    /// When to stop and answer from what was read so far.
    pub deadline: Option<Instant>,
    /// Whether pieces of earlier answers may be used again, and those of this one kept.
    pub cache: bool,
    /// The highest limit that the question may name.
    pub max_rows: usize,
    /// Whether a series is wanted.
    pub series: SeriesMode,
    /// Whether TOTAL and OTHER rows are wanted.
    pub totals: bool,
    /// Threads that work on the question, the caller's included.
    pub threads: usize,
    /// Bytes of memory that the question may use.
    pub memory_bytes_max: usize,
    /// The memory that it shares with other questions, if it does.
    pub memory: Option<Arc<Memory>>,
    /// Its hold on a core, if it shares them with other questions.
    pub turn: Option<Turn>,
    /// Where progress goes, several times a second.
    pub on_progress: Option<OnProgress>,
    /// Where partial answers go, and how often.
    pub on_partial: Option<(Duration, OnPartial)>,
    /// The clock behind `deadline` and `engine_ms`.
    pub clock: fn() -> Instant,
}

impl Run {
    /// A run with default limits and two threads, without deadline.
    #[must_use]
    pub fn new(now: TimeNs) -> Run {
        let limits = Limits::default();
        Run {
            now,
            cancel: Arc::default(),
            deadline: None,
            cache: true,
            max_rows: limits.result_rows_max,
            series: SeriesMode::default(),
            totals: false,
            threads: 2,
            memory_bytes_max: limits.question_memory_bytes_max,
            memory: None,
            turn: None,
            on_progress: None,
            on_partial: None,
            clock: Instant::now,
        }
    }

    /// The same run on other threads, telling nobody how far it is.
    pub(crate) fn quiet(&self, threads: usize) -> Run {
        Run {
            cancel: Arc::clone(&self.cancel),
            on_progress: None,
            on_partial: None,
            threads,
            memory: self.memory.clone(),
            turn: None,
            ..*self
        }
    }

    /// Whether somebody still waits for the answer; other questions get their turn.
    pub(crate) fn go_on(&self) -> Result<(), EngineError> {
        self.between();
        if self.cancel.load(Ordering::Relaxed) { Err(EngineError::Cancelled) } else { Ok(()) }
    }

    /// Whether the run may go on; other questions get their turn.
    pub(crate) fn check(&self) -> Result<(), EngineError> {
        self.between();
        if self.cancel.load(Ordering::Relaxed) {
            return Err(EngineError::Cancelled);
        }
        if self.deadline.is_some_and(|d| (self.clock)() >= d) { Err(EngineError::Deadline) } else { Ok(()) }
    }

    /// Lets other questions have their turn, between pieces of work. All threads that call it wait meanwhile.
    pub(crate) fn between(&self) {
        if let Some(turn) = &self.turn {
            // That it has to end, it sees for itself.
            drop(turn.between(&self.cancel, self.deadline));
        }
    }
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").field("now", &self.now).field("series", &self.series).field("threads", &self.threads).finish_non_exhaustive()
    }
}

/// Calls `job` with every number below `n`, on several threads, and answers its results in order.
pub(crate) fn parallel<T: Send>(threads: usize, n: usize, job: impl Fn(usize) -> T + Sync) -> Vec<T> {
    if threads <= 1 || n <= 1 {
        return (0..n).map(job).collect();
    }
    let next = AtomicUsize::new(0);
    let results: Vec<parking_lot::Mutex<Option<T>>> = (0..n).map(|_| parking_lot::Mutex::new(None)).collect();
    let work = || {
        loop {
            let i = next.fetch_add(1, Ordering::Relaxed);
            let Some(slot) = results.get(i) else { return };
            *slot.lock() = Some(job(i));
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads.min(n) {
            scope.spawn(work);
        }
        work();
    });
    results.into_iter().filter_map(parking_lot::Mutex::into_inner).collect()
}
