//! Values of a column for autocompletion: those that start with what was typed, most frequent first.
//!
//! Owns: counting by dictionary where there is one, by a sample of the newest events where not.
//! Never does: weigh by sample rate.

use crate::intern::{Interner, Key};
use crate::scan::keys::each_key;
use crate::scan::place::Place;
use crate::scan::select::Rows;
use crate::{Cell, EngineError};
use hashbrown::HashMap;
use model::{TimeNs, Value};
use std::sync::Arc;
use store::Segment;
use store::segment::{Dict, Layout, Scratch};

/// Entries of one dictionary that are taken into account, the most frequent first.
const ENTRIES_MAX: usize = 20_000;
/// Blocks that are read of columns without dictionary.
const SAMPLE_BLOCKS: usize = 4;

/// Up to `limit` values that start with `prefix`, with the events that have them.
pub fn values(
    segments: &[Arc<Segment>],
    column: &str,
    prefix: &str,
    limit: usize,
    range: (TimeNs, TimeNs),
) -> Result<Vec<(Value, u64)>, EngineError> {
    let mut texts: HashMap<String, u64> = HashMap::new();
    let interner = Interner::default();
    let mut numbers: HashMap<u32, u64> = HashMap::new();
    let mut blocks_left = SAMPLE_BLOCKS;
    for segment in segments.iter().filter(|s| s.times().0 < range.1 && s.times().1 >= range.0) {
        for c in Place::find(segment, column) {
            match c.layout {
                Layout::Dict => add_dict(&*c.dict()?, prefix, &mut texts),
                _ => {
                    let n = segment.n_blocks().min(blocks_left);
                    blocks_left -= n;
                    for block in segment.n_blocks() - n..segment.n_blocks() {
                        add_block(&c, block, prefix, &interner, &mut numbers)?;
                    }
                }
            }
        }
    }
    let mut all: Vec<(Value, u64)> = Vec::new();
    for (id, n) in numbers {
        match value(interner.value(id)) {
            // An id may be in the dictionary of another segment.
            Value::Str(text) => *texts.entry(text).or_default() += n,
            value => all.push((value, n)),
        }
    }
    all.extend(texts.into_iter().map(|(t, n)| (Value::Str(t), n)));
    all.sort_by(|(a, n), (b, m)| m.cmp(n).then_with(|| Cell::from(a.clone()).compare(&Cell::from(b.clone()))));
    all.truncate(limit);
    Ok(all)
}

fn value(cell: Cell) -> Value {
    match cell {
        Cell::Bool(b) => Value::Bool(b),
        Cell::Int(i) => Value::Int(i),
        Cell::Float(f) => Value::Float(f),
        Cell::Str(s) => Value::Str(s.to_string()),
        Cell::Null | Cell::Heatmap(_) => Value::Null,
    }
}

fn add_dict(dict: &Dict, prefix: &str, texts: &mut HashMap<String, u64>) {
    let mut scratch = String::new();
    let (mut low, mut high) = (0, dict.len() as u32);
    while low < high {
        let middle = low + (high - low) / 2;
        if dict.text(middle, &mut scratch).as_bytes() < prefix.as_bytes() { low = middle + 1 } else { high = middle }
    }
    let mut codes: Vec<u32> = (low..dict.len() as u32).take_while(|c| dict.text(*c, &mut scratch).starts_with(prefix)).collect();
    if codes.len() > ENTRIES_MAX {
        codes.select_nth_unstable_by_key(ENTRIES_MAX, |c| std::cmp::Reverse(dict.count(*c)));
        codes.truncate(ENTRIES_MAX);
    }
    for code in codes {
        *texts.entry_ref(dict.text(code, &mut scratch)).or_default() += u64::from(dict.count(code));
    }
}

fn add_block(
    column: &Place<'_>,
    block: usize,
    prefix: &str,
    interner: &Interner,
    counts: &mut HashMap<u32, u64>,
) -> Result<(), EngineError> {
    let mut scratch = Scratch::default();
    let mut met: HashMap<u32, u64> = HashMap::new();
    let rows = Rows::Range(0, column.segment.block_rows(block));
    each_key(column, block, rows, &mut scratch, |_, key: Key| {
        *met.entry(interner.intern(key, || "")).or_default() += 1;
    })?;
    for (id, n) in met {
        if prefix.is_empty() || text(&interner.value(id)).starts_with(prefix) {
            *counts.entry(id).or_default() += n;
        }
    }
    Ok(())
}

fn text(cell: &Cell) -> String {
    match cell {
        Cell::Bool(b) => b.to_string(),
        Cell::Int(i) => i.to_string(),
        Cell::Float(f) => f.to_string(),
        Cell::Str(s) => s.to_string(),
        Cell::Null | Cell::Heatmap(_) => String::new(),
    }
}
