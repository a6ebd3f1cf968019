//! The catalog of a single node: one SQLite file (docs/file-format.md).
//!
//! Owns: schema and statements. Never does: share the file with another process (the store has the directory's lock).

use super::{Catalog, CatalogError, ColumnRow, Contents, DatasetRow, SealCommit, SegmentRow};
use crate::{Document, Retention};
use model::{ColumnKind, TimeNs};
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, Row, Transaction, TransactionBehavior, params};
use std::path::Path;

/// Version that we write and read.
const FORMAT_VERSION: i64 = 1;

/// Marks the file as ours ("weye").
const APPLICATION_ID: i64 = 0x7765_7965;

const SCHEMA: &str = "
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE datasets (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL, name_key TEXT NOT NULL, slug TEXT NOT NULL,
  description TEXT NOT NULL, expand_json_depth INTEGER NOT NULL,
  retention_age_seconds INTEGER, retention_bytes INTEGER,
  created_at INTEGER NOT NULL, last_written_at INTEGER, deleted_at INTEGER
);
CREATE UNIQUE INDEX datasets_name ON datasets (name_key) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX datasets_slug ON datasets (slug) WHERE deleted_at IS NULL;
CREATE TABLE segments (
  id TEXT PRIMARY KEY, dataset INTEGER NOT NULL REFERENCES datasets (id),
  rows INTEGER NOT NULL, bytes INTEGER NOT NULL, raw_bytes INTEGER NOT NULL, min_time INTEGER NOT NULL, max_time INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX segments_dataset ON segments (dataset);
CREATE TABLE columns (
  dataset INTEGER NOT NULL REFERENCES datasets (id), name TEXT NOT NULL, kind INTEGER NOT NULL,
  count INTEGER NOT NULL, first_seen INTEGER NOT NULL, last_seen INTEGER NOT NULL,
  PRIMARY KEY (dataset, name, kind)
) WITHOUT ROWID;
CREATE TABLE documents (
  kind TEXT NOT NULL, dataset TEXT NOT NULL, id TEXT NOT NULL, updated_at INTEGER NOT NULL, body TEXT NOT NULL
);
CREATE UNIQUE INDEX documents_key ON documents (kind, dataset, id);
";

/// SQLite behind the [`Catalog`] trait.
#[derive(Debug)]
pub struct SqliteCatalog {
    db: Connection,
    is_new: bool,
}

fn error(action: &'static str) -> impl FnOnce(rusqlite::Error) -> CatalogError {
    move |source| match &source {
        rusqlite::Error::SqliteFailure(e, _) => match e.extended_code {
            rusqlite::ffi::SQLITE_IOERR_FSYNC | rusqlite::ffi::SQLITE_IOERR_DIR_FSYNC => CatalogError::SyncFailed { source },
            _ if e.code == ErrorCode::DiskFull => CatalogError::Full,
            _ if matches!(e.code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                CatalogError::Damaged { what: source.to_string() }
            }
            _ => CatalogError::Sqlite { action, source },
        },
        _ => CatalogError::Sqlite { action, source },
    }
}

impl SqliteCatalog {
    /// Opens the file, or makes it. An existing one is opened without writing, so that a full disk does not matter.
    pub fn open(path: &Path) -> Result<SqliteCatalog, CatalogError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(path, flags).map_err(error("open"))?;
        // A rollback journal: the only write-ahead files of a data directory are then those of the events, and a damaged
        // end of one can cost no more than what is in it. Exclusive: nothing is locked anew for every transaction.
        db.execute_batch("PRAGMA locking_mode = EXCLUSIVE; PRAGMA temp_store = MEMORY;").map_err(error("configure"))?;
        let mode: String = db.query_row("PRAGMA journal_mode = TRUNCATE", [], |r| r.get(0)).map_err(error("configure"))?;
        if !mode.eq_ignore_ascii_case("truncate") {
            return Err(CatalogError::Damaged { what: format!("journal mode is {mode}") });
        }
        db.execute_batch("PRAGMA synchronous = FULL;").map_err(error("configure"))?;
        db.set_prepared_statement_cache_capacity(64);
        let mut catalog = SqliteCatalog { db, is_new: false };
        catalog.prepare()?;
        Ok(catalog)
    }

    fn prepare(&mut self) -> Result<(), CatalogError> {
        let tables: i64 = self
            .db
            .query_row("SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'meta'", [], |r| r.get(0))
            .map_err(error("open"))?;
        if tables == 0 {
            let tx = self.write("create tables")?;
            tx.execute_batch(SCHEMA).map_err(error("create tables"))?;
            tx.execute("INSERT INTO meta VALUES ('format_version', ?1), ('flushed_sequence', 0)", [FORMAT_VERSION])
                .map_err(error("create tables"))?;
            tx.pragma_update(None, "application_id", APPLICATION_ID).map_err(error("create tables"))?;
            commit(tx, "create tables")?;
            self.is_new = true;
        }
        match self.meta("format_version")? {
            FORMAT_VERSION => Ok(()),
            version => Err(CatalogError::Newer { version }),
        }
    }

    fn meta(&self, key: &str) -> Result<i64, CatalogError> {
        let value =
            self.db.query_row("SELECT value FROM meta WHERE key = ?1", [key], |r| r.get(0)).optional().map_err(error("read meta"))?;
        value.ok_or_else(|| CatalogError::Damaged { what: format!("meta has no {key}") })
    }

    fn write(&mut self, action: &'static str) -> Result<Transaction<'_>, CatalogError> {
        self.db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(error(action))
    }

    fn rows<T>(
        &self,
        action: &'static str,
        sql: &str,
        params: impl rusqlite::Params,
        map: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, CatalogError> {
        let mut statement = self.db.prepare_cached(sql).map_err(error(action))?;
        let rows = statement.query_map(params, map).map_err(error(action))?;
        rows.collect::<Result<_, _>>().map_err(error(action))
    }

    /// What SQLite itself finds wrong with the file.
    pub(crate) fn integrity(&self) -> Result<Vec<String>, CatalogError> {
        let found = self.rows("check", "PRAGMA integrity_check", [], |r| r.get::<_, String>(0))?;
        Ok(found.into_iter().filter(|line| line != "ok").collect())
    }

    /// Caps the file, to act as a full disk.
    #[cfg(test)]
    pub(crate) fn cap_pages(&self, spare: i64) {
        let pages: i64 = self.db.query_row("PRAGMA page_count", [], |r| r.get(0)).unwrap();
        let max = if spare < 0 { 1 << 30 } else { pages + spare };
        self.db.query_row(&format!("PRAGMA max_page_count = {max}"), [], |_| Ok(())).unwrap();
    }
}

fn commit(tx: Transaction<'_>, action: &'static str) -> Result<(), CatalogError> {
    // On an error the transaction is dropped, which rolls it back.
    tx.commit().map_err(error(action))
}

fn dataset_row(r: &Row<'_>) -> rusqlite::Result<DatasetRow> {
    Ok(DatasetRow {
        id: r.get::<_, i64>(0)? as u64,
        name: r.get(1)?,
        slug: r.get(2)?,
        description: r.get(3)?,
        expand_json_depth: r.get(4)?,
        retention: Retention {
            age_seconds: r.get::<_, Option<i64>>(5)?.map(|v| v as u64),
            bytes: r.get::<_, Option<i64>>(6)?.map(|v| v as u64),
        },
        created_at: r.get(7)?,
        last_written_at: r.get(8)?,
    })
}

fn insert_segment(tx: &Transaction<'_>, s: &SegmentRow) -> rusqlite::Result<usize> {
    tx.prepare_cached("INSERT INTO segments (id, dataset, rows, bytes, raw_bytes, min_time, max_time) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?
        .execute(params![s.id, s.dataset as i64, s.rows as i64, s.bytes as i64, clamp(s.raw_bytes), s.min_time, s.max_time])
}

fn remove_segments(tx: &Transaction<'_>, ids: &[String], action: &'static str) -> Result<(), CatalogError> {
    let mut statement = tx.prepare_cached("DELETE FROM segments WHERE id = ?1").map_err(error(action))?;
    for id in ids {
        if statement.execute([id]).map_err(error(action))? != 1 {
            return Err(CatalogError::NotLive { id: id.clone() });
        }
    }
    Ok(())
}

impl Catalog for SqliteCatalog {
    fn load(&mut self) -> Result<Contents, CatalogError> {
        let datasets = self.rows(
            "read datasets",
            "SELECT id, name, slug, description, expand_json_depth, retention_age_seconds, retention_bytes, created_at, last_written_at
             FROM datasets WHERE deleted_at IS NULL ORDER BY id",
            [],
            dataset_row,
        )?;
        let deleted =
            self.rows("read datasets", "SELECT id FROM datasets WHERE deleted_at IS NOT NULL", [], |r| Ok(r.get::<_, i64>(0)? as u64))?;
        let segments =
            self.rows("read segments", "SELECT id, dataset, rows, bytes, raw_bytes, min_time, max_time FROM segments", [], |r| {
                Ok(SegmentRow {
                    id: r.get(0)?,
                    dataset: r.get::<_, i64>(1)? as u64,
                    rows: r.get::<_, i64>(2)? as u64,
                    bytes: r.get::<_, i64>(3)? as u64,
                    raw_bytes: r.get::<_, i64>(4)? as u64,
                    min_time: r.get(5)?,
                    max_time: r.get(6)?,
                })
            })?;
        let columns = self.rows("read columns", "SELECT dataset, name, kind, count, first_seen, last_seen FROM columns", [], |r| {
            Ok((r.get::<_, i64>(0)? as u64, r.get(1)?, r.get::<_, u8>(2)?, r.get::<_, i64>(3)? as u64, r.get(4)?, r.get(5)?))
        })?;
        let columns = columns.into_iter().map(|(dataset, name, kind, count, first_seen, last_seen)| {
            let kind =
                ColumnKind::from_code(kind).ok_or_else(|| CatalogError::Damaged { what: format!("column {name:?} has kind {kind}") })?;
            Ok(ColumnRow { dataset, name, kind, count, first_seen, last_seen })
        });
        Ok(Contents {
            is_new: self.is_new,
            datasets,
            deleted: deleted.into_iter().collect(),
            segments,
            columns: columns.collect::<Result<_, CatalogError>>()?,
            flushed_sequence: self.meta("flushed_sequence")? as u64,
        })
    }

    fn create_dataset(&mut self, d: &DatasetRow) -> Result<u64, CatalogError> {
        const ACTION: &str = "create a dataset";
        let tx = self.write(ACTION)?;
        tx.prepare_cached(
            "INSERT INTO datasets (id, name, name_key, slug, description, expand_json_depth, retention_age_seconds, retention_bytes, created_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )
        .and_then(|mut s| {
            let id = (d.id != 0).then_some(d.id as i64);
            let (age, bytes) = (d.retention.age_seconds.map(clamp), d.retention.bytes.map(clamp));
            s.execute(params![id, d.name, d.name.to_lowercase(), d.slug, d.description, d.expand_json_depth, age, bytes, d.created_at])
        })
        .map_err(error(ACTION))?;
        let id = tx.last_insert_rowid() as u64;
        commit(tx, ACTION)?;
        Ok(id)
    }

    fn update_dataset(&mut self, d: &DatasetRow) -> Result<(), CatalogError> {
        const ACTION: &str = "change a dataset";
        let tx = self.write(ACTION)?;
        let (age, bytes) = (d.retention.age_seconds.map(clamp), d.retention.bytes.map(clamp));
        tx.execute(
            "UPDATE datasets SET description = ?2, expand_json_depth = ?3, retention_age_seconds = ?4, retention_bytes = ?5 WHERE id = ?1",
            params![d.id as i64, d.description, d.expand_json_depth, age, bytes],
        )
        .map_err(error(ACTION))?;
        commit(tx, ACTION)
    }

    fn delete_dataset(&mut self, id: u64, now: TimeNs) -> Result<(), CatalogError> {
        const ACTION: &str = "delete a dataset";
        let tx = self.write(ACTION)?;
        let id = id as i64;
        tx.execute("DELETE FROM documents WHERE dataset = (SELECT slug FROM datasets WHERE id = ?1 AND deleted_at IS NULL)", [id])
            .and_then(|_| tx.execute("DELETE FROM segments WHERE dataset = ?1", [id]))
            .and_then(|_| tx.execute("DELETE FROM columns WHERE dataset = ?1", [id]))
            .and_then(|_| tx.execute("UPDATE datasets SET deleted_at = ?2 WHERE id = ?1", params![id, now]))
            .map_err(error(ACTION))?;
        commit(tx, ACTION)
    }

    fn commit_seal(&mut self, c: &SealCommit) -> Result<(), CatalogError> {
        const ACTION: &str = "add segments";
        let tx = self.write(ACTION)?;
        let run = || -> rusqlite::Result<()> {
            for segment in &c.segments {
                insert_segment(&tx, segment)?;
            }
            let mut columns = tx.prepare_cached(
                "INSERT INTO columns (dataset, name, kind, count, first_seen, last_seen) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT DO UPDATE SET count = count + excluded.count, last_seen = max(last_seen, excluded.last_seen)",
            )?;
            for d in &c.columns {
                columns.execute(params![d.dataset as i64, d.name, d.kind as u8, d.count as i64, d.first_seen, d.last_seen])?;
            }
            let mut written = tx.prepare_cached("UPDATE datasets SET last_written_at = ?2 WHERE id = ?1")?;
            for (id, at) in &c.last_written_at {
                written.execute(params![*id as i64, at])?;
            }
            tx.execute("UPDATE meta SET value = ?1 WHERE key = 'flushed_sequence'", [c.flushed_sequence as i64])?;
            Ok(())
        };
        run().map_err(error(ACTION))?;
        commit(tx, ACTION)
    }

    fn replace_segments(&mut self, removed: &[String], added: &SegmentRow) -> Result<(), CatalogError> {
        const ACTION: &str = "replace segments";
        let tx = self.write(ACTION)?;
        remove_segments(&tx, removed, ACTION)?;
        insert_segment(&tx, added).map_err(error(ACTION))?;
        commit(tx, ACTION)
    }

    fn drop_segments(&mut self, removed: &[String], columns: &[ColumnRow]) -> Result<(), CatalogError> {
        const ACTION: &str = "drop segments";
        let tx = self.write(ACTION)?;
        remove_segments(&tx, removed, ACTION)?;
        let run = || -> rusqlite::Result<()> {
            let mut less = tx.prepare_cached("UPDATE columns SET count = count - ?4 WHERE dataset = ?1 AND name = ?2 AND kind = ?3")?;
            let mut gone = tx.prepare_cached("DELETE FROM columns WHERE dataset = ?1 AND name = ?2 AND kind = ?3 AND count <= 0")?;
            for d in columns {
                less.execute(params![d.dataset as i64, d.name, d.kind as u8, d.count as i64])?;
                gone.execute(params![d.dataset as i64, d.name, d.kind as u8])?;
            }
            Ok(())
        };
        run().map_err(error(ACTION))?;
        commit(tx, ACTION)
    }

    fn put_document(&mut self, kind: &str, d: &Document) -> Result<(), CatalogError> {
        const ACTION: &str = "put a document";
        let tx = self.write(ACTION)?;
        tx.prepare_cached(
            "INSERT INTO documents (kind, dataset, id, updated_at, body) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (kind, dataset, id) DO UPDATE SET updated_at = excluded.updated_at, body = excluded.body",
        )
        .and_then(|mut s| s.execute(params![kind, d.dataset, d.id, d.updated_at, d.body.to_string()]))
        .map_err(error(ACTION))?;
        commit(tx, ACTION)
    }

    fn documents(&mut self, kind: &str, dataset: Option<&str>, id: Option<&str>) -> Result<Vec<Document>, CatalogError> {
        let map = |r: &Row<'_>| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get::<_, String>(3)?));
        let base = "SELECT dataset, id, updated_at, body FROM documents WHERE kind = ?1";
        let action = "read documents";
        let found: Vec<(String, String, TimeNs, String)> = match (dataset, id) {
            (None, None) => self.rows(action, &format!("{base} ORDER BY dataset, id"), [kind], map)?,
            (None, Some(id)) => self.rows(action, &format!("{base} AND id = ?2 ORDER BY dataset"), [kind, id], map)?,
            (Some(dataset), None) => self.rows(action, &format!("{base} AND dataset = ?2 ORDER BY id"), [kind, dataset], map)?,
            (Some(dataset), Some(id)) => self.rows(action, &format!("{base} AND dataset = ?2 AND id = ?3"), [kind, dataset, id], map)?,
        };
        let parse = |(dataset, id, updated_at, body): (String, String, TimeNs, String)| {
            let body = serde_json::from_str(&body).map_err(|e| CatalogError::Damaged { what: format!("document {id:?}: {e}") })?;
            Ok(Document { dataset, id, updated_at, body })
        };
        found.into_iter().map(parse).collect()
    }

    fn delete_document(&mut self, kind: &str, dataset: &str, id: &str) -> Result<bool, CatalogError> {
        const ACTION: &str = "delete a document";
        let tx = self.write(ACTION)?;
        let n =
            tx.execute("DELETE FROM documents WHERE kind = ?1 AND dataset = ?2 AND id = ?3", [kind, dataset, id]).map_err(error(ACTION))?;
        commit(tx, ACTION)?;
        Ok(n > 0)
    }
}

/// SQLite integers are signed.
fn clamp(v: u64) -> i64 {
    i64::try_from(v).unwrap_or(i64::MAX)
}
