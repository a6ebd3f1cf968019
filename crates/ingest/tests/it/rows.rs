//! A batch as rows of JSON, for tests.
//!
//! Owns: reading back what decoders built. Never does: check it.

use model::{Batch, ManyCells, Values, write_id};
use serde_json::{Map, Value as Json, json};

/// Each event as `{"time": ns, "rate": f, "data": {…}}`. Panics on a batch that is not consistent.
#[allow(clippy::panic, reason = "test code")]
pub(crate) fn rows(batch: &Batch) -> Vec<Json> {
    assert_eq!(batch.times.len(), batch.n_rows);
    assert!(batch.sample_rates.is_empty() || batch.sample_rates.len() == batch.n_rows);
    let mut data = vec![Map::new(); batch.n_rows];
    for column in &batch.columns {
        let all: Vec<u32> = (0..batch.n_rows as u32).collect();
        let ManyCells { rows, values } = *column.cells.clone().many(batch.n_rows);
        let at = rows.as_ref().unwrap_or(&all);
        assert_eq!((at.len(), at.len()), (values.len(), column.cells.len()), "{}", column.name);
        assert!(!at.is_empty() && at.windows(2).all(|w| w[0] < w[1]), "{} {at:?}", column.name);
        if let Values::Str { codes, dict } = &values {
            let used: std::collections::HashSet<u32> = codes.iter().copied().collect();
            assert_eq!(used.len(), dict.len(), "every text of '{}' is in a cell", column.name);
        }
        for (i, &row) in at.iter().enumerate() {
            let id = |raw: &[u8]| {
                let mut text = String::new();
                write_id(values.kind().id().unwrap(), raw, &mut text);
                Json::from(text)
            };
            let cell = match &values {
                Values::Str { codes, dict } => Json::from(std::str::from_utf8(dict.get(codes[i])).unwrap()),
                Values::Int(v) => json!(v[i]),
                Values::Float(v) => json!(v[i]),
                Values::Bool(v) => json!(v[i]),
                Values::Hex8(v) => id(&v[i]),
                Values::Hex16(v) | Values::Uuid(v) => id(&v[i]),
            };
            let twice = data[row as usize].insert(column.name.to_string(), cell);
            assert!(twice.is_none(), "two cells of '{}' in row {row}", column.name);
        }
    }
    let rate = |i: usize| batch.sample_rates.get(i).copied().unwrap_or(1.0);
    data.into_iter().enumerate().map(|(i, d)| json!({"time": batch.times[i], "rate": rate(i), "data": d})).collect()
}
