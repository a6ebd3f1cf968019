//! The engine against the naive evaluator: random questions over random events, cut into segments in every way.
//!
//! Seeds: `WIDEYE_ORACLE_SEED` (of the first set of events), `WIDEYE_ORACLE_CASES` (how many questions),
//! `WIDEYE_ORACLE_SECONDS` (how long a failure is made smaller).
//!
//! Owns: layouts, comparison, making a failure small. Never does: know what a question means (`oracle`).

use crate::{
    compare,
    events::{self, Event, Rng, Times},
    forest::forest,
    oracle::{self, Question},
    questions::{self, Subject},
};
use engine::{Answer, Caches, EngineError, Run, SeriesMode};
use model::{Limits, Value};
use std::{
    collections::{BTreeMap, BTreeSet},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use store::segment::{self, BLOCK_ROWS, Segment};

/// Questions over one set of events.
const QUESTIONS_PER_SET: u64 = 50;
/// Of these, one is larger than a block.
const SETS_PER_LARGE: u64 = 60;

fn env(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().expect("a number"))
}

/// One way in which the same events may lie in segments, and in which the engine may be asked.
struct Layout {
    name: String,
    segments: Vec<Arc<Segment>>,
    /// Of each segment, if the events are in several.
    datasets: Vec<Arc<str>>,
    /// Kept between the questions of a set.
    caches: Caches,
}

impl Layout {
    fn new(rng: &mut Rng, name: &str, parts: Vec<Part>, datasets: bool) -> Layout {
        // Newest first, as a snapshot gives them.
        let mut parts = parts;
        parts.sort_by_key(|(segment, _)| std::cmp::Reverse(segment.times().1));
        let name = format!("{} segments{name}", parts.len());
        let (segments, names): (Vec<_>, Vec<Arc<str>>) = parts.into_iter().unzip();
        let datasets = if datasets { names } else { Vec::new() };
        Layout {
            name,
            segments,
            datasets,
            caches: Caches::new(*rng.pick(&[0, 10_000, 64 << 20])).with_chunk_rows(*rng.pick(&[1, 20, 16_384])),
        }
    }
}

/// A segment and the name of its dataset.
type Part = (Arc<Segment>, Arc<str>);

fn open(bytes: Vec<u8>) -> Arc<Segment> {
    Arc::new(Segment::from_bytes(bytes).expect("a segment"))
}

/// As segments, one per dataset.
fn encode(events: &[Event], datasets: bool) -> Vec<Part> {
    let mut by_name: BTreeMap<&str, Vec<Event>> = BTreeMap::new();
    for event in events {
        let Value::Str(name) = oracle::dataset(event) else { unreachable!("datasets have names") };
        by_name.entry(if datasets { name } else { "" }).or_default().push(event.clone());
    }
    by_name.into_iter().map(|(name, events)| (open(segment::encode(&events::batch(&events))), name.into())).collect()
}

fn layouts(rng: &mut Rng, events: &[Event], datasets: bool) -> Vec<Layout> {
    let mut all = vec![Layout::new(rng, "", encode(events, datasets), datasets)];
    let mut order = events.to_vec();
    if rng.chance(0.5) {
        rng.shuffle(&mut order);
    }
    let parts: Vec<Part> = events::split(rng, &order, 8).into_iter().flat_map(|part| encode(part, datasets)).collect();
    all.push(Layout::new(rng, "", parts.clone(), datasets));
    // Some merged, some not.
    let mut left = parts;
    let mut merged = Vec::new();
    rng.shuffle(&mut left);
    left.sort_by(|a, b| a.1.cmp(&b.1));
    while let Some((first, name)) = left.pop() {
        let mut group = vec![first];
        while left.last().is_some_and(|(_, other)| *other == name) && rng.chance(0.7) {
            group.extend(left.pop().map(|(segment, _)| segment));
        }
        let merge = group.len() > 1 || rng.chance(0.5);
        merged.push((if merge { open(segment::merge(&group).expect("a merge")) } else { group.remove(0) }, name));
    }
    all.push(Layout::new(rng, " after merging", merged, datasets));
    all
}

/// Everything that one question meets.
struct Case<'a> {
    events: &'a [Event],
    layouts: &'a [Layout],
    question: &'a Question,
    /// Of the order of layouts, threads and modes.
    seed: u64,
    known: &'a BTreeSet<String>,
    datasets: bool,
}

/// Asks in every layout; what went wrong, if anything.
fn disagreement(case: &Case<'_>) -> Option<String> {
    match catch_unwind(AssertUnwindSafe(|| ask_all(case))) {
        Ok(result) => result.err(),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            Some(format!("panic: {}", text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned())).unwrap_or_default()))
        }
    }
}

fn ask_all(case: &Case<'_>) -> Result<(), String> {
    let mut rng = Rng::new(case.seed);
    let series = *rng.pick(&[SeriesMode::IfGranularity, SeriesMode::IfGranularity, SeriesMode::Auto, SeriesMode::Never]);
    let totals = rng.chance(0.3);
    let memory_bytes_max = if rng.chance(0.05) { 1 << rng.between(10, 24) } else { 1 << 30 };
    let mut first: Option<Answer> = None;
    for layout in case.layouts {
        let threads = 1 + rng.below(2);
        // The second time the cache has the answer.
        let first_cache = rng.chance(0.5);
        for cache in [first_cache, true].into_iter().take(if rng.chance(0.2) { 2 } else { 1 }) {
            let run = Run { threads, cache, series, totals, memory_bytes_max, ..Run::new(case.question.now_ns) };
            let context = |e: String| format!("{}, threads {threads}, cache {cache}, series {series:?}, totals {totals}: {e}", layout.name);
            let plan =
                engine::check(&case.question.spec, case.known, &run, &Limits::default()).map_err(|e| context(format!("refused: {e}")))?;
            let answer = match engine::run_on(&layout.segments, &layout.datasets, &plan, &run, &layout.caches) {
                Ok(answer) => answer,
                Err(e) if is_a_known_limit(&e) => continue,

                Err(e) => return Err(context(format!("error: {e}"))),
            };
            match &first {
                None => compare::with_truth(&answer, case.events, case.question, &run, case.datasets).map_err(context)?,
                Some(first) => compare::with_other(&answer, first).or_else(|_| {
                    // Ties and approximations may fall otherwise; the truth decides, and says what is wrong.
                    compare::with_truth(&answer, case.events, case.question, &run, case.datasets).map_err(context)
                })?,
            }
            first.get_or_insert(answer);
        }
    }
    Ok(())
}

/// The engine says that it cannot, and what to do.
pub(crate) fn is_a_known_limit(error: &EngineError) -> bool {
    match error {
        // Little memory was given, or heatmaps of many groups and buckets were asked for.
        EngineError::Memory { limit, what, .. } => *limit < 1 << 30 || what.contains("groups times buckets"),
        e => e.to_string().contains("RATE_* decides"),
    }
}

/// A set of events with everything that questions need.
pub(crate) struct Set {
    pub(crate) events: Vec<Event>,
    pub(crate) rng: Rng,
    pub(crate) relational: bool,
    n_questions: u64,
    datasets: bool,
}

/// Events in traces, and questions about relatives.
pub(crate) fn set_of_traces(seed: u64) -> Set {
    let mut rng = Rng::new(seed);
    let large = seed % SETS_PER_LARGE == SETS_PER_LARGE - 1;
    let n_columns = if large { 3 } else { 2 + rng.below(8) };
    let columns = events::columns(&mut rng, n_columns);
    let n = match rng.below(20) {
        _ if large => BLOCK_ROWS + rng.below(10_000),
        0 => 1 + rng.below(3),
        1..=7 => 1 + rng.below(60),
        _ => 1 + rng.below(1_000),
    };
    let events = forest(&mut rng, &columns, n);
    let datasets = rng.chance(0.3);
    Set { events, rng, n_questions: if large { QUESTIONS_PER_SET / 10 } else { QUESTIONS_PER_SET }, datasets, relational: true }
}

pub(crate) fn set(seed: u64) -> Set {
    let mut rng = Rng::new(seed);
    let large = seed % SETS_PER_LARGE == SETS_PER_LARGE - 1;
    let n_columns = if large { 6 } else { 2 + rng.below(14) };
    let columns = events::columns(&mut rng, n_columns);
    let times =
        *rng.pick(&[Times::Usual, Times::Usual, Times::Usual, Times::Edges, Times::Same, Times::Epoch, Times::Decades, Times::Burst]);
    let n = match rng.below(20) {
        _ if large => BLOCK_ROWS - 1_000 + rng.below(BLOCK_ROWS),
        0 => 1 + rng.below(3),
        1..=7 => 1 + rng.below(60),
        8..=17 => 1 + rng.below(600),
        _ => 1 + rng.below(4_000),
    };
    let events = events::events(&mut rng, &columns, times, n);
    let datasets = rng.chance(0.2);
    let n_questions = if large { QUESTIONS_PER_SET / 5 } else { QUESTIONS_PER_SET };
    Set { events, rng, n_questions, datasets, relational: false }
}

/// The questions of one set, until one fails.
fn run_set(seed: u64, questions: u64, of: fn(u64) -> Set, test: &str) -> Result<u64, String> {
    let Set { events, mut rng, n_questions, datasets, relational } = of(seed);
    let layout_seed = rng.next();
    let layouts = layouts(&mut Rng::new(layout_seed), &events, datasets);
    let subject = Subject::new(&events, datasets, relational);
    let known = subject.known();
    let n = n_questions.min(questions);
    for i in 0..n {
        let question = questions::question(&mut rng.fork(), &subject);
        let case = Case { events: &events, layouts: &layouts, question: &question, seed: rng.next(), known: &known, datasets };
        if let Some(what) = disagreement(&case) {
            let again = format!("WIDEYE_ORACLE_SEED={seed} WIDEYE_ORACLE_CASES={} cargo test -p engine --test it {test}", i + 1);
            return Err(format!("{what}\n\nmade smaller:\n{}\n\nagain: {again}", smaller(&case, layout_seed)));
        }
    }
    Ok(n)
}

/// Failures of one sort read alike but for numbers, texts and the layout.
fn sort(failure: &str) -> String {
    let tail = failure.rsplit(": ").next().unwrap_or(failure);
    tail.split(|c: char| !c.is_alphabetic()).filter(|word| word.len() > 2).take(3).collect::<Vec<_>>().join(" ")
}

/// Leaves out of a failing case whatever is not needed to make it fail.
fn smaller(case: &Case<'_>, layout_seed: u64) -> String {
    let mut events = case.events.to_vec();
    let mut question = case.question.clone();
    let mut what = String::new();
    let mut tries = 1_500;
    // Panics are expected here; their messages would only be noise. One thread at a time, as the hook is everybody's.
    static ONE: Mutex<()> = Mutex::new(());
    let _alone = ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let until = Instant::now() + Duration::from_secs(env("WIDEYE_ORACLE_SECONDS", 20));
    let mut sort_of = None;
    let mut fails = |events: &[Event], question: &Question| {
        if tries == 0 || events.is_empty() || Instant::now() > until {
            return false;
        }
        tries -= 1;
        let layouts = layouts(&mut Rng::new(layout_seed), events, case.datasets);
        let found = disagreement(&Case { events, layouts: &layouts, question, ..*case });
        // Another failure is another story.
        let found = found.filter(|e| sort(e) == *sort_of.get_or_insert_with(|| sort(e)));
        if let Some(found) = &found {
            what.clone_from(found);
        }
        found.is_some()
    };
    let mut changed = fails(&events, &question);
    while changed {
        changed = false;
        for candidate in simpler_questions(&question) {
            if fails(&events, &candidate) {
                question = candidate;
                changed = true;
                break;
            }
        }
        let mut chunk = events.len().div_ceil(2);
        while chunk > 0 && Instant::now() < until {
            let mut at = 0;
            while at < events.len() && Instant::now() < until {
                let mut fewer = events.clone();
                fewer.drain(at..(at + chunk).min(events.len()));
                if fails(&fewer, &question) {
                    events = fewer;
                    changed = true;
                } else {
                    at += chunk;
                }
            }
            chunk /= 2;
        }
    }
    // Of many events each copy takes long.
    let few = events.len().min(if events.len() > 1_000 { 0 } else { usize::MAX });
    for i in 0..few {
        let names: Vec<String> = events[i].fields.keys().cloned().collect();
        for name in names {
            let mut fewer = events.clone();
            fewer[i].fields.remove(&name);
            if fails(&fewer, &question) {
                events = fewer;
            }
        }
        let mut plain = events.clone();
        plain[i].sample_rate = 1.0;
        if fails(&plain, &question) {
            events = plain;
        }
    }
    std::panic::set_hook(hook);
    let spec = serde_json::to_string(&question.spec).unwrap_or_default();
    let mut out = format!("{what}\nquestion {spec}\nfrom {} to {} at {}\n", question.start_ns, question.end_ns, question.now_ns);
    for event in events.iter().take(40) {
        out.push_str(&format!("{} ×{} {:?}\n", event.time_ns, event.sample_rate, event.fields));
    }
    out.push_str(&format!("{} events", events.len()));
    out
}

/// The question with one part less.
fn simpler_questions(question: &Question) -> Vec<Question> {
    let mut out = Vec::new();
    let mut push = |change: &dyn Fn(&mut model::query::QuerySpec)| {
        let mut simpler = question.clone();
        change(&mut simpler.spec);
        if simpler.spec != question.spec {
            out.push(simpler);
        }
    };
    push(&|s| s.compare_time_offset_seconds = None);
    push(&|s| s.havings.clear());
    push(&|s| s.orders.clear());
    push(&|s| s.limit = None);
    push(&|s| s.granularity = None);
    push(&|s| s.usage_mode = None);
    push(&|s| s.filter_combination = None);
    push(&|s| s.filters.clear());
    push(&|s| s.breakdowns.clear());
    for i in 0..question.spec.formulas.len() {
        push(&|s| drop(s.formulas.remove(i)));
    }
    for i in 0..question.spec.orders.len() {
        push(&|s| drop(s.orders.remove(i)));
    }
    for i in 0..question.spec.havings.len() {
        push(&|s| drop(s.havings.remove(i)));
    }
    for i in 0..question.spec.calculated_fields.len() {
        push(&|s| drop(s.calculated_fields.remove(i)));
    }
    for i in 0..question.spec.filters.len() {
        push(&|s| drop(s.filters.remove(i)));
    }
    for i in 0..question.spec.breakdowns.len() {
        push(&|s| drop(s.breakdowns.remove(i)));
    }
    for i in 0..question.spec.calculations.as_ref().map_or(0, Vec::len) {
        push(&|s| {
            if let Some(calculations) = s.calculations.as_mut().filter(|c| c.len() > 1) {
                calculations.remove(i);
            }
        });
    }
    for i in 0..question.spec.calculations.as_ref().map_or(0, Vec::len) {
        push(&|s| {
            if let Some(calculations) = s.calculations.as_mut() {
                calculations[i].filters.pop();
            }
        });
    }
    for (i, filter) in question.spec.filters.iter().enumerate() {
        let n = filter.value.as_ref().and_then(serde_json::Value::as_array).map_or(0, Vec::len);
        for j in 0..n {
            push(&|s| {
                if let Some(serde_json::Value::Array(items)) = &mut s.filters[i].value {
                    items.remove(j);
                }
            });
        }
    }
    out
}

#[test]
fn the_engine_agrees_with_the_naive_evaluator() {
    run_sets(10_000, set, "the_engine_agrees");
}

#[test]
fn questions_about_relatives_agree_with_the_naive_evaluator() {
    run_sets(4_000, set_of_traces, "questions_about_relatives");
}

fn run_sets(cases: u64, of: fn(u64) -> Set, test: &str) {
    let first = env("WIDEYE_ORACLE_SEED", 1_000);
    let cases = env("WIDEYE_ORACLE_CASES", cases);
    // Sets run on two threads; a set never asks more questions than there are cases, so a single set can be run again.
    let (next, done) = (AtomicU64::new(first), AtomicU64::new(0));
    let failure: Mutex<Option<(u64, String)>> = Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while done.load(Ordering::Relaxed) < cases && failure.lock().expect("unpoisoned").is_none() {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed > first && cases < QUESTIONS_PER_SET {
                        break;
                    }
                    match run_set(seed, cases, of, test) {
                        Ok(n) => drop(done.fetch_add(n, Ordering::Relaxed)),
                        Err(what) => {
                            let mut failure = failure.lock().expect("unpoisoned");
                            if failure.as_ref().is_none_or(|(other, _)| seed < *other) {
                                *failure = Some((seed, what));
                            }
                        }
                    }
                }
            });
        }
    });
    if let Some((seed, what)) = failure.into_inner().expect("unpoisoned") {
        panic!("set {seed}: {what}");
    }
}

#[test]
fn a_seed_means_the_same_questions_twice() {
    for seed in 0..20 {
        let specs = || {
            let Set { events, mut rng, datasets, relational, .. } = set(seed);
            let subject = Subject::new(&events, datasets, relational);
            let spec = |_| serde_json::to_string(&questions::question(&mut rng, &subject).spec).expect("JSON");
            (events.clone(), (0..20).map(spec).collect::<Vec<_>>())
        };
        assert_eq!(specs(), specs());
    }
}

#[test]
fn an_unknown_column_is_refused_by_name() {
    for seed in 0..200 {
        let Set { events, mut rng, datasets, relational, .. } = set(seed);
        let subject = Subject::new(&events, datasets, relational);
        let known = subject.known();
        let mut question = questions::question(&mut rng, &subject);
        let unknown = "no.such.column".to_owned();
        let spec = &mut question.spec;
        match rng.below(3) {
            0 if !spec.filters.is_empty() => spec.filters[0].column = unknown.clone(),
            1 => spec.breakdowns.push(unknown.clone()),
            _ => {
                let max = model::query::Calculation { op: "MAX".into(), column: Some(unknown.clone()), ..oracle::count() };
                spec.calculations.get_or_insert_default().push(max);
            }
        }
        let refusal = engine::check(spec, &known, &Run::new(question.now_ns), &Limits::default()).expect_err("an unknown column");
        assert!(refusal.to_string().contains(&unknown), "{refusal}");
    }
}
