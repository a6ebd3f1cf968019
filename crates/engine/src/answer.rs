//! Answers, and how they become JSON (docs/asking-questions.md) without a tree of values in between.
//!
//! Owns: the shape of answers. Never does: compute them.

use crate::SeriesPoints;
use crate::calc::number::compare;
use model::time::rfc3339;
use model::{TimeNs, Value};
use serde::ser::{SerializeMap, SerializeSeq, SerializeStruct};
use serde::{Serialize, Serializer};
use std::cmp::Ordering;
use std::sync::Arc;

/// One value of an answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Cell {
    /// Nothing: a missing group value, or a calculation without input.
    #[default]
    Null,
    /// A truth value.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A float.
    Float(f64),
    /// Text.
    Str(Arc<str>),
    /// A distribution.
    Heatmap(Arc<Heatmap>),
}

impl Cell {
    /// A number without fraction becomes an integer.
    pub(crate) fn number(f: f64) -> Cell {
        match Value::Float(f).canonical() {
            Value::Int(i) => Cell::Int(i),
            _ => Cell::Float(f),
        }
    }

    /// The number, if it is one.
    #[must_use]
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Cell::Int(i) => Some(*i as f64),
            Cell::Float(f) => Some(*f),
            _ => None,
        }
    }

    /// Ascending: truth values, numbers, texts, distributions; what is missing comes last.
    #[inline]
    pub(crate) fn compare(&self, other: &Cell) -> Ordering {
        fn class(c: &Cell) -> u8 {
            match c {
                Cell::Bool(_) => 0,
                Cell::Int(_) | Cell::Float(_) => 1,
                Cell::Str(_) => 2,
                Cell::Heatmap(_) => 3,
                Cell::Null => 4,
            }
        }
        match (self, other) {
            (Cell::Bool(a), Cell::Bool(b)) => a.cmp(b),
            (Cell::Int(a), Cell::Int(b)) => a.cmp(b),
            (Cell::Str(a), Cell::Str(b)) => a.cmp(b),
            (Cell::Float(a), Cell::Float(b)) => a.total_cmp(b),
            // Exactly: through floats, large integers would be equal to what they are not, and no order would be left.
            (Cell::Int(a), Cell::Float(b)) => compare(*a, *b),
            (Cell::Float(a), Cell::Int(b)) => compare(*b, *a).reverse(),
            _ => class(self).cmp(&class(other)),
        }
    }
}

impl From<Value> for Cell {
    fn from(value: Value) -> Cell {
        match value {
            Value::Null => Cell::Null,
            Value::Bool(b) => Cell::Bool(b),
            Value::Int(i) => Cell::Int(i),
            Value::Float(f) => Cell::Float(f),
            Value::Str(s) => Cell::Str(s.into()),
        }
    }
}

/// Weights of neighbouring buckets of values; which values they hold is said once per answer, by [`HeatmapScale`].
#[derive(Clone, Debug, PartialEq)]
pub struct Heatmap {
    /// Index of the first bucket.
    pub from: i32,
    /// Weight in each bucket.
    pub counts: Vec<f64>,
}

/// Which values the buckets of a HEATMAP hold. Bucket 0: `-zero_below < v < zero_below`. Bucket i > 0 starts at
/// `zero_below * 2^((i-1) div n) * (1 + ((i-1) mod n) / n)`, n = `buckets_per_octave`, and ends where the next one
/// starts; bucket -i holds the same values with a minus sign.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct HeatmapScale {
    /// Always `log_linear`.
    pub scale: &'static str,
    /// Buckets of equal width between a power of two and the next.
    pub buckets_per_octave: u32,
    /// A power of two.
    pub zero_below: f64,
}

/// A result that is not exact, and how far it can be off.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Approximate {
    /// Key of the calculation.
    pub key: Arc<str>,
    /// Bound (percentiles) or standard error (COUNT_DISTINCT), as a share of the value.
    pub relative_error: f64,
}

/// What is worth knowing about how the answer came about.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Meta {
    /// Events that were looked at.
    pub rows_scanned: u64,
    /// Events that passed the filters. For raw rows at least those in the answer: reading stops when they are known.
    pub rows_matched: u64,
    /// Segments that had to be looked into.
    pub segments: u64,
    /// Milliseconds inside the engine.
    pub engine_ms: f64,
    /// Milliseconds since the request arrived; set by the server.
    pub elapsed_ms: Option<f64>,
    /// Share of the events that were looked at; below 1 the answer is partial.
    pub coverage: f64,
    /// Remarks for people.
    pub notes: Vec<String>,
    /// Calculations that are not exact.
    pub approximate: Vec<Approximate>,
    /// Scales of the HEATMAPs.
    pub heatmaps: Vec<(Arc<str>, HeatmapScale)>,
    /// Where relatives of events were looked for, if the question asks for them.
    pub relations: Option<Relations>,
}

/// Where relatives were looked for, and events of the range that lack them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Relations {
    /// First time of events that may be relatives.
    pub events_from_ns: TimeNs,
    /// First time after it of those that may not.
    pub events_to_ns: TimeNs,
    /// Events of a trace without root, if roots were looked for.
    pub without_root: Option<u64>,
    /// Events whose parent is not there, if parents or children were looked for.
    pub without_parent: Option<u64>,
}

impl Meta {
    /// Says so if not everything was read.
    pub(crate) fn note_partial(&mut self) {
        if self.coverage < 1.0 && self.notes.is_empty() {
            self.notes.push("stopped before all events were read; newer events were read first".to_owned());
        }
    }
}

/// An event as it was sent.
#[derive(Clone, Debug, PartialEq)]
pub struct RawEvent {
    /// Event time.
    pub time: TimeNs,
    /// Sample rate.
    pub sample_rate: f64,
    /// Name of its dataset, if the snapshot knows.
    pub dataset: Option<Arc<str>>,
    /// Fields, by name.
    pub fields: Vec<(Arc<str>, Value)>,
}

/// The answer to a question.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// First time that counted.
    pub start_ns: TimeNs,
    /// First time after it that did not.
    pub end_ns: TimeNs,
    /// Length of the buckets of the series, if there is one.
    pub granularity_ns: Option<i64>,
    /// Keys of every row: breakdowns, then calculations.
    pub columns: Vec<Arc<str>>,
    /// One row per group.
    pub results: Vec<Vec<Cell>>,
    /// Starts of buckets with a row per group in them, ascending by time. Labels are those of the group's result:
    /// [`Answer::series_rows`] puts them together.
    pub series: SeriesPoints,
    /// The events, if the question asked for them.
    pub raw: Option<Vec<RawEvent>>,
    /// All matched events as one group, if asked for. HAVING does not apply.
    pub totals: Option<Vec<Cell>>,
    /// The same per bucket.
    pub total_series: SeriesPoints,
    /// The events of all groups that are not in the results, if asked for.
    pub other: Option<Vec<Cell>>,
    /// The answer for the range to compare with.
    pub compare: Option<Box<Answer>>,
    /// How it came about.
    pub meta: Meta,
}

/// A row as `{key: value}`.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    columns: &'a [Arc<str>],
    /// The first cells; missing ones are null.
    labels: &'a [Cell],
    n_labels: usize,
    /// The others.
    cells: &'a [Cell],
}

static NULL: Cell = Cell::Null;

impl<'a> Row<'a> {
    fn new(columns: &'a [Arc<str>], cells: &'a [Cell]) -> Row<'a> {
        Row { columns, labels: &[], n_labels: 0, cells }
    }

    /// Its cells.
    pub fn cells(&self) -> impl Iterator<Item = &'a Cell> + use<'a> {
        let labels = self.labels;
        (0..self.n_labels).map(move |i| labels.get(i).unwrap_or(&NULL)).chain(self.cells)
    }

    /// Its keys and cells.
    pub fn entries(&self) -> impl Iterator<Item = (&'a str, &'a Cell)> + use<'a> {
        self.columns.iter().map(|key| &**key).zip(self.cells())
    }
}

/// Rows as `[{"data": {…}}]`.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    columns: &'a [Arc<str>],
    rows: &'a [Vec<Cell>],
}

impl<'a> Rows<'a> {
    /// Each row.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Row<'a>> + use<'a> {
        let columns = self.columns;
        self.rows.iter().map(move |cells| Row::new(columns, cells))
    }
}

/// A series as `[{"time": …, "data": {…}}]`.
#[derive(Clone, Copy, Debug)]
pub struct Series<'a> {
    columns: &'a [Arc<str>],
    results: &'a [Vec<Cell>],
    points: &'a SeriesPoints,
}

impl<'a> Series<'a> {
    /// Time and cells of each row.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (TimeNs, Row<'a>)> + use<'a> {
        let Series { columns, results, points } = *self;
        let n_labels = columns.len().saturating_sub(points.width());
        points.tagged().map(move |(time, group, cells)| {
            let labels = results.get(*group as usize).map_or(&[][..], |result| &result[..n_labels.min(result.len())]);
            (time, Row { columns, labels, n_labels, cells })
        })
    }
}

impl Answer {
    /// What comes behind results and series.
    pub(crate) fn serialize_rest<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry("start_time", &rfc3339(self.start_ns))?;
        map.serialize_entry("end_time", &rfc3339(self.end_ns))?;
        if let Some(ns) = self.granularity_ns {
            map.serialize_entry("granularity", &Number(ns as f64 / 1e9))?;
        }
        if let Some(cells) = &self.totals {
            map.serialize_entry("totals", &Data(self.row(cells)))?;
            map.serialize_entry("total_series", &self.total_series_rows())?;
        }
        if let Some(cells) = &self.other {
            map.serialize_entry("other", &Data(self.row(cells)))?;
        }
        if let Some(compare) = &self.compare {
            map.serialize_entry("compare", compare)?;
        }
        map.serialize_entry("meta", &self.meta)
    }

    /// The results, ready to be written.
    #[must_use]
    pub fn result_rows(&self) -> Rows<'_> {
        Rows { columns: &self.columns, rows: &self.results }
    }

    /// The series, ready to be written.
    #[must_use]
    pub fn series_rows(&self) -> Series<'_> {
        Series { columns: &self.columns, results: &self.results, points: &self.series }
    }

    /// The series of all groups together, ready to be written.
    #[must_use]
    pub fn total_series_rows(&self) -> Series<'_> {
        Series { columns: &self.columns, results: &[], points: &self.total_series }
    }

    /// A row with the keys of this answer (totals, other), ready to be written.
    #[must_use]
    pub fn row<'a>(&'a self, cells: &'a [Cell]) -> Row<'a> {
        Row::new(&self.columns, cells)
    }
}

impl Serialize for Cell {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self {
            Cell::Null => s.serialize_unit(),
            Cell::Bool(b) => s.serialize_bool(*b),
            Cell::Int(i) => s.serialize_i64(*i),
            Cell::Float(f) => serialize_float(*f, s),
            Cell::Str(text) => s.serialize_str(text),
            Cell::Heatmap(h) => h.serialize(s),
        }
    }
}

/// Whole numbers are written without a fraction, as 5 and 5.0 are one value.
fn serialize_float<S: Serializer>(f: f64, s: S) -> Result<S::Ok, S::Error> {
    if f.fract() == 0.0 && f.abs() < 9_007_199_254_740_992.0 { s.serialize_i64(f as i64) } else { s.serialize_f64(f) }
}

struct Number(f64);

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        serialize_float(self.0, s)
    }
}

struct Numbers<'a>(&'a [f64]);

impl Serialize for Numbers<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(self.0.iter().map(|&f| Number(f)))
    }
}

impl Serialize for Heatmap {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_struct("Heatmap", 2)?;
        map.serialize_field("from", &self.from)?;
        map.serialize_field("counts", &Numbers(&self.counts))?;
        map.end()
    }
}

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(Some(self.columns.len()))?;
        let (labels, others) = self.columns.split_at(self.n_labels.min(self.columns.len()));
        for (i, key) in labels.iter().enumerate() {
            map.serialize_entry(&**key, self.labels.get(i).unwrap_or(&NULL))?;
        }
        for (key, cell) in others.iter().zip(self.cells) {
            map.serialize_entry(&**key, cell)?;
        }
        map.end()
    }
}

struct Data<T>(T);

impl<T: Serialize> Serialize for Data<T> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_struct("Data", 1)?;
        map.serialize_field("data", &self.0)?;
        map.end()
    }
}

impl Serialize for Rows<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(self.iter().map(Data))
    }
}

struct Point<'a> {
    time: &'a str,
    row: Row<'a>,
}

impl Serialize for Point<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_struct("Point", 2)?;
        map.serialize_field("time", self.time)?;
        map.serialize_field("data", &self.row)?;
        map.end()
    }
}

impl Serialize for Series<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut seq = s.serialize_seq(Some(self.points.len()))?;
        let mut text = (TimeNs::MIN, String::new());
        for (time, row) in self.iter() {
            if text.1.is_empty() || text.0 != time {
                text = (time, rfc3339(time));
            }
            seq.serialize_element(&Point { time: &text.1, row })?;
        }
        seq.end()
    }
}

struct Fields<'a>(&'a [(Arc<str>, Value)]);

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(Some(self.0.len()))?;
        for (name, value) in self.0 {
            map.serialize_key(&**name)?;
            match value {
                Value::Null => map.serialize_value(&())?,
                Value::Bool(b) => map.serialize_value(b)?,
                Value::Int(i) => map.serialize_value(i)?,
                Value::Float(f) => map.serialize_value(&Number(*f))?,
                Value::Str(text) => map.serialize_value(text)?,
            }
        }
        map.end()
    }
}

/// As it would be sent to `/1/batch`: `{"time", "samplerate" unless 1, "data"}`.
impl Serialize for RawEvent {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        map.serialize_entry("time", &rfc3339(self.time))?;
        if self.sample_rate != 1.0 {
            map.serialize_entry("samplerate", &Number(self.sample_rate))?;
        }
        if let Some(dataset) = &self.dataset {
            map.serialize_entry("dataset", &**dataset)?;
        }
        map.serialize_entry("data", &Fields(&self.fields))?;
        map.end()
    }
}

struct Scales<'a>(&'a [(Arc<str>, HeatmapScale)]);

impl Serialize for Scales<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_map(self.0.iter().map(|(key, scale)| (&**key, scale)))
    }
}

impl Serialize for Relations {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        map.serialize_entry("events_from", &rfc3339(self.events_from_ns))?;
        map.serialize_entry("events_to", &rfc3339(self.events_to_ns))?;
        if let Some(n) = self.without_root {
            map.serialize_entry("without_root", &n)?;
        }
        if let Some(n) = self.without_parent {
            map.serialize_entry("without_parent", &n)?;
        }
        map.end()
    }
}

impl Serialize for Meta {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        map.serialize_entry("rows_scanned", &self.rows_scanned)?;
        map.serialize_entry("rows_matched", &self.rows_matched)?;
        map.serialize_entry("segments", &self.segments)?;
        if let Some(ms) = self.elapsed_ms {
            map.serialize_entry("elapsed_ms", &ms)?;
        }
        map.serialize_entry("engine_ms", &self.engine_ms)?;
        map.serialize_entry("coverage", &self.coverage)?;
        if !self.notes.is_empty() {
            map.serialize_entry("notes", &self.notes)?;
        }
        if !self.approximate.is_empty() {
            map.serialize_entry("approximate", &self.approximate)?;
        }
        if !self.heatmaps.is_empty() {
            map.serialize_entry("heatmaps", &Scales(&self.heatmaps))?;
        }
        if let Some(relations) = &self.relations {
            map.serialize_entry("relations", relations)?;
        }
        map.end()
    }
}

impl Serialize for Answer {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        match &self.raw {
            Some(events) => map.serialize_entry("results", events)?,
            None => map.serialize_entry("results", &self.result_rows())?,
        }
        map.serialize_entry("series", &self.series_rows())?;
        self.serialize_rest(&mut map)?;
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_written_as_documented() {
        let answer = Answer {
            granularity_ns: Some(60_000_000_000),
            columns: vec!["service.name".into(), "COUNT".into(), "AVG(x)".into()],
            results: vec![vec![Cell::Str("a\"b".into()), Cell::Int(3), Cell::Float(1.5)], vec![Cell::Null, Cell::Int(1), Cell::Null]],
            series: SeriesPoints::from_iter([(60_000_000_000, 0, vec![Cell::Int(1), Cell::Float(2.0)])]),
            meta: Meta { rows_scanned: 4, coverage: 1.0, ..Meta::default() },
            ..Answer::default()
        };
        assert_eq!(
            serde_json::to_string(&answer).unwrap(),
            r#"{"results":[{"data":{"service.name":"a\"b","COUNT":3,"AVG(x)":1.5}},{"data":{"service.name":null,"COUNT":1,"AVG(x)":null}}],"#.to_owned()
                + r#""series":[{"time":"1970-01-01T00:01:00Z","data":{"service.name":"a\"b","COUNT":1,"AVG(x)":2}}],"#
                + r#""start_time":"1970-01-01T00:00:00Z","end_time":"1970-01-01T00:00:00Z","granularity":60,"#
                + r#""meta":{"rows_scanned":4,"rows_matched":0,"segments":0,"engine_ms":0.0,"coverage":1.0}}"#
        );
    }

    #[test]
    fn raw_events_look_as_they_were_sent() {
        let event = RawEvent {
            time: 1_500_000_000,
            sample_rate: 4.0,
            dataset: None,
            fields: vec![("a".into(), Value::Int(1)), ("b".into(), Value::Float(0.5)), ("c".into(), Value::Str("x".into()))],
        };
        assert_eq!(
            serde_json::to_string(&event).unwrap(),
            r#"{"time":"1970-01-01T00:00:01.500Z","samplerate":4,"data":{"a":1,"b":0.5,"c":"x"}}"#
        );
    }

    #[test]
    fn missing_cells_come_last() {
        let mut cells = [Cell::Null, Cell::Str("b".into()), Cell::Float(2.5), Cell::Int(2), Cell::Bool(true), Cell::Str("a".into())];
        cells.sort_by(Cell::compare);
        assert_eq!(cells, [Cell::Bool(true), Cell::Int(2), Cell::Float(2.5), Cell::Str("a".into()), Cell::Str("b".into()), Cell::Null]);
    }
}

#[cfg(test)]
mod order {
    use super::Cell;
    use std::cmp::Ordering;

    /// E6 of the oracle: three cells that used to be in no order.
    #[test]
    fn integers_and_floats_are_ordered_exactly() {
        let ascending = [
            Cell::Float(-1e300),
            Cell::Int(i64::MIN),
            Cell::Float(9_007_199_254_740_992.0),
            Cell::Int((1 << 53) + 1),
            Cell::Int(i64::MAX),
            Cell::Float(9_223_372_036_854_775_808.0),
        ];
        for (i, a) in ascending.iter().enumerate() {
            for (j, b) in ascending.iter().enumerate() {
                assert_eq!(a.compare(b), i.cmp(&j), "{a:?} {b:?}");
            }
        }
        assert_eq!(Cell::Int(5).compare(&Cell::Float(5.0)), Ordering::Equal);
    }
}
