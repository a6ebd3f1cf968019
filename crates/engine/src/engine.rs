//! The engine over a store: pins a snapshot, checks the question against it, runs it.
//!
//! Owns: which segments a question sees. Never does: the work itself.

use crate::caches::Caches;
use crate::check::{Names, check_expression, known_column};
use crate::examples::{self, ExamplesRequest, SlowExample};
use crate::memory::Budget;
use crate::overlay::Overlays;
use crate::plan::{Field, Plan};
use crate::scan::place::Source;
use crate::service_map::{ROWS_MAX, ServiceMapPlan};
use crate::trace::{self, Skeleton, SpanDetails, TraceRequest};
use crate::{
    Answer, Columns, ContrastAnswer, EngineError, FoundTraces, Memory, OnContrast, RawEvent, Run, SeriesMode, ServiceMap, ServiceMapSpec,
    Turns, check, check_contrast,
};
use model::contrast::ContrastSpec;
use model::query::QuerySpec;
use model::{Limits, NS_PER_SECOND, TimeNs, Value};
use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::Arc;
use store::{Scope, Snapshot, Store, StoreError};

/// How an engine is set up.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// Threads that work on one question.
    pub threads: usize,
    /// Bytes that may be kept between questions.
    pub cache_bytes: usize,
    /// Limits on questions.
    pub limits: Limits,
}

impl Default for EngineOptions {
    fn default() -> EngineOptions {
        EngineOptions { threads: 2, cache_bytes: 256 << 20, limits: Limits::default() }
    }
}

/// A calculated field that is kept under a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedField {
    /// The slug of the dataset that it is for; none: for all of them.
    pub dataset: Option<String>,
    /// Its name.
    pub name: String,
    /// How it is computed.
    pub expression: String,
}

/// Expressions of saved fields, by name and dataset.
type Saved = HashMap<String, HashMap<Option<String>, String>>;

/// Answers questions on a store. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Engine {
    store: Store,
    options: Arc<EngineOptions>,
    caches: Arc<Caches>,
    memory: Arc<Memory>,
    turns: Arc<Turns>,
    saved: Arc<RwLock<Arc<Saved>>>,
}

struct Known<'a> {
    store: &'a Store,
    scope: &'a Scope,
    saved: Arc<Saved>,
    /// The dataset's slug.
    slug: Option<String>,
}

impl Columns for Known<'_> {
    fn contains(&self, name: &str) -> bool {
        self.store.has_column(self.scope, name)
    }
    fn names(&self) -> Vec<String> {
        let columns = self.store.columns(self.scope).map(|all| all.into_iter().map(|c| c.name).collect()).unwrap_or_default();
        let fields = self.saved.iter().filter(|(name, _)| self.calculated(name).is_some()).map(|(name, _)| name.clone());
        let mut all: Vec<String> = columns;
        all.extend(fields);
        all
    }
    /// A dataset's own field goes before one of all datasets.
    fn calculated(&self, name: &str) -> Option<String> {
        let by_dataset = self.saved.get(name)?;
        by_dataset.get(&self.slug).or_else(|| by_dataset.get(&None)).cloned()
    }
}

impl Engine {
    /// An engine over a store.
    #[must_use]
    pub fn new(store: Store, options: EngineOptions) -> Engine {
        let caches = Arc::new(Caches::new(options.cache_bytes));
        let memory = Arc::new(Memory::new(options.limits.questions_memory_bytes_max));
        let turns = Arc::new(Turns::new(options.threads));
        Engine { store, options: Arc::new(options), caches, memory, turns, saved: Arc::default() }
    }

    /// A run with this engine's threads and limits, and a deadline from now on.
    #[must_use]
    pub fn run(&self, now: TimeNs) -> Run {
        let limits = &self.options.limits;
        let mut run = Run::new(now);
        run.threads = self.options.threads;
        run.memory_bytes_max = limits.question_memory_bytes_max;
        run.memory = Some(Arc::clone(&self.memory));
        run.max_rows = limits.result_rows_max;
        if limits.question_seconds_max > 0.0 {
            let seconds = std::time::Duration::try_from_secs_f64(limits.question_seconds_max).ok();
            run.deadline = seconds.and_then(|s| (run.clock)().checked_add(s));
        }
        run
    }

    /// Says which calculated fields are saved, all of them.
    pub fn set_calculated_fields(&self, fields: Vec<SavedField>) {
        let mut saved = Saved::new();
        for field in fields {
            saved.entry(field.name).or_default().insert(field.dataset, field.expression);
        }
        *self.saved.write() = Arc::new(saved);
    }

    /// Checks the expression of a calculated field that is to be saved.
    pub fn check_calculated_field(&self, scope: &Scope, name: &str, expression: &str) -> Result<(), EngineError> {
        self.exists(scope)?;
        check_expression(name, expression, &self.known(scope), &self.options.limits)
    }

    fn known<'a>(&'a self, scope: &'a Scope) -> Known<'a> {
        let slug = match scope {
            Scope::Dataset(name) => self.store.dataset(name).map(|d| d.slug),
            Scope::All => None,
        };
        Known { store: &self.store, scope, saved: Arc::clone(&self.saved.read()), slug }
    }

    /// Checks a question without running it.
    pub fn check(&self, scope: &Scope, spec: &QuerySpec, run: &Run) -> Result<Plan, EngineError> {
        self.exists(scope)?;
        check(spec, &self.known(scope), run, &self.options.limits)
    }

    /// Answers a question. Takes as long as it takes: call it on a thread that may block.
    pub fn query(&self, scope: &Scope, spec: &QuerySpec, run: &Run) -> Result<Answer, EngineError> {
        let plan = self.check(scope, spec, run)?;
        self.answer(scope, &plan, run)
    }

    /// Answers a checked question.
    pub fn answer(&self, scope: &Scope, plan: &Plan, run: &Run) -> Result<Answer, EngineError> {
        let (start, end) = plan.reads();
        let snapshot = self.snapshot(scope, start.saturating_sub(plan.compare_offset_ns.unwrap_or(0)), end)?;
        let datasets = names(&snapshot);
        crate::run_on(&snapshot.segments, &datasets, plan, run, &self.caches)
    }

    /// Compares a selection with a baseline over many columns.
    pub fn contrast(
        &self,
        scope: &Scope,
        spec: &ContrastSpec,
        run: &Run,
        on_partial: Option<OnContrast<'_>>,
    ) -> Result<ContrastAnswer, EngineError> {
        self.exists(scope)?;
        let plan = check_contrast(spec, &self.known(scope), run, &self.options.limits)?;
        let (start, end) = plan.reads();
        let snapshot = self.snapshot(scope, start, end)?;
        crate::contrast_with(&snapshot.segments, &names(&snapshot), &plan, run, on_partial)
    }

    /// Which service calls which. All questions behind it see the same events.
    pub fn service_map(&self, scope: &Scope, spec: &ServiceMapSpec, run: Run) -> Result<ServiceMap, EngineError> {
        self.exists(scope)?;
        let run = &Run { max_rows: ROWS_MAX, series: SeriesMode::Never, totals: false, ..run };
        let (known, limits) = (self.known(scope), &self.options.limits);
        let plan = ServiceMapPlan::new(spec, &known, run, limits)?;
        let (start, end) = plan.reads();
        let snapshot = self.snapshot(scope, start, end)?;
        crate::service_map_on(&snapshot.segments, &names(&snapshot), &plan, run, &self.caches)
    }

    /// Values of a column that start with `prefix`, the most frequent first, with the number of stored events.
    pub fn values(
        &self,
        scope: &Scope,
        column: &str,
        prefix: &str,
        limit: usize,
        range: (TimeNs, TimeNs),
    ) -> Result<Vec<(Value, u64)>, EngineError> {
        let known = self.known(scope);
        self.exists(scope)?;
        let column = known_column(column, &known, &self.options.limits)?;
        let snapshot = self.snapshot(scope, range.0, range.1)?;
        crate::values::values(&snapshot.segments, &column, prefix, limit, range)
    }

    /// The events of a trace in order of time, at most `limit` of them.
    pub fn trace(&self, scope: &Scope, trace_id: &str, limit: usize, run: &Run) -> Result<Vec<RawEvent>, EngineError> {
        let plan = trace::plan(trace_id, Vec::new(), (TimeNs::MIN, TimeNs::MAX), limit);
        Ok(self.answer(scope, &plan, run)?.raw.unwrap_or_default())
    }

    /// The skeleton of a trace; empty if no event has the id.
    pub fn skeleton(&self, scope: &Scope, request: &TraceRequest, run: &Run) -> Result<Skeleton, EngineError> {
        self.exists(scope)?;
        let limits = &self.options.limits;
        let known = self.known(scope);
        let shown = request.columns.iter().map(|name| Names::new(&known, limits, &[]).field(name)).collect::<Result<Vec<_>, _>>()?;
        if let Some(field) = shown.iter().find(|f| f.is_relational()) {
            let name = field.name();
            return Err(EngineError::invalid(format!(
                "'{name}': the columns of a trace cannot be those of relatives; all its spans are there"
            )));
        }
        let mut out = Skeleton::default();
        if let Some(near) = request.near {
            let hint = limits.trace_hint_seconds.saturating_mul(NS_PER_SECOND);
            let range = (near.saturating_sub(hint), near.saturating_add(hint));
            out = self.read_trace(scope, request, &shown, range, run)?;
            // What reaches near an end of the range may go on behind it.
            let margin = hint / 4;
            let (first, last) = (out.start_ns, out.start_ns.saturating_add(out.duration_ns));
            if first < range.0.saturating_add(margin) || last > range.1.saturating_sub(margin) {
                out = Skeleton::default();
            }
            out.searched = Some(range);
        }
        if out.is_empty() {
            out = self.read_trace(scope, request, &shown, (TimeNs::MIN, TimeNs::MAX), run)?;
        }
        if request.compare && !out.is_empty() {
            let around = limits.trace_compare_seconds.saturating_mul(NS_PER_SECOND);
            let range = (out.start_ns.saturating_sub(around), out.start_ns.saturating_add(out.duration_ns).saturating_add(around));
            if let Some(plan) = trace::kinds_plan(&out, range, limits.trace_kinds_max) {
                let answer = self.answer(scope, &plan, run)?;
                out.comparison = Some(trace::compare(&out, range, limits.trace_kinds_max, &answer));
            }
        }
        Ok(out)
    }

    fn read_trace(
        &self,
        scope: &Scope,
        request: &TraceRequest,
        shown: &[Field],
        range: (TimeNs, TimeNs),
        run: &Run,
    ) -> Result<Skeleton, EngineError> {
        let snapshot = self.snapshot(scope, range.0, range.1)?;
        let plan = Plan { shown: shown.to_vec(), ..trace::plan(&request.id, Vec::new(), range, request.limit) };
        let overlays = Overlays::of_plan(&plan, &snapshot.segments, run, &self.caches);
        let datasets = names(&snapshot);
        let source = Source { segments: &snapshot.segments, datasets: &datasets, overlays: &overlays };
        let budget = Budget::new(run);
        let found = trace::find(source, &plan, run, &budget, &self.caches)?;
        let out = if found.len() == 0 { Skeleton::default() } else { trace::skeleton(&found, source, shown)? };
        self.caches.tidy();
        Ok(out)
    }

    /// The slowest examples of the events that a question is about, one per trace.
    pub fn examples(&self, scope: &Scope, request: &ExamplesRequest, run: &Run) -> Result<Vec<SlowExample>, EngineError> {
        let [own, group] = examples::questions(request);
        let search = examples::Search::new(self.check(scope, &own, run)?, self.check(scope, &group, run)?, request.limit)?;
        let values = self.answer(scope, &search.distribution(), run)?;
        let mut n = search.first();
        loop {
            let events = self.answer(scope, &search.largest(&values, n), run)?.raw.unwrap_or_default();
            let found = search.pick(&events);
            match examples::Search::more_than(n) {
                Some(more) if found.len() < request.limit && events.len() == n => n = more,
                _ => return Ok(found),
            }
        }
    }

    /// Events of one span of a trace, with all their fields: the span itself (several, if its id was sent with different
    /// ones), and what happened in it.
    pub fn span(&self, scope: &Scope, trace_id: &str, span_id: &str, near: Option<TimeNs>, run: &Run) -> Result<SpanDetails, EngineError> {
        let limits = &self.options.limits;
        let mut ranges = vec![(TimeNs::MIN, TimeNs::MAX)];
        if let Some(near) = near {
            let hint = limits.trace_hint_seconds.saturating_mul(NS_PER_SECOND);
            ranges.insert(0, (near.saturating_sub(hint), near.saturating_add(hint)));
        }
        let mut out = SpanDetails::default();
        for range in ranges {
            let events = |conditions| -> Result<Vec<RawEvent>, EngineError> {
                let plan = trace::plan(trace_id, conditions, range, run.max_rows);
                Ok(self.answer(scope, &plan, run)?.raw.unwrap_or_default())
            };
            let [own, below] = trace::conditions_of_span(span_id);
            out = SpanDetails::sort(events(own)?, events(below)?);
            if !out.spans.is_empty() {
                break;
            }
        }
        Ok(out)
    }

    /// The `limit` newest traces with an event in the range that satisfies the conditions of a checked question.
    pub fn newest_traces(&self, scope: &Scope, plan: &Plan, limit: usize, run: &Run) -> Result<FoundTraces, EngineError> {
        let snapshot = self.snapshot(scope, plan.start_ns, plan.end_ns)?;
        crate::newest_traces(&snapshot.segments, &names(&snapshot), plan, limit, run, &self.caches)
    }

    /// Bytes kept between questions.
    #[must_use]
    pub fn cache_bytes(&self) -> usize {
        self.caches.bytes()
    }

    /// Pieces of answers that had to be made, ever; kept ones cost none.
    #[must_use]
    pub fn pieces_made(&self) -> u64 {
        self.caches.pieces_made()
    }

    /// The cores that questions share.
    #[must_use]
    pub fn turns(&self) -> &Arc<Turns> {
        &self.turns
    }

    /// Bytes of memory that questions under way hold.
    #[must_use]
    pub fn questions_bytes(&self) -> usize {
        self.memory.used()
    }

    fn exists(&self, scope: &Scope) -> Result<(), EngineError> {
        match scope {
            Scope::Dataset(name) if self.store.dataset(name).is_none() => {
                Err(EngineError::NotFound { what: format!("unknown dataset '{name}'") })
            }
            _ => Ok(()),
        }
    }

    fn snapshot(&self, scope: &Scope, start: TimeNs, end: TimeNs) -> Result<Snapshot, EngineError> {
        self.store.snapshot(scope, start, end).map_err(|e: StoreError| match e.kind() {
            model::ErrorKind::NotFound => EngineError::NotFound { what: e.to_string() },
            _ => EngineError::Store(Box::new(e)),
        })
    }
}

/// Names of the datasets, one per segment.
fn names(snapshot: &Snapshot) -> Vec<Arc<str>> {
    let mut known: Vec<Arc<str>> = Vec::new();
    let name = |text: &String| match known.iter().find(|k| ***k == **text) {
        Some(name) => Arc::clone(name),
        None => {
            let name: Arc<str> = text.as_str().into();
            known.push(Arc::clone(&name));
            name
        }
    };
    snapshot.datasets.iter().map(name).collect()
}
