//! Contrast: what is different about a selection of events, over every column at once.
//!
//! Owns: the two populations, the steps from counting to findings, and the order of columns. Never does: read all rows where
//! segments already know their counts: only selected rows are touched, and the columns that tell something.

mod answer;
mod buckets;
mod candidate;
mod clock;
mod count;
mod finding;
mod plan;
mod prefix;
mod rows;
mod search;
mod stats;
mod table;
#[cfg(test)]
mod tests;
mod verdict;

pub use answer::{ContrastAnswer, ContrastColumn, ContrastValue, Example, Finding, PopulationCount, Populations, Quantiles, Share};
pub use plan::{ContrastPlan, Side, check_contrast};

use crate::memory::Budget;
use crate::overlay::Overlays;
use crate::run::parallel;
use crate::scan::place::Source;
use crate::{EngineError, Meta, Run};
use candidate::Candidate;
use clock::{Clock, Judged, Slices};
use count::Totals;
use rows::Picked;
use stats::false_discovery_threshold;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use store::Segment;
use table::{CONDITIONS_MAX, Table, tally};
use verdict::{Verdict, verdict};

/// Of the columns that are called significant, at most this share may be so by chance (watch.md asks for 0.01; half of it keeps
/// whole answers quiet where nothing differs).
const FALSE_RATE: f64 = 0.005;
/// Columns whose best condition is looked for in the events, for findings.
const COLUMNS_SEARCHED: usize = 16;
/// Populations that lie closer together in time than this are not told apart by it.
const DISTANCE_MIN: f64 = 0.05;
/// Columns that are counted between two partial answers.
const COLUMNS_AT_ONCE: usize = 24;

/// A segment and the rows of both populations in it.
pub(crate) struct Part<'a> {
    pub(crate) segment: &'a Segment,
    pub(crate) selection: Picked,
    pub(crate) other: Picked,
}

/// Where answers so far go, and how often.
pub type OnContrast<'a> = (Duration, &'a (dyn Fn(ContrastAnswer) + Sync));

/// A comparison under way.
struct Contrast<'a> {
    parts: Vec<Part<'a>>,
    source: Source<'a>,
    plan: &'a ContrastPlan,
    run: &'a Run,
    totals: Totals,
    began: std::time::Instant,
}

/// Compares the populations of a plan. `datasets` are the names of the segments' datasets, one each.
pub fn contrast(segments: &[Arc<Segment>], datasets: &[Arc<str>], plan: &ContrastPlan, run: &Run) -> Result<ContrastAnswer, EngineError> {
    contrast_with(segments, datasets, plan, run, None)
}

/// Like [`contrast`], and tells the best answer so far.
pub fn contrast_with(
    segments: &[Arc<Segment>],
    datasets: &[Arc<str>],
    plan: &ContrastPlan,
    run: &Run,
    on_partial: Option<OnContrast<'_>>,
) -> Result<ContrastAnswer, EngineError> {
    let began = (run.clock)();
    let times = (plan.selection.start_ns.min(plan.other.start_ns), plan.selection.end_ns.max(plan.other.end_ns));
    let overlays = Overlays::new(plan.fields(), segments, times, plan.margin_ns, run, None);
    let source = Source { segments, datasets, overlays: &overlays };
    let picked = parallel(run.threads, segments.len(), |i| {
        run.check()?;
        let segment = &*segments[i];
        Ok(Part { segment, selection: rows::pick(source, i, &plan.selection)?, other: rows::pick(source, i, &plan.other)? })
    });
    let parts: Vec<Part<'_>> = picked.into_iter().collect::<Result<_, EngineError>>()?;
    let memory: usize = parts.iter().map(|p| p.selection.memory() + p.other.memory()).sum();
    let budget = Budget::new(run);
    budget.reserve(memory, "the rows of both populations", "narrow the time range or the selection")?;
    let totals = Totals::of(&parts, plan)?;
    Contrast { parts, source, plan, run, totals, began }.answer(on_partial)
}

impl Contrast<'_> {
    fn answer(&self, on_partial: Option<OnContrast<'_>>) -> Result<ContrastAnswer, EngineError> {
        let plan = self.plan;
        let names: Vec<Arc<str>> = match &plan.columns {
            Some(columns) => columns.clone(),
            // Nothing is selected, so no column says anything of it.
            None if self.totals.selection_events == 0 => Vec::new(),
            None => {
                let names: BTreeSet<&str> = self.parts.iter().flat_map(|p| p.segment.columns().map(|c| c.name)).collect();
                names.into_iter().filter(|n| !plan.selected_by(n)).map(Arc::from).collect()
            }
        };
        let comparable = self.totals.selection_events > 0 && self.totals.baseline_events > 0;
        let mut verdicts: Vec<Verdict> = Vec::with_capacity(names.len());
        let mut told = self.began;
        let step = if on_partial.is_some() { COLUMNS_AT_ONCE } else { names.len().max(1) };
        for some in names.chunks(step) {
            verdicts.extend(self.count(some, comparable)?);
            if let Some((every, tell)) = on_partial
                && (self.run.clock)().duration_since(told) >= every
            {
                told = (self.run.clock)();
                let threshold = threshold_of(&verdicts);
                let mut so_far = verdicts.clone();
                settle(&mut so_far, threshold);
                tell(self.finish(so_far, Vec::new(), verdicts.len() as f64 / names.len().max(1) as f64));
            }
        }
        let threshold = threshold_of(&verdicts);
        settle(&mut verdicts, threshold);
        let mut findings = Vec::new();
        if comparable && plan.max_conditions > 0 {
            if let Some((_, tell)) = on_partial {
                tell(self.finish(verdicts.clone(), Vec::new(), 1.0));
            }
            findings = self.explain(&mut verdicts, threshold)?;
        }
        Ok(self.finish(verdicts, findings, 1.0))
    }

    /// Counts and judges columns by themselves.
    fn count(&self, names: &[Arc<str>], comparable: bool) -> Result<Vec<Verdict>, EngineError> {
        let counted = parallel(self.run.threads, names.len(), |i| {
            self.run.check()?;
            let counted = count::count(&names[i], &self.parts, !self.plan.usage_mode, verdict::VALUES_COMPARED)?;
            let mut verdict = verdict(&names[i], counted, &self.totals, self.plan);
            if !comparable || self.plan.selected_by(&names[i]) {
                // By definition, or nothing to compare with.
                verdict.chance = if comparable { verdict.chance } else { 1.0 };
                verdict.candidates.clear();
            }
            Ok(verdict)
        });
        counted.into_iter().collect()
    }

    /// Looks at the events themselves: takes back what time explains, and finds what explains the selection.
    fn explain(&self, verdicts: &mut [Verdict], threshold: f64) -> Result<Vec<Finding>, EngineError> {
        let plan = self.plan;
        let slices = Slices::for_parts(&self.parts, plan)?;
        let significant: Vec<usize> =
            (0..verdicts.len()).filter(|v| verdicts[*v].answer.significant && !verdicts[*v].candidates.is_empty()).collect();
        if significant.is_empty() {
            return Ok(Vec::new());
        }
        let mut seen = vec![false; verdicts.len()];
        let mut ranked = significant.clone();
        let (chosen, table, clock) = loop {
            let (chosen, table) = self.look(verdicts, &ranked, &slices)?;
            let clock = Clock::new(slices.clone(), table.all.clone());
            let again = seen.contains(&true);
            let mut scored = vec![false; verdicts.len()];
            for (i, (v, _)) in chosen.iter().enumerate() {
                note(&mut verdicts[*v], clock.judge(&table.of_condition(i)), threshold, &mut scored[*v]);
                seen[*v] = true;
            }
            let timed = !clock.is_shared() || clock.distance > DISTANCE_MIN;
            let fooled = chosen.iter().any(|(v, _)| !verdicts[*v].answer.significant);
            if again || !timed {
                break (chosen, table, clock);
            }
            self.take_back(verdicts, &significant, &slices, &seen, threshold)?;
            ranked.retain(|v| verdicts[*v].answer.significant);
            ranked.sort_by(|a, b| verdicts[*b].answer.score.total_cmp(&verdicts[*a].answer.score));
            let fresh = ranked.iter().take(COLUMNS_SEARCHED).any(|v| !chosen.iter().any(|(c, _)| c == v));
            if !fooled || !fresh {
                break (chosen, table, clock);
            }
            seen.fill(true);
        };
        let candidates: Vec<&Candidate> = chosen.iter().map(|(v, c)| &verdicts[*v].candidates[*c].candidate).collect();
        let found = search::search(&table, &clock, candidates.len(), &|i| chosen[i].0, threshold, plan.max_conditions);
        found.iter().map(|f| finding::finding(f, &candidates, &clock, &self.parts, plan)).collect()
    }

    /// Reads which conditions the events meet: the best of each of the first columns, then what else is good.
    fn look(&self, verdicts: &[Verdict], ranked: &[usize], slices: &Slices) -> Result<(Vec<(usize, usize)>, Table), EngineError> {
        let mut chosen: Vec<(usize, usize)> = ranked.iter().take(COLUMNS_SEARCHED).map(|v| (*v, 0)).collect();
        let mut more: Vec<(usize, usize)> = chosen.iter().flat_map(|(v, _)| (1..verdicts[*v].candidates.len()).map(|c| (*v, c))).collect();
        more.sort_by(|a, b| verdicts[b.0].candidates[b.1].bound.total_cmp(&verdicts[a.0].candidates[a.1].bound));
        chosen.extend(more);
        chosen.truncate(CONDITIONS_MAX);
        loop {
            match self.tally(verdicts, &chosen, slices) {
                // Too many combinations: fewer conditions have fewer.
                Err(EngineError::Memory { .. }) if chosen.len() > 4 => chosen.truncate(chosen.len() / 2),
                table => return Ok((chosen, table?)),
            }
        }
    }

    fn tally(&self, verdicts: &[Verdict], chosen: &[(usize, usize)], slices: &Slices) -> Result<Table, EngineError> {
        let candidates: Vec<&Candidate> = chosen.iter().map(|(v, c)| &verdicts[*v].candidates[*c].candidate).collect();
        tally(&self.parts, self.source, &candidates, slices, (!self.plan.usage_mode, self.plan.rest), self.run)
    }

    /// Judges the columns that were not looked at yet by time, until there are as many as are wanted.
    fn take_back(
        &self,
        verdicts: &mut [Verdict],
        significant: &[usize],
        slices: &Slices,
        seen: &[bool],
        threshold: f64,
    ) -> Result<(), EngineError> {
        let wanted = if self.plan.columns.is_some() { usize::MAX } else { self.plan.limit };
        let left: Vec<usize> = significant.iter().copied().filter(|v| !seen[*v]).collect();
        let mut left = left.as_slice();
        // Few at a time, so that their combinations are few, too.
        while !left.is_empty() {
            let (some, rest) = left.split_at(left.len().min(COLUMNS_AT_ONCE / 2));
            left = rest;
            if verdicts.iter().filter(|v| v.answer.significant).count() >= wanted + left.len() + some.len() {
                // As many as are wanted are certain; the others were not judged.
                for v in some {
                    verdicts[*v].answer.significant = false;
                    verdicts[*v].answer.score = 0.0;
                }
                continue;
            }
            let chosen: Vec<(usize, usize)> = some.iter().map(|v| (*v, 0)).collect();
            let table = self.tally(verdicts, &chosen, slices)?;
            let clock = Clock::new(slices.clone(), table.all.clone());
            for (i, v) in some.iter().enumerate() {
                note(&mut verdicts[*v], clock.judge(&table.of_condition(i)), threshold, &mut false);
            }
        }
        Ok(())
    }

    fn finish(&self, verdicts: Vec<Verdict>, findings: Vec<Finding>, coverage: f64) -> ContrastAnswer {
        let plan = self.plan;
        let mut set_aside = Vec::new();
        let mut columns: Vec<ContrastColumn> = verdicts.into_iter().map(|v| v.answer).collect();
        columns.sort_by(|a, b| {
            b.significant.cmp(&a.significant).then_with(|| b.score.total_cmp(&a.score)).then_with(|| a.column.cmp(&b.column))
        });
        if plan.columns.is_none() {
            set_aside = columns.iter().filter(|c| c.kind == "id" && !c.significant).map(|c| Arc::clone(&c.column)).collect();
            columns.truncate(plan.limit);
        }
        let (selection, baseline) = (self.totals.mass.selection.weight, self.totals.mass.other.weight);
        ContrastAnswer {
            populations: Populations {
                selection: PopulationCount { count: selection, words: plan.selection_words() },
                baseline: PopulationCount { count: baseline, words: plan.baseline_words() },
            },
            findings,
            columns,
            set_aside,
            meta: Meta {
                rows_scanned: self.parts.iter().map(|p| p.segment.n_rows() as u64).sum(),
                rows_matched: self.totals.selection_events + self.totals.baseline_events,
                segments: self.parts.len() as u64,
                engine_ms: (self.run.clock)().duration_since(self.began).as_secs_f64() * 1e3,
                coverage,
                ..Meta::default()
            },
        }
    }
}

fn threshold_of(verdicts: &[Verdict]) -> f64 {
    false_discovery_threshold(verdicts.iter().map(|v| v.chance), FALSE_RATE)
}

/// Says of each column whether chance explains it, and puts the columns in order.
fn settle(verdicts: &mut [Verdict], threshold: f64) {
    for v in verdicts.iter_mut() {
        v.answer.significant = v.chance <= threshold && v.answer.score > 0.0;
        if !v.answer.significant {
            v.answer.score = 0.0;
        }
    }
    verdicts.sort_by(|a, b| b.answer.score.total_cmp(&a.answer.score).then_with(|| a.answer.column.cmp(&b.answer.column)));
}

/// A column is as good as the best of its conditions, judged by the events.
fn note(verdict: &mut Verdict, judged: Judged, threshold: f64, seen: &mut bool) {
    let holds = judged.chance <= threshold && judged.bound > 0.0;
    let score = if holds { judged.bound } else { 0.0 };
    let before = if *seen { verdict.answer.score } else { 0.0 };
    *seen = true;
    verdict.answer.score = before.max(score);
    verdict.answer.significant = verdict.answer.score > 0.0;
}
