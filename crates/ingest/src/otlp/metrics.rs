//! Data points: those that share time, attributes, scope and resource are one row.
//!
//! Owns: grouping points and the columns made from each kind. Never does: turn cumulative values into deltas.

use super::attributes::{Any, KeyValue, Rate, flatten, is_id, set, set_span_id, set_trace_id, span_id_text, text, trace_id_text};
use super::histogram::{Bucket, Range, Side, explicit, exponential, quantile};
use super::wire::{Piece, Result, Value};
use super::{Shared, Tally, traces};
use crate::rows::Rows;
use crate::text::{display, json_float, json_string};
use crate::time::write_rfc3339;
use model::{ColumnId, hash128};
use std::collections::HashMap;

/// The columns that all rows of data points fill.
#[derive(Debug)]
pub(super) struct Columns {
    signal_type: ColumnId,
    annotation_type: ColumnId,
    trace_id: ColumnId,
    parent_id: ColumnId,
}

impl Columns {
    pub(super) fn new(rows: &mut Rows<'_>) -> Columns {
        Columns {
            signal_type: rows.fixed("meta.signal_type"),
            annotation_type: rows.fixed("meta.annotation_type"),
            trace_id: rows.fixed("trace.trace_id"),
            parent_id: rows.fixed("trace.parent_id"),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Number,
    Histogram,
    Exponential,
    Summary,
}

impl Kind {
    /// Field numbers of a point's attributes, its flags, and its exemplars.
    fn fields(self) -> (u64, u64, u64) {
        match self {
            Kind::Number => (7, 8, 5),
            Kind::Histogram => (9, 10, 8),
            Kind::Exponential => (1, 10, 11),
            Kind::Summary => (7, 8, u64::MAX),
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Metric<'a> {
    name: Piece<'a>,
    unit: Piece<'a>,
    kind: Kind,
    temporality: u64,
}

#[derive(Clone, Copy, Debug)]
struct Point<'a> {
    /// Index of its metric.
    metric: usize,
    piece: Piece<'a>,
}

/// Points of the same time and attributes.
#[derive(Debug)]
struct Group<'a> {
    time: u64,
    points: Vec<Point<'a>>,
}

/// Room that the cells of one more point may take in a row.
const CELLS_PER_POINT: usize = 32;

/// Reads the metrics of a scope and writes their rows.
pub(super) fn scope<'a>(
    rows: &mut Rows<'_>,
    columns: &Columns,
    tally: &mut Tally,
    shared: &Shared<'_, 'a>,
    piece: Piece<'a>,
) -> Result<()> {
    let mut metrics = Vec::new();
    let mut groups: Vec<Group<'a>> = Vec::new();
    let mut by_key = HashMap::new();
    let mut key = Vec::new();
    let mut fields = piece.fields();
    while let Some((number, value)) = fields.next()? {
        if number != 2 {
            continue;
        }
        let (metric, data) = metric(value.piece())?;
        let index = metrics.len();
        metrics.push(metric);
        let mut fields = data.fields();
        while let Some((1, value)) = fields.next_if(1)? {
            let piece = value.piece();
            if metric.name.is_empty() {
                tally.refuse("Metric has no name.", 1, || "data point".to_owned());
                continue;
            }
            let (n, max) = (piece.len(), rows.context().limits.event_bytes_max);
            if n > max {
                let error = format!("Event is too large. It has {n} bytes, the limit is {max}.");
                tally.refuse(&error, 1, || format!("data point of '{}'", text(metric.name.bytes)));
                continue;
            }
            let Some(time) = group_key(metric.kind, piece, &mut key)? else {
                // A point that says that there is no value.
                tally.accepted += 1;
                continue;
            };
            let at = *by_key.entry(hash128(&key)).or_insert_with(|| {
                groups.push(Group { time, points: Vec::new() });
                groups.len() - 1
            });
            groups[at].points.push(Point { metric: index, piece });
        }
    }
    let mut writer = Writer { rows, columns, metrics: &metrics, name: String::new(), has_trace: false, rate: Rate::default() };
    for group in groups {
        writer.group(group, tally, shared)?;
    }
    Ok(())
}

/// A metric, and the message that holds its points.
fn metric(piece: Piece<'_>) -> Result<(Metric<'_>, Piece<'_>)> {
    let mut metric = Metric { name: Piece::default(), unit: Piece::default(), kind: Kind::Number, temporality: 0 };
    let mut data = Piece::default();
    let mut fields = piece.fields();
    while let Some((number, value)) = fields.next()? {
        let kind = match number {
            1 => {
                metric.name = value.piece();
                continue;
            }
            3 => {
                metric.unit = value.piece();
                continue;
            }
            5 | 7 => Kind::Number,
            9 => Kind::Histogram,
            10 => Kind::Exponential,
            11 => Kind::Summary,
            _ => continue,
        };
        metric.kind = kind;
        data = value.piece();
    }
    let mut fields = data.fields();
    while let Some((number, value)) = fields.next()? {
        // A summary has none, a gauge neither.
        if let (2, Value::Varint(v)) = (number, value) {
            metric.temporality = v;
        }
    }
    Ok((metric, data))
}

/// Writes what tells a group of points from others into `key`; answers its time. None if the point has no value.
fn group_key(kind: Kind, point: Piece<'_>, key: &mut Vec<u8>) -> Result<Option<u64>> {
    let (attributes, flags, _) = kind.fields();
    let mut time = 0;
    let mut pairs: Vec<&[u8]> = Vec::new();
    let mut has_value = kind != Kind::Number;
    let mut fields = point.fields();
    while let Some((number, value)) = fields.next()? {
        match number {
            n if n == attributes => pairs.push(value.piece().bytes),
            n if n == flags && value.number() & 1 == 1 => return Ok(None),
            3 => time = value.number(),
            4 | 6 => has_value = true,
            _ => {}
        }
    }
    pairs.sort_unstable();
    key.clear();
    key.extend(time.to_le_bytes());
    for pair in pairs {
        key.extend((pair.len() as u64).to_le_bytes());
        key.extend(pair);
    }
    Ok(has_value.then_some(time))
}

struct Writer<'w, 'c, 'a> {
    rows: &'w mut Rows<'c>,
    columns: &'w Columns,
    metrics: &'w [Metric<'a>],
    /// Name of the metric, then of its columns.
    name: String,
    /// Whether the row is tied to a trace by an exemplar already.
    has_trace: bool,
    /// The sample rate among the row's attributes.
    rate: Rate,
}

impl<'a> Writer<'_, '_, 'a> {
    /// Writes a group as one row, or more if a metric comes twice or the row gets too wide.
    fn group(&mut self, group: Group<'a>, tally: &mut Tally, shared: &Shared<'_, 'a>) -> Result<()> {
        // The n-th point of a metric goes to the n-th row.
        let mut met: HashMap<&[u8], usize> = HashMap::new();
        let mut rounds: Vec<(usize, Point<'a>)> = Vec::with_capacity(group.points.len());
        for point in group.points {
            let n = met.entry(self.metrics[point.metric].name.bytes).or_default();
            rounds.push((*n, point));
            *n += 1;
        }
        rounds.sort_by_key(|r| r.0);
        let fields_max = self.rows.context().limits.event_fields_max;
        let mut left = rounds.as_slice();
        while let Some(&(round, first)) = left.first() {
            let name = || format!("data points of '{}'", text(self.metrics[first.metric].name.bytes));
            if !tally.has_room(left.len(), name) {
                break;
            }
            self.begin(first, shared)?;
            let mut n = 0;
            for &(_, point) in left.iter().take_while(|r| r.0 == round) {
                if n > 0 && self.rows.fields() + CELLS_PER_POINT > fields_max {
                    break;
                }
                self.point(point)?;
                n += 1;
            }
            let n_bytes = left[..n].iter().map(|r| r.1.piece.len()).max().unwrap_or(0);
            let at = (group.time > 0).then(|| traces::time(group.time));
            let status = self.rows.end(at, self.rate.over(shared.rate).get().unwrap_or(1.0), n_bytes);
            tally.note(self.rows, status, n, || format!("data points of '{}'", text(self.metrics[first.metric].name.bytes)));
            left = &left[n..];
        }
        Ok(())
    }

    /// Begins a row with what its points share.
    fn begin(&mut self, first: Point<'a>, shared: &Shared<'_, 'a>) -> Result<()> {
        self.rows.begin();
        self.has_trace = false;
        self.rate = Rate::default();
        self.rows.str(self.columns.signal_type, "metric");
        shared.write(self.rows)?;
        let (attributes, ..) = self.metrics[first.metric].kind.fields();
        let mut fields = first.piece.fields();
        while let Some((_, value)) = fields.next_if(attributes)? {
            let pair = KeyValue::read(value.piece())?;
            if !self.rate.take(&pair) {
                flatten(self.rows, pair, &mut |rows, column, value| set(rows, column, value))?;
            }
        }
        Ok(())
    }

    /// The column of the metric with this ending.
    fn column(&mut self, ending: &str) -> Option<ColumnId> {
        let n = self.name.len();
        self.name.push_str(ending);
        let column = self.rows.column_next(&self.name);
        self.name.truncate(n);
        column
    }

    fn float(&mut self, ending: &str, value: Option<f64>) {
        if let Some(value) = value
            && let Some(column) = self.column(ending)
        {
            self.rows.float(column, value);
        }
    }

    fn count(&mut self, ending: &str, value: u64) {
        if let Some(column) = self.column(ending) {
            match i64::try_from(value) {
                Ok(i) => self.rows.int(column, i),
                Err(_) => self.rows.float(column, value as f64),
            }
        }
    }

    fn text(&mut self, ending: &str, value: &str) {
        if let Some(column) = self.column(ending) {
            self.rows.str(column, value);
        }
    }

    fn point(&mut self, point: Point<'a>) -> Result<()> {
        let metric = self.metrics[point.metric];
        self.name = text(metric.name.bytes).into_owned();
        match metric.kind {
            Kind::Number => self.number(point.piece)?,
            Kind::Histogram => self.histogram(point.piece)?,
            Kind::Exponential => self.exponential(point.piece)?,
            Kind::Summary => self.summary(point.piece)?,
        }
        if !metric.unit.is_empty() {
            self.text(".unit", &text(metric.unit.bytes));
        }
        if let Some(temporality) = ["delta", "cumulative"].get((metric.temporality as usize).wrapping_sub(1)) {
            self.text(".temporality", temporality);
        }
        self.exemplars(metric.kind.fields().2, point.piece)
    }

    fn number(&mut self, piece: Piece<'a>) -> Result<()> {
        let Some(column) = self.column("") else { return Ok(()) };
        let mut fields = piece.fields();
        while let Some((number, value)) = fields.next()? {
            match number {
                4 => self.rows.float(column, value.double()),
                6 => self.rows.int(column, value.number() as i64),
                _ => {}
            }
        }
        Ok(())
    }

    /// Count, sum, mean, extremes and quantiles.
    fn distribution(&mut self, count: u64, sum: Option<f64>, range: Range, buckets: Option<&[Bucket]>) {
        self.count(".count", count);
        self.float(".sum", sum);
        self.float(".avg", sum.filter(|_| count > 0).map(|s| s / count as f64));
        self.float(".min", range.min);
        self.float(".max", range.max);
        for (ending, q) in [(".p50", 0.5), (".p90", 0.9), (".p95", 0.95), (".p99", 0.99)] {
            self.float(ending, buckets.and_then(|b| quantile(b, q, range)));
        }
    }

    fn histogram(&mut self, piece: Piece<'a>) -> Result<()> {
        let (mut count, mut sum, mut range) = (0, None, Range::default());
        let (mut counts, mut bounds) = (Vec::new(), Vec::new());
        let mut fields = piece.fields();
        while let Some((number, value)) = fields.next()? {
            match number {
                4 => count = value.number(),
                5 => sum = Some(value.double()),
                6 => value.append_words(&mut counts)?,
                7 => value.append_words(&mut bounds)?,
                11 => range.min = Some(value.double()),
                12 => range.max = Some(value.double()),
                _ => {}
            }
        }
        let bounds: Vec<f64> = bounds.into_iter().map(f64::from_bits).collect();
        self.distribution(count, sum, range, explicit(&bounds, &counts, range).as_deref());
        if !counts.is_empty() {
            let mut out = String::from("{\"bounds\":");
            json_list(&mut out, &bounds, |out, b| json_float(out, *b));
            out.push_str(",\"counts\":");
            json_list(&mut out, &counts, |out, n| display(out, n));
            out.push('}');
            self.text(".buckets", &out);
        }
        Ok(())
    }

    fn exponential(&mut self, piece: Piece<'a>) -> Result<()> {
        let (mut count, mut sum, mut range) = (0, None, Range::default());
        let (mut scale, mut zero_count, mut zero_threshold) = (0, 0, 0.0);
        let (mut positive, mut negative) = (Side::default(), Side::default());
        let mut fields = piece.fields();
        while let Some((number, value)) = fields.next()? {
            match number {
                4 => count = value.number(),
                5 => sum = Some(value.double()),
                6 => scale = value.zigzag(),
                7 => zero_count = value.number(),
                8 => positive = side(value.piece())?,
                9 => negative = side(value.piece())?,
                12 => range.min = Some(value.double()),
                13 => range.max = Some(value.double()),
                14 => zero_threshold = value.double(),
                _ => {}
            }
        }
        let buckets = exponential(scale, zero_count, zero_threshold, &negative, &positive);
        self.distribution(count, sum, range, Some(&buckets));
        let mut out = format!("{{\"scale\":{scale},\"zero_count\":{zero_count}");
        for (name, side) in [("positive", &positive), ("negative", &negative)] {
            if !side.counts.is_empty() {
                display(&mut out, format_args!(",\"{name}\":{{\"offset\":{},\"counts\":", side.offset));
                json_list(&mut out, &side.counts, |out, n| display(out, n));
                out.push('}');
            }
        }
        out.push('}');
        self.text(".buckets", &out);
        Ok(())
    }

    fn summary(&mut self, piece: Piece<'a>) -> Result<()> {
        let (mut count, mut sum) = (0, None);
        let mut fields = piece.fields();
        while let Some((number, value)) = fields.next()? {
            match number {
                4 => count = value.number(),
                5 => sum = Some(value.double()),
                6 => {
                    let (mut q, mut v) = (0.0, 0.0);
                    let mut pair = value.piece().fields();
                    while let Some((number, value)) = pair.next()? {
                        match number {
                            1 => q = value.double(),
                            2 => v = value.double(),
                            _ => {}
                        }
                    }
                    self.float(&quantile_ending(q), Some(v));
                }
                _ => {}
            }
        }
        self.distribution(count, sum, Range::default(), None);
        Ok(())
    }

    fn exemplars(&mut self, field: u64, piece: Piece<'a>) -> Result<()> {
        let mut out = String::new();
        let mut fields = piece.fields();
        while let Some((number, value)) = fields.next()? {
            if number == field {
                out.push(if out.is_empty() { '[' } else { ',' });
                self.exemplar(value.piece(), &mut out)?;
            }
        }
        if !out.is_empty() {
            out.push(']');
            self.text(".exemplars", &out);
        }
        Ok(())
    }

    /// Appends an exemplar as JSON. The first with a trace ties the row to it.
    fn exemplar(&mut self, piece: Piece<'a>, out: &mut String) -> Result<()> {
        let (mut trace_id, mut span_id): (&[u8], &[u8]) = (&[], &[]);
        let start = out.len();
        let mut attributes = String::new();
        let mut fields = piece.fields();
        let next = |out: &mut String, key| {
            display(out, format_args!("{}\"{key}\":", if out.len() == start { '{' } else { ',' }));
        };
        while let Some((number, value)) = fields.next()? {
            match number {
                2 if value.number() > 0 => {
                    next(out, "time");
                    out.push('"');
                    write_rfc3339(out, traces::time(value.number()));
                    out.push('"');
                }
                3 => {
                    next(out, "value");
                    json_float(out, value.double());
                }
                6 => {
                    next(out, "value");
                    display(out, value.number() as i64);
                }
                4 => span_id = value.piece().bytes,
                5 => trace_id = value.piece().bytes,
                7 => {
                    let pair = KeyValue::read(value.piece())?;
                    let mut json = String::new();
                    if !matches!(pair.value, Any::Nil) && pair.value.json(&mut json, self.rows.context().limits.nesting_depth_max)? {
                        attributes.push(if attributes.is_empty() { '{' } else { ',' });
                        json_string(&mut attributes, &text(pair.key));
                        attributes.push(':');
                        attributes.push_str(&json);
                    }
                }
                _ => {}
            }
        }
        for (key, id, written) in [("trace_id", trace_id, trace_id_text(trace_id)), ("span_id", span_id, span_id_text(span_id))] {
            if is_id(id) {
                next(out, key);
                json_string(out, &written);
            }
        }
        if !attributes.is_empty() {
            next(out, "attributes");
            out.push_str(&attributes);
            out.push('}');
        }
        out.push_str(if out.len() == start { "{}" } else { "}" });
        if is_id(trace_id) && !self.has_trace {
            self.has_trace = true;
            set_trace_id(self.rows, self.columns.trace_id, trace_id);
            self.rows.str(self.columns.annotation_type, "span_event");
            if is_id(span_id) {
                set_span_id(self.rows, self.columns.parent_id, span_id);
            }
        }
        Ok(())
    }
}

/// One side of an exponential histogram.
fn side(piece: Piece<'_>) -> Result<Side> {
    let mut side = Side::default();
    let mut fields = piece.fields();
    while let Some((number, value)) = fields.next()? {
        match (number, value) {
            (1, v) => side.offset = v.zigzag(),
            (2, Value::Bytes(packed)) => packed.varints(|n| side.counts.push(n))?,
            (2, v) => side.counts.push(v.number()),
            _ => {}
        }
    }
    Ok(side)
}

/// `.p50` for 0.5, `.p999` for 0.999; the extremes are `.min` and `.max`.
fn quantile_ending(q: f64) -> String {
    if q <= 0.0 {
        return ".min".to_owned();
    }
    if q >= 1.0 {
        return ".max".to_owned();
    }
    let digits = format!("{q:.10}");
    format!(".p{:0<2}", digits.trim_start_matches("0.").trim_end_matches('0'))
}

fn json_list<T>(out: &mut String, items: &[T], mut item: impl FnMut(&mut String, &T)) {
    out.push('[');
    for (i, x) in items.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        item(out, x);
    }
    out.push(']');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_have_names() {
        for (q, name) in
            [(0.0, ".min"), (0.5, ".p50"), (0.05, ".p05"), (0.9, ".p90"), (0.99, ".p99"), (0.999, ".p999"), (0.123, ".p123"), (1.0, ".max")]
        {
            assert_eq!(quantile_ending(q), name);
        }
    }
}
