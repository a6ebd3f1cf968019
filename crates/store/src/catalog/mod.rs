//! The catalog: all mutable metadata, behind one trait so that a cluster can keep it elsewhere.
//!
//! Owns: what must change together. Never does: keep events.

use model::ErrorKind;

/// A failure of the catalog.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// No room to write; nothing changed.
    #[error("disk is full: free space and try again")]
    Full,
    /// SQLite failed.
    #[error("catalog database failed: {action}")]
    Sqlite {
        /// What was tried.
        action: &'static str,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
    /// A segment that a change builds on is no longer live; nothing changed.
    #[error("segment is no longer live: id={id}")]
    NotLive {
        /// The segment.
        id: String,
    },
    /// What the catalog holds makes no sense.
    #[error("catalog is damaged: restore catalog.sqlite from a backup what={what}")]
    Damaged {
        /// Which part.
        what: String,
    },
}

impl CatalogError {
    pub(crate) fn is_full(&self) -> bool {
        matches!(self, CatalogError::Full)
    }

    /// What the caller should do.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            CatalogError::Full => ErrorKind::Unavailable,
            CatalogError::Sqlite { .. } => ErrorKind::Unavailable,
            CatalogError::NotLive { .. } => ErrorKind::Conflict,
            CatalogError::Damaged { .. } => ErrorKind::Data,
        }
    }
}
