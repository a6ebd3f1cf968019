//! Whether an answer of the engine is what the naive evaluator says, and whether two answers are the same.
//!
//! Owns: tolerance (rounding, ties, documented approximation). Never does: evaluate.

use crate::{
    events::Event,
    oracle::{self, Expected, Key, Question, Truth},
    relatives,
};
use engine::{Answer, Cell, HeatmapScale, RawEvent, Run, SeriesMode};
use model::{Value, query::Direction};
use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
};

type Outcome = Result<(), String>;

fn require(holds: bool, what: impl FnOnce() -> String) -> Outcome {
    if holds { Ok(()) } else { Err(what()) }
}

fn value(cell: &Cell) -> Option<Value> {
    Some(match cell {
        Cell::Null => Value::Null,
        Cell::Bool(b) => Value::Bool(*b),
        Cell::Int(i) => Value::Int(*i),
        Cell::Float(f) => Value::Float(*f),
        Cell::Str(s) => Value::Str(s.to_string()),
        Cell::Heatmap(_) => return None,
    })
}

fn key(cells: &[Cell]) -> Vec<Key> {
    cells.iter().map(|c| oracle::key(&value(c).unwrap_or(Value::Null))).collect()
}

/// The numbers of a bucket of a heatmap, as documented at [`HeatmapScale`]; both ends.
fn bounds(scale: &HeatmapScale, bucket: i32) -> (f64, f64) {
    let n = f64::from(scale.buckets_per_octave);
    let start = |i: i32| {
        let i = f64::from(i - 1);
        scale.zero_below * (i / n).floor().exp2() * (1.0 + (i % n) / n)
    };
    match bucket {
        0 => (-scale.zero_below, scale.zero_below),
        i if i > 0 => (start(i), start(i + 1)),
        i => (-start(-i + 1), -start(-i)),
    }
}

fn heatmap(cells: &[(f64, f64)], map: &engine::Heatmap, scale: &HeatmapScale) -> Outcome {
    let total: f64 = cells.iter().map(|(_, w)| w).sum();
    let found: f64 = map.counts.iter().sum();
    let close = |a: f64, b: f64| (a - b).abs() <= 1e-9 * total.max(1.0);
    require(close(total, found), || format!("heatmap holds a weight of {found}, not {total}"))?;
    for (i, &count) in map.counts.iter().enumerate() {
        let (low, high) = bounds(scale, map.from + i as i32);
        // Numbers on an edge may be on either side of it.
        let edge = 1e-12 * high.abs().max(low.abs());
        let weight = |inside: &dyn Fn(f64) -> bool| cells.iter().filter(|(v, _)| inside(*v)).map(|(_, w)| w).sum::<f64>();
        let least = weight(&|v| v > low + edge && v < high - edge);
        let most = weight(&|v| v >= low - edge && v <= high + edge);
        let fits = (count >= least || close(count, least)) && (count <= most || close(count, most));
        require(fits, || format!("heatmap counts {count} from {low} to {high}, not {least} to {most}"))?;
    }
    Ok(())
}

/// What the answer says about a calculation.
#[derive(Clone, Copy, Default)]
struct Said<'a> {
    scale: Option<&'a HeatmapScale>,
    relative_error: Option<f64>,
}

fn accept(expected: &Expected, cell: &Cell, said: Said<'_>) -> Outcome {
    let within = |low: f64, high: f64| cell.as_f64().is_some_and(|v| v >= low && v <= high);
    let fits = match (expected, cell) {
        (Expected::Anything, _) => true,
        (Expected::Heatmap(cells), Cell::Heatmap(map)) => {
            return heatmap(cells, map, said.scale.ok_or("a heatmap without a scale in meta")?);
        }
        (Expected::Heatmap(cells), Cell::Null) => cells.is_empty(),
        (Expected::Between(low, high), _) => within(*low, *high),
        (Expected::Percentile { low, high, few }, _) => {
            let slack = said.relative_error.or(Some(0.01)).filter(|_| !few).unwrap_or(1e-12);
            require(slack <= 0.01, || format!("a percentile that may be off by {slack}"))?;
            within(low - low.abs() * slack, high + high.abs() * slack)
        }
        // Only counts of distinct values are estimates besides; the error that is said is the standard error.
        (Expected::Is(Value::Int(wanted)), Cell::Int(got)) if said.relative_error.is_some_and(|_| *wanted > 10_000) => {
            (wanted - got).abs() as f64 <= 5.0 * said.relative_error.unwrap_or(0.0) * *wanted as f64
        }
        (Expected::Is(wanted), _) => value(cell).is_some_and(|v| oracle::key(&v) == oracle::key(wanted)),
        _ => false,
    };
    require(fits, || format!("{cell:?} is not {expected:?}"))
}

/// `shown`: which of the expected cells the answer has.
fn accept_row(expected: &[Expected], shown: &[usize], cells: &[Cell], answer: &Answer, n_breakdowns: usize) -> Outcome {
    require(cells.len() == n_breakdowns + shown.len(), || format!("row of {} cells", cells.len()))?;
    for (i, (expected, cell)) in shown.iter().map(|at| &expected[*at]).zip(&cells[n_breakdowns..]).enumerate() {
        let name = &answer.columns[n_breakdowns + i];
        let said = Said {
            scale: answer.meta.heatmaps.iter().find(|(k, _)| k == name).map(|(_, scale)| scale),
            relative_error: answer.meta.approximate.iter().find(|a| a.key == *name).map(|a| a.relative_error),
        };
        accept(expected, cell, said).map_err(|e| format!("{name}: {e}"))?;
    }
    Ok(())
}

/// Whether the answer is the truth, as far as the documents tell. `datasets`: whether raw rows name theirs.
pub(crate) fn with_truth(answer: &Answer, events: &[Event], question: &Question, run: &Run, datasets: bool) -> Outcome {
    match question.spec.calculated_fields.as_slice() {
        [] => agree(answer, events, question, run, datasets),
        fields => agree(answer, &oracle::calculated(events, fields), question, run, datasets),
    }
}

/// The same; the events have the calculated fields.
fn agree(answer: &Answer, events: &[Event], question: &Question, run: &Run, datasets: bool) -> Outcome {
    let resolved = relatives::is_relational(question).then(|| relatives::resolve(events, question));
    let (sent, asked) = (events, question);
    let (events, question) = match &resolved {
        Some((resolved, of_fields)) => {
            relatives::told(answer.meta.relations.as_ref(), events, question)?;
            (resolved.as_slice(), of_fields)
        }
        None => (events, question),
    };
    require((answer.start_ns, answer.end_ns) == (question.start_ns, question.end_ns), || {
        format!("range is {} to {}", answer.start_ns, answer.end_ns)
    })?;
    let spec = &question.spec;
    let limit = spec.limit.map_or(1_000, |n| n as usize);
    let matched = oracle::matching(events, question);
    // CONCURRENCY looks at spans from before the range, too.
    let before = oracle::calculations(spec).iter().any(|c| c.op == "CONCURRENCY");
    let n = answer.meta.rows_matched;
    // For raw rows reading stops as soon as no better row can come.
    let fewer = answer.raw.as_ref().is_some_and(|rows| n >= rows.len() as u64 && n <= matched.len() as u64);
    require(n == matched.len() as u64 || fewer || (before && n > matched.len() as u64), || {
        format!("rows_matched is {n}, not {}", matched.len())
    })?;
    require(answer.meta.coverage == 1.0, || format!("coverage is {}", answer.meta.coverage))?;
    if oracle::calculations(spec).is_empty() && spec.breakdowns.is_empty() {
        raw(answer.raw.as_deref().ok_or("no raw rows")?, &matched, question, limit, datasets)?;
    } else {
        let granularity = answer.granularity_ns.unwrap_or(i64::MAX);
        let mut truth = oracle::answer(events, question, granularity);
        if answer.granularity_ns.is_none() {
            // The buckets are not known.
            let rates = oracle::calculations(spec).into_iter().map(|c| c.op.starts_with("RATE_"));
            for (i, _) in rates.enumerate().filter(|(_, is_rate)| *is_rate) {
                truth.groups.values_mut().for_each(|cells| cells[i] = Expected::Anything);
            }
        }
        let truth = truth.with_formulas(spec);
        columns(answer, question)?;
        results(answer, &truth, question, limit)?;
        series(answer, &truth, question, run)?;
        if run.totals {
            totals(answer, events, question, granularity)?;
        }
    }
    match (spec.compare_time_offset_seconds, &answer.compare) {
        (None, None) => Ok(()),
        (Some(seconds), Some(other)) => {
            let offset = (seconds * 1e9) as i64;
            let mut earlier = asked.clone();
            earlier.spec.compare_time_offset_seconds = None;
            earlier.start_ns = earlier.start_ns.saturating_sub(offset);
            earlier.end_ns = earlier.end_ns.saturating_sub(offset);
            agree(other, sent, &earlier, run, datasets).map_err(|e| format!("compare: {e}"))
        }
        (wanted, got) => Err(format!("compare {wanted:?} was answered by {:?}", got.is_some())),
    }
}

fn columns(answer: &Answer, question: &Question) -> Outcome {
    let mut wanted = question.spec.breakdowns.clone();
    let keys = oracle::keys(&question.spec);
    wanted.extend(oracle::shown(&question.spec).into_iter().map(|at| keys[at].clone()));
    let got: Vec<&str> = answer.columns.iter().map(|c| &**c).collect();
    require(wanted == got, || format!("columns {got:?}, not {wanted:?}"))
}

fn raw(rows: &[RawEvent], matched: &[&Event], question: &Question, limit: usize, datasets: bool) -> Outcome {
    let wanted = matched.len().min(limit);
    require(rows.len() == wanted, || format!("{} raw rows, not {wanted}", rows.len()))?;
    // -0.0 and 0.0 are one value.
    let text = |time: i64, rate: f64, fields: &BTreeMap<String, Value>| {
        let fields: Vec<_> = fields
            .iter()
            .filter(|(name, _)| relatives::is_sent(name))
            .map(|(name, v)| if let Value::Float(0.0) = v { (name, &Value::Float(0.0)) } else { (name, v) })
            .collect();
        format!("{time} {rate} {fields:?}")
    };
    let mut left: BTreeMap<String, Vec<&Event>> = BTreeMap::new();
    for event in matched {
        left.entry(text(event.time_ns, event.sample_rate, &event.fields)).or_default().push(event);
    }
    let mut returned: Vec<&Event> = Vec::new();
    for row in rows {
        let fields: BTreeMap<String, Value> = row.fields.iter().map(|(name, value)| (name.to_string(), value.clone())).collect();
        require(fields.len() == row.fields.len(), || format!("a field twice: {row:?}"))?;
        let text = text(row.time, row.sample_rate, &fields);
        let event = left.get_mut(&text).and_then(Vec::pop);
        returned.push(event.ok_or_else(|| format!("raw row that is no event, or once too often: {text}"))?);
        let dataset = row.dataset.as_ref().map(|d| Value::Str(d.to_string()));
        let wanted = datasets.then(|| oracle::dataset(returned[returned.len() - 1]).clone());
        require(dataset == wanted, || format!("dataset {dataset:?}, not {wanted:?}"))?;
    }
    for pair in returned.windows(2) {
        require(compare_raw(pair[0], pair[1], question).is_le(), || format!("{:?} comes before {:?}", pair[0], pair[1]))?;
    }
    if let Some(last) = returned.last() {
        let better = left.values().flatten().find(|e| compare_raw(e, last, question).is_lt());
        require(better.is_none(), || format!("{better:?} was left out, although it comes before {last:?}"))?;
    }
    Ok(())
}

/// The order of raw rows: as asked, else newest first.
fn compare_raw(a: &Event, b: &Event, question: &Question) -> Ordering {
    let orders = &question.spec.orders;
    if orders.is_empty() {
        return b.time_ns.cmp(&a.time_ns);
    }
    let keys = orders.iter().map(|o| {
        let descending = o.order == Some(Direction::Descending);
        match o.column.as_deref().expect("a column") {
            "time" if descending => b.time_ns.cmp(&a.time_ns),
            "time" => a.time_ns.cmp(&b.time_ns),
            name => compare_keys(&oracle::key(oracle::cell(a, name)), &oracle::key(oracle::cell(b, name)), descending),
        }
    });
    keys.fold(Ordering::Equal, Ordering::then)
}

/// What a row is compared by.
enum OrderKey {
    Breakdown(usize),
    Calculation(usize),
}

fn order_keys(question: &Question) -> Vec<(OrderKey, bool)> {
    let spec = &question.spec;
    let calculations = oracle::calculations(spec);
    let key = |op: &Option<String>, column: &Option<String>| {
        let breakdown = spec.breakdowns.iter().position(|b| op.is_none() && Some(b) == column.as_ref());
        let calculation = || OrderKey::Calculation(oracle::find(spec, op.as_deref(), column.as_deref()).expect("a result"));
        breakdown.map_or_else(calculation, OrderKey::Breakdown)
    };
    let orders = spec.orders.iter().map(|o| (key(&o.op, &o.column), o.order == Some(Direction::Descending)));
    // Without orders the largest of the first calculation come first.
    let default = calculations.first().filter(|c| spec.orders.is_empty() && c.op != "HEATMAP");
    orders.chain(default.map(|_| (OrderKey::Calculation(0), true))).collect()
}

/// Truth values, numbers, texts; what is missing is last, whichever way the order goes.
fn compare_keys(a: &Key, b: &Key, descending: bool) -> Ordering {
    let class = |k: &Key| match k {
        Key::Bool(_) => 0,
        Key::Int(_) | Key::Float(_) => 1,
        Key::Str(_) => 2,
        Key::Null => 3,
    };
    let number = |k: &Key| match k {
        Key::Int(i) => Value::Int(*i),
        Key::Float(bits) => Value::Float(f64::from_bits(*bits)),
        _ => Value::Null,
    };
    let ascending = match (a, b) {
        (Key::Null, Key::Null) => Ordering::Equal,
        (Key::Null, _) => return Ordering::Greater,
        (_, Key::Null) => return Ordering::Less,
        _ => class(a).cmp(&class(b)).then_with(|| oracle::compare_numbers(&number(a), &number(b)).unwrap_or_else(|| a.cmp(b))),
    };
    if descending { ascending.reverse() } else { ascending }
}

fn results(answer: &Answer, truth: &Truth, question: &Question, limit: usize) -> Outcome {
    let n_breakdowns = question.spec.breakdowns.len();
    let shown = oracle::shown(&question.spec);
    // Which groups must be there and which may.
    let mut sure: BTreeSet<&Vec<Key>> = BTreeSet::new();
    let mut possible: BTreeSet<&Vec<Key>> = BTreeSet::new();
    for (group, cells) in &truth.groups {
        let verdict = question.spec.havings.iter().try_fold(true, |all, h| {
            let at = oracle::find(&question.spec, Some(&h.calculate_op), h.column.as_deref()).expect("a result");
            match oracle::passes(h, &cells[at]) {
                Some(false) => None,
                Some(true) => Some(all),
                None => Some(false),
            }
        });
        // Without breakdowns and without events, a row of nothing may be left out.
        let nothing = n_breakdowns == 0 && truth.n_matched == 0;
        if verdict == Some(true) && !nothing && !truth.outside.contains(group) {
            sure.insert(group);
        }
        if verdict.is_some() {
            possible.insert(group);
        }
    }
    let mut returned: BTreeSet<Vec<Key>> = BTreeSet::new();
    for row in &answer.results {
        let group = key(&row[..n_breakdowns.min(row.len())]);
        let Some(wanted) = truth.groups.get(&group) else { return Err(format!("group {group:?} is not in the events")) };
        accept_row(wanted, &shown, row, answer, n_breakdowns).map_err(|e| format!("group {group:?}: {e}"))?;
        require(possible.contains(&group), || format!("group {group:?} is in the results in spite of the havings"))?;
        require(returned.insert(group.clone()), || format!("group {group:?} is there twice"))?;
    }
    let (least, most) = (sure.len().min(limit), possible.len().min(limit));
    require((least..=most).contains(&returned.len()), || format!("{} results, not {least} to {most}", returned.len()))?;
    let cut = returned.len() == limit;
    if let Some(missing) = sure.iter().find(|g| !returned.contains(**g)).filter(|_| !cut) {
        return Err(format!("group {missing:?} is not in the results"));
    }
    order(answer, truth, question, n_breakdowns)?;
    if let Some(last) = answer.results.last().filter(|_| cut) {
        let last = key(&last[..n_breakdowns]);
        let left_out = sure.iter().filter(|g| !returned.contains(**g));
        for group in left_out {
            require(!surely_before(group, &last, truth, question), || {
                format!("group {group:?} was left out, although it comes before {last:?}")
            })?;
        }
    }
    Ok(())
}

/// The rows are in the order of their own cells.
fn order(answer: &Answer, truth: &Truth, question: &Question, n_breakdowns: usize) -> Outcome {
    let keys = order_keys(question);
    let shown = oracle::shown(&question.spec);
    for pair in answer.results.windows(2) {
        let mut ordering = Ordering::Equal;
        for (key_of, descending) in &keys {
            let at = match key_of {
                OrderKey::Breakdown(i) => *i,
                OrderKey::Calculation(i) => match shown.iter().position(|at| at == i) {
                    Some(at) => n_breakdowns + at,
                    // Not in the answer: what is sure must do.
                    None => {
                        let (a, b) = (key(&pair[0][..n_breakdowns]), key(&pair[1][..n_breakdowns]));
                        require(!surely_before(&b, &a, truth, question), || format!("{:?} comes before {:?}", pair[0], pair[1]))?;
                        break;
                    }
                },
            };
            let (a, b) = (key(&pair[0][at..=at]), key(&pair[1][at..=at]));
            ordering = ordering.then_with(|| compare_keys(&a[0], &b[0], *descending));
        }
        require(ordering.is_le(), || format!("{:?} comes before {:?}", pair[0], pair[1]))?;
    }
    Ok(())
}

/// Whether a group must come before another, whatever the rounding.
fn surely_before(a: &[Key], b: &[Key], truth: &Truth, question: &Question) -> bool {
    for (key_of, descending) in order_keys(question) {
        let ordering = match key_of {
            OrderKey::Breakdown(i) => compare_keys(&a[i], &b[i], descending),
            OrderKey::Calculation(i) => {
                let (a, b) = (&truth.groups[a][i], &truth.groups[b][i]);
                let is_open = |e: &Expected| *e == Expected::Anything;
                if is_open(a) || is_open(b) {
                    return false;
                }
                let is_number = |e: &Expected| !matches!(e, Expected::Is(Value::Bool(_) | Value::Str(_)));
                if let (Expected::Is(a), Expected::Is(b)) = (a, b) {
                    match compare_keys(&oracle::key(a), &oracle::key(b), descending) {
                        Ordering::Equal => continue,
                        ordering => return ordering.is_lt(),
                    }
                }
                if !is_number(a) || !is_number(b) {
                    return false;
                }
                match (a.numbers(), b.numbers()) {
                    (None, None) => Ordering::Equal,
                    (None, Some(_)) => Ordering::Greater,
                    (Some(_), None) => Ordering::Less,
                    (Some((a_low, a_high)), Some((b_low, b_high))) => {
                        let ascending = if a_high < b_low {
                            Ordering::Less
                        } else if a_low > b_high {
                            Ordering::Greater
                        } else if a_low == a_high && b_low == b_high {
                            Ordering::Equal
                        } else {
                            return false;
                        };
                        if descending { ascending.reverse() } else { ascending }
                    }
                }
            }
        };
        match ordering {
            Ordering::Less => return true,
            Ordering::Greater => return false,
            Ordering::Equal => {}
        }
    }
    false
}

fn series(answer: &Answer, truth: &Truth, question: &Question, run: &Run) -> Outcome {
    let spec = &question.spec;
    let n_breakdowns = spec.breakdowns.len();
    let calculations = oracle::calculations(spec);
    let given = spec.granularity.filter(|g| *g != 0.0);
    let needs_buckets = calculations.iter().any(|c| c.op == "HEATMAP" || c.op.starts_with("RATE_"));
    let wanted = !calculations.is_empty()
        && match run.series {
            SeriesMode::Never => false,
            SeriesMode::Auto => true,
            SeriesMode::IfGranularity => given.is_some() || needs_buckets,
        };
    if !wanted {
        return require(answer.series.is_empty(), || "a series that nobody asked for".into());
    }
    let granularity = answer.granularity_ns.ok_or("no granularity")?;
    if let Some(seconds) = given {
        require(granularity == (seconds * 1e9).round() as i64, || format!("granularity is {granularity} ns, not {seconds} s"))?;
    }
    let series: Vec<(i64, Vec<Cell>)> = answer.series_rows().iter().map(|(time, row)| (time, row.cells().cloned().collect())).collect();
    require(series.is_sorted_by_key(|(time, _)| *time), || "the series is not in the order of time".into())?;
    let shown = oracle::shown(spec);
    let groups: BTreeSet<Vec<Key>> = answer.results.iter().map(|row| key(&row[..n_breakdowns])).collect();
    let mut seen: BTreeSet<(i128, Vec<Key>)> = BTreeSet::new();
    for (time, row) in &series {
        let group = key(&row[..n_breakdowns.min(row.len())]);
        let at = i128::from(*time);
        require(at.rem_euclid(i128::from(granularity)) == 0, || format!("{time} is no multiple of {granularity}"))?;
        require(at < i128::from(question.end_ns) && at + i128::from(granularity) > i128::from(question.start_ns), || {
            format!("bucket {time} lies outside of the range")
        })?;
        require(groups.contains(&group), || format!("series of {group:?}, which is not in the results"))?;
        require(seen.insert((at, group.clone())), || format!("two points at {time} for {group:?}"))?;
        let fits = match truth.series[&group].get(&at) {
            Some(wanted) => accept_row(wanted, &shown, row, answer, n_breakdowns),
            None => empty_row(&calculations, &shown, &row[n_breakdowns..]),
        };
        fits.map_err(|e| format!("at {time}, group {group:?}: {e}"))?;
    }
    for group in &groups {
        for (at, cells) in &truth.series[group] {
            // A bucket of nothing may be left out.
            let nothing = calculations.iter().zip(cells).all(|(c, e)| is_nothing(&c.op, e));
            require(nothing || seen.contains(&(*at, group.clone())), || format!("no point at {at} for {group:?}"))?;
        }
    }
    Ok(())
}

fn is_nothing(op: &str, expected: &Expected) -> bool {
    match expected {
        Expected::Is(Value::Null) => true,
        Expected::Is(value) => matches!(op, "COUNT" | "COUNT_DISTINCT") && *value == Value::Int(0),
        // Rounding may make a very short overlap none.
        Expected::Percentile { .. } => false,
        Expected::Between(low, _) => matches!(op, "COUNT" | "CONCURRENCY") && *low <= 0.0,
        Expected::Heatmap(cells) => cells.is_empty(),
        Expected::Anything => true,
    }
}

/// A bucket without events; formulas say of it what they like.
fn empty_row(calculations: &[model::query::Calculation], shown: &[usize], cells: &[Cell]) -> Outcome {
    for (calculation, cell) in shown.iter().map_while(|at| calculations.get(*at)).zip(cells) {
        let fits = match cell {
            Cell::Null => calculation.op != "COUNT",
            Cell::Heatmap(map) => map.counts.iter().all(|c| *c == 0.0),
            // What a RATE is after the last event is a matter of taste.
            _ => cell.as_f64() == Some(0.0) || calculation.op.starts_with("RATE_"),
        };
        require(fits, || format!("{} is {cell:?} in a bucket without events", calculation.key()))?;
    }
    Ok(())
}

/// TOTAL is all that matched, OTHER what is not in the results; havings do not matter to either.
fn totals(answer: &Answer, events: &[Event], question: &Question, granularity: i64) -> Outcome {
    let n_breakdowns = question.spec.breakdowns.len();
    let mut whole = question.clone();
    whole.spec.breakdowns.clear();
    let shown = oracle::shown(&question.spec);
    if let Some(cells) = &answer.totals {
        let truth = oracle::answer(events, &whole, granularity);
        accept_row(&without_rates(truth, question), &shown, cells, answer, n_breakdowns).map_err(|e| format!("total: {e}"))?;
    }
    if let Some(cells) = &answer.other {
        let returned: BTreeSet<Vec<Key>> = answer.results.iter().map(|row| key(&row[..n_breakdowns])).collect();
        let others: Vec<Event> =
            events.iter().filter(|e| !returned.contains(&oracle::group(e, &question.spec.breakdowns))).cloned().collect();
        let truth = oracle::answer(&others, &whole, granularity);
        accept_row(&without_rates(truth, question), &shown, cells, answer, n_breakdowns).map_err(|e| format!("other: {e}"))?;
    }
    Ok(())
}

/// TOTAL and OTHER need not say rates.
fn without_rates(mut truth: Truth, question: &Question) -> Vec<Expected> {
    let calculations = oracle::calculations(&question.spec);
    for (cell, c) in truth.groups.get_mut(&Vec::new()).expect("one group").iter_mut().zip(calculations) {
        if c.op.starts_with("RATE_") {
            *cell = Expected::Anything;
        }
    }
    truth.with_formulas(&question.spec).groups.remove(&Vec::new()).expect("one group")
}

/// Whether two answers to the same question are the same but for rounding.
pub(crate) fn with_other(a: &Answer, b: &Answer) -> Outcome {
    require(a.columns == b.columns && a.granularity_ns == b.granularity_ns, || "other columns or granularity".into())?;
    require(a.meta.rows_matched == b.meta.rows_matched, || "other rows_matched".into())?;
    require(a.raw == b.raw, || "other raw rows".into())?;
    require(a.meta.approximate == b.meta.approximate, || "other approximations".into())?;
    require(a.results.len() == b.results.len() && a.series.len() == b.series.len(), || "other numbers of rows".into())?;
    let points = || a.series.tagged().zip(b.series.tagged());
    let of_results = a.results.iter().zip(&b.results).map(|(a, b)| (a.as_slice(), b.as_slice()));
    let rows = of_results.chain(points().map(|((.., a), (.., b))| (a, b)));
    let others = a.totals.iter().zip(&b.totals).chain(a.other.iter().zip(&b.other));
    for (a, b) in rows.chain(others.map(|(a, b)| (a.as_slice(), b.as_slice()))) {
        require(a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)), || format!("{a:?} here, {b:?} there"))?;
    }
    require(points().all(|((a, of_a, _), (b, of_b, _))| (a, of_a) == (b, of_b)), || "other buckets".into())?;
    match (&a.compare, &b.compare) {
        (Some(a), Some(b)) => with_other(a, b),
        (a, b) => require(a.is_none() && b.is_none(), || "only one compares".into()),
    }
}

fn same(a: &Cell, b: &Cell) -> bool {
    let close = |a: f64, b: f64| a == b || (a - b).abs() <= 1e-9 * a.abs().max(b.abs());
    match (a, b) {
        (Cell::Heatmap(a), Cell::Heatmap(b)) => {
            a.from == b.from && a.counts.len() == b.counts.len() && a.counts.iter().zip(&b.counts).all(|(a, b)| close(*a, *b))
        }
        (Cell::Int(a), Cell::Int(b)) => a == b,
        _ => match (a.as_f64(), b.as_f64()) {
            (Some(a), Some(b)) => close(a, b),
            _ => a == b,
        },
    }
}
