//! Rows of answers as Honeycomb's clients read them: their types know no null, so what is missing is left out.
//!
//! Owns: that form. Never does: change values.

use engine::{Cell, Row, Rows, Series};
use model::time::rfc3339;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

/// `{key: value}` without nulls.
#[derive(Clone, Copy)]
struct Present<'a>(Row<'a>);

impl Serialize for Present<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        for (key, cell) in self.0.entries().filter(|(_, cell)| **cell != Cell::Null) {
            map.serialize_entry(key, cell)?;
        }
        map.end()
    }
}

#[derive(Serialize)]
struct Data<'a> {
    data: Present<'a>,
}

#[derive(Serialize)]
struct Point<'a> {
    time: String,
    data: Present<'a>,
}

/// `{"data":{…}}`.
pub(super) fn row(row: Row<'_>) -> serde_json::Result<String> {
    serde_json::to_string(&Data { data: Present(row) })
}

/// `[{"data":{…}},…]`.
pub(super) fn rows(rows: Rows<'_>) -> serde_json::Result<String> {
    let rows: Vec<Data<'_>> = rows.iter().map(|row| Data { data: Present(row) }).collect();
    serde_json::to_string(&rows)
}

/// `[{"time":…,"data":{…}},…]`.
pub(super) fn series(series: Series<'_>) -> serde_json::Result<String> {
    let points: Vec<Point<'_>> = series.iter().map(|(time, row)| Point { time: rfc3339(time), data: Present(row) }).collect();
    serde_json::to_string(&points)
}

#[cfg(test)]
mod tests {
    use super::{row, rows, series};
    use engine::{Answer, Cell};

    #[test]
    fn missing_values_are_left_out() {
        let answer = Answer {
            columns: vec!["g".into(), "COUNT".into()],
            results: vec![vec![Cell::Null, Cell::Int(2)]],
            series: [(0, 0, vec![Cell::Int(2)])].into_iter().collect(),
            ..Answer::default()
        };
        assert_eq!(row(answer.row(&answer.results[0])).unwrap(), r#"{"data":{"COUNT":2}}"#);
        assert_eq!(rows(answer.result_rows()).unwrap(), r#"[{"data":{"COUNT":2}}]"#);
        assert_eq!(series(answer.series_rows()).unwrap(), r#"[{"time":"1970-01-01T00:00:00Z","data":{"COUNT":2}}]"#);
    }
}
