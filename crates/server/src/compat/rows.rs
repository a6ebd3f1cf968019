//! Rows of answers as Honeycomb's clients read them: their types know no null, so what is missing is left out.
//!
//! Owns: that form. Never does: change values.

use engine::{Cell, SeriesPoints};
use model::time::rfc3339;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use std::sync::Arc;

/// `{key: value}` without nulls.
#[derive(Clone, Copy)]
struct Present<'a> {
    columns: &'a [Arc<str>],
    cells: &'a [Cell],
}

impl Serialize for Present<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        for (key, cell) in self.columns.iter().zip(self.cells) {
            if *cell != Cell::Null {
                map.serialize_entry(&**key, cell)?;
            }
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
pub(super) fn row(columns: &[Arc<str>], cells: &[Cell]) -> serde_json::Result<String> {
    serde_json::to_string(&Data { data: Present { columns, cells } })
}

/// `[{"data":{…}},…]`.
pub(super) fn rows(columns: &[Arc<str>], rows: &[Vec<Cell>]) -> serde_json::Result<String> {
    let rows: Vec<Data<'_>> = rows.iter().map(|cells| Data { data: Present { columns, cells } }).collect();
    serde_json::to_string(&rows)
}

/// `[{"time":…,"data":{…}},…]`.
pub(super) fn series(columns: &[Arc<str>], points: &SeriesPoints) -> serde_json::Result<String> {
    let points: Vec<Point<'_>> =
        points.iter().map(|(time, cells)| Point { time: rfc3339(time), data: Present { columns, cells } }).collect();
    serde_json::to_string(&points)
}

#[cfg(test)]
mod tests {
    use super::{row, rows, series};
    use engine::{Cell, SeriesPoints};
    use std::sync::Arc;

    #[test]
    fn missing_values_are_left_out() {
        let columns: [Arc<str>; 2] = ["g".into(), "COUNT".into()];
        let cells = vec![Cell::Null, Cell::Int(2)];
        assert_eq!(row(&columns, &cells).unwrap(), r#"{"data":{"COUNT":2}}"#);
        assert_eq!(rows(&columns, std::slice::from_ref(&cells)).unwrap(), r#"[{"data":{"COUNT":2}}]"#);
        let points = SeriesPoints::from_iter([(0, cells)]);
        assert_eq!(series(&columns, &points).unwrap(), r#"[{"time":"1970-01-01T00:00:00Z","data":{"COUNT":2}}]"#);
    }
}
