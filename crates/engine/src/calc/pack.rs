//! The states of one cell as they are kept between questions.
//!
//! Owns: the packed form of all states together. Never does: know when a question is asked again.

use super::distinct::PackedDistinct;
use super::number::PackedNumbers;
use super::quantile::PackedQuantiles;
use super::total::Total;
use super::{CalcPlan, States};

/// The state of one column's calculations in one cell.
#[derive(Clone, Debug, Default, PartialEq)]
struct PackedField {
    present: Option<Total>,
    numbers: Option<PackedNumbers>,
    quantiles: Option<PackedQuantiles>,
    heat: Option<Box<[(i64, f64)]>>,
    distinct: Option<PackedDistinct>,
}

/// The states of one cell.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PackedCell {
    count: Total,
    fields: Box<[PackedField]>,
}

impl PackedCell {
    pub(crate) fn bytes(&self) -> usize {
        let field = |f: &PackedField| {
            size_of::<PackedField>()
                + f.quantiles.as_ref().map_or(0, PackedQuantiles::bytes)
                + f.heat.as_ref().map_or(0, |h| h.len() * 16)
                + f.distinct.as_ref().map_or(0, PackedDistinct::bytes)
        };
        size_of::<PackedCell>() + self.fields.iter().map(field).sum::<usize>()
    }
}

impl States {
    /// The states of some cells, ascending. `number` tells how a value of a field, by its number in this question, is
    /// called between questions. None if some values have no number.
    pub(crate) fn pack(&self, cells: &[u32], number: impl Fn(usize, u64) -> u32) -> Option<Vec<PackedCell>> {
        let mut out: Vec<PackedCell> = cells
            .iter()
            .map(|c| PackedCell { count: self.count.pack(*c as usize), fields: vec![PackedField::default(); self.fields.len()].into() })
            .collect();
        for (f, state) in self.fields.iter().enumerate() {
            let quantiles = state.quantiles.as_ref().map(|q| q.pack(cells).into_iter());
            let mut quantiles = quantiles.into_iter().flatten();
            let distinct = match &state.distinct {
                Some(d) => Some(d.pack(cells, |id| number(f, id))?.into_iter()),
                None => None,
            };
            let mut distinct = distinct.into_iter().flatten();
            for (c, packed) in cells.iter().zip(&mut out) {
                let c = *c as usize;
                packed.fields[f] = PackedField {
                    present: state.present.as_ref().map(|p| p.pack(c)),
                    numbers: state.numbers.as_ref().map(|n| n.pack(c)),
                    quantiles: quantiles.next(),
                    heat: state.heat.as_ref().map(|h| h.pack(c)),
                    distinct: distinct.next(),
                };
            }
        }
        Some(out)
    }

    /// Adds what was kept to a cell.
    pub(crate) fn absorb(&mut self, cell: usize, packed: &PackedCell) {
        self.count.absorb(cell, packed.count);
        for (state, packed) in self.fields.iter_mut().zip(&packed.fields) {
            if let (Some(a), Some(b)) = (&mut state.present, packed.present) {
                a.absorb(cell, b);
            }
            if let (Some(a), Some(b)) = (&mut state.numbers, &packed.numbers) {
                a.absorb(cell, b);
            }
            if let (Some(a), Some(b)) = (&mut state.quantiles, &packed.quantiles) {
                a.absorb(cell, b);
            }
            if let (Some(a), Some(b)) = (&mut state.heat, &packed.heat) {
                a.absorb(cell, b);
            }
            if let (Some(a), Some(b)) = (&mut state.distinct, &packed.distinct) {
                a.absorb(cell, b);
            }
        }
    }
}

/// What of a plan decides about the values of states, beside the events themselves: partial results are kept under it.
pub(crate) fn context(plan: &CalcPlan) -> Vec<u8> {
    let flag = |f: &super::FieldPlan| u8::from(f.numbers.whole) | u8::from(f.quantiles.as_ref().is_some_and(|q| q.is_linear())) << 1;
    std::iter::once(u8::from(plan.weighted)).chain(plan.fields.iter().map(flag)).collect()
}
