//! Numbers for all values of several dictionaries at once.
//!
//! Dictionaries are ascending, so what they have in common lies in the same ranges of values. Range by range, equal values
//! are found in a table that fits a CPU's innermost cache. Of the dictionaries only a page each is decoded at a time: what
//! is left of them in memory are the different values, once, and the numbers.
//!
//! Owns: finding equal values of dictionaries. Never does: read blocks.

use super::place::Place;
use crate::EngineError;
use crate::caches::{CodeMap, ColumnIds};
use crate::intern::{Key, SHARDS, Sorted, Values};
use crate::run::{Run, parallel};
use model::ColumnKind;
use parking_lot::Mutex;
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};
use store::segment::{DictPages, Mark, Texts};

/// A dictionary whose values have no numbers yet.
struct Unnumbered<'s> {
    place: Place<'s>,
    pages: DictPages<'s>,
    /// Nobody else sees it before it is complete; until then it holds places instead of numbers.
    map: CodeMap,
}

/// Values that are numbered together, on average: few enough that threads end at about the same time.
const PART_VALUES: usize = 1 << 17;
/// Bytes of most values.
const TEXT_BYTES: usize = 16;
/// Values of the largest dictionary in a range.
const RANGE_VALUES: usize = 256;

/// A further thread numbers values if there are so many: it has to be started.
const VALUES_PER_THREAD: usize = 1 << 15;

/// Gives all values of these dictionaries their numbers, and puts complete maps in the place of those they have.
pub(crate) fn number_dicts<'s>(places: impl Iterator<Item = Place<'s>>, ids: &ColumnIds, run: &Run) -> Result<(), EngineError> {
    let dict = |place: Place<'s>| {
        let pages = place.dict_pages()?;
        Ok(Unnumbered { place, pages, map: CodeMap::new(pages.len()) })
    };
    let mut dicts: Vec<Unnumbered<'_>> = places.map(dict).collect::<Result<_, EngineError>>()?;
    dicts.sort_by_key(|d| (d.place.kind, std::cmp::Reverse(d.pages.len())));
    for alike in dicts.chunk_by(|a, b| a.place.kind == b.place.kind) {
        number_alike(alike, ids, run)?;
    }
    for Unnumbered { place, map, .. } in dicts {
        map.complete(map.len());
        ids.keep_map(place.segment, place.index, map);
    }
    Ok(())
}

/// Dictionaries of one kind, the largest first.
fn number_alike(dicts: &[Unnumbered<'_>], ids: &ColumnIds, run: &Run) -> Result<(), EngineError> {
    let Some(largest) = dicts.first().filter(|d| d.pages.len() > 0) else { return Ok(()) };
    let total: usize = dicts.iter().map(|d| d.pages.len()).sum();
    let threads = run.threads.min(total / VALUES_PER_THREAD + 1);
    // Parts begin where pages of the largest begin.
    let n_pages = largest.pages.n_pages();
    let n_parts = total.div_ceil(PART_VALUES).max(threads).min(n_pages);
    let cuts: Vec<usize> = (0..=n_parts).map(|part| n_pages * part / n_parts).collect();
    let tables: Mutex<Vec<Table>> = Mutex::default();
    // Room at once: lists that grow leave memory behind them that was new, which costs more than what is done with it.
    let n_likely = (total / n_parts).min(PART_VALUES);
    let new_table = || Table { found: Texts::with_room(n_likely, n_likely * TEXT_BYTES), ..Table::default() };
    let found = parallel(threads, n_parts, |part| {
        run.check()?;
        let mut table = tables.lock().pop().unwrap_or_else(new_table);
        let found = Part::find(dicts, cuts[part]..cuts[part + 1], &mut table, run);
        tables.lock().push(table);
        found
    });
    let (parts, values): (Vec<Part>, Vec<Values>) = found.into_iter().collect::<Result<_, EngineError>>()?;
    match ids.interner.intern_bulk(values) {
        Ok(firsts) => {
            // Of the first, places are numbers.
            parallel(threads, parts.len() - 1, |i| parts[i + 1].renumber(dicts, |place| firsts[i + 1] + place));
        }
        Err(values) => {
            ids.interner.table_bulk(threads);
            let sorted = parallel(threads, values.len(), |i| Sorted::new(&values[i]));
            let numbers: Vec<Vec<AtomicU32>> = values.iter().map(|v| (0..v.len()).map(|_| AtomicU32::new(0)).collect()).collect();
            parallel(threads, SHARDS, |shard| {
                let found = |part: usize, i: usize, number| numbers[part][i].store(number, Ordering::Relaxed);
                ids.interner.intern_shard(shard, values.iter().zip(&sorted), found);
            });
            parallel(threads, parts.len(), |i| parts[i].renumber(dicts, |place| numbers[i][place as usize].load(Ordering::Relaxed)));
        }
    }
    Ok(())
}

/// Neighbouring entries of a dictionary, those of some pages.
struct Window<'d> {
    pages: DictPages<'d>,
    texts: Texts,
    /// The code of the first.
    first: usize,
    /// The page after those.
    next_page: usize,
    /// The code from which on nothing was dealt with.
    at: usize,
}

impl<'d> Window<'d> {
    /// From the first value that is not below `from`; `guess` is a page near it.
    fn new(pages: DictPages<'d>, from: Option<&[u8]>, guess: usize) -> Result<Window<'d>, EngineError> {
        let page = match from {
            Some(from) => page_before(pages, from, guess)?,
            None => 0,
        };
        let first = pages.first_code(page);
        let mut window = Window { pages, texts: Texts::default(), first, next_page: page, at: first };
        if let Some(from) = from {
            window.at = window.until(Some(from))?;
        }
        Ok(window)
    }

    /// The code after the last.
    fn end(&self) -> usize {
        self.first + self.texts.len()
    }

    fn text(&self, code: usize) -> &[u8] {
        self.texts.get((code - self.first) as u32)
    }

    /// The positions of some codes in `texts`.
    fn places(&self, codes: &Range<usize>) -> Range<usize> {
        codes.start - self.first..codes.end - self.first
    }

    /// Decodes a further page; whether there was one. Entries before `at` are dropped.
    fn grow(&mut self) -> Result<bool, EngineError> {
        if self.next_page == self.pages.n_pages() {
            return Ok(false);
        }
        self.texts.drop_first(self.at - self.first);
        self.first = self.at;
        self.pages.append(self.next_page, &mut self.texts)?;
        self.next_page += 1;
        Ok(true)
    }

    /// The first code from `at` on whose value is not below `bound`; without one, the end of the dictionary.
    fn until(&mut self, bound: Option<&[u8]>) -> Result<usize, EngineError> {
        let mut from = self.at;
        loop {
            let end = self.end();
            if let Some(bound) = bound.filter(|bound| from < end && self.text(end - 1) >= *bound) {
                return Ok(self.first_from(from..end, bound));
            }
            from = end;
            if !self.grow()? {
                return Ok(end);
            }
        }
    }

    /// The first code of some from which on values are not below `text`.
    fn first_from(&self, within: Range<usize>, text: &[u8]) -> usize {
        let (mut low, mut high) = (within.start, within.end);
        // Near the start more often than not.
        let mut step = 64;
        while low + step < high {
            if self.text(low + step) >= text {
                high = low + step;
                break;
            }
            low += step;
            step *= 2;
        }
        while low < high {
            let middle = low + (high - low) / 2;
            if self.text(middle) < text { low = middle + 1 } else { high = middle }
        }
        low
    }
}

/// The last page that begins with a value up to `text`, or the first; `guess` is one near it.
fn page_before(pages: DictPages<'_>, text: &[u8], guess: usize) -> Result<usize, EngineError> {
    let is_before = |page: usize| Ok::<bool, EngineError>(pages.first(page)?.as_slice() <= text);
    let (mut low, mut high, mut step) = (0, pages.n_pages(), 1);
    let guess = guess.min(high - 1);
    if is_before(guess)? {
        low = guess;
        while low + step < high {
            if !is_before(low + step)? {
                high = low + step;
                break;
            }
            low += step;
            step *= 2;
        }
    } else {
        high = guess;
        while step < high {
            if is_before(high - step)? {
                low = high - step;
                break;
            }
            high -= step;
            step *= 2;
        }
    }
    while low + 1 < high {
        let middle = low + (high - low) / 2;
        if is_before(middle)? { low = middle } else { high = middle }
    }
    Ok(low)
}

/// What finding equal values takes.
#[derive(Default)]
struct Table {
    /// Open addressing: 0 is free, else a position in the values of a range, plus 1.
    slots: Vec<u32>,
    /// Of the values of a range.
    marks: Vec<Mark>,
    /// Of what one dictionary has of it.
    own_marks: Vec<Mark>,
    found: Texts,
}

/// Different values of a kind, with no more memory than they need: lists that grow have up to twice that.
fn values_of(found: &Texts, kind: ColumnKind) -> Values {
    if kind.id().is_none() {
        return Values::Texts(found.clone());
    }
    let id = |i: usize| Key::of_entry(kind, found.get(i as u32)).bits;
    Values::Ids(Key::id(kind, 0).tag, (0..found.len()).map(id).collect())
}

/// A range of values, in all dictionaries.
struct Part {
    /// The codes of each dictionary.
    codes: Vec<Range<usize>>,
}

impl Part {
    /// Finds what lies on some pages of the first dictionary and between these values in the others. Answers its different
    /// values; the maps say for each code which of them it is.
    fn find(dicts: &[Unnumbered<'_>], own: Range<usize>, table: &mut Table, run: &Run) -> Result<(Part, Values), EngineError> {
        let pages = dicts[0].pages;
        let n_pages = pages.n_pages();
        let from = if own.start == 0 { None } else { Some(pages.first(own.start)?) };
        let to = if own.end == n_pages { None } else { Some(pages.first(own.end)?) };
        let (first, last) = (pages.first_code(own.start), pages.first_code(own.end));
        let mut windows = vec![Window { pages, texts: Texts::default(), first, next_page: own.start, at: first }];
        for d in &dicts[1..] {
            windows.push(Window::new(d.pages, from.as_deref(), d.pages.n_pages() * own.start / n_pages)?);
        }
        let starts: Vec<usize> = windows.iter().map(|w| w.at).collect();
        table.found.clear();
        let mut runs = Vec::new();
        while windows[0].at < last {
            run.go_on()?;
            let next = (windows[0].at + RANGE_VALUES).min(last);
            while windows[0].end() <= next && windows[0].end() < last {
                windows[0].grow()?;
            }
            let bound = if next == last { to.clone() } else { Some(windows[0].text(next).to_vec()) };
            runs.clear();
            runs.push((0, windows[0].at..next));
            for (i, window) in windows.iter_mut().enumerate().skip(1) {
                let end = window.until(bound.as_deref())?;
                if window.at < end {
                    runs.push((i, window.at..end));
                }
            }
            find_equal(dicts, &windows, &runs, table);
            for (i, codes) in &runs {
                windows[*i].at = codes.end;
            }
            // Positions of texts have 32 bits.
            if table.found.n_bytes() > run.memory_bytes_max.min(u32::MAX as usize / 2) {
                return Err(EngineError::Memory {
                    limit: run.memory_bytes_max,
                    what: "values to group by",
                    hint: "filter more, group by other columns, or narrow the time range",
                });
            }
        }
        let codes = starts.into_iter().zip(&windows).map(|(start, window)| start..window.at).collect();
        Ok((Part { codes }, values_of(&table.found, dicts[0].place.kind)))
    }

    /// Puts numbers in the place of the positions of values.
    fn renumber(&self, dicts: &[Unnumbered<'_>], number: impl Fn(u32) -> u32) {
        for (dict, codes) in dicts.iter().zip(&self.codes) {
            dict.map.renumber(codes.clone(), &number);
        }
    }
}

/// Finds what is equal in some runs (of which dictionary, and codes), which have nothing in common with what was found before.
fn find_equal(dicts: &[Unnumbered<'_>], windows: &[Window<'_>], runs: &[(usize, Range<usize>)], table: &mut Table) {
    let Table { slots, marks, own_marks, found } = table;
    let first = found.len();
    if let [(dict, codes)] = runs {
        found.append(&windows[*dict].texts, windows[*dict].places(codes));
        codes.clone().enumerate().for_each(|(i, code)| dicts[*dict].map.set(code, (first + i) as u32));
        return;
    }
    let n: usize = runs.iter().map(|r| r.1.len()).sum();
    slots.clear();
    slots.resize((n * 2).next_power_of_two(), 0);
    marks.resize(n.max(marks.len()), Mark::default());
    // As slices: where they lie does not change while values are found.
    let (slots, marks, mut n_found) = (slots.as_mut_slice(), marks.as_mut_slice(), 0);
    let mask = slots.len() - 1;
    for (dict, codes) in runs {
        let (window, map) = (&windows[*dict], &dicts[*dict].map);
        window.texts.marks(window.places(codes), own_marks);
        for (code, mark) in codes.clone().zip(own_marks.iter()) {
            let mut at = mark.hash() as usize & mask;
            let place = loop {
                let Some(place) = (slots[at] as usize).checked_sub(1) else {
                    if mark.is_exact() {
                        found.push_exact(*mark)
                    } else {
                        found.push(window.text(code))
                    }
                    marks[n_found] = *mark;
                    n_found += 1;
                    slots[at] = n_found as u32;
                    break n_found - 1;
                };
                if marks[place] == *mark && (mark.is_exact() || found.get((first + place) as u32) == window.text(code)) {
                    break place;
                }
                at = (at + 1) & mask;
            };
            map.set(code, (first + place) as u32);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cell;
    use std::sync::Arc;
    use store::Segment;

    /// One segment with a column of these values.
    fn segment(values: impl Iterator<Item = String>) -> Arc<Segment> {
        let mut builder = model::BatchBuilder::new();
        for (i, value) in values.enumerate() {
            // Twice each, so that ids get a dictionary, too.
            for n in 0..2 {
                builder.begin();
                let column = builder.column("x");
                builder.value(column, &model::Value::Str(value.clone()));
                builder.end((i * 2 + n) as i64, 1.0);
            }
        }
        Arc::new(Segment::from_bytes(store::segment::encode(&builder.finish())).unwrap())
    }

    #[test]
    fn equal_values_get_one_number() {
        let long = "a long beginning that all of them have, ".repeat(8);
        let hex = |i: usize| format!("{:016x}", i * 1_000_003);
        let segments = [
            segment((0..20_000).map(|i| format!("u{:06}", i * 3))),
            segment((0..30_000).map(|i| format!("u{:06}", i * 2))),
            // Before and behind all others, and between two of them.
            segment((0..3_000).map(|i| format!("{long}{i}"))),
            segment((0..100).map(|i| format!("{long}{}", i * 50)).chain((0..5_000).map(|i| format!("u0000061{i}")))),
            segment((0..4_000).map(|i| format!("v{i}")).chain(std::iter::once("u000006".to_owned()))),
            segment((0..3_000).map(|i| format!("v{}", i * 2))),
            segment((0..9_000).map(hex)),
            segment((0..5_000).map(|i| hex(i * 7))),
        ];
        let places: Vec<Place<'_>> = segments.iter().flat_map(|s| Place::find(s, "x")).collect();
        for known in [false, true] {
            let ids = ColumnIds::default();
            if known {
                ids.interner.intern(Key::text("u000006"), || "u000006");
                ids.interner.intern(Key::text(&hex(7)), || "");
            }
            number_dicts(places.iter().copied(), &ids, &Run::new(0)).unwrap();
            let mut by_text = std::collections::HashMap::new();
            let mut scratch = String::new();
            for place in &places {
                let map = ids.map(place.segment, place.index, place.n_dict());
                assert!(map.is_complete());
                let dict = place.dict().unwrap();
                for code in 0..dict.len() {
                    let (text, id) = (dict.text(code as u32, &mut scratch).to_owned(), map.get(code).unwrap());
                    assert_eq!(ids.interner.value(id), Cell::Str(text.as_str().into()));
                    assert_eq!(*by_text.entry(text).or_insert(id), id);
                }
            }
            let different: std::collections::HashSet<u32> = by_text.values().copied().collect();
            assert_eq!(different.len(), by_text.len());
        }
    }
}
