//! One question from the moment it was read to the bytes of its answer: a place, a thread, a deadline, an end.
//!
//! Owns: running the engine on behalf of a request. Never does: read requests, choose forms of answers.

use crate::app::App;
use crate::error::{Failure, chain};
use crate::runs::{Place, RunHandle};
use axum::http::StatusCode;
use engine::{Answer, EngineError, OnPartial, OnProgress, Progress, Run, SeriesMode};
use model::query::QuerySpec;
use model::{ErrorKind, TimeNs};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use store::Scope;

/// The slug that means all datasets.
pub(crate) use model::ALL_DATASETS as ALL;

/// What to run and how.
pub(crate) struct Question {
    pub(crate) scope: Scope,
    pub(crate) spec: QuerySpec,
    pub(crate) now: TimeNs,
    pub(crate) cache: bool,
    pub(crate) series: SeriesMode,
    pub(crate) totals: bool,
    /// The highest limit that it may name.
    pub(crate) max_rows: usize,
    pub(crate) on_progress: Option<OnProgress>,
    pub(crate) on_partial: Option<(Duration, OnPartial)>,
}

impl Question {
    /// A question without a series and without anybody who looks on.
    pub(crate) fn plain(app: &App, scope: Scope, spec: QuerySpec) -> Question {
        let series = SeriesMode::Never;
        let max_rows = app.settings.limits.result_rows_max;
        Question { scope, spec, now: crate::time::now(), cache: true, series, totals: false, max_rows, on_progress: None, on_partial: None }
    }
}

impl std::fmt::Debug for Question {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Question").field("scope", &self.scope).field("spec", &self.spec).finish_non_exhaustive()
    }
}

/// A dataset's name or slug, or all of them.
pub(crate) fn scope(name: &str) -> Scope {
    if name == ALL { Scope::All } else { Scope::Dataset(name.to_owned()) }
}

/// Asks, and hands the answer to `finish` on the same thread, where it may take its time to write it.
pub(crate) async fn ask<T: Send + 'static>(
    app: &Arc<App>,
    handle: &RunHandle,
    question: Question,
    finish: impl FnOnce(Answer) -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let on_wait = || {
        if let Some(on_progress) = &question.on_progress {
            on_progress(Progress { rows_done: 0, rows_planned: 0 });
        }
    };
    let place = app.runs.place(handle, on_wait).await?;
    on_place(app, handle, place, question.now, move |app, run| {
        let started = Instant::now();
        let run = Run {
            cache: question.cache,
            max_rows: question.max_rows,
            series: question.series,
            totals: question.totals,
            on_progress: question.on_progress,
            on_partial: question.on_partial,
            ..run
        };
        let answered = app.engine.query(&question.scope, &question.spec, &run);
        app.metrics.queried(started.elapsed(), &answered, |answer| &answer.meta);
        finish(answered?)
    })
    .await
}

/// Waits for a place, then works on a thread that may block, with a run that ends when the handle says so.
pub(crate) async fn on_engine<T: Send + 'static>(
    app: &Arc<App>,
    handle: &RunHandle,
    now: TimeNs,
    work: impl FnOnce(&App, Run) -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let place = app.runs.place(handle, || {}).await?;
    on_place(app, handle, place, now, work).await
}

async fn on_place<T: Send + 'static>(
    app: &Arc<App>,
    handle: &RunHandle,
    place: Place,
    now: TimeNs,
    work: impl FnOnce(&App, Run) -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let (cancel, deadline) = (Arc::clone(&handle.cancel), Some(handle.deadline));
    let on_thread = Arc::clone(app);
    let done = app
        .blocking(move || {
            // Among many each has one thread; and they take turns on the cores.
            let run = on_thread.engine.run(now);
            let threads = (run.threads / on_thread.runs.running().max(1)).max(1);
            let turn = on_thread.engine.turns().begin(&cancel, deadline, run.clock)?;
            let done = work(&on_thread, Run { cancel, deadline, threads, turn: Some(turn), ..run });
            drop(place);
            done
        })
        .await?;
    if handle.cancel.load(Ordering::Relaxed) && done.is_err() && app.is_stopping() {
        return Err(Failure::new(ErrorKind::Unavailable, "the server is stopping; ask again in a moment"));
    }
    done
}

impl App {
    /// Checks a question without answering it.
    pub(crate) fn check(&self, scope: &Scope, spec: &QuerySpec) -> Result<(), Failure> {
        self.engine.check(scope, spec, &self.engine.run(crate::time::now()))?;
        Ok(())
    }
}

impl From<EngineError> for Failure {
    fn from(e: EngineError) -> Self {
        let failure = Failure::new(e.kind(), chain(&e));
        match e {
            // To ask the same again would not help.
            EngineError::Memory { .. } => {
                let mut failure = failure.with_status(StatusCode::UNPROCESSABLE_ENTITY, "question_memory");
                failure.kind = ErrorKind::Invalid;
                failure
            }
            EngineError::UnknownColumn { .. } => failure.with_status(StatusCode::BAD_REQUEST, "unknown_column"),
            _ => failure,
        }
    }
}
