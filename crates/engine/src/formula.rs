//! Formulas: what is computed from the calculations of a group, a bucket or a total.
//!
//! Owns: their values, and that calculations which only serve them are not shown. Never does: calculate on events.

use crate::plan::{Formula, Plan};
use crate::{Answer, Cell};
use expr::Row;
use model::TimeNs;
use std::borrow::Cow;
use std::sync::Arc;

/// Calculations as columns of an expression.
struct Calculated(Vec<Cell>);

impl Row for Calculated {
    fn cell(&self, column: usize) -> expr::Cell<'_> {
        match self.0.get(column) {
            Some(Cell::Bool(b)) => expr::Cell::Bool(*b),
            Some(Cell::Int(i)) => expr::Cell::Int(*i),
            Some(Cell::Float(f)) => expr::Cell::float(*f),
            Some(Cell::Str(s)) => expr::Cell::Text(Cow::Borrowed(s)),
            Some(Cell::Null | Cell::Heatmap(_)) | None => expr::Cell::Null,
        }
    }

    fn time_ns(&self) -> TimeNs {
        0
    }
}

impl Formula {
    /// Its value, given those of calculations by position.
    pub(crate) fn value(&self, calc: impl Fn(usize) -> Cell) -> Cell {
        let row = Calculated(self.inputs.iter().map(|i| calc(*i)).collect());
        match self.program.eval(&row) {
            expr::Cell::Null => Cell::Null,
            expr::Cell::Bool(b) => Cell::Bool(b),
            expr::Cell::Int(i) => Cell::Int(i),
            expr::Cell::Float(f) => Cell::number(f),
            expr::Cell::Text(s) => Cell::Str(s.as_ref().into()),
        }
    }
}

/// Adds the formulas to an answer, in place of the calculations that they are made of.
pub(crate) fn finish(plan: &Plan, mut answer: Answer) -> Answer {
    if plan.formulas.is_empty() {
        return answer;
    }
    let n = plan.breakdowns.len();
    let serves = |calc: usize| plan.formulas.iter().any(|f| f.inputs.contains(&calc));
    let shown: Vec<usize> = (0..plan.calculations.len()).filter(|c| !serves(*c)).collect();
    let row = |calcs: &[Cell], out: &mut Vec<Cell>| {
        let calc = |calc: usize| calcs.get(calc).cloned().unwrap_or_default();
        out.extend(shown.iter().map(|c| calc(*c)).chain(plan.formulas.iter().map(|f| f.value(calc))));
    };
    for cells in answer.results.iter_mut().chain(&mut answer.totals).chain(&mut answer.other) {
        let calcs = cells.split_off(n.min(cells.len()));
        row(&calcs, cells);
    }
    let width = shown.len() + plan.formulas.len();
    answer.series = std::mem::take(&mut answer.series).map_rows(width, row);
    answer.total_series = std::mem::take(&mut answer.total_series).map_rows(width, row);
    let names = plan.breakdowns.iter().map(|b| b.name().into());
    let calcs = shown.iter().map(|c| Arc::clone(&plan.calculations[*c].key));
    answer.columns = names.chain(calcs).chain(plan.formulas.iter().map(|f| Arc::clone(&f.key))).collect();
    answer
}
