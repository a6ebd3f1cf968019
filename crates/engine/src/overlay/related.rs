//! The cells of a field on the relatives of events, or whether there are any.
//!
//! Owns: the way from what was found (`relatives`) into a column. Never does: look for relatives.

use super::build::{ColumnBuilder, Encoded};
use super::{Fill, too_much};
use crate::EngineError;
use crate::caches::Caches;
use crate::plan::{Condition, Field, Relation};
use crate::relatives::reach::NONE;
use crate::run::Run;
use crate::scan::place::Source;
use std::ops::Range;
use std::sync::Arc;
use store::segment::BLOCK_ROWS;

/// See [`crate::plan::Computation::Related`].
pub(crate) struct Related<'p> {
    pub(crate) key: &'p Arc<str>,
    pub(crate) relation: Relation,
    pub(crate) field: Option<&'p Field>,
    pub(crate) conditions: &'p [Condition],
    pub(crate) caches: Option<&'p Caches>,
}

impl Fill for Related<'_> {
    fn fill(&self, source: Source<'_>, index: usize, blocks: Range<usize>, run: &Run, out: &mut ColumnBuilder) -> Result<(), EngineError> {
        let relatives = source.overlays.relatives()?;
        let base = relatives.base(source, run, self.caches)?;
        let Some(part) = base.reach.part(index).copied() else { return Ok(()) };
        let found = relatives.find(source, &base, (self.relation, self.conditions), run)?;
        let gathered = self.field.map(|field| relatives.gather(source, &base, (self.key, field, &found), run)).transpose()?;
        let mut known = gathered.as_ref().map(|g| g.known());
        for block in blocks {
            run.check()?;
            let first = (block * BLOCK_ROWS).max(part.rows.0);
            let end = ((block + 1) * BLOCK_ROWS).min(part.rows.1);
            for row in first..end {
                let at = (part.base + row - part.rows.0) as u32;
                let relative = found.of(&base, at);
                let cell = match (&gathered, &mut known) {
                    (Some(gathered), Some(known)) if relative != NONE => gathered.cell(relative, known, out),
                    (None, _) if self.relation == Relation::None => match base.traces.of_row[at as usize] {
                        0 => Encoded::Null,
                        _ if relative == NONE => Encoded::Bool(true),
                        _ => Encoded::Null,
                    },
                    (None, _) if relative != NONE => Encoded::Bool(true),
                    _ => Encoded::Null,
                };
                out.push(row as u32, cell);
            }
            if out.is_full() {
                return Err(too_much(run));
            }
        }
        Ok(())
    }
}
