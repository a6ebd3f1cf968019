//! Findings as they are answered: conditions, shares, a sentence, an example, filters to go on with.
//!
//! Owns: their form and their words. Never does: find them.

use super::Part;
use super::answer::{Example, Finding, Share};
use super::candidate::Candidate;
use super::clock::Clock;
use super::plan::ContrastPlan;
use super::search::{Found, conditions_of};
use super::stats::Pair;
use crate::{Cell, EngineError};
use model::columns::{DURATION_MS, SERVICE, SPAN_ID, TRACE_ID};
use model::time::rfc3339;
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Columns of an example, beside those of the conditions.
const EXAMPLE_COLUMNS: [&str; 5] = [TRACE_ID, SPAN_ID, SERVICE, "name", DURATION_MS];
/// A share that the times change by less is not spoken of.
const TOLD_MIN: f64 = 0.02;

/// The finding as it is answered.
pub(super) fn finding(
    found: &Found,
    candidates: &[&Candidate],
    clock: &Clock,
    parts: &[Part<'_>],
    plan: &ContrastPlan,
) -> Result<Finding, EngineError> {
    let conditions: Vec<&Candidate> = conditions_of(found).into_iter().filter_map(|i| candidates.get(i).copied()).collect();
    let alike: Vec<&Candidate> = found.alike.iter().filter_map(|i| candidates.get(*i).copied()).collect();
    let all = clock.total();
    let judged = &found.judged;
    let own: Vec<Json> = conditions.iter().flat_map(|c| c.filters()).collect();
    let both = found.mass.selection.weight + found.mass.other.weight;
    let mut filters = plan.filters.clone();
    filters.extend(own.iter().cloned());
    Ok(Finding {
        conditions: own,
        selection: Share { count: found.mass.selection.weight, share: judged.plain.selection },
        baseline: Share { count: found.mass.other.weight, share: judged.plain.other },
        effect: judged.effect,
        lower_bound: judged.bound.max(0.0),
        chance: judged.chance,
        lift: (judged.plain.other > 0.0).then(|| judged.plain.selection / judged.plain.other),
        precision: if both > 0.0 { found.mass.selection.weight / both } else { 0.0 },
        sentence: sentence(&conditions, &alike, found, all, clock),
        same_as: alike.iter().flat_map(|c| c.filters()).collect(),
        example: match found.example {
            Some((part, row)) => Some(example(parts, part as usize, row as usize, &conditions)?),
            None => None,
        },
        filters,
    })
}

fn example(parts: &[Part<'_>], part: usize, row: usize, conditions: &[&Candidate]) -> Result<Example, EngineError> {
    let segment = parts[part].segment;
    let mut data = BTreeMap::new();
    for name in EXAMPLE_COLUMNS.into_iter().chain(conditions.iter().map(|c| &*c.column)) {
        for column in segment.find(name) {
            match Cell::from(segment.cell(&column, row)?) {
                Cell::Null => {}
                cell => drop(data.insert(name.to_owned(), cell)),
            }
        }
    }
    Ok(Example { time: rfc3339(segment.row_time(row)?.0), data })
}

fn sentence(conditions: &[&Candidate], alike: &[&Candidate], found: &Found, all: Pair, clock: &Clock) -> String {
    let words: Vec<String> = conditions.iter().map(|c| c.words()).collect();
    let plain = &found.judged.plain;
    let mut out = format!(
        "{}: {} of the selection ({} of {})",
        words.join(" and "),
        percent(plain.selection),
        count(found.mass.selection.weight),
        count(all.selection.weight)
    );
    let said = if found.mass.other.weight <= 0.0 {
        write!(out, ", never in the baseline (0 of {}).", count(all.other.weight))
    } else {
        let of = (percent(plain.other), count(found.mass.other.weight), count(all.other.weight));
        write!(out, ", {} of the baseline ({} of {}).", of.0, of.1, of.2)
    };
    said.unwrap_or_default();
    if (found.judged.expected() - plain.other).abs() >= TOLD_MIN {
        let when = if clock.is_shared() { "At the times of the selection" } else { "Next to the selection in time" };
        write!(out, " {when} the baseline has {}.", percent(found.judged.expected())).unwrap_or_default();
    }
    if let [first, rest @ ..] = alike {
        let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
        write!(out, " Nearly the same events: {}{more}.", first.words()).unwrap_or_default();
    }
    out
}

/// A share in per cent, with as many digits as tell something.
fn percent(share: f64) -> String {
    let p = share * 100.0;
    match p {
        p if p <= 0.0 => "0 %".to_owned(),
        p if p < 0.01 => "less than 0.01 %".to_owned(),
        p if p < 1.0 => format!("{p:.2} %"),
        p if p > 99.95 && share < 1.0 => "more than 99.9 %".to_owned(),
        p if p >= 100.0 => "100 %".to_owned(),
        p => format!("{p:.1} %"),
    }
}

/// A count with commas.
fn count(weight: f64) -> String {
    let digits = format!("{:.0}", weight.round());
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) && c.is_ascii_digit() && digits.as_bytes()[i - 1] != b'-' {
            out.push(',');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!([count(0.0), count(999.4), count(1_000.0), count(4_998_675.0)], ["0", "999", "1,000", "4,998,675"]);
        assert_eq!(
            [percent(0.0), percent(0.000_01), percent(0.004), percent(0.931), percent(0.9999), percent(1.0)],
            ["0 %", "less than 0.01 %", "0.40 %", "93.1 %", "more than 99.9 %", "100 %"]
        );
    }
}
