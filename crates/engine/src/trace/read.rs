//! Finds the rows of a trace and reads the columns that its tree needs, and no others.
//!
//! Owns: which columns play which part, and how cells become numbers of [`Rows`]. Never does: put rows in place.

use super::rows::{Ids, RowKind, Rows, Texts};
use crate::EngineError;
use crate::caches::Caches;
use crate::intern::id_bits;
use crate::memory::Budget;
use crate::plan::{Field, Plan};
use crate::run::{Run, parallel};
use crate::scan::apply::FilterBuffers;
use crate::scan::filter::written;
use crate::scan::place::{Place, Source};
use crate::scan::prepare::{Prepared, Wanted, prepare};
use crate::scan::select::{self, is_valid};
use model::{IdKind, TimeNs, Value, columns};
use store::segment::{BLOCK_ROWS, GatherBuffers, Layout, Scratch, Valid, is_sparse};

/// Columns that play a part, the usual one first.
const SPAN_ID: &[&str] = &[columns::SPAN_ID];
const PARENT_ID: &[&str] = &[columns::PARENT_ID];
const NAME: &[&str] = &["name"];
/// What tells of events that have no name.
const NAME_OF_LOG: &[&str] = &["event.name", "body", "message"];
const SERVICE: &[&str] = &columns::SERVICES;
const DURATION_MS: &[&str] = &[columns::DURATION_MS, "durationMs"];
const SPAN_KIND: &[&str] = &[columns::SPAN_KIND, "meta.span_type"];
const ERROR: &[&str] = &[columns::ERROR];
const STATUS_CODE: &[&str] = &[columns::STATUS_CODE];
pub(super) const ANNOTATION: &[&str] = &[columns::ANNOTATION_TYPE];
pub(super) const SIGNAL: &[&str] = &[columns::SIGNAL_TYPE];
const LINK_TRACE: &[&str] = &["trace.link.trace_id"];
const LINK_SPAN: &[&str] = &["trace.link.span_id"];

/// Characters of a text that stands in for a name.
const NAME_CHARS: usize = 120;
/// Bytes that a row takes while its trace is put together.
const ROW_BYTES: usize = 240;
/// Longest duration that is believed, in nanoseconds: a hundred years.
const DURATION_NS_MAX: f64 = 3.2e18;

/// Where a row is: its time, its segment among those that were made ready, its number there.
type Place3 = (TimeNs, u32, u32);

/// The rows of a trace in order of time.
pub(crate) struct Found<'s> {
    prepared: Prepared<'s>,
    rows: Vec<Place3>,
    /// There are more.
    pub(crate) truncated: bool,
    /// Time ran out before all events were looked at.
    pub(crate) stopped: bool,
    pub(crate) rows_scanned: u64,
}

/// Finds the rows that a plan without groups selects, the first `plan.limit` of them by time.
pub(crate) fn find<'s>(source: Source<'s>, plan: &Plan, run: &Run, budget: &Budget, caches: &Caches) -> Result<Found<'s>, EngineError> {
    let wanted = Wanted { plan, fields: Vec::new(), concurrency: false };
    let prepared = prepare(source, &wanted, caches, run)?;
    // Chunks of blocks, so that each thread keeps its buffers for a while.
    let per_chunk = prepared.units.len().div_ceil(run.threads.max(1) * 8).max(1);
    let chunks: Vec<&[(u32, u32)]> = prepared.units.chunks(per_chunk).collect();
    let parts = parallel(run.threads, chunks.len(), |i| {
        let (mut filter, mut scratch, mut times) = (FilterBuffers::default(), Scratch::default(), Scratch::default());
        let (mut found, mut scanned): (Vec<Place3>, u64) = (Vec::new(), 0);
        for &(segment, block) in chunks[i] {
            match run.check() {
                Ok(()) => {}
                Err(EngineError::Deadline) => return Ok((found, scanned, true)),
                Err(e) => return Err(e),
            }
            let ready = &prepared.segments[segment as usize];
            let (first, last) = ready.segment.block_times(block as usize);
            let n = ready.segment.block_rows(block as usize);
            let (mut low, mut high) = (0, n);
            if first < plan.start_ns || last >= plan.end_ns {
                let times = ready.segment.read_times(block as usize, &mut times)?;
                low = times.partition_point(|t| *t < plan.start_ns);
                high = times.partition_point(|t| *t < plan.end_ns).max(low);
            }
            scanned += (high - low) as u64;
            let rows = ready.filter.select(n, block as usize, (low, high), &mut filter, &mut scratch)?;
            if rows.len() == 0 {
                continue;
            }
            budget.reserve(rows.len() * ROW_BYTES, "the events of one trace", "name a time near the trace, or one dataset")?;
            let times = ready.segment.read_times(block as usize, &mut times)?;
            let base = block * BLOCK_ROWS as u32;
            rows.each(|_, row| found.push((times[row], segment, base + row as u32)));
        }
        Ok((found, scanned, false))
    });
    let (mut rows, mut rows_scanned, mut stopped) = (Vec::new(), 0, false);
    for part in parts {
        let (found, scanned, ended) = part?;
        rows.extend(found);
        rows_scanned += scanned;
        stopped |= ended;
    }
    rows.sort_unstable();
    let truncated = rows.len() > plan.limit;
    rows.truncate(plan.limit);
    Ok(Found { prepared, rows, truncated, stopped, rows_scanned })
}

/// A cell, as it is stored.
enum Atom<'a> {
    Text(&'a str),
    Id(IdKind, u128),
    Int(i64),
    Float(f64),
    Bool(bool),
}

/// Rows of one segment: where they are in the table, and their numbers there, which ascend.
struct Share {
    segment: usize,
    at: Vec<u32>,
    rows: Vec<u32>,
}

impl Found<'_> {
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The columns that services and durations are in.
    pub(crate) fn columns(&self, source: Source<'_>) -> (&'static str, &'static str) {
        let has = |name: &str| self.prepared.segments.iter().any(|s| source.stored(s.index, name).next().is_some());
        let first = |names: &'static [&'static str]| names.iter().find(|name| has(name)).copied().unwrap_or(names[0]);
        (first(SERVICE), first(DURATION_MS))
    }

    fn shares(&self) -> Vec<Share> {
        let mut shares: Vec<Share> = Vec::new();
        let mut of: Vec<u32> = vec![u32::MAX; self.prepared.segments.len()];
        for (i, (_, segment, row)) in self.rows.iter().enumerate() {
            let slot = &mut of[*segment as usize];
            if *slot == u32::MAX {
                *slot = shares.len() as u32;
                shares.push(Share { segment: *segment as usize, at: Vec::new(), rows: Vec::new() });
            }
            let share = &mut shares[*slot as usize];
            share.at.push(i as u32);
            share.rows.push(*row);
        }
        shares
    }

    /// The table of a trace.
    pub(crate) fn table(&self, source: Source<'_>) -> Result<Rows, EngineError> {
        let shares = self.shares();
        let mut rows = Rows { start_ns: self.rows.iter().map(|r| r.0).collect(), ..Rows::default() };
        let reader = Reader { found: self, source, shares: &shares };
        rows.span = reader.ids(SPAN_ID, &mut rows.ids)?;
        rows.parent = reader.ids(PARENT_ID, &mut rows.ids)?;
        rows.name = reader.texts(NAME, &mut rows.names, None)?;
        rows.service = reader.texts(SERVICE, &mut rows.services, None)?;
        rows.span_kind = reader.texts(SPAN_KIND, &mut rows.span_kinds, None)?;
        let duration_ms = reader.read(DURATION_MS, f64::NAN, |atom| number(&atom))?;
        let error = reader.read(ERROR, false, |atom| is_true(&atom))?;
        let failed = reader.read(STATUS_CODE, false, |atom| is_failure(&atom))?;
        rows.error = error.into_iter().zip(failed).map(|(a, b)| a || b).collect();
        let mut words = Texts::default();
        let annotation = reader.texts(ANNOTATION, &mut words, None)?;
        let signal = reader.texts(SIGNAL, &mut words, None)?;
        rows.kind = (0..rows.len())
            .map(|i| match (words.get(annotation[i]), words.get(signal[i])) {
                ("link", _) => RowKind::Link,
                (_, "log") => RowKind::Log,
                ("", "metric" | "profile") => RowKind::Other,
                ("", _) if rows.span[i] != 0 || !duration_ms[i].is_nan() => RowKind::Span,
                ("", _) => RowKind::Other,
                _ => RowKind::SpanEvent,
            })
            .collect();
        let nameless: Vec<bool> = (0..rows.len()).map(|i| rows.name[i] == 0 && rows.kind[i] != RowKind::Span).collect();
        if nameless.contains(&true) {
            let texts = reader.texts(NAME_OF_LOG, &mut rows.names, Some(&nameless))?;
            for (name, text) in rows.name.iter_mut().zip(texts) {
                *name = if *name == 0 { text } else { *name };
            }
        }
        if rows.kind.contains(&RowKind::Link) {
            let (trace, span) = (reader.ids(LINK_TRACE, &mut rows.ids)?, reader.ids(LINK_SPAN, &mut rows.ids)?);
            let of_links = (0..rows.len()).filter(|i| rows.kind[*i] == RowKind::Link);
            rows.links = of_links.map(|i| (i as u32, trace[i], span[i])).collect();
        }
        for i in 0..rows.len() {
            // Some write the span that an event belongs to where spans have their own id.
            if matches!(rows.kind[i], RowKind::SpanEvent | RowKind::Link | RowKind::Log) && rows.parent[i] == 0 {
                rows.parent[i] = std::mem::take(&mut rows.span[i]);
            }
        }
        let nanoseconds = |ms: f64| if ms > 0.0 { (ms * 1e6).round().min(DURATION_NS_MAX) as i64 } else { 0 };
        let spans = |(kind, ms): (&RowKind, f64)| if *kind == RowKind::Span { nanoseconds(ms) } else { 0 };
        rows.duration_ns = rows.kind.iter().zip(duration_ms).map(spans).collect();
        Ok(rows)
    }

    /// The cells of a column, for all rows.
    pub(crate) fn values(&self, source: Source<'_>, field: &Field) -> Result<Vec<Value>, EngineError> {
        let mut out = vec![Value::Null; self.len()];
        for share in self.shares() {
            let index = self.prepared.segments[share.segment].index;
            let rows: Vec<usize> = share.rows.iter().map(|r| *r as usize).collect();
            if matches!(field, Field::Dataset) {
                share.at.iter().for_each(|at| out[*at as usize] = Value::Str(source.dataset(index).to_owned()));
            }
            for place in source.places(index, field)? {
                for (at, value) in share.at.iter().zip(place.cells(&rows)?) {
                    if value != Value::Null {
                        out[*at as usize] = value.canonical();
                    }
                }
            }
        }
        Ok(out)
    }
}

struct Reader<'f> {
    found: &'f Found<'f>,
    source: Source<'f>,
    shares: &'f [Share],
}

impl Reader<'_> {
    fn ids(&self, names: &[&str], ids: &mut Ids) -> Result<Vec<u32>, EngineError> {
        self.read(names, 0, |atom| match atom {
            Atom::Id(kind, bits) => ids.packed(kind, bits),
            Atom::Text(text) => ids.text(text),
            other => ids.text(&shown(&other)),
        })
    }

    /// `only`: for these rows alone, others need not be read.
    fn texts(&self, names: &[&str], texts: &mut Texts, only: Option<&[bool]>) -> Result<Vec<u32>, EngineError> {
        let mut make = |atom: Atom<'_>| match atom {
            Atom::Text(text) if only.is_none() => texts.add(text),
            other => texts.add(&cut(&shown(&other))),
        };
        match only {
            None => self.read(names, 0, make),
            Some(only) => self.read_some(names, 0, |at| only[at], &mut make),
        }
    }

    fn read<T: Copy + PartialEq>(&self, names: &[&str], missing: T, mut make: impl FnMut(Atom<'_>) -> T) -> Result<Vec<T>, EngineError> {
        self.read_some(names, missing, |_| true, &mut make)
    }

    /// What the first of these columns that a row has holds. Of texts that repeat, `make` sees each but once a segment.
    fn read_some<T: Copy + PartialEq>(
        &self,
        names: &[&str],
        missing: T,
        wanted: impl Fn(usize) -> bool,
        make: &mut dyn FnMut(Atom<'_>) -> T,
    ) -> Result<Vec<T>, EngineError> {
        let mut out = vec![missing; self.found.len()];
        let mut has = vec![false; self.found.len()];
        let mut buffers = Buffers::default();
        for share in self.shares {
            let index = self.found.prepared.segments[share.segment].index;
            for name in names {
                for place in self.source.stored(index, name) {
                    let (mut at, mut rows) = (Vec::new(), Vec::new());
                    for (a, row) in share.at.iter().zip(&share.rows).filter(|(a, _)| !has[**a as usize] && wanted(**a as usize)) {
                        at.push(*a);
                        rows.push(*row);
                    }
                    cells(&place, &rows, &mut buffers, make, &mut |i, value| {
                        let at = at[i] as usize;
                        // An empty text is no answer; the next column may have one.
                        has[at] = value != missing;
                        out[at] = value;
                    })?;
                }
            }
        }
        Ok(out)
    }
}

#[derive(Default)]
struct Buffers {
    scratch: Scratch,
    gather: GatherBuffers,
    in_block: Vec<u32>,
}

/// Calls `put` with position and value of every cell that is there.
fn cells<T: Copy>(
    place: &Place<'_>,
    rows: &[u32],
    buffers: &mut Buffers,
    make: &mut dyn FnMut(Atom<'_>) -> T,
    put: &mut dyn FnMut(usize, T),
) -> Result<(), EngineError> {
    let segment = place.segment;
    // Codes are looked up at the end, each once.
    let mut codes: Vec<(u32, u32)> = Vec::new();
    let mut from = 0;
    while from < rows.len() {
        let block = rows[from] as usize / BLOCK_ROWS;
        let to = from + rows[from..].partition_point(|r| *r as usize / BLOCK_ROWS == block);
        let base = (block * BLOCK_ROWS) as u32;
        buffers.in_block.clear();
        buffers.in_block.extend(rows[from..to].iter().map(|r| r - base));
        let Buffers { scratch, gather, in_block } = &mut *buffers;
        let sparse = is_sparse(in_block.len(), segment.block_rows(block));
        let each = || in_block.iter().map(|r| *r as usize).enumerate();
        match place.layout {
            Layout::Dict | Layout::Bools if sparse => {
                let found = segment.codes_at(place, block, in_block, gather)?;
                codes.extend(found.iter().enumerate().map(|(i, c)| (*c, (from + i) as u32)));
            }
            Layout::Dict | Layout::Bools => {
                codes.reserve(in_block.len());
                select::Rows::List(in_block)
                    .each_code(place.codes(block, scratch)?, |i, code| codes.push((code as u32, (from + i) as u32)));
            }
            Layout::Floats if sparse => {
                let (found, numbers) = segment.floats_at(place, block, in_block, gather)?;
                found.iter().zip(numbers).for_each(|(i, v)| put(from + *i as usize, make(Atom::Float(*v))));
            }
            _ if sparse => {
                for (i, row) in each() {
                    if let Some(value) = atom(&place.cell(row + base as usize)?, &mut *make) {
                        put(from + i, value);
                    }
                }
            }
            Layout::Ints => {
                let (numbers, valid) = place.ints(block, scratch)?;
                put_valid(each(), valid, |i, row| put(from + i, make(Atom::Int(numbers[row]))));
            }
            Layout::Floats => {
                let (numbers, valid) = place.floats(block, scratch)?;
                put_valid(each(), valid, |i, row| put(from + i, make(Atom::Float(numbers[row]))));
            }
            Layout::Ids => {
                let kind = place.kind.id();
                let (ids, valid) = place.ids(block, scratch)?;
                put_valid(each(), valid, |i, row| {
                    if let Some(kind) = kind {
                        put(from + i, make(Atom::Id(kind, ids[row])));
                    }
                });
            }
        }
        from = to;
    }
    if codes.is_empty() {
        return Ok(());
    }
    if place.layout == Layout::Bools {
        codes.iter().filter(|c| c.0 < 2).for_each(|(c, i)| put(*i as usize, make(Atom::Bool(*c == 1))));
        return Ok(());
    }
    let n = place.n_dict() as u32;
    codes.sort_unstable();
    let firsts: Vec<(u32, u32)> = codes.chunk_by(|a, b| a.0 == b.0).map(|chunk| chunk[0]).filter(|c| c.0 < n).collect();
    let wanted: Vec<usize> = firsts.iter().map(|c| rows[c.1 as usize] as usize).collect();
    let texts = place.cells(&wanted)?;
    for (chunk, text) in codes.chunk_by(|a, b| a.0 == b.0).zip(&texts) {
        if let Some(value) = atom(text, &mut *make) {
            chunk.iter().for_each(|(_, i)| put(*i as usize, value));
        }
    }
    Ok(())
}

fn put_valid(each: impl Iterator<Item = (usize, usize)>, valid: Valid<'_>, mut put: impl FnMut(usize, usize)) {
    match valid {
        Valid::All => each.for_each(|(i, row)| put(i, row)),
        Valid::None => {}
        valid => each.filter(|(_, row)| is_valid(valid, *row)).for_each(|(i, row)| put(i, row)),
    }
}

/// What is made of a value.
fn atom<T>(value: &Value, make: &mut dyn FnMut(Atom<'_>) -> T) -> Option<T> {
    Some(match value {
        Value::Null => return None,
        Value::Bool(b) => make(Atom::Bool(*b)),
        Value::Int(i) => make(Atom::Int(*i)),
        Value::Float(f) => make(Atom::Float(*f)),
        Value::Str(s) => match model::parse_id(s.as_bytes()) {
            Some((kind, raw)) => make(Atom::Id(kind, id_bits(kind, &raw))),
            None => make(Atom::Text(s)),
        },
    })
}

/// A cell as text; numbers as they are written, so that 5, 5.0 and "5" are one id.
fn shown(atom: &Atom<'_>) -> String {
    match atom {
        Atom::Text(text) => (*text).to_owned(),
        Atom::Id(kind, bits) => {
            let mut out = String::new();
            crate::intern::id_text(*kind, *bits, &mut out);
            out
        }
        Atom::Int(i) => i.to_string(),
        Atom::Float(f) => written(&Value::Float(*f).canonical()),
        Atom::Bool(b) => b.to_string(),
    }
}

/// A text in one line, and not too long.
fn cut(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(NAME_CHARS) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

fn number(atom: &Atom<'_>) -> f64 {
    match atom {
        Atom::Int(i) => *i as f64,
        Atom::Float(f) => *f,
        _ => f64::NAN,
    }
}

/// Whether an `error` column says that there was one: true, a number but 0, or a text that is not a no.
fn is_true(atom: &Atom<'_>) -> bool {
    match atom {
        Atom::Bool(b) => *b,
        Atom::Int(i) => *i != 0,
        Atom::Float(f) => *f != 0.0,
        Atom::Text(text) => !matches!(text.to_ascii_lowercase().as_str(), "" | "false" | "0" | "no" | "none" | "null"),
        Atom::Id(..) => true,
    }
}

/// OpenTelemetry's status of a span: 2 is an error.
fn is_failure(atom: &Atom<'_>) -> bool {
    match atom {
        Atom::Int(i) => *i == 2,
        Atom::Float(f) => *f == 2.0,
        Atom::Text(text) => matches!(*text, "2" | "ERROR" | "STATUS_CODE_ERROR" | "Error"),
        _ => false,
    }
}
