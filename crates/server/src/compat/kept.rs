//! Answers that clients poll: worked out in the background once, kept in memory while there is room.
//!
//! Owns: what is under way and what is kept. Never does: know what the answers are; those that had to make room are worked out
//! again from a document.

use crate::app::App;
use crate::error::Failure;
use crate::time::http_date;
use axum::body::Body;
use axum::http::{HeaderValue, Response, header};
use model::{NS_PER_SECOND, TimeNs};
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch::{Receiver, channel};

/// Answers of one kind kept in memory.
const BYTES_MAX: usize = 64 << 20;
/// What an answer takes besides its content.
const BYTES_EACH: usize = 256;
/// An answer that is nearly there is worth a short wait: saves the client a poll.
const POLL_WAIT: Duration = Duration::from_millis(250);
/// Documents of answers older than this are deleted.
const KEEP_SECONDS: i64 = 7 * 86_400;
/// How many are created between two cleanings.
const CLEAN_EVERY: u64 = 500;

/// None: under way.
pub(super) type State<T> = Option<Result<Arc<T>, Failure>>;

/// Answers of one kind.
#[derive(Debug)]
pub(crate) struct Kept<T>(Mutex<Inner<T>>);

#[derive(Debug)]
struct Inner<T> {
    by_id: HashMap<String, Receiver<State<T>>>,
    /// Finished ones, oldest first, with their bytes.
    finished: VecDeque<(String, usize)>,
    bytes: usize,
    created: u64,
}

impl<T> Default for Kept<T> {
    fn default() -> Kept<T> {
        Kept(Mutex::new(Inner { by_id: HashMap::new(), finished: VecDeque::new(), bytes: 0, created: 0 }))
    }
}

impl<T: Send + Sync + 'static> Kept<T> {
    fn finish(&self, id: &str, bytes: usize) {
        let mut inner = self.0.lock();
        inner.finished.push_back((id.to_owned(), bytes));
        inner.bytes += bytes;
        while inner.bytes > BYTES_MAX && inner.finished.len() > 1 {
            let Some((old, freed)) = inner.finished.pop_front() else { return };
            inner.bytes -= freed;
            inner.by_id.remove(&old);
        }
    }

    /// Counts one that is new; deletes documents that nobody will poll any more once in a while.
    pub(super) fn created(&self, app: &App, kind: &str) -> Result<(), Failure> {
        let is_time = {
            let mut inner = self.0.lock();
            inner.created += 1;
            inner.created % CLEAN_EVERY == 1
        };
        if is_time {
            let oldest = crate::time::now() - KEEP_SECONDS * NS_PER_SECOND;
            for d in app.store.documents_of_kind(kind)? {
                if d.updated_at < oldest {
                    app.store.delete_document(kind, &d.dataset, &d.id)?;
                }
            }
        }
        Ok(())
    }

    /// Works an answer out unless it is there or under way. `kept` finds these answers, `bytes` says how large one is.
    pub(super) fn start<F>(
        app: &Arc<App>,
        kept: fn(&App) -> &Kept<T>,
        id: &str,
        bytes: fn(&T) -> usize,
        work: impl FnOnce() -> F,
    ) -> Receiver<State<T>>
    where
        F: Future<Output = Result<T, Failure>> + Send + 'static,
    {
        let mut inner = kept(app).0.lock();
        if let Some(known) = inner.by_id.get(id) {
            return known.clone();
        }
        let (sender, receiver) = channel(None);
        inner.by_id.insert(id.to_owned(), receiver.clone());
        drop(inner);
        let (app, id, work) = (Arc::clone(app), id.to_owned(), work());
        tokio::spawn(async move {
            let done = work.await.map(Arc::new);
            match &done {
                // The next poll tries again.
                Err(failure) if failure.kind.retryable() => drop(kept(&app).0.lock().by_id.remove(&id)),
                Err(_) => kept(&app).finish(&id, BYTES_EACH),
                Ok(d) => kept(&app).finish(&id, BYTES_EACH + bytes(d)),
            }
            sender.send_replace(Some(done));
        });
        receiver
    }
}

/// Says where the answer to what was created will be.
pub(super) fn located(mut answer: Response<Body>, location: &str) -> Response<Body> {
    if let Ok(location) = HeaderValue::from_str(location) {
        answer.headers_mut().insert(header::LOCATION, location);
    }
    answer
}

/// Says that an answer will stay as it is, and since when.
pub(super) fn finished(mut answer: Response<Body>, at: TimeNs) -> Response<Body> {
    let headers = answer.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, max-age=86400"));
    if let Ok(date) = HeaderValue::from_str(&http_date(at)) {
        headers.insert(header::LAST_MODIFIED, date);
    }
    answer
}

/// The answer, if it is there or comes soon.
pub(super) async fn soon<T>(mut state: Receiver<State<T>>) -> State<T> {
    match tokio::time::timeout(POLL_WAIT, state.wait_for(Option::is_some)).await {
        Ok(Ok(state)) => (*state).clone(),
        _ => None,
    }
}
