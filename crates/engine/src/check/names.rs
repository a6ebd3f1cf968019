//! What the names of a question stand for: calculated fields of the question, saved ones, columns.
//!
//! Owns: resolving of names, calculated fields within calculated fields included. Never does: read columns.

use super::columns::{Columns, column, is_column};
use super::relatives::split;
use crate::EngineError;
use crate::plan::{Computation, Computed, Field};
use expr::Expr;
use model::Limits;
use model::query::{CalculatedField, Combination, Filter};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::sync::Arc;

/// All that a question may name.
pub(crate) struct Names<'k> {
    known: &'k dyn Columns,
    pub(crate) limits: &'k Limits,
    own: &'k [CalculatedField],
    /// The filters of the question, if all must hold.
    pub(super) filters: &'k [Filter],
    /// What is resolved now is asked of a relative.
    pub(super) inside_relative: Cell<bool>,
    /// Expressions of calculated fields with no calculated fields in them any more.
    resolved: RefCell<HashMap<String, Arc<Expr>>>,
}

impl<'k> Names<'k> {
    pub(crate) fn new(known: &'k dyn Columns, limits: &'k Limits, own: &'k [CalculatedField]) -> Names<'k> {
        Names { known, limits, own, filters: &[], inside_relative: Cell::new(false), resolved: RefCell::default() }
    }

    /// The same for a question with these filters.
    pub(crate) fn with_filters(self, filters: &'k [Filter], combination: Option<Combination>) -> Names<'k> {
        let together = combination.unwrap_or_default() == Combination::And;
        Names { filters: if together { filters } else { &[] }, ..self }
    }

    /// What a name stands for. A calculated field goes before a column of its name.
    pub(crate) fn field(&self, name: &str) -> Result<Field, EngineError> {
        self.field_with(name, &[])
    }

    /// The same where filters besides the question's say which relatives are meant.
    pub(super) fn field_with(&self, name: &str, filters: &[Filter]) -> Result<Field, EngineError> {
        if let Some(text) = self.expression(name) {
            let expr = self.resolve(name, &text, &mut Vec::new())?;
            let input = |(column, at): &(Arc<str>, usize)| self.input(column, filters).map_err(|e| self.inside(e, name, *at));
            let inputs = expr.columns().iter().map(input).collect::<Result<_, _>>()?;
            return Ok(Field::Computed(Arc::new(Computed::new(name, Computation::Expression { expr, inputs }))));
        }
        match self.relative(name) {
            Some(relative) => self.related(relative, name, filters),
            None => column(name, self.known),
        }
    }

    pub(super) fn is_calculated(&self, name: &str) -> bool {
        self.expression(name).is_some()
    }

    /// Whether a name without prefix can be asked about.
    pub(super) fn is_known(&self, name: &str) -> bool {
        is_column(name, self.known) || self.is_calculated(name)
    }

    /// The text of a calculated field, and whether it is a saved one; those of the question go first.
    fn expression(&self, name: &str) -> Option<(String, bool)> {
        match self.own.iter().find(|f| f.name == name) {
            Some(field) => Some((field.expression.clone(), false)),
            None => self.known.calculated(name).map(|text| (text, true)),
        }
    }

    /// What the name of a column in a checked expression stands for.
    fn input(&self, name: &str, filters: &[Filter]) -> Result<Field, EngineError> {
        // A field of this name stands before a column, which is what is meant here.
        match split(name).filter(|r| self.is_known(r.column)) {
            Some(relative) => self.related(relative, name, filters),
            // Saved fields were checked when they were saved. Columns of theirs that are not, or no longer, in this dataset are
            // missing from every event of it.
            None => Ok(column(name, self.known).unwrap_or_else(|_| Field::Column(name.into()))),
        }
    }

    /// The expression of a calculated field, with those of others put in. `within` are the fields that led here.
    fn resolve(&self, name: &str, text: &(String, bool), within: &mut Vec<String>) -> Result<Arc<Expr>, EngineError> {
        let (text, saved) = text;
        if let Some(expr) = self.resolved.borrow().get(name) {
            return Ok(Arc::clone(expr));
        }
        if within.iter().any(|w| w == name) {
            let through: Vec<String> = within.iter().map(|w| format!("'{w}'")).collect();
            return Err(EngineError::invalid(format!("calculated field '{name}' refers to itself, through {}", through.join(", "))));
        }
        // Fields that lead to fields: as deep as functions may be, and no deeper.
        if within.len() >= self.limits.expression_depth_max {
            return Err(self.too_large(name));
        }
        let parsed = expr::parse(text, self.limits).map_err(|e| EngineError::invalid(format!("calculated field '{name}': {e}")))?;
        within.push(name.to_owned());
        let mut others: HashMap<Arc<str>, Arc<Expr>> = HashMap::new();
        for (of, at) in parsed.columns() {
            // Its own name is that of the column which it stands before.
            match self.expression(&of).filter(|_| *of != *name) {
                Some(text) => {
                    let other = self.resolve(&of, &text, within)?;
                    others.insert(of, other);
                }
                None if *saved => {}
                None if split(&of).is_some_and(|r| self.is_known(r.column)) => {}
                None => {
                    column(&of, self.known).map_err(|e| self.inside(e, name, at))?;
                }
            }
        }
        within.pop();
        let limits = self.limits;
        let Some(expr) = parsed.inlined(&|c| others.get(c).cloned(), limits.expression_depth_max, limits.expression_parts_max) else {
            return Err(self.too_large(name));
        };
        let expr = Arc::new(expr);
        self.resolved.borrow_mut().insert(name.to_owned(), Arc::clone(&expr));
        Ok(expr)
    }

    fn too_large(&self, name: &str) -> EngineError {
        let (depth, parts) = (self.limits.expression_depth_max, self.limits.expression_parts_max);
        EngineError::invalid(format!(
            "calculated field '{name}' has, with the calculated fields in it, more than {depth} levels or {parts} parts; make it smaller"
        ))
    }

    /// Says in which expression an unknown name is.
    fn inside(&self, error: EngineError, name: &str, at: usize) -> EngineError {
        match error {
            EngineError::UnknownColumn { column, near, .. } => {
                let mut inside = format!(" in calculated field '{name}' at character {at}");
                let signs = ['-', '+', '=', '/', '?', ':'];
                if let Some((before, _)) = column.split_once(signs)
                    && !before.is_empty()
                    && self.known.contains(before)
                {
                    inside.push_str(&format!(" (all of '${column}' is one name; leave a space before an operator)"));
                }
                EngineError::UnknownColumn { column, near, inside }
            }
            EngineError::Invalid { what } => EngineError::invalid(format!("calculated field '{name}' at character {at}: {what}")),
            other => other,
        }
    }
}

/// Checks the expression of a calculated field that is to be saved under a name.
pub fn check_expression(name: &str, expression: &str, known: &dyn Columns, limits: &Limits) -> Result<(), EngineError> {
    let own = [CalculatedField { name: name.to_owned(), expression: expression.to_owned() }];
    Names::new(known, limits, &own).field(name).map(|_| ())
}
