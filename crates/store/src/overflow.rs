//! Fields for which a dataset has no column left are kept as JSON in one column of text.
//!
//! Owns: that such fields are not lost, and what they look like. Never does: decide which fields they are (`columns`).

use model::{Batch, BatchColumn, Cells, Limits, ManyCells, OVERFLOW_COLUMN, OVERFLOW_LEFT_OUT, StrDict, Values};
use serde_json::Value as Json;
use std::{collections::BTreeMap, sync::Arc};

/// What became of a batch that brought more columns than there is room for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Overflow {
    /// Events with fields in [`OVERFLOW_COLUMN`], also those that came with some in it.
    pub events: usize,
    /// Fields that were moved there.
    pub fields: usize,
    /// Whether it is the first time for the dataset since the start.
    pub first: bool,
}

/// The fields of one event.
#[derive(Default)]
struct Fields {
    /// `"name":value`, separated by commas.
    json: String,
    left_out: usize,
}

impl Fields {
    fn add(&mut self, name: &str, value: &Json) {
        let field = format!("{}:{value}", Json::from(name));
        if self.json.len() + field.len() > Limits::OVERFLOW_BYTES_CEILING {
            self.left_out += 1;
            return;
        }
        self.comma();
        self.json.push_str(&field);
    }

    fn comma(&mut self) {
        if !self.json.is_empty() {
            self.json.push(',');
        }
    }

    /// What the event had in the column already: fields that overflowed when it was exported, if it is an object.
    fn sent(&mut self, text: &str) {
        match text.strip_prefix('{').and_then(|t| t.strip_suffix('}')) {
            Some(inner) if !inner.is_empty() && self.json.len() + inner.len() <= Limits::OVERFLOW_BYTES_CEILING => {
                self.comma();
                self.json.push_str(inner);
            }
            Some("") => {}
            _ => self.add(OVERFLOW_COLUMN, &Json::from(text)),
        }
    }

    fn text(mut self) -> String {
        if self.left_out > 0 {
            self.comma();
            self.json.push_str(&format!("\"{OVERFLOW_LEFT_OUT}\":{}", self.left_out));
        }
        format!("{{{}}}", self.json)
    }
}

/// Calls `f` with (row, position) of each cell.
fn each_cell(cells: &ManyCells, mut f: impl FnMut(u32, usize)) {
    match &cells.rows {
        Some(rows) => rows.iter().enumerate().for_each(|(i, row)| f(*row, i)),
        None => (0..cells.values.len()).for_each(|i| f(i as u32, i)),
    }
}

/// Moves the columns at these positions (ascending) into the one for what overflows. Answers how many events and fields that were.
pub(crate) fn fold(batch: Batch, over: &[usize]) -> (Batch, Overflow) {
    if over.is_empty() {
        return (batch, Overflow::default());
    }
    let Batch { n_rows, times, sample_rates, columns } = batch;
    let mut kept = Vec::with_capacity(columns.len() + 1 - over.len());
    let mut by_row: BTreeMap<u32, Fields> = BTreeMap::new();
    let (mut over, mut overflow) = (over.iter().copied().peekable(), Overflow::default());
    let (mut sent, mut folded) = (Vec::new(), Vec::new());
    for (i, column) in columns.into_iter().enumerate() {
        let ours = &*column.name == OVERFLOW_COLUMN;
        if over.next_if_eq(&i).is_some() {
            folded.push(column);
        } else if ours {
            sent.push(column);
        } else {
            kept.push(column);
        }
    }
    for column in sent {
        let cells = column.cells.many(n_rows);
        each_cell(&cells, |row, i| {
            let fields = by_row.entry(row).or_default();
            match cells.values.value(i).to_json() {
                Json::String(text) => fields.sent(&text),
                other => fields.add(OVERFLOW_COLUMN, &other),
            }
        });
    }
    for column in folded {
        let cells = column.cells.many(n_rows);
        overflow.fields += cells.values.len();
        each_cell(&cells, |row, i| by_row.entry(row).or_default().add(&column.name, &cells.values.value(i).to_json()));
    }
    overflow.events = by_row.len();
    let (mut rows, mut codes, mut dict) = (Vec::new(), Vec::new(), StrDict::default());
    for (row, fields) in by_row {
        rows.push(row);
        codes.push(dict.insert(fields.text().as_bytes()));
    }
    let rows = (rows.len() < n_rows).then_some(rows);
    let cells = Cells::Many(Box::new(ManyCells { rows, values: Values::Str { codes, dict } }));
    kept.push(BatchColumn { name: Arc::from(OVERFLOW_COLUMN), cells });
    (Batch { n_rows, times, sample_rates, columns: kept }, overflow)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::BatchBuilder;

    #[test]
    fn what_has_no_column_is_kept_as_json() {
        let mut b = BatchBuilder::new();
        let names = ["a", "te\"xt", "float", "yes", "id", OVERFLOW_COLUMN];
        let c: Vec<_> = names.iter().map(|n| b.column(n)).collect();
        b.begin();
        b.int(c[0], 7);
        b.str(c[1], "x\ny");
        b.float(c[2], 0.5);
        b.end(0, 1.0);
        b.begin();
        b.int(c[0], 8);
        b.end(1, 1.0);
        b.begin();
        b.bool(c[3], true);
        b.str(c[4], "0123456789abcdef");
        b.str(c[5], r#"{"old":1}"#);
        b.end(2, 1.0);
        b.begin();
        b.str(c[5], "no object");
        b.end(3, 1.0);
        let batch = b.finish();
        let over: Vec<usize> = (0..batch.columns.len()).filter(|i| !["a", OVERFLOW_COLUMN].contains(&&*batch.columns[*i].name)).collect();
        let (batch, overflow) = fold(batch, &over);
        assert_eq!(overflow, Overflow { events: 3, fields: 4, first: false });
        assert_eq!(batch.columns.iter().map(|c| &*c.name).collect::<Vec<_>>(), ["a", OVERFLOW_COLUMN]);
        let column = batch.columns[1].cells.clone().many(4);
        assert_eq!(column.rows.as_deref(), Some(&[0, 2, 3][..]));
        let found: Vec<Json> = (0..3).map(|i| serde_json::from_str(column.values.value(i).to_json().as_str().unwrap()).unwrap()).collect();
        assert_eq!(found[0], serde_json::json!({"te\"xt": "x\ny", "float": 0.5}));
        assert_eq!(found[1], serde_json::json!({"yes": true, "id": "0123456789abcdef", "old": 1}));
        assert_eq!(found[2], serde_json::json!({"meta.overflow": "no object"}));
    }

    #[test]
    fn its_bytes_are_bounded() {
        let mut fields = Fields::default();
        let long = Json::from("x".repeat(1000));
        (0..2_000).for_each(|i| fields.add(&format!("f{i}"), &long));
        let text = fields.text();
        assert!(text.len() <= Limits::OVERFLOW_BYTES_CEILING + 64);
        let object: serde_json::Map<String, Json> = serde_json::from_str(&text).unwrap();
        assert_eq!(object.len() - 1 + object[OVERFLOW_LEFT_OUT].as_u64().unwrap() as usize, 2_000);
    }
}
