//! The states of many cells as they are kept between questions, column by column.
//!
//! Owns: the packed form of all states together. Never does: know when a question is asked again.

use super::count::{Counts, SKIP};
use super::distinct::PackedDistinct;
use super::heatmap::PackedHeat;
use super::number::PackedNumbers;
use super::quantile::PackedQuantiles;
use super::{CalcPlan, States};

/// The states of one column's calculations.
#[derive(Clone, Debug, Default)]
struct PackedField {
    present: Option<Counts>,
    numbers: Option<Vec<PackedNumbers>>,
    quantiles: Option<PackedQuantiles>,
    heat: Option<Vec<PackedHeat>>,
    distinct: Option<Vec<PackedDistinct>>,
}

/// The states of some cells.
#[derive(Clone, Debug)]
pub(crate) struct PackedStates {
    count: Counts,
    fields: Box<[PackedField]>,
}

impl Default for PackedStates {
    fn default() -> PackedStates {
        PackedStates { count: Counts::new(false), fields: Box::default() }
    }
}

impl PackedStates {
    pub(crate) fn bytes(&self) -> usize {
        let field = |f: &PackedField| {
            size_of::<PackedField>()
                + f.present.as_ref().map_or(0, Counts::memory)
                + f.numbers.as_ref().map_or(0, |n| n.len() * size_of::<PackedNumbers>())
                + f.quantiles.as_ref().map_or(0, PackedQuantiles::bytes)
                + f.heat.iter().flatten().map(|h| 16 + h.len() * 16).sum::<usize>()
                + f.distinct.iter().flatten().map(PackedDistinct::bytes).sum::<usize>()
        };
        self.count.memory() + self.fields.iter().map(field).sum::<usize>()
    }

    /// The percentiles of a field, if it has some.
    pub(crate) fn quantiles(&self, field: usize) -> Option<&PackedQuantiles> {
        self.fields.get(field)?.quantiles.as_ref()
    }
}

impl States {
    /// The states of some cells, ascending. `number` tells how a value of a field, by its number in this question, is
    /// called between questions. None if some values have no number.
    pub(crate) fn pack(&self, cells: &[u32], number: impl Fn(usize, u64) -> u32) -> Option<PackedStates> {
        let mut fields = Vec::with_capacity(self.fields.len());
        for (f, state) in self.fields.iter().enumerate() {
            let distinct = match &state.distinct {
                Some(d) => Some(d.pack(cells, |id| number(f, id))?),
                None => None,
            };
            fields.push(PackedField {
                present: state.present.as_ref().map(|p| p.pack(cells)),
                numbers: state.numbers.as_ref().map(|n| cells.iter().map(|c| n.pack(*c as usize)).collect()),
                quantiles: state.quantiles.as_ref().map(|q| q.pack(cells)),
                heat: state.heat.as_ref().map(|h| cells.iter().map(|c| h.pack(*c as usize)).collect()),
                distinct,
            });
        }
        Some(PackedStates { count: self.count.pack(cells), fields: fields.into() })
    }

    /// Adds what was kept, each cell at its place; [`SKIP`] leaves it out, as what these states do not have is.
    pub(crate) fn absorb(&mut self, packed: &PackedStates, places: &[u32]) {
        let each = || places.iter().enumerate().filter(|(_, place)| **place != SKIP).map(|(i, place)| (i, *place as usize));
        self.absorb_each(packed, each);
    }

    /// The same for some of the cells, with their places.
    pub(crate) fn absorb_some(&mut self, packed: &PackedStates, cells: &[(usize, usize)]) {
        self.absorb_each(packed, || cells.iter().copied());
    }

    fn absorb_each<I: Iterator<Item = (usize, usize)>>(&mut self, packed: &PackedStates, each: impl Fn() -> I) {
        self.count.absorb(&packed.count, each());
        for (state, packed) in self.fields.iter_mut().zip(&packed.fields) {
            if let (Some(a), Some(b)) = (&mut state.present, &packed.present) {
                a.absorb(b, each());
            }
            if let (Some(a), Some(b)) = (&mut state.numbers, &packed.numbers) {
                each().for_each(|(i, cell)| a.absorb(cell, &b[i]));
            }
            if let (Some(a), Some(b)) = (&mut state.quantiles, &packed.quantiles) {
                each().for_each(|(i, cell)| a.absorb(cell, b, i));
            }
            if let (Some(a), Some(b)) = (&mut state.heat, &packed.heat) {
                each().for_each(|(i, cell)| a.absorb(cell, &b[i]));
            }
            if let (Some(a), Some(b)) = (&mut state.distinct, &packed.distinct) {
                each().for_each(|(i, cell)| a.absorb(cell, &b[i]));
            }
        }
    }
}

/// What of a plan decides about the values of states, beside the events themselves: partial results are kept under it.
pub(crate) fn context(plan: &CalcPlan) -> Vec<u8> {
    let flag = |f: &super::FieldPlan| u8::from(f.numbers.whole) | u8::from(f.quantiles.as_ref().is_some_and(|q| q.is_linear())) << 1;
    std::iter::once(u8::from(plan.weighted)).chain(plan.fields.iter().map(flag)).collect()
}
