//! Opening a data directory, whatever state the last process left it in.
//!
//! Owns: lock, tidying, replay, and the report of what was met. Never does: need room on the disk for a directory
//! that was open before, or drop anything that it can read.

use crate::{
    RecoveryFinding, RecoveryReport, Segment, StoreError, StoreOptions,
    catalog::{Catalog, CatalogError, DatasetRow, SegmentRow, SqliteCatalog},
    disk::Disk,
    live::{SegmentFile, segment_path},
    shared::{Paths, Shared},
    state::State,
    wal::{self, Record, Wal},
};
use parking_lot::{Mutex, RwLock};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

/// Takes the directory for this process.
pub(crate) fn lock(paths: &Paths, create: bool) -> Result<File, StoreError> {
    let open = OpenOptions::new().read(true).write(create).create(create).truncate(false).open(&paths.lock);
    let file = open.map_err(|e| StoreError::io("open the lock file", &paths.lock, e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Locked { path: paths.root.clone() }),
        Err(TryLockError::Error(e)) => Err(StoreError::io("lock the data directory with", &paths.lock, e)),
    }
}

/// Makes a directory with its parents, durably, if there is none.
fn make_dir(disk: &dyn Disk, dir: &Path) -> Result<(), StoreError> {
    if dir.is_dir() {
        return Ok(());
    }
    let dir = std::path::absolute(dir).map_err(|e| StoreError::io("find the absolute path of", dir, e))?;
    let missing: Vec<&Path> = dir.ancestors().take_while(|d| !d.is_dir()).collect();
    disk.create_dir(&dir).map_err(|e| StoreError::io("make directory", &dir, e))?;
    for parent in missing.iter().filter_map(|d| d.parent()) {
        disk.sync_dir(parent).map_err(|e| StoreError::io("sync directory", parent, e))?;
    }
    Ok(())
}

/// The catalog's format errors as the store's own.
pub(crate) fn open_catalog(path: &Path) -> Result<SqliteCatalog, StoreError> {
    SqliteCatalog::open(path).map_err(|e| match e {
        CatalogError::Newer { version } => StoreError::NewerFormat { what: path.display().to_string(), version: version.max(0) as u64 },
        e => e.into(),
    })
}

/// All files below the segments directory with their lengths. `.seg` and `.seg.tmp` only: the rest is not ours.
pub(crate) fn segment_files(dir: &Path) -> Result<BTreeMap<PathBuf, u64>, StoreError> {
    let mut found = BTreeMap::new();
    for dataset in entries(dir)? {
        if !dataset.is_dir() {
            continue;
        }
        for path in entries(&dataset)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.ends_with(".seg") || name.ends_with(".seg.tmp") {
                let len = fs::metadata(&path).map_err(|e| StoreError::io("look at segment", &path, e))?.len();
                found.insert(path, len);
            }
        }
    }
    Ok(found)
}

fn entries(dir: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let list = match fs::read_dir(dir) {
        Ok(list) => list,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(StoreError::io("list directory", dir, e)),
    };
    list.map(|entry| entry.map(|e| e.path()).map_err(|e| StoreError::io("list directory", dir, e))).collect()
}

/// What is wrong with the file of a live segment, as far as its length tells.
pub(crate) fn length_problem(row: &SegmentRow, found: Option<u64>) -> Option<String> {
    match found {
        None => Some(format!("segment file is missing: restore it from a backup; {} events cannot be read", row.rows)),
        Some(len) if len != row.bytes => {
            Some(format!("segment file has {len} bytes instead of {}: restore it from a backup; it cannot be read", row.bytes))
        }
        Some(_) => None,
    }
}

/// Opens a data directory; no thread runs yet.
pub(crate) fn open(options: StoreOptions) -> Result<Shared, StoreError> {
    let paths = Paths::new(&options.data_dir);
    let disk = Arc::clone(&options.disk);
    make_dir(&*disk, &paths.root)?;
    let lock = lock(&paths, true)?;
    make_dir(&*disk, &paths.wal)?;
    make_dir(&*disk, &paths.segments)?;
    if !paths.catalog.exists() {
        // An earlier start may have died between making these and syncing them.
        disk.sync_dir(&paths.root).map_err(|e| StoreError::io("sync directory", &paths.root, e))?;
    }
    let mut catalog = open_catalog(&paths.catalog)?;
    let contents = catalog.load()?;
    let files = segment_files(&paths.segments)?;
    if contents.is_new && files.keys().any(|p| p.extension().is_some_and(|e| e == "seg")) {
        drop(catalog);
        // Leave no new catalog behind, or the next start would take it for the real one.
        let _gone = fs::remove_file(&paths.catalog);
        return Err(StoreError::CatalogMissing { path: paths.segments });
    }
    if contents.is_new {
        disk.sync_dir(&paths.root).map_err(|e| StoreError::io("sync directory", &paths.root, e))?;
    }

    let mut findings = Vec::new();
    let mut state = State { flushed: contents.flushed_sequence, ..State::default() };
    for row in contents.datasets {
        state.insert(row);
    }
    for row in &contents.columns {
        if let Some(d) = state.datasets.get(&row.dataset) {
            d.columns.lock().load(row);
        }
    }
    let id_seed = contents.segments.iter().fold(options.seed, |seed, s| seed ^ model::hash64(s.id.as_bytes()));
    let mut known = BTreeSet::new();
    for row in contents.segments {
        let path = segment_path(&paths.segments, row.dataset, &row.id);
        if let Some(message) = length_problem(&row, files.get(&path).copied()) {
            findings.push(RecoveryFinding { damage: true, path: path.clone(), range: None, lost_records: None, message });
        }
        known.insert(path);
        if let Some(d) = state.datasets.get_mut(&row.dataset) {
            d.segments.push(Arc::new(SegmentFile::new(&paths.segments, row, None)));
        }
    }
    for path in files.into_keys().filter(|p| !known.contains(p)) {
        let removed = disk.remove(&path);
        let message = match removed {
            Ok(()) => "segment file that never went live: removed, its events are in the write-ahead log or other segments".into(),
            Err(e) => format!("segment file that never went live could not be removed: {e}"),
        };
        findings.push(RecoveryFinding { damage: false, path, range: None, lost_records: None, message });
    }
    let durable_dirs = state.datasets.iter().filter(|(_, d)| !d.segments.is_empty()).map(|(id, _)| *id).collect();
    let empty = wal::Replay { last_sequence: state.flushed, ..wal::Replay::default() };
    let new_wal = |replay: &wal::Replay| {
        Wal::new(&paths.wal, &paths.damaged, Arc::clone(&options.disk), options.seed, options.wal_file_bytes, replay)
    };
    let mut shared = Shared {
        wal: Mutex::new(new_wal(&empty)),
        catalog: Mutex::new(Some(Box::new(catalog))),
        state: RwLock::new(state),
        durable_dirs: Mutex::new(durable_dirs),
        lock: Mutex::new(Some(lock)),
        seal_turn: Mutex::default(),
        compact_turn: Mutex::default(),
        queue: crate::queue::Queue::default(),
        budget: 0.into(),
        wal_bytes: AtomicU64::new(0),
        counters: crate::shared::Counters::default(),
        recovery: RecoveryReport::default(),
        doomed: Mutex::default(),
        crowded: Mutex::default(),
        seal_bell: crate::shared::Bell::default(),
        coalesce_bell: crate::shared::Bell::default(),
        compact_bell: crate::shared::Bell::default(),
        seal_soon: false.into(),
        stop: false.into(),
        next_id: AtomicU64::new(0),
        id_seed,
        paths: paths.clone(),
        options: options.clone(),
    };

    let flushed = shared.state.read().flushed;
    let mut n_rows = 0;
    let mut failure = None;
    let replay = wal::replay(&paths.wal, flushed, &mut |record| {
        if failure.is_some() {
            return Ok(());
        }
        match restore(&shared, &contents.deleted, record, &mut findings) {
            Ok(rows) => n_rows += rows,
            Err(Refused::Record(why)) => return Err(why),
            Err(Refused::Start(e)) => failure = Some(e),
        }
        Ok(())
    })?;
    if let Some(e) = failure {
        return Err(e);
    }
    findings.extend(replay.findings.iter().cloned());
    let wal = new_wal(&replay);
    shared.wal_bytes.store(wal.size().1, Relaxed);
    // The sooner damaged files are out of the way, the better; and sequence numbers start after a clean line.
    shared.seal_soon.store(wal.has_damage() || findings.iter().any(|f| f.lost_records.is_some()), Relaxed);
    shared.wal = Mutex::new(wal);
    shared.recovery = RecoveryReport { replayed_records: replay.n_replayed, replayed_rows: n_rows, findings };
    Ok(shared)
}

enum Refused {
    /// The record cannot be used.
    Record(String),
    /// The store cannot be opened.
    Start(StoreError),
}

/// Puts the events of one record back into the memtable; answers how many.
fn restore(shared: &Shared, deleted: &BTreeSet<u64>, record: &Record<'_>, findings: &mut Vec<RecoveryFinding>) -> Result<u64, Refused> {
    let mut pieces = Vec::new();
    for (id, image) in record.images() {
        if deleted.contains(&id) {
            continue;
        }
        let piece = Segment::from_bytes(image.to_vec()).map_err(|e| Refused::Record(e.to_string()))?;
        pieces.push((id, Arc::new(piece)));
    }
    for (id, _) in &pieces {
        if !shared.state.read().datasets.contains_key(id) {
            findings.push(adopt(shared, *id).map_err(Refused::Start)?);
        }
    }
    let rows = pieces.iter().map(|(_, p)| p.n_rows() as u64).sum();
    shared.budget.fetch_add(pieces.iter().map(|(_, p)| crate::memtable::cost(p)).sum(), Relaxed);
    shared.publish(&pieces, record.written_at);
    // Usually left to the background thread, for a quick start; but replay must not take much more memory than the
    // store had before, when the images were merged.
    if shared.budget.load(Relaxed) > shared.options.limits.memtable_bytes_max / 2 {
        shared.coalesce_all();
    }
    Ok(rows)
}

/// Makes a dataset for events whose dataset the catalog does not know (it was restored from an older copy).
fn adopt(shared: &Shared, id: u64) -> Result<RecoveryFinding, StoreError> {
    let mut catalog = shared.catalog.lock();
    let name = format!("recovered-{id}");
    let row = DatasetRow {
        id,
        slug: shared.state.read().names.free_slug(&name),
        name: name.clone(),
        description: "Events whose dataset the catalog did not know.".into(),
        expand_json_depth: 0,
        retention: crate::Retention::default(),
        created_at: shared.now(),
        last_written_at: None,
    };
    shared.change(&mut catalog, |c| c.create_dataset(&row))?;
    shared.state.write().insert(row);
    let message = format!("dataset {id} is not in the catalog: its events are kept as dataset {name:?}");
    Ok(RecoveryFinding { damage: true, path: shared.paths.catalog.clone(), range: None, lost_records: None, message })
}
