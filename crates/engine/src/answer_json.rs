//! Answers as JSON: the same bytes as by `Serialize`, with long series written row by row from parts that are known.
//!
//! Owns: the short way from a series to bytes. Never does: decide what an answer looks like (`answer`).

use crate::{Answer, SeriesPoints};
use model::time::rfc3339;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use std::sync::Arc;

/// Bytes of a cell, about.
const CELL_BYTES: usize = 20;

/// An answer without results and series.
struct Rest<'a>(&'a Answer);

impl Serialize for Rest<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        self.0.serialize_rest(&mut map)?;
        map.end()
    }
}

impl Answer {
    /// The answer as JSON.
    ///
    /// # Errors
    /// None that is known of: what answers are made of can be written.
    pub fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut out = br#"{"results":"#.to_vec();
        match &self.raw {
            Some(events) => serde_json::to_writer(&mut out, events)?,
            None => serde_json::to_writer(&mut out, &self.result_rows())?,
        }
        out.extend_from_slice(br#","series":"#);
        write_series(&self.columns, &self.series, &mut out)?;
        let rest = serde_json::to_vec(&Rest(self))?;
        out.push(b',');
        out.extend_from_slice(&rest[1..]);
        Ok(out)
    }
}

/// Writes a series as `Series` does: keys are escaped once, times once per bucket.
fn write_series(columns: &[Arc<str>], points: &SeriesPoints, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
    let mut keys = Vec::with_capacity(columns.len());
    for (i, column) in columns.iter().enumerate() {
        let mut key = vec![if i == 0 { b'{' } else { b',' }];
        serde_json::to_writer(&mut key, &**column)?;
        key.push(b':');
        keys.push(key);
    }
    let head_bytes = r#"{"time":"2000-01-01T00:00:00Z","data":}},"#.len();
    out.reserve(points.len() * (head_bytes + keys.iter().map(|key| key.len() + CELL_BYTES).sum::<usize>()));
    out.push(b'[');
    let (mut time, mut head) = (None, Vec::new());
    for (i, (at, cells)) in points.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        if time != Some(at) {
            time = Some(at);
            head = format!(r#"{{"time":"{}","data":"#, rfc3339(at)).into_bytes();
        }
        out.extend_from_slice(&head);
        for (key, cell) in keys.iter().zip(cells) {
            out.extend_from_slice(key);
            serde_json::to_writer(&mut *out, cell)?;
        }
        out.extend_from_slice(if keys.is_empty() || cells.is_empty() { b"{}}" } else { b"}}" });
    }
    out.push(b']');
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cell, Meta, RawEvent};

    fn text(s: &str) -> Cell {
        Cell::Str(s.into())
    }

    #[test]
    fn the_short_way_writes_the_same() {
        let row = |label: &str, n: i64| vec![text(label), Cell::Int(n), Cell::Float(n as f64 / 3.0), Cell::Null, Cell::Bool(n > 1)];
        let point = |i: i64| (1_790_000_000_000_000_000 + i / 3 * 500_000_000, row("q\"\\\n\u{1}é", i));
        let answer = Answer {
            start_ns: 5,
            granularity_ns: Some(500_000_000),
            columns: ["a\"b", "COUNT", "x", "y", "z"].map(Arc::from).to_vec(),
            results: vec![row("q", 3), row("", 4)],
            totals: Some(row("t", 5)),
            total_series: (0..2).map(point).collect(),
            other: Some(row("o", 6)),
            series: (0..20).map(point).collect(),
            meta: Meta { rows_scanned: 4, notes: vec!["n".to_owned()], ..Meta::default() },
            ..Answer::default()
        };
        let event = RawEvent { time: 7, sample_rate: 2.0, dataset: None, fields: Vec::new() };
        let answers = [
            Answer { series: SeriesPoints::default(), ..answer.clone() },
            Answer { columns: Vec::new(), ..answer.clone() },
            Answer { raw: Some(vec![event]), ..Answer::default() },
            Answer { compare: Some(Box::new(answer.clone())), ..answer.clone() },
            Answer::default(),
            answer,
        ];
        for answer in answers {
            assert_eq!(String::from_utf8(answer.to_json().unwrap()).unwrap(), serde_json::to_string(&answer).unwrap());
        }
    }
}
