//! Opens a segment: directory, block entries, dictionaries, checksums.
//!
//! Owns: turning damaged bytes into errors, never into panics or wrong cells. Never does: interpret the bytes of a block
//! (`scan`, `gather`, `cell`).

use super::dict::{Dict, DictPages, Texts, read_histogram};
use super::format::{BLOCK_BYTES, BlockMeta, COLUMN_BYTES, ColumnMeta, Presence, Trailer};
use super::{BLOCK_ROWS, Column, Layout, SegmentError, cache, map};
use model::TimeNs;
use std::{
    path::Path,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

#[derive(Debug)]
enum Data {
    Memory(Vec<u8>),
    Map(memmap2::Mmap),
}

impl std::ops::Deref for Data {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        match self {
            Data::Memory(v) => v,
            Data::Map(m) => m,
        }
    }
}

impl Data {
    /// Tells the system that bytes of a file are needed soon: it reads them all at once, where touching them would read page by page.
    fn will_read(&self, offset: u64, bytes: u64) {
        if let Data::Map(map) = self
            && let (Ok(offset), Ok(bytes)) = (usize::try_from(offset), usize::try_from(bytes))
            && offset < map.len()
        {
            map::will_read(map, offset, bytes.min(map.len() - offset));
        }
    }
}

/// Block entries of a column, read on first use.
#[derive(Debug)]
pub(super) struct Blocks {
    metas: Box<[BlockMeta]>,
    verified: Box<[AtomicBool]>,
}

/// An open segment: mapped file or bytes in memory.
#[derive(Debug)]
pub struct Segment {
    pub(super) id: u64,
    data: Data,
    pub(super) trailer: Trailer,
    /// By column; then times; then sample rates.
    blocks: Box<[OnceLock<Box<Blocks>>]>,
    /// What it was made of in this process, if that is known.
    origins: Option<Arc<[Origin]>>,
}

/// A segment that another one was made of: the events of all origins together are its events.
#[derive(Debug)]
pub struct Origin {
    /// [`Segment::id`].
    pub id: u64,
    /// [`Segment::times`].
    pub times: (TimeNs, TimeNs),
    origins: Option<Arc<[Origin]>>,
}

impl Origin {
    /// What it was made of itself; empty if that is not known.
    #[must_use]
    pub fn origins(&self) -> &[Origin] {
        self.origins.as_deref().unwrap_or_default()
    }
}

/// Origins of origins that are remembered; with more, only the segments of the last merge are.
const ORIGINS_MAX: usize = 4096;

fn n_origins(origins: &[Origin]) -> usize {
    origins.iter().map(|o| 1 + n_origins(o.origins())).sum()
}

/// Blocks of a column that are read from disk together.
const AHEAD_BLOCKS: usize = 4;

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

pub(super) fn damaged(what: impl Into<String>) -> SegmentError {
    SegmentError::Damaged { what: what.into() }
}

impl Drop for Segment {
    fn drop(&mut self) {
        cache::forget(self.id);
    }
}

impl Segment {
    /// Opens an image in memory; verifies the directory's checksum.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Segment, SegmentError> {
        Segment::new(Data::Memory(bytes))
    }

    /// Maps a file; verifies the directory's checksum.
    pub fn open(path: &Path) -> Result<Segment, SegmentError> {
        let data = map::map(path).map_err(|source| SegmentError::Io { path: path.display().to_string(), source })?;
        Segment::new(Data::Map(data)).map_err(|e| match e {
            SegmentError::Damaged { what } => damaged(format!("{what} path={}", path.display())),
            e => e,
        })
    }

    fn new(data: Data) -> Result<Segment, SegmentError> {
        let trailer = Trailer::read(&data)?;
        let directory_bytes = (trailer.n_columns as usize).checked_mul(COLUMN_BYTES);
        let part = |from: u64, bytes: usize| data.get(usize::try_from(from).ok()?..)?.get(..bytes);
        let whole = || {
            let names_end = trailer.names_offset.checked_add(trailer.names_bytes)?;
            if trailer.directory_offset.checked_add(directory_bytes? as u64)? != trailer.names_offset {
                return None;
            }
            part(trailer.directory_offset, usize::try_from(names_end.checked_sub(trailer.directory_offset)?).ok()?)
        };
        data.will_read(trailer.directory_offset, directory_bytes.unwrap_or(0) as u64 + trailer.names_bytes);
        let directory = whole().ok_or_else(|| damaged("place of the directory"))?;
        if crc32c::crc32c(directory) != trailer.directory_crc {
            return Err(damaged("checksum of the directory"));
        }
        let blocks = (0..trailer.n_columns as usize + 2).map(|_| OnceLock::new()).collect();
        Ok(Segment { id: NEXT_ID.fetch_add(1, Ordering::Relaxed), data, trailer, blocks, origins: None })
    }

    /// The same segment, knowing which ones hold the same events.
    #[must_use]
    pub fn made_of(mut self, inputs: &[Arc<Segment>]) -> Segment {
        let all = inputs.iter().map(|s| 1 + n_origins(s.origins())).sum::<usize>() <= ORIGINS_MAX;
        let origin = |s: &Arc<Segment>| Origin { id: s.id, times: s.times(), origins: s.origins.clone().filter(|_| all) };
        self.origins = Some(inputs.iter().map(origin).collect());
        self
    }

    /// The segments that it was made of; empty if that is not known.
    #[must_use]
    pub fn origins(&self) -> &[Origin] {
        self.origins.as_deref().unwrap_or_default()
    }

    /// The image itself.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.data
    }

    /// Unique among all segments opened by this process; the key of caches.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Rows.
    #[must_use]
    pub fn n_rows(&self) -> usize {
        self.trailer.n_rows as usize
    }

    /// Blocks.
    #[must_use]
    pub fn n_blocks(&self) -> usize {
        self.n_rows().div_ceil(BLOCK_ROWS)
    }

    /// Rows of a block.
    #[must_use]
    pub fn block_rows(&self, block: usize) -> usize {
        (self.n_rows() - block * BLOCK_ROWS).min(BLOCK_ROWS)
    }

    /// First and last event time (inclusive).
    #[must_use]
    pub fn times(&self) -> (TimeNs, TimeNs) {
        (self.trailer.time_min, self.trailer.time_max)
    }

    /// First and last event time of a block (inclusive).
    #[must_use]
    pub fn block_times(&self, block: usize) -> (TimeNs, TimeNs) {
        match self.time_blocks() {
            Ok(b) if block < b.metas.len() => (b.metas[block].min as i64, b.metas[block].max as i64),
            _ => self.times(),
        }
    }

    /// The sample rate, if all rows have the same.
    #[must_use]
    pub fn uniform_sample_rate(&self) -> Option<f64> {
        (!self.trailer.sample_rate.is_nan()).then_some(self.trailer.sample_rate)
    }

    /// Number of columns, one per (name, kind).
    #[must_use]
    pub fn n_columns(&self) -> usize {
        self.trailer.n_columns as usize
    }

    /// What the directory says of a column.
    #[inline]
    pub(super) fn entry(&self, index: usize) -> Option<ColumnMeta> {
        if index >= self.n_columns() {
            return None;
        }
        ColumnMeta::read(self.data.get(self.trailer.directory_offset as usize + index * COLUMN_BYTES..)?)
    }

    /// Reads something of each cache line of a column in memory that takes few, and answers it.
    #[inline]
    pub(super) fn touch(&self, index: usize) -> u8 {
        const LINE: usize = 64;
        const LINES: usize = 8;
        let Data::Memory(bytes) = &self.data else { return 0 };
        let Some((from, to)) = bytes.get(self.trailer.directory_offset as usize + index * COLUMN_BYTES..).and_then(ColumnMeta::place)
        else {
            return 0;
        };
        let to = to.saturating_add(BLOCK_BYTES).min(from.saturating_add(LINES * LINE));
        (from..to).step_by(LINE).filter_map(|at| bytes.get(at)).fold(0, |seen, b| seen ^ b)
    }

    /// The bytes of its name.
    #[inline]
    pub(super) fn name_of(&self, meta: &ColumnMeta) -> Option<&[u8]> {
        let names = self.data.get(self.trailer.names_offset as usize..)?;
        names.get(meta.name_offset as usize..)?.get(..meta.name_bytes as usize)
    }

    fn column_meta(&self, index: usize) -> Option<(ColumnMeta, &str)> {
        let meta = self.entry(index)?;
        Some((meta, std::str::from_utf8(self.name_of(&meta)?).ok()?))
    }

    /// A column by its position in the directory.
    #[must_use]
    pub fn column_at(&self, index: usize) -> Option<Column<'_>> {
        let (meta, name) = self.column_meta(index)?;
        Some(Column {
            name,
            kind: meta.kind,
            layout: meta.layout,
            n_present: meta.n_present as usize,
            range: (meta.min <= meta.max).then_some((meta.min, meta.max)),
            index: index as u32,
        })
    }

    /// All columns, ascending by (name, kind). Time and sample rate are not among them.
    pub fn columns(&self) -> impl Iterator<Item = Column<'_>> {
        (0..self.n_columns()).filter_map(|i| self.column_at(i))
    }

    /// The columns (one per kind) of a name; costs a binary search.
    pub fn find<'a>(&'a self, name: &str) -> impl Iterator<Item = Column<'a>> + use<'a> {
        let (mut low, mut high) = (0, self.n_columns());
        while low < high {
            let middle = low + (high - low) / 2;
            match self.entry(middle).as_ref().and_then(|m| self.name_of(m)) {
                Some(n) if n < name.as_bytes() => low = middle + 1,
                _ => high = middle,
            }
        }
        let name = name.to_owned();
        (low..self.n_columns()).map_while(move |i| self.column_at(i).filter(|c| c.name == name))
    }

    /// Bytes of all dictionaries once decoded, plus eight per stored number: what merging this segment may take.
    #[must_use]
    pub fn raw_bytes(&self) -> u64 {
        (0..self.n_columns()).filter_map(|i| self.entry(i)).map(|m| m.dict_raw_bytes + 8 * u64::from(m.n_present)).sum()
    }

    /// Bytes of a column on disk: its blocks, and its dictionary.
    #[must_use]
    pub fn column_bytes(&self, column: &Column<'_>) -> (u64, u64) {
        let dict = self.entry(column.index as usize).map_or(0, |m| m.dict_bytes);
        let entries = (self.n_blocks() * BLOCK_BYTES + COLUMN_BYTES) as u64;
        let blocks = self.column_blocks(column).map_or(0, |b| b.metas.iter().map(|m| u64::from(m.bytes)).sum());
        (blocks + entries, dict)
    }

    pub(super) fn load_blocks(&self, slot: usize, offset: u64) -> Result<&Blocks, SegmentError> {
        if let Some(blocks) = self.blocks[slot].get() {
            return Ok(blocks);
        }
        let mut metas = Vec::with_capacity(self.n_blocks());
        self.read_blocks(offset, &mut metas)?;
        let verified = metas.iter().map(|_| AtomicBool::new(false)).collect();
        Ok(self.blocks[slot].get_or_init(|| Box::new(Blocks { metas: metas.into(), verified })))
    }

    /// Reads the block entries at a place, and keeps nothing: for those who need them once.
    pub(super) fn read_blocks(&self, offset: u64, metas: &mut Vec<BlockMeta>) -> Result<(), SegmentError> {
        let n = self.n_blocks();
        let mut read = || {
            let b = self.data.get(usize::try_from(offset).ok()?..)?;
            let entries = b.get(..n * BLOCK_BYTES)?;
            let crc = b.get(n * BLOCK_BYTES..)?.first_chunk::<4>()?;
            if crc32c::crc32c(entries) != u32::from_le_bytes(*crc) {
                return None;
            }
            metas.clear();
            for (i, entry) in entries.chunks_exact(BLOCK_BYTES).enumerate() {
                let (meta, rows) = (BlockMeta::read(entry)?, self.block_rows(i));
                let sound = match meta.presence {
                    Presence::All => meta.n_stored as usize == rows,
                    _ => meta.n_stored as usize <= rows,
                };
                metas.push(Some(meta).filter(|_| sound)?);
            }
            Some(())
        };
        read().ok_or_else(|| damaged("checksum of block entries"))
    }

    pub(super) fn column_blocks(&self, column: &Column<'_>) -> Result<&Blocks, SegmentError> {
        let slot = column.index as usize;
        if let Some(blocks) = self.blocks.get(slot).and_then(OnceLock::get) {
            return Ok(blocks);
        }
        let meta = self.entry(slot).ok_or_else(|| damaged("column entry"))?;
        self.load_blocks(slot, meta.blocks_offset)
    }

    pub(super) fn time_blocks(&self) -> Result<&Blocks, SegmentError> {
        self.load_blocks(self.n_columns(), self.trailer.times_offset)
    }

    /// Has the bytes of a block, and of those that will probably come next, read from disk while the first ones are worked on.
    fn ahead(&self, metas: &[BlockMeta], block: usize) {
        if let Data::Memory(_) = self.data {
            return;
        }
        let near = &metas[block..metas.len().min(block + AHEAD_BLOCKS)];
        let (Some(first), Some(last)) = (near.first(), near.last()) else { return };
        self.data.will_read(first.offset, (last.offset + u64::from(last.bytes)).saturating_sub(first.offset));
    }

    /// Has the dictionary of a column read from disk, if it is not in memory yet; does not wait for it.
    pub fn dict_ahead(&self, column: &Column<'_>) {
        if let (Data::Map(_), Layout::Dict) = (&self.data, column.layout)
            && cache::known(self.id, column.index).is_none()
            && let Some((meta, _)) = self.column_meta(column.index as usize)
        {
            self.data.will_read(meta.dict_offset, meta.dict_bytes);
        }
    }

    /// Has all blocks of a column between two times read from disk, those that were not read before; does not wait for them.
    pub fn blocks_ahead(&self, column: &Column<'_>, start_ns: TimeNs, end_ns: TimeNs) {
        let (Data::Map(_), Ok(blocks)) = (&self.data, self.column_blocks(column)) else { return };
        let wanted = |block: &usize| {
            let (first, last) = self.block_times(*block);
            !blocks.verified[*block].load(Ordering::Relaxed) && first < end_ns && last >= start_ns
        };
        let mut all = (0..blocks.metas.len()).filter(wanted);
        if let Some(first) = all.next() {
            let (first, last) = (&blocks.metas[first], &blocks.metas[all.last().unwrap_or(first)]);
            self.data.will_read(first.offset, (last.offset + u64::from(last.bytes)).saturating_sub(first.offset));
        }
    }

    /// The entry and the verified bytes of a block.
    pub(super) fn block<'a>(&'a self, blocks: &'a Blocks, block: usize) -> Result<(&'a BlockMeta, &'a [u8]), SegmentError> {
        let known = blocks.verified.get(block).is_some_and(|v| v.load(Ordering::Relaxed));
        let found = self.block_bytes(&blocks.metas, block, known)?;
        if !known {
            blocks.verified[block].store(true, Ordering::Relaxed);
        }
        Ok(found)
    }

    /// The same with block entries of the caller; `known` says that the bytes are verified already.
    pub(super) fn block_bytes<'a, 'm>(
        &'a self,
        metas: &'m [BlockMeta],
        block: usize,
        known: bool,
    ) -> Result<(&'m BlockMeta, &'a [u8]), SegmentError> {
        let go = || {
            let meta = metas.get(block)?;
            let data = self.data.get(usize::try_from(meta.offset).ok()?..)?.get(..meta.bytes as usize)?;
            if !known {
                self.ahead(metas, block);
                if crc32c::crc32c(data) != meta.crc {
                    return None;
                }
            }
            Some((meta, data))
        };
        go().ok_or_else(|| damaged(format!("checksum of block {block}")))
    }

    /// Verifies every checksum and decodes every dictionary.
    pub fn verify(&self) -> Result<(), SegmentError> {
        let all = |blocks: &Blocks| {
            for b in 0..self.n_blocks() {
                blocks.verified[b].store(false, Ordering::Relaxed);
                self.block(blocks, b)?;
            }
            Ok(())
        };
        all(self.time_blocks()?)?;
        if self.trailer.sample_rate.is_nan() {
            all(self.load_blocks(self.n_columns() + 1, self.trailer.rates_offset)?)?;
        }
        for i in 0..self.n_columns() {
            let column = self.column_at(i).ok_or_else(|| damaged(format!("column entry {i}")))?;
            let check = || {
                all(self.column_blocks(&column)?)?;
                if column.layout == Layout::Dict {
                    self.read_dict(&column)?;
                }
                self.histogram(&column)?;
                Ok(())
            };
            check().map_err(|e: SegmentError| match e {
                SegmentError::Damaged { what } => damaged(format!("{what} of column {:?}", column.name)),
                e => e,
            })?;
        }
        Ok(())
    }

    pub(super) fn dict_bytes(&self, column: &Column<'_>) -> Result<(&[u8], usize), SegmentError> {
        let meta = self.entry(column.index as usize).ok_or_else(|| damaged("column entry"))?;
        Ok((self.dict_at(&meta)?, meta.n_dict as usize))
    }

    /// The bytes of a dictionary.
    pub(super) fn dict_at(&self, meta: &ColumnMeta) -> Result<&[u8], SegmentError> {
        let go = || self.data.get(usize::try_from(meta.dict_offset).ok()?..)?.get(..usize::try_from(meta.dict_bytes).ok()?);
        go().ok_or_else(|| damaged("place of a dictionary"))
    }

    /// Entries of the dictionary of a `Dict` column.
    #[must_use]
    pub fn n_dict(&self, column: &Column<'_>) -> usize {
        self.entry(column.index as usize).map_or(0, |m| m.n_dict as usize)
    }

    fn read_dict(&self, column: &Column<'_>) -> Result<Dict, SegmentError> {
        let meta = self.entry(column.index as usize).ok_or_else(|| damaged("column entry"))?;
        self.read_dict_of(&meta)
    }

    /// Decodes the dictionary of a column.
    pub(super) fn read_dict_of(&self, meta: &ColumnMeta) -> Result<Dict, SegmentError> {
        self.data.will_read(meta.dict_offset, meta.dict_bytes);
        Dict::read(self.dict_at(meta)?, meta.kind, meta.n_dict as usize, meta.dict_raw_bytes)
    }

    /// Appends the texts of a dictionary to others.
    pub(super) fn read_texts(&self, meta: &ColumnMeta, texts: &mut Texts) -> Result<(), SegmentError> {
        self.data.will_read(meta.dict_offset, meta.dict_bytes);
        texts.read(self.dict_at(meta)?, meta.n_dict as usize, meta.dict_raw_bytes)
    }

    /// The dictionary of a `Dict` column: decoded on first use, then kept while the cache has room.
    pub fn dict(&self, column: &Column<'_>) -> Result<Arc<Dict>, SegmentError> {
        cache::dict(self.id, column.index, || self.read_dict(column))
    }

    /// The dictionary of a `Dict` column if it is decoded already.
    #[must_use]
    pub fn known_dict(&self, column: &Column<'_>) -> Option<Arc<Dict>> {
        cache::known(self.id, column.index)
    }

    /// The dictionary of a `Dict` column, to decode some of it.
    pub fn dict_pages(&self, column: &Column<'_>) -> Result<DictPages<'_>, SegmentError> {
        let meta = self.entry(column.index as usize).ok_or_else(|| damaged("column entry"))?;
        self.data.will_read(meta.dict_offset, meta.dict_bytes);
        DictPages::of(self.dict_at(&meta)?, meta.kind, meta.n_dict as usize)
    }

    /// How many cells of a `Bools` column are true.
    #[must_use]
    pub fn n_true(&self, column: &Column<'_>) -> usize {
        if column.layout == Layout::Bools { self.n_dict(column).min(column.n_present) } else { 0 }
    }

    /// How the numbers of a column are distributed over [`model::bucket_of`], as (bucket, unweighted count) ascending;
    /// `None` if the segment did not keep it (small or fresh segments don't).
    pub fn histogram(&self, column: &Column<'_>) -> Result<Option<Vec<(u32, u32)>>, SegmentError> {
        if !matches!(column.layout, Layout::Ints | Layout::Floats) {
            return Ok(None);
        }
        match self.dict_bytes(column)? {
            (_, 0) => Ok(None),
            (bytes, n) => read_histogram(bytes, n).map(Some),
        }
    }
}
