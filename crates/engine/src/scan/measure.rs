//! Feeds the calculated columns of selected rows to the states.
//!
//! Owns: reading numbers and values in the form that states take. Never does: keep results.

use super::keys::{BlockRef, KeyBuffers, KeyPart, SINGLE_ROWS, each_key, each_present};
use super::pass::Pass;
use super::place::Place;
use super::prepare::Ready;
use super::select::{Rows, each_run, is_valid};
use crate::calc::concurrency::Concurrency;
use crate::calc::count::Cells;
use crate::calc::distinct::Distinct;
use crate::calc::{FieldPlan, FieldState};
use crate::{EngineError, Field};
use model::{TimeNs, Value};
use store::segment::{BLOCK_ROWS, Layout, Scratch, Valid};

/// Buffers of one thread.
#[derive(Debug, Default)]
pub(crate) struct MeasureBuffers {
    cells: Vec<u32>,
    weights: Vec<f64>,
    ints: Vec<i64>,
    floats: Vec<f64>,
    ids: Vec<u32>,
    times: Vec<TimeNs>,
    durations: Vec<(u32, f64)>,
}

/// Selected rows of a block with their cells and weights.
pub(crate) type Input<'a> = (Rows<'a>, Cells<'a>, Option<&'a [f64]>);

impl MeasureBuffers {
    /// Feeds one field.
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn add_field(
        &mut self,
        pass: &Pass<'_, '_>,
        f: usize,
        field: &FieldPlan,
        state: &mut FieldState,
        ready: &Ready<'_>,
        at: BlockRef<'_>,
        (rows, cells, weights): Input<'_>,
        buffers: &mut KeyBuffers,
        scratch: &mut Scratch,
    ) -> Result<(), EngineError> {
        if let Some(counts) = &mut state.present {
            if !matches!(field.field, Field::IsRoot | Field::Dataset) {
                for column in &ready.fields[f] {
                    if column.is_full() {
                        counts.add(cells, weights);
                        continue;
                    }
                    self.cells.clear();
                    self.weights.clear();
                    let (out_cells, out_weights) = (&mut self.cells, &mut self.weights);
                    each_present(column, at.block, rows, scratch, |i| {
                        out_cells.push(cells.list[i]);
                        if let Some(w) = weights {
                            out_weights.push(w[i]);
                        }
                    })?;
                    counts.add(cells.with(&self.cells), weights.map(|_| self.weights.as_slice()));
                }
            } else {
                counts.add(cells, weights);
            }
        }
        if let Some(distinct) = &mut state.distinct {
            match pass.prepared.distinct_keys[f] {
                Some(k) => {
                    if let [KeyPart::Map { column, map, .. }] = ready.keys[k].as_slice()
                        && rows.len() > SINGLE_ROWS
                        && let Some(coded) = distinct.coded(map, rows.len())
                    {
                        rows.each_code(column.codes(at.block, scratch)?, |i, code| coded.add(cells.list[i], code));
                    } else {
                        self.ids.clear();
                        self.ids.resize(rows.len(), 0);
                        let ids = &mut self.ids;
                        for part in &ready.keys[k] {
                            part.each_id(&pass.prepared.keys[k].ids, at, rows, buffers, scratch, |i, id| ids[i] |= id as u32)?;
                        }
                        distinct.add_ids(cells.list, ids);
                    }
                }
                None => add_keys(distinct, &ready.fields[f], at, rows, cells.list, scratch)?,
            }
        }
        if field.numeric() {
            for column in &ready.fields[f] {
                match column.layout {
                    Layout::Ints => self.add_ints(field, state, column, at, (rows, cells, weights), scratch)?,
                    Layout::Floats => self.add_floats(state, column, at, (rows, cells, weights), scratch)?,
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn add_ints(
        &mut self,
        field: &FieldPlan,
        state: &mut FieldState,
        column: &Place<'_>,
        at: BlockRef<'_>,
        input: Input<'_>,
        scratch: &mut Scratch,
    ) -> Result<(), EngineError> {
        let rows = input.0;
        self.ints.clear();
        let few = rows.len() <= SINGLE_ROWS;
        let (values, valid) = if few { (&[][..], Valid::All) } else { column.ints(at.block, scratch)? };
        let (values, cells, weights) = if few {
            let number = |v| if let Value::Int(i) = v { Some(i) } else { None };
            single(column, at, input, (&mut self.ints, &mut self.cells, &mut self.weights), number)?
        } else {
            gather(values, valid, input, (&mut self.ints, &mut self.cells, &mut self.weights))
        };
        if cells.list.is_empty() {
            return Ok(());
        }
        if let Some(numbers) = &mut state.numbers {
            numbers.add_ints(cells, values, weights);
        }
        if field.floats() {
            self.floats.clear();
            self.floats.extend(values.iter().map(|v| *v as f64));
            add_to_distributions(state, cells, &self.floats, weights);
        }
        Ok(())
    }

    fn add_floats(
        &mut self,
        state: &mut FieldState,
        column: &Place<'_>,
        at: BlockRef<'_>,
        input: Input<'_>,
        scratch: &mut Scratch,
    ) -> Result<(), EngineError> {
        let rows = input.0;
        let few = rows.len() <= SINGLE_ROWS;
        let (values, valid) = if few { (&[][..], Valid::All) } else { column.floats(at.block, scratch)? };
        let (values, cells, weights) = if few {
            single(column, at, input, (&mut self.floats, &mut self.cells, &mut self.weights), |v| v.number())?
        } else {
            gather(values, valid, input, (&mut self.floats, &mut self.cells, &mut self.weights))
        };
        if let Some(numbers) = &mut state.numbers {
            numbers.add_floats(cells, values, weights);
        }
        add_to_distributions(state, cells, values, weights);
        Ok(())
    }

    /// Lays spans over time; `groups` holds the group of each row.
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn add_spans(
        &mut self,
        concurrency: &mut Concurrency,
        ready: &Ready<'_>,
        at: BlockRef<'_>,
        rows: Rows<'_>,
        groups: &[u32],
        weights: Option<&[f64]>,
        scratch: &mut Scratch,
    ) -> Result<(), EngineError> {
        self.durations.clear();
        for column in &ready.durations {
            let (values, valid) = column.floats(at.block, scratch)?;
            let out = &mut self.durations;
            rows.each(|i, row| {
                if is_valid(valid, row) && values[row] > 0.0 {
                    out.push((i as u32, values[row]));
                }
            });
        }
        if self.durations.is_empty() {
            return Ok(());
        }
        self.times.clear();
        let times = at.segment.read_times(at.block, scratch)?;
        let out = &mut self.times;
        rows.each_value(times, |_, t| out.push(t));
        for (i, ms) in &self.durations {
            let i = *i as usize;
            concurrency.add(groups[i], self.times[i], *ms, weights.map_or(1.0, |w| w[i]));
        }
        Ok(())
    }
}

fn add_to_distributions(state: &mut FieldState, cells: Cells<'_>, values: &[f64], weights: Option<&[f64]>) {
    if let Some(quantiles) = &mut state.quantiles {
        quantiles.add(cells.list, values, weights);
    }
    if let Some(heat) = &mut state.heat {
        heat.add(cells.list, values, weights);
    }
}

/// Values that are counted by identity.
fn add_keys(
    distinct: &mut Distinct,
    columns: &[Place<'_>],
    at: BlockRef<'_>,
    rows: Rows<'_>,
    cells: &[u32],
    scratch: &mut Scratch,
) -> Result<(), EngineError> {
    for column in columns {
        let mut last = None;
        each_key(column, at.block, rows, scratch, |i, key| {
            // Kinds do not share values: their bits are kept apart.
            if last != Some((cells[i], key)) {
                last = Some((cells[i], key));
                distinct.add_key(cells[i], key.bits ^ u128::from(crate::intern::mix(u64::from(key.tag))) << 64);
            }
        })?;
    }
    Ok(())
}

type Out<'o, T> = (&'o mut Vec<T>, &'o mut Vec<u32>, &'o mut Vec<f64>);
type Gathered<'o, T> = (&'o [T], Cells<'o>, Option<&'o [f64]>);

/// The numbers of selected rows with their cells and weights, without the missing ones; copied only where needed.
fn gather<'o, T: Copy>(
    values: &'o [T],
    valid: Valid<'_>,
    (rows, cells, weights): (Rows<'_>, Cells<'o>, Option<&'o [f64]>),
    out: Out<'o, T>,
) -> Gathered<'o, T> {
    let (out_values, out_cells, out_weights) = out;
    out_values.clear();
    out_cells.clear();
    out_weights.clear();
    match (valid, rows) {
        (Valid::None, _) => return (&[], cells.with(&[]), weights.map(|_| &[][..])),
        (Valid::All, Rows::Range(low, high)) => return (&values[low..high], cells, weights),
        (Valid::All, Rows::List(list)) => {
            out_values.extend(list.iter().map(|r| values[*r as usize]));
            return (out_values, cells, weights);
        }
        (Valid::Bits(bits), Rows::Range(low, high)) => each_run(bits, low, high, |from, to| {
            out_values.extend_from_slice(&values[from..to]);
            out_cells.extend_from_slice(&cells.list[from - low..to - low]);
            if let Some(w) = weights {
                out_weights.extend_from_slice(&w[from - low..to - low]);
            }
        }),
        (Valid::Bits(_), Rows::List(list)) => {
            for (i, row) in list.iter().enumerate() {
                if is_valid(valid, *row as usize) {
                    out_values.push(values[*row as usize]);
                    out_cells.push(cells.list[i]);
                    if let Some(w) = weights {
                        out_weights.push(w[i]);
                    }
                }
            }
        }
    }
    (out_values, cells.with(out_cells), weights.map(|_| out_weights.as_slice()))
}

/// The same for few rows, cell by cell.
fn single<'o, T: Copy>(
    column: &Place<'_>,
    at: BlockRef<'_>,
    (rows, cells, weights): Input<'_>,
    out: Out<'o, T>,
    number: impl Fn(Value) -> Option<T>,
) -> Result<Gathered<'o, T>, EngineError> {
    let (out_values, out_cells, out_weights) = out;
    out_values.clear();
    out_cells.clear();
    out_weights.clear();
    let mut failed = None;
    rows.each(|i, row| match column.cell(at.block * BLOCK_ROWS + row) {
        Ok(v) => {
            if let Some(v) = number(v) {
                out_values.push(v);
                out_cells.push(cells.list[i]);
                if let Some(w) = weights {
                    out_weights.push(w[i]);
                }
            }
        }
        Err(e) => failed = Some(e),
    });
    match failed {
        Some(e) => Err(e.into()),
        None => Ok((out_values, cells.with(out_cells), weights.map(|_| out_weights.as_slice()))),
    }
}
