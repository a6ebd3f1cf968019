//! Answers as JSON: the same bytes as by `Serialize`, with long series written row by row from parts that are known.
//!
//! Owns: the short way from a series to bytes. Never does: decide what an answer looks like (`answer`).

use crate::Answer;
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
        self.write_series(&mut out)?;
        let rest = serde_json::to_vec(&Rest(self))?;
        out.push(b',');
        out.extend_from_slice(&rest[1..]);
        Ok(out)
    }

    /// Writes the series as `Series` does: keys are escaped once, labels once per group, times once per bucket.
    fn write_series(&self, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
        let points = &self.series;
        let (labels, calcs) = self.columns.split_at(self.columns.len().saturating_sub(points.width()));
        let labels = keys(labels, true)?;
        let calcs = keys(calcs, labels.is_empty())?;
        let of_group = |group: usize| {
            let mut head = Vec::new();
            for (i, key) in labels.iter().enumerate() {
                head.extend_from_slice(key);
                serde_json::to_writer(&mut head, &self.results.get(group).and_then(|result| result.get(i)))?;
            }
            Ok::<_, serde_json::Error>(head)
        };
        let no_group = self.results.len();
        let mut of_groups: Vec<Option<Vec<u8>>> = vec![None; no_group + 1];
        let head_bytes = r#"{"time":"2000-01-01T00:00:00Z","data":}},"#.len();
        out.reserve(points.len() * (head_bytes + labels.iter().chain(&calcs).map(|key| key.len() + CELL_BYTES).sum::<usize>()));
        out.push(b'[');
        let (mut time, mut head) = (None, Vec::new());
        for (i, (at, group, cells)) in points.tagged().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            if time != Some(at) {
                time = Some(at);
                head = format!(r#"{{"time":"{}","data":"#, rfc3339(at)).into_bytes();
            }
            out.extend_from_slice(&head);
            let group = (*group as usize).min(no_group);
            match &of_groups[group] {
                Some(known) => out.extend_from_slice(known),
                None => out.extend_from_slice(of_groups[group].insert(of_group(group)?)),
            }
            for (key, cell) in calcs.iter().zip(cells) {
                out.extend_from_slice(key);
                serde_json::to_writer(&mut *out, cell)?;
            }
            out.extend_from_slice(if labels.is_empty() && calcs.is_empty() { b"{}}" } else { b"}}" });
        }
        out.push(b']');
        Ok(())
    }
}

/// Columns as keys of an object, with what comes before each; `are_first`: nothing is before them.
fn keys(columns: &[Arc<str>], are_first: bool) -> Result<Vec<Vec<u8>>, serde_json::Error> {
    let key = |(i, column): (usize, &Arc<str>)| {
        let mut key = vec![if i == 0 && are_first { b'{' } else { b',' }];
        serde_json::to_writer(&mut key, &**column)?;
        key.push(b':');
        Ok(key)
    };
    columns.iter().enumerate().map(key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cell, Meta, NO_GROUP, RawEvent, SeriesPoints};

    fn text(s: &str) -> Cell {
        Cell::Str(s.into())
    }

    #[test]
    fn the_short_way_writes_the_same() {
        let row = |label: &str, n: i64| vec![text(label), Cell::Int(n), Cell::Float(n as f64 / 3.0), Cell::Null, Cell::Bool(n > 1)];
        let point = |group: u32, i: i64| (1_790_000_000_000_000_000 + i / 3 * 500_000_000, group, row("", i).split_off(1));
        let answer = Answer {
            start_ns: 5,
            granularity_ns: Some(500_000_000),
            columns: ["a\"b", "COUNT", "x", "y", "z"].map(Arc::from).to_vec(),
            results: vec![row("q\"\\\n\u{1}é", 3), row("", 4)],
            totals: Some(row("t", 5)),
            total_series: (0..2).map(|i| point(NO_GROUP, i)).collect(),
            other: Some(row("o", 6)),
            series: (0..20).map(|i| point(i as u32 % 2, i)).collect(),
            meta: Meta { rows_scanned: 4, notes: vec!["n".to_owned()], ..Meta::default() },
            ..Answer::default()
        };
        let event = RawEvent { time: 7, sample_rate: 2.0, dataset: None, fields: Vec::new() };
        let answers = [
            Answer { series: SeriesPoints::default(), ..answer.clone() },
            Answer { columns: Vec::new(), ..answer.clone() },
            Answer { columns: vec!["only".into()], series: (0..3).map(|i| (i, 0, Vec::new())).collect(), ..answer.clone() },
            Answer { series: (0..3).map(|i| (i, NO_GROUP, row("no labels", i))).collect(), ..answer.clone() },
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
