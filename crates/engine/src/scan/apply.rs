//! Filters at work on one block: which of its rows pass.
//!
//! Owns: the order of evaluation, and when to go from whole blocks to single rows. Never does: interpret operators.

use super::filter::{CodeTest, Filter, IdTest, Part, Ready, Test};
use super::numbers::{FloatTest, IntTest};
use super::select::{Bitmap, Rows, keep_valid, keep_values};
use crate::EngineError;
use crate::intern::id_text;
use model::Value;
use store::segment::{BLOCK_ROWS, Codes, Layout, Scratch};

/// With at most this many rows left, cells are fetched one by one.
const SINGLE_ROWS: usize = 96;

/// Buffers of filtering, used again for every block.
#[derive(Debug, Default)]
pub(crate) struct FilterBuffers {
    bits: Bitmap,
    tried: Bitmap,
    part: Bitmap,
    either: Bitmap,
    rows: Vec<u32>,
}

impl Filter<'_> {
    /// The rows of a block of `n`, from `low` to `high`, that pass.
    pub(crate) fn select<'b>(
        &self,
        n: usize,
        block: usize,
        (low, high): (usize, usize),
        buffers: &'b mut FilterBuffers,
        scratch: &mut Scratch,
    ) -> Result<Rows<'b>, EngineError> {
        if self.is_all() {
            return Ok(Rows::Range(low, high));
        }
        let FilterBuffers { bits, tried, part, either, rows } = buffers;
        rows.clear();
        if self.any {
            // What is still to be decided shrinks with every condition.
            tried.set_range(n, low, high);
            bits.set_range(n, 0, 0);
            for condition in &self.conditions {
                part.words.clone_from(&tried.words);
                let mut passing = std::mem::take(part);
                keep(condition, block, &mut passing, &mut Spare { part, either }, scratch)?;
                bits.or(&passing);
                tried.and_not(&passing);
                *part = passing;
                if tried.is_empty() {
                    break;
                }
            }
        } else {
            bits.set_range(n, low, high);
            for condition in &self.conditions {
                keep(condition, block, bits, &mut Spare { part, either }, scratch)?;
                if bits.is_empty() {
                    return Ok(Rows::List(&[]));
                }
            }
        }
        if bits.count() == high - low {
            return Ok(Rows::Range(low, high));
        }
        bits.push_rows(rows);
        Ok(Rows::List(rows))
    }
}

struct Spare<'a> {
    part: &'a mut Bitmap,
    either: &'a mut Bitmap,
}

/// Clears the bits of rows that fail a condition.
fn keep(condition: &Ready<'_>, block: usize, bits: &mut Bitmap, spare: &mut Spare<'_>, scratch: &mut Scratch) -> Result<(), EngineError> {
    let Ready::Parts { parts, negate, .. } = condition else {
        if matches!(condition, Ready::Const(false)) {
            bits.clear_all();
        }
        return Ok(());
    };
    let negate = *negate;
    if bits.count() <= SINGLE_ROWS {
        let mut failed = None;
        bits.keep(|row| {
            let mut holds = false;
            for part in parts {
                match holds_at(part, block * BLOCK_ROWS + row) {
                    Ok(h) => holds |= h,
                    Err(e) => failed = Some(e),
                }
            }
            holds != negate
        });
        return failed.map_or(Ok(()), Err);
    }
    match parts.as_slice() {
        [Part { place, test: Test::Codes(test) }] => {
            let codes = place.codes(block, scratch)?;
            keep_codes(codes, test, negate, bits);
        }
        [part] if !negate => keep_part(part, block, bits, scratch)?,
        parts => {
            spare.either.words.clear();
            spare.either.words.resize(bits.words.len(), 0);
            for part in parts {
                spare.part.words.clone_from(&bits.words);
                keep_part(part, block, spare.part, scratch)?;
                spare.either.or(spare.part);
            }
            if negate {
                bits.and_not(spare.either);
            } else {
                bits.and(spare.either);
            }
        }
    }
    Ok(())
}

/// Clears the bits of rows whose cell fails, or is missing.
fn keep_part(part: &Part<'_>, block: usize, bits: &mut Bitmap, scratch: &mut Scratch) -> Result<(), EngineError> {
    let place = &part.place;
    match &part.test {
        Test::Codes(test) => keep_codes(place.codes(block, scratch)?, test, false, bits),
        Test::Present => match place.layout {
            Layout::Dict | Layout::Bools => {
                let missing = missing_code(part);
                let codes = place.codes(block, scratch)?;
                match missing {
                    0 => bits.clear_all(),
                    n => keep_codes(codes, &CodeTest::Range { low: 0, span: n - 1 }, false, bits),
                }
            }
            Layout::Ints | Layout::Floats | Layout::Ids => keep_valid(place.valid(block, scratch)?, bits),
        },
        Test::Ints(test) => {
            let (values, valid) = place.ints(block, scratch)?;
            keep_valid(valid, bits);
            match test {
                IntTest::Range(low, high) => keep_values(values, bits, |v| (v >= *low) & (v <= *high)),
                IntTest::Set(_) => bits.keep(|row| test.holds(values[row])),
            }
        }
        Test::Floats(test) => {
            let (values, valid) = place.floats(block, scratch)?;
            keep_valid(valid, bits);
            match test {
                FloatTest::Range(low, high) => keep_values(values, bits, |v| (v >= *low) & (v <= *high)),
                FloatTest::Set(_) => bits.keep(|row| test.holds(values[row])),
            }
        }
        Test::Ids(test) => {
            let (values, valid) = place.ids(block, scratch)?;
            keep_valid(valid, bits);
            match test {
                IdTest::Set(set) => match set.as_slice() {
                    [one] => keep_values(values, bits, |v| v == *one),
                    set => bits.keep(|row| set.binary_search(&values[row]).is_ok()),
                },
                IdTest::Text(test) => {
                    let Some(kind) = place.kind.id() else {
                        return Err(EngineError::Internal { what: "ids of a column that holds none" });
                    };
                    let mut text = String::new();
                    bits.keep(|row| {
                        text.clear();
                        id_text(kind, values[row], &mut text);
                        test.holds(text.as_bytes())
                    });
                }
            }
        }
    }
    Ok(())
}

/// The code of a missing cell.
fn missing_code(part: &Part<'_>) -> u32 {
    if part.place.layout == Layout::Bools { 2 } else { part.place.n_dict() as u32 }
}

/// Clears the bits of rows whose code fails; negated, of those whose code passes.
fn keep_codes(codes: Codes<'_>, test: &CodeTest, negate: bool, bits: &mut Bitmap) {
    match test {
        CodeTest::Range { low, span } => {
            let (low, span) = (*low, *span);
            match codes {
                Codes::Const(c) => {
                    if (c.wrapping_sub(low) <= span) == negate {
                        bits.clear_all();
                    }
                }
                Codes::U8(c) => keep_range(c, (low as u8, span as u8), negate, bits, |c, low, span| c.wrapping_sub(low) <= span),
                Codes::U16(c) => keep_range(c, (low as u16, span as u16), negate, bits, |c, low, span| c.wrapping_sub(low) <= span),
                Codes::U32(c) => keep_range(c, (low, span), negate, bits, |c, low, span| c.wrapping_sub(low) <= span),
            }
        }
        CodeTest::Table(table) => {
            let holds = |c: usize| (table.get(c).copied().unwrap_or(0) != 0) != negate;
            match codes {
                Codes::Const(c) => {
                    if !holds(c as usize) {
                        bits.clear_all();
                    }
                }
                Codes::U8(c) => keep_values(c, bits, |c| holds(c as usize)),
                Codes::U16(c) => keep_values(c, bits, |c| holds(c as usize)),
                Codes::U32(c) => keep_values(c, bits, |c| holds(c as usize)),
            }
        }
        CodeTest::Lazy(lazy) => match codes {
            Codes::Const(c) => {
                if lazy.holds(c) == negate {
                    bits.clear_all();
                }
            }
            Codes::U8(c) => bits.keep(|row| lazy.holds(u32::from(c[row])) != negate),
            Codes::U16(c) => bits.keep(|row| lazy.holds(u32::from(c[row])) != negate),
            Codes::U32(c) => bits.keep(|row| lazy.holds(c[row]) != negate),
        },
    }
}

#[inline(always)]
fn keep_range<T: Copy>(codes: &[T], (low, span): (T, T), negate: bool, bits: &mut Bitmap, inside: impl Fn(T, T, T) -> bool) {
    if negate {
        keep_values(codes, bits, |c| !inside(c, low, span));
    } else {
        keep_values(codes, bits, |c| inside(c, low, span));
    }
}

/// Whether one row has a cell that passes.
fn holds_at(part: &Part<'_>, row: usize) -> Result<bool, EngineError> {
    let place = &part.place;
    if let Test::Codes(test) = &part.test {
        let Some(code) = place.code(row)? else { return Ok(false) };
        return Ok(match test {
            CodeTest::Range { low, span } => code.wrapping_sub(*low) <= *span,
            CodeTest::Table(table) => table.get(code as usize).copied().unwrap_or(0) != 0,
            CodeTest::Lazy(lazy) => lazy.holds(code),
        });
    }
    if matches!(part.test, Test::Present) && matches!(place.layout, Layout::Dict | Layout::Bools) {
        return Ok(place.code(row)?.is_some());
    }
    Ok(match (&part.test, place.cell(row)?) {
        (_, Value::Null) => false,
        (Test::Present, _) => true,
        (Test::Ints(test), Value::Int(v)) => test.holds(v),
        (Test::Floats(test), Value::Float(v)) => test.holds(v),
        (Test::Ids(IdTest::Set(set)), Value::Str(s)) => match model::parse_id(s.as_bytes()) {
            Some((kind, raw)) => set.binary_search(&crate::intern::id_bits(kind, &raw)).is_ok(),
            None => false,
        },
        (Test::Ids(IdTest::Text(test)), Value::Str(s)) => test.holds(s.as_bytes()),
        _ => false,
    })
}
