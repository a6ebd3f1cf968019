//! Relational fields: names with a prefix (`root.`, `parent.`, `child.`, `any.`, `any2.`, …, `none.`) that stand for a column of
//! another event of the same trace.
//!
//! Owns: which names are relational, which filters of a list are about the same relative. Never does: look for relatives.

use super::filters::{condition, condition_on};
use super::names::Names;
use crate::plan::{Computation, Computed, Relation};
use crate::{Condition, EngineError, Field};
use model::query::{Combination, Filter, relational};
use std::sync::Arc;

/// A name with a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Relative<'n> {
    pub(crate) relation: Relation,
    /// Without the dot.
    pub(crate) prefix: &'n str,
    /// What is asked of the relative.
    pub(crate) column: &'n str,
}

/// Takes a name with a prefix apart.
pub(crate) fn split(name: &str) -> Option<Relative<'_>> {
    let (prefix, column) = relational(name)?;
    let relation = match prefix {
        "root" => Relation::Root,
        "parent" => Relation::Parent,
        "child" => Relation::Child,
        "none" => Relation::None,
        _ => Relation::Any,
    };
    Some(Relative { relation, prefix, column })
}

/// The conditions of a list of filters: where all must hold, those with one prefix hold on the same relative.
pub(crate) fn conditions(filters: &[Filter], combination: Option<Combination>, names: &Names<'_>) -> Result<Vec<Condition>, EngineError> {
    let together = combination.unwrap_or_default() == Combination::And;
    let mut out = Vec::with_capacity(filters.len());
    // Of each relative its prefix, the first name, and what it has to satisfy.
    let mut relatives: Vec<(Relative<'_>, &str, Vec<Condition>)> = Vec::new();
    for f in filters {
        let Some(relative) = names.relative(&f.column) else {
            out.push(condition(f, names)?);
            continue;
        };
        let condition = condition_on(f, names.of_relative(relative, &f.column)?, names)?;
        match relatives.iter_mut().find(|(r, ..)| together && r.prefix == relative.prefix) {
            Some((.., conditions)) => conditions.push(condition),
            None => relatives.push((relative, &f.column, vec![condition])),
        }
    }
    out.extend(relatives.into_iter().map(|(relative, name, conditions)| {
        let how = Computation::Related { relation: relative.relation, field: None, conditions };
        let field = Field::Computed(Arc::new(Computed::new(name, how)));
        Condition::exists(field)
    }));
    Ok(out)
}

impl<'k> Names<'k> {
    /// The parts of a relational name. A calculated field of the whole name goes before, and what follows the prefix must be
    /// something that can be asked about; else the name is that of a column.
    pub(crate) fn relative<'n>(&self, name: &'n str) -> Option<Relative<'n>> {
        let relative = split(name)?;
        (!self.is_calculated(name) && self.is_known(relative.column)).then_some(relative)
    }

    /// What is asked of a relative.
    pub(crate) fn of_relative(&self, relative: Relative<'_>, name: &str) -> Result<Field, EngineError> {
        if self.inside_relative.replace(true) {
            self.inside_relative.set(true);
            return Err(EngineError::invalid(format!("'{name}': a relative of a relative cannot be asked for")));
        }
        let field = self.field(relative.column);
        self.inside_relative.set(false);
        if field.as_ref().is_ok_and(Field::is_relational) {
            let column = relative.column;
            return Err(EngineError::invalid(format!(
                "'{name}': the calculated field '{column}' looks at relatives itself; a relative of a relative cannot be asked for"
            )));
        }
        field
    }

    /// The value of a column on a relative. Which one, `filters` say, and the question's where they have none of the prefix.
    pub(super) fn related(&self, relative: Relative<'_>, name: &str, filters: &[Filter]) -> Result<Field, EngineError> {
        let Relative { relation, prefix, .. } = relative;
        if relation == Relation::None {
            return Err(EngineError::invalid(format!("'{name}': 'none.' means no event and has no values; use it in filters")));
        }
        let field = self.of_relative(relative, name)?;
        let mut conditions = Vec::new();
        for list in [filters, self.filters] {
            if conditions.is_empty() && relation != Relation::Root {
                let same = list.iter().filter_map(|f| Some((f, self.relative(&f.column).filter(|r| r.prefix == prefix)?)));
                conditions =
                    same.map(|(f, r)| condition_on(f, self.of_relative(r, &f.column)?, self)).collect::<Result<Vec<_>, EngineError>>()?;
            }
        }
        if relation == Relation::Any && conditions.is_empty() {
            return Err(EngineError::invalid(format!(
                "'{name}': which event of the trace is meant? add a filter with '{prefix}.' to those that must all hold; the value is \
                 that of the first event that satisfies it"
            )));
        }
        let how = Computation::Related { relation, field: Some(field), conditions };
        Ok(Field::Computed(Arc::new(Computed::new(name, how))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes() {
        for (name, expected) in [
            ("root.name", Some((Relation::Root, "root", "name"))),
            ("parent.service.name", Some((Relation::Parent, "parent", "service.name"))),
            ("child.x", Some((Relation::Child, "child", "x"))),
            ("any.x", Some((Relation::Any, "any", "x"))),
            ("any17.x", Some((Relation::Any, "any17", "x"))),
            ("none.x", Some((Relation::None, "none", "x"))),
            ("any0.x", None),
            ("anyx.x", None),
            ("roots.x", None),
            ("root.", None),
            ("root", None),
            ("Root.x", None),
        ] {
            assert_eq!(split(name).map(|r| (r.relation, r.prefix, r.column)), expected, "{name}");
        }
    }
}
