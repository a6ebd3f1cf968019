//! Calculations: one state per column that a question calculates on, fed with the selected rows of each block.
//!
//! Owns: which states a question needs, and their sizes. Never does: read blocks, order results.

pub(crate) mod coded;
pub(crate) mod concurrency;
pub(crate) mod count;
pub(crate) mod distinct;
pub(crate) mod heatmap;
pub(crate) mod number;
pub(crate) mod pack;
pub(crate) mod quantile;
pub(crate) mod total;

use crate::{CalcOp, Cell, Field};
use concurrency::{Concurrency, ConcurrencyPlan};
use count::{CellMap, Counts};
use distinct::{Distinct, DistinctPlan};
use heatmap::{Heat, HeatPlan};
use number::{NumberPlan, Numbers};
use quantile::{QuantilePlan, Quantiles};
use std::sync::Arc;

/// What a question calculates on one column.
#[derive(Clone, Debug)]
pub(crate) struct FieldPlan {
    pub(crate) field: Field,
    /// COUNT of cells.
    pub(crate) present: bool,
    pub(crate) numbers: NumberPlan,
    pub(crate) quantiles: Option<Arc<QuantilePlan>>,
    pub(crate) heat: Option<HeatPlan>,
    pub(crate) distinct: Option<DistinctPlan>,
    /// COUNT_DISTINCT must not be sampled.
    pub(crate) exact: bool,
}

impl FieldPlan {
    /// Whether numbers have to be read.
    pub(crate) fn numeric(&self) -> bool {
        self.numbers.wanted() || self.quantiles.is_some() || self.heat.is_some()
    }

    /// Whether numbers are needed as floats even where they are integers.
    pub(crate) fn floats(&self) -> bool {
        self.quantiles.is_some() || self.heat.is_some()
    }
}

/// What a question calculates.
#[derive(Clone, Debug)]
pub(crate) struct CalcPlan {
    pub(crate) fields: Vec<FieldPlan>,
    pub(crate) weighted: bool,
    pub(crate) concurrency: Option<ConcurrencyPlan>,
}

impl CalcPlan {
    /// The same without what is calculated on other fields.
    pub(crate) fn only(mut self, fields: &[bool]) -> CalcPlan {
        for (field, _) in self.fields.iter_mut().zip(fields).filter(|(_, wanted)| !**wanted) {
            *field = FieldPlan {
                field: field.field.clone(),
                present: false,
                numbers: NumberPlan::default(),
                quantiles: None,
                heat: None,
                distinct: None,
                exact: false,
            };
        }
        self
    }

    /// Bytes that states take for one cell.
    pub(crate) fn cell_bytes(&self) -> usize {
        let counts = if self.weighted { 16 } else { 4 };
        let field = |f: &FieldPlan| {
            let numbers = if f.numbers.wanted() {
                counts + 16 * usize::from(f.numbers.sum) + 8 * usize::from(f.numbers.min) + 8 * usize::from(f.numbers.max)
            } else {
                0
            };
            let distinct = match f.distinct {
                Some(DistinctPlan::Bits(width)) => width / 8 + 24,
                _ => 0,
            };
            numbers + distinct + f.quantiles.as_ref().map_or(0, |q| q.cell_bytes() + 1) + f.heat.map_or(0, |h| h.cell_bytes())
        };
        counts + self.fields.iter().map(field).sum::<usize>()
    }
}

/// The state of one column's calculations.
#[derive(Clone, Debug)]
pub(crate) struct FieldState {
    pub(crate) present: Option<Counts>,
    pub(crate) numbers: Option<Numbers>,
    pub(crate) quantiles: Option<Quantiles>,
    pub(crate) heat: Option<Heat>,
    pub(crate) distinct: Option<Distinct>,
    exact: bool,
}

/// The states of a question.
#[derive(Clone, Debug)]
pub(crate) struct States {
    pub(crate) n_cells: usize,
    /// Events per cell; a cell without is empty.
    pub(crate) count: Counts,
    pub(crate) fields: Vec<FieldState>,
    pub(crate) concurrency: Option<Concurrency>,
}

impl States {
    /// States without cells.
    pub(crate) fn new(plan: &CalcPlan) -> States {
        let fields = plan.fields.iter().map(|f| FieldState {
            present: f.present.then(|| Counts::new(plan.weighted)),
            numbers: f.numbers.wanted().then(|| Numbers::new(f.numbers, plan.weighted)),
            quantiles: f.quantiles.clone().map(Quantiles::new),
            heat: f.heat.map(Heat::new),
            distinct: f.distinct.map(Distinct::new),
            exact: f.exact,
        });
        States {
            n_cells: 0,
            count: Counts::new(plan.weighted),
            fields: fields.collect(),
            concurrency: plan.concurrency.map(Concurrency::new),
        }
    }

    /// Makes room for cells, and for the groups of CONCURRENCY.
    pub(crate) fn resize(&mut self, n_cells: usize, n_groups: usize) {
        if let Some(c) = &mut self.concurrency {
            c.resize(n_groups);
        }
        if n_cells <= self.n_cells {
            return;
        }
        self.n_cells = n_cells;
        self.count.resize(n_cells);
        for f in &mut self.fields {
            if let Some(s) = &mut f.present {
                s.resize(n_cells);
            }
            if let Some(s) = &mut f.numbers {
                s.resize(n_cells);
            }
            if let Some(s) = &mut f.quantiles {
                s.resize(n_cells);
            }
            if let Some(s) = &mut f.heat {
                s.resize(n_cells);
            }
            if let Some(s) = &mut f.distinct {
                s.resize(n_cells);
            }
        }
    }

    /// Adds the states of another run: its cells go where `map` says, its groups of CONCURRENCY where `groups` says.
    pub(crate) fn merge(&mut self, mut other: States, map: CellMap<'_>, groups: CellMap<'_>) {
        for (a, b) in self.fields.iter_mut().zip(&mut other.fields) {
            if let Some(a) = &mut a.quantiles
                && let Some(b) = b.quantiles.take()
            {
                a.merge(b, map);
            }
            if let Some(a) = &mut a.distinct
                && let Some(b) = b.distinct.take()
            {
                a.merge(b, map);
            }
        }
        self.merge_from(&other, map, groups);
    }

    /// Like [`Self::merge`], leaving the other as it is.
    pub(crate) fn merge_from(&mut self, other: &States, map: CellMap<'_>, groups: CellMap<'_>) {
        self.count.merge(&other.count, map);
        for (a, b) in self.fields.iter_mut().zip(&other.fields) {
            if let (Some(a), Some(b)) = (&mut a.present, &b.present) {
                a.merge(b, map);
            }
            if let (Some(a), Some(b)) = (&mut a.numbers, &b.numbers) {
                a.merge(b, map);
            }
            if let (Some(a), Some(b)) = (&mut a.quantiles, &b.quantiles) {
                a.merge_from(b, map);
            }
            if let (Some(a), Some(b)) = (&mut a.heat, &b.heat) {
                a.merge(b, map);
            }
            if let (Some(a), Some(b)) = (&mut a.distinct, &b.distinct) {
                a.merge_from(b, map);
            }
        }
        if let (Some(a), Some(b)) = (&mut self.concurrency, &other.concurrency) {
            a.merge(b, groups);
        }
    }

    /// The same states with cells put together: `n` cells as `map` says, so many groups of CONCURRENCY as `groups` says.
    pub(crate) fn rolled(&self, plan: &CalcPlan, n: usize, map: CellMap<'_>, groups: (usize, CellMap<'_>)) -> States {
        let mut rolled = States::new(plan);
        rolled.resize(n, groups.0);
        rolled.merge_from(self, map, groups.1);
        rolled
    }

    /// Gives values their numbers that are known by their codes only. States are read and put together after it.
    pub(crate) fn number_coded(&mut self) {
        self.fields.iter_mut().filter_map(|f| f.distinct.as_mut()).for_each(Distinct::number_coded);
    }

    /// Makes values ready to be read; nothing is added after it.
    pub(crate) fn settle(&mut self) {
        self.fields.iter_mut().filter_map(|f| f.distinct.as_mut()).for_each(Distinct::settle);
    }

    /// Gives up some accuracy for memory, within what is promised.
    pub(crate) fn compact(&mut self) {
        for f in &mut self.fields {
            if let Some(q) = &mut f.quantiles {
                q.compact();
            }
            if let Some(d) = &mut f.distinct
                && !f.exact
            {
                d.sample();
            }
        }
    }

    pub(crate) fn memory(&self) -> usize {
        let field = |f: &FieldState| {
            f.present.as_ref().map_or(0, Counts::memory)
                + f.numbers.as_ref().map_or(0, Numbers::memory)
                + f.quantiles.as_ref().map_or(0, Quantiles::memory)
                + f.heat.as_ref().map_or(0, Heat::memory)
                + f.distinct.as_ref().map_or(0, Distinct::memory)
        };
        self.count.memory() + self.fields.iter().map(field).sum::<usize>() + self.concurrency.as_ref().map_or(0, Concurrency::memory)
    }

    /// The value of a calculation on one cell, if it needs nothing but this cell. Percentiles and heatmaps are read
    /// from `Solved` and `Heat` by the caller.
    pub(crate) fn value(&self, op: CalcOp, field: Option<usize>, cell: usize) -> Cell {
        let state = field.and_then(|f| self.fields.get(f));
        let numbers = state.and_then(|s| s.numbers.as_ref());
        match op {
            CalcOp::Count => match field {
                None => self.count.value(cell),
                Some(_) => state.and_then(|s| s.present.as_ref()).map_or(Cell::Int(0), |p| p.value(cell)),
            },
            CalcOp::Sum | CalcOp::RateSum => numbers.map_or(Cell::Null, |n| n.sum(cell)),
            CalcOp::Avg | CalcOp::RateAvg => numbers.map_or(Cell::Null, |n| n.avg(cell)),
            CalcOp::Min => numbers.map_or(Cell::Null, |n| n.min(cell)),
            CalcOp::Max | CalcOp::RateMax => numbers.map_or(Cell::Null, |n| n.max(cell)),
            CalcOp::CountDistinct => Cell::Int(state.and_then(|s| s.distinct.as_ref()).map_or(0, |d| d.count(cell)) as i64),
            CalcOp::Quantile(_) | CalcOp::Heatmap | CalcOp::Concurrency => Cell::Null,
        }
    }
}
