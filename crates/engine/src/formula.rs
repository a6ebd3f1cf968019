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
    let row = |cells: &mut Vec<Cell>| {
        let values: Vec<Cell> = plan.formulas.iter().map(|f| f.value(|calc| cells.get(n + calc).cloned().unwrap_or_default())).collect();
        let calcs = cells.split_off(n.min(cells.len()));
        cells.extend(shown.iter().map(|c| calcs.get(*c).cloned().unwrap_or_default()).chain(values));
    };
    answer.results.iter_mut().for_each(row);
    answer.series.iter_mut().for_each(|(_, cells)| row(cells));
    answer.total_series.iter_mut().for_each(|(_, cells)| row(cells));
    answer.totals.iter_mut().for_each(row);
    answer.other.iter_mut().for_each(row);
    let names = plan.breakdowns.iter().map(|b| b.name().into());
    let calcs = shown.iter().map(|c| Arc::clone(&plan.calculations[*c].key));
    answer.columns = names.chain(calcs).chain(plan.formulas.iter().map(|f| Arc::clone(&f.key))).collect();
    answer
}
