//! The cores, shared fairly by all questions under way.
//!
//! Owns: who computes now, who waits, and for how long. Never does: start threads, know what a question is.
//!
//! There are as many turns as cores. A question computes while it has one, and gives it up between two blocks when it had
//! it for a while and others wait. New questions go before those that had a turn already, so that short ones are not
//! stuck behind long ones; but of four turns at least one goes to a question that had one. Further threads of a question
//! compute only on cores that no other question waits for.

use crate::EngineError;
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long a question keeps its turn while others wait.
const SLICE: Duration = Duration::from_millis(20);
/// New questions that may go one after the other before those that had a turn.
const NEW_IN_A_ROW_MAX: usize = 3;
/// How often a question that waits looks whether its asker is still there.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The turns of all questions.
#[derive(Debug)]
pub struct Turns {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    free: usize,
    /// Questions that had no turn yet, and those that had; who comes first waits longest.
    new: VecDeque<Arc<Waiter>>,
    again: VecDeque<Arc<Waiter>>,
    helpers: VecDeque<Arc<Waiter>>,
    new_in_a_row: usize,
}

#[derive(Debug, Default)]
struct Waiter {
    granted: AtomicBool,
    wake: Condvar,
}

impl State {
    fn questions_wait(&self) -> bool {
        !self.new.is_empty() || !self.again.is_empty()
    }

    /// Hands out what is free.
    fn grant(&mut self) {
        while self.free > 0 {
            let old_first = self.new_in_a_row >= NEW_IN_A_ROW_MAX || self.new.is_empty();
            let next = if old_first { self.again.pop_front() } else { None };
            let next = match next {
                Some(waiter) => {
                    self.new_in_a_row = 0;
                    Some(waiter)
                }
                None => {
                    self.new_in_a_row += usize::from(!self.new.is_empty());
                    self.new.pop_front().or_else(|| self.helpers.pop_front())
                }
            };
            let Some(waiter) = next else { return };
            self.free -= 1;
            waiter.granted.store(true, Ordering::Relaxed);
            waiter.wake.notify_one();
        }
    }
}

/// A question's hold on a core; given back when dropped.
pub struct Turn {
    turns: Arc<Turns>,
    /// Since when, if it has one.
    since: Mutex<Option<Instant>>,
    clock: fn() -> Instant,
}

impl fmt::Debug for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turn").field("since", &self.since).finish_non_exhaustive()
    }
}

impl Turns {
    /// Turns on so many cores.
    #[must_use]
    pub fn new(cores: usize) -> Turns {
        Turns { state: Mutex::new(State { free: cores.max(1), ..State::default() }) }
    }

    /// Questions that wait for a turn.
    #[must_use]
    pub fn waiting(&self) -> usize {
        let state = self.state.lock();
        state.new.len() + state.again.len()
    }

    /// Waits for the first turn of a question.
    pub fn begin(self: &Arc<Self>, cancel: &AtomicBool, deadline: Option<Instant>, clock: fn() -> Instant) -> Result<Turn, EngineError> {
        self.wait(true, cancel, deadline, clock)?;
        Ok(Turn { turns: Arc::clone(self), since: Mutex::new(Some(clock())), clock })
    }

    /// One that is not new gives back its turn as it lines up.
    fn wait(&self, new: bool, cancel: &AtomicBool, deadline: Option<Instant>, clock: fn() -> Instant) -> Result<(), EngineError> {
        let mut state = self.state.lock();
        let waiter = Arc::new(Waiter::default());
        let queue = if new { &mut state.new } else { &mut state.again };
        queue.push_back(Arc::clone(&waiter));
        state.free += usize::from(!new);
        state.grant();
        loop {
            if waiter.granted.load(Ordering::Relaxed) {
                return Ok(());
            }
            let over = if cancel.load(Ordering::Relaxed) {
                Some(EngineError::Cancelled)
            } else {
                deadline.filter(|d| clock() >= *d).map(|_| EngineError::Deadline)
            };
            if let Some(e) = over {
                state.new.retain(|w| !Arc::ptr_eq(w, &waiter));
                state.again.retain(|w| !Arc::ptr_eq(w, &waiter));
                return Err(e);
            }
            waiter.wake.wait_for(&mut state, LOOK_EVERY);
        }
    }

    fn give_back(&self) {
        let mut state = self.state.lock();
        state.free += 1;
        state.grant();
    }
}

impl Turn {
    /// Called between two pieces of work: lets others go first if they wait and this one had its time. Fails if the question has to end while it waits.
    pub(crate) fn between(&self, cancel: &AtomicBool, deadline: Option<Instant>) -> Result<(), EngineError> {
        let mut since = self.since.lock();
        let Some(began) = *since else { return Ok(()) };
        if (self.clock)().duration_since(began) < SLICE {
            return Ok(());
        }
        if self.turns.state.lock().questions_wait() {
            *since = None;
            self.turns.wait(false, cancel, deadline, self.clock)?;
        }
        *since = Some((self.clock)());
        Ok(())
    }

    /// Waits until a further thread may compute; false when there is nothing left to do.
    fn help(&self, done: &dyn Fn() -> bool) -> bool {
        let mut state = self.turns.state.lock();
        let waiter = Arc::new(Waiter::default());
        state.helpers.push_back(Arc::clone(&waiter));
        state.grant();
        while !waiter.granted.load(Ordering::Relaxed) {
            if done() {
                state.helpers.retain(|w| !Arc::ptr_eq(w, &waiter));
                return false;
            }
            waiter.wake.wait_for(&mut state, LOOK_EVERY);
        }
        true
    }

    fn wanted(&self) -> bool {
        self.turns.state.lock().questions_wait()
    }

    /// Wakes further threads that wait, as there is nothing left to do for them.
    pub(crate) fn dismiss(&self) {
        for waiter in &self.turns.state.lock().helpers {
            waiter.wake.notify_one();
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.since.lock().is_some() {
            self.turns.give_back();
        }
    }
}

/// A further thread of a question.
#[derive(Debug)]
pub(crate) struct Helper<'a> {
    turn: &'a Turn,
    /// It has a core.
    has: bool,
}

impl<'a> Helper<'a> {
    pub(crate) fn new(turn: &'a Turn) -> Helper<'a> {
        Helper { turn, has: false }
    }

    /// Makes room for questions that wait, and waits for a core; false when there is nothing left to do.
    pub(crate) fn may_go_on(&mut self, done: &dyn Fn() -> bool) -> bool {
        if self.has && self.turn.wanted() {
            self.has = false;
            self.turn.turns.give_back();
        }
        self.has = self.has || self.turn.help(done);
        self.has
    }
}

impl Drop for Helper<'_> {
    fn drop(&mut self) {
        if self.has {
            self.turn.turns.give_back();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Helper, SLICE, Turn, Turns};
    use crate::EngineError;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc::{Sender, channel};
    use std::thread::Scope;
    use std::time::Instant;

    /// A clock that is always a slice ahead of the last look.
    fn hasty() -> Instant {
        use std::sync::atomic::AtomicU32;
        static LOOKS: AtomicU32 = AtomicU32::new(0);
        static BEGAN: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
        *BEGAN.get_or_init(Instant::now) + SLICE * LOOKS.fetch_add(1, Ordering::Relaxed)
    }

    /// Cores of which a first question holds one, and the wish to go on.
    fn held(cores: usize, clock: fn() -> Instant) -> (Arc<Turns>, AtomicBool, Turn) {
        let (turns, go) = (Arc::new(Turns::new(cores)), AtomicBool::new(false));
        let turn = turns.begin(&go, None, clock).unwrap();
        (turns, go, turn)
    }

    /// Another question, which sends its name when its turn comes.
    fn ask<'s>(scope: &'s Scope<'s, '_>, turns: &'s Arc<Turns>, go: &'s AtomicBool, order: &Sender<&'static str>, name: &'static str) {
        let order = order.clone();
        scope.spawn(move || {
            let turn = turns.begin(go, None, hasty).unwrap();
            order.send(name).unwrap();
            drop(turn);
        });
    }

    fn until_waiting(turns: &Turns, n: usize) {
        while turns.waiting() != n {
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_new_question_goes_before_one_that_had_its_time() {
        let (turns, go, long) = held(1, hasty);
        let (order, seen) = channel();
        std::thread::scope(|scope| {
            ask(scope, &turns, &go, &order, "short");
            until_waiting(&turns, 1);
            long.between(&go, None).unwrap();
            order.send("long").unwrap();
        });
        assert_eq!(seen.recv().unwrap(), "short");
        assert_eq!(seen.recv().unwrap(), "long");
        drop(long);
        assert_eq!(turns.waiting(), 0);
        assert_eq!(turns.state.lock().free, 1);
    }

    #[test]
    fn new_questions_do_not_starve_an_old_one() {
        let (turns, go, long) = held(1, hasty);
        let (order, seen) = channel();
        std::thread::scope(|scope| {
            for i in 0..8 {
                ask(scope, &turns, &go, &order, "new");
                until_waiting(&turns, i + 1);
            }
            long.between(&go, None).unwrap();
            order.send("old").unwrap();
            drop(long);
        });
        let order: Vec<&str> = seen.try_iter().collect();
        assert_eq!(order.iter().position(|who| *who == "old"), Some(2), "the first turn of the old one was that of a new one: {order:?}");
        assert_eq!(order.len(), 9);
    }

    #[test]
    fn who_hangs_up_or_runs_out_of_time_leaves_the_line() {
        let (turns, go, first) = held(1, Instant::now);
        assert!(matches!(turns.begin(&AtomicBool::new(true), None, Instant::now), Err(EngineError::Cancelled)));
        assert!(matches!(turns.begin(&go, Some(Instant::now()), Instant::now), Err(EngineError::Deadline)));
        assert_eq!(turns.waiting(), 0);
        drop(first);
        assert!(turns.begin(&go, None, Instant::now).is_ok());
    }

    #[test]
    fn further_threads_make_room() {
        let (turns, go, alone) = held(2, Instant::now);
        let mut helper = Helper::new(&alone);
        assert!(helper.may_go_on(&|| false) && helper.may_go_on(&|| false));
        std::thread::scope(|scope| {
            let other = scope.spawn(|| turns.begin(&go, None, Instant::now).unwrap());
            until_waiting(&turns, 1);
            assert!(!helper.may_go_on(&|| true), "the core goes to the other question");
            drop(other.join().unwrap());
        });
        assert!(helper.may_go_on(&|| false), "the other has ended");
        drop((helper, turns.begin(&go, Some(Instant::now()), Instant::now)));
        drop(alone);
        assert_eq!(turns.state.lock().free, 2);
    }
}
