//! Reads a segment: directory, blocks, dictionaries, single cells.
//!
//! Owns: turning damaged bytes into errors, never into panics or wrong cells. Never does: evaluate conditions.

use super::dict::{Dict, read_histogram, read_many, read_one};
use super::format::{BLOCK_BYTES, BlockMeta, COLUMN_BYTES, ColumnMeta, EXPONENT_BITS, Encoding, Presence, Trailer};
use super::pack::Packable;
use super::{BLOCK_ROWS, Codes, Column, Layout, Scratch, SegmentError, Valid, cache, ints, map, write::power};
use model::{ColumnKind, TimeNs, Value, write_id};
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
    id: u64,
    data: Data,
    trailer: Trailer,
    /// By column; then times; then sample rates.
    blocks: Box<[OnceLock<Blocks>]>,
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
        Ok(Segment { id: NEXT_ID.fetch_add(1, Ordering::Relaxed), data, trailer, blocks })
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

    fn column_meta(&self, index: usize) -> Option<(ColumnMeta, &str)> {
        if index >= self.n_columns() {
            return None;
        }
        let at = self.trailer.directory_offset as usize + index * COLUMN_BYTES;
        let meta = ColumnMeta::read(self.data.get(at..at + COLUMN_BYTES)?)?;
        let names = self.data.get(self.trailer.names_offset as usize..)?;
        let name = names.get(meta.name_offset as usize..)?.get(..meta.name_bytes as usize)?;
        Some((meta, std::str::from_utf8(name).ok()?))
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
            match self.column_meta(middle) {
                Some((_, n)) if n < name => low = middle + 1,
                _ => high = middle,
            }
        }
        let name = name.to_owned();
        (low..self.n_columns()).map_while(move |i| self.column_at(i).filter(|c| c.name == name))
    }

    /// Bytes of all dictionaries once decoded, plus eight per stored number: what merging this segment may take.
    #[must_use]
    pub fn raw_bytes(&self) -> u64 {
        (0..self.n_columns()).filter_map(|i| self.column_meta(i)).map(|(m, _)| m.dict_raw_bytes + 8 * u64::from(m.n_present)).sum()
    }

    /// Bytes of a column on disk: its blocks, and its dictionary.
    #[must_use]
    pub fn column_bytes(&self, column: &Column<'_>) -> (u64, u64) {
        let dict = self.column_meta(column.index as usize).map_or(0, |(m, _)| m.dict_bytes);
        let entries = (self.n_blocks() * BLOCK_BYTES + COLUMN_BYTES) as u64;
        let blocks = self.column_blocks(column).map_or(0, |b| b.metas.iter().map(|m| u64::from(m.bytes)).sum());
        (blocks + entries, dict)
    }

    fn load_blocks(&self, slot: usize, offset: u64) -> Result<&Blocks, SegmentError> {
        if let Some(blocks) = self.blocks[slot].get() {
            return Ok(blocks);
        }
        let n = self.n_blocks();
        let read = || {
            let b = self.data.get(usize::try_from(offset).ok()?..)?;
            let entries = b.get(..n * BLOCK_BYTES)?;
            let crc = b.get(n * BLOCK_BYTES..)?.first_chunk::<4>()?;
            if crc32c::crc32c(entries) != u32::from_le_bytes(*crc) {
                return None;
            }
            let metas: Box<[BlockMeta]> = entries.chunks_exact(BLOCK_BYTES).map(BlockMeta::read).collect::<Option<_>>()?;
            let sound = metas.iter().enumerate().all(|(i, m)| {
                let rows = self.block_rows(i);
                match m.presence {
                    Presence::All => m.n_stored as usize == rows,
                    _ => m.n_stored as usize <= rows,
                }
            });
            let verified = (0..n).map(|_| AtomicBool::new(false)).collect();
            sound.then_some(Blocks { metas, verified })
        };
        let blocks = read().ok_or_else(|| damaged("checksum of block entries"))?;
        Ok(self.blocks[slot].get_or_init(|| blocks))
    }

    pub(super) fn column_blocks(&self, column: &Column<'_>) -> Result<&Blocks, SegmentError> {
        let slot = column.index as usize;
        if let Some(blocks) = self.blocks.get(slot).and_then(OnceLock::get) {
            return Ok(blocks);
        }
        let (meta, _) = self.column_meta(slot).ok_or_else(|| damaged("column entry"))?;
        self.load_blocks(slot, meta.blocks_offset)
    }

    fn time_blocks(&self) -> Result<&Blocks, SegmentError> {
        self.load_blocks(self.n_columns(), self.trailer.times_offset)
    }

    /// Has the bytes of a block, and of those that will probably come next, read from disk while the first ones are worked on.
    fn ahead(&self, blocks: &Blocks, block: usize) {
        let near = &blocks.metas[block..blocks.metas.len().min(block + AHEAD_BLOCKS)];
        let (Some(first), Some(last)) = (near.first(), near.last()) else { return };
        self.data.will_read(first.offset, (last.offset + u64::from(last.bytes)).saturating_sub(first.offset));
    }

    /// The entry and the verified bytes of a block.
    pub(super) fn block<'a>(&'a self, blocks: &'a Blocks, block: usize) -> Result<(&'a BlockMeta, &'a [u8]), SegmentError> {
        let go = || {
            let meta = blocks.metas.get(block)?;
            let data = self.data.get(usize::try_from(meta.offset).ok()?..)?.get(..meta.bytes as usize)?;
            if !blocks.verified[block].load(Ordering::Relaxed) {
                self.ahead(blocks, block);
                if crc32c::crc32c(data) != meta.crc {
                    return None;
                }
                blocks.verified[block].store(true, Ordering::Relaxed);
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

    fn dict_bytes(&self, column: &Column<'_>) -> Result<(&[u8], usize), SegmentError> {
        let (meta, _) = self.column_meta(column.index as usize).ok_or_else(|| damaged("column entry"))?;
        let go = || self.data.get(usize::try_from(meta.dict_offset).ok()?..)?.get(..usize::try_from(meta.dict_bytes).ok()?);
        Ok((go().ok_or_else(|| damaged("place of a dictionary"))?, meta.n_dict as usize))
    }

    /// Entries of the dictionary of a `Dict` column.
    #[must_use]
    pub fn n_dict(&self, column: &Column<'_>) -> usize {
        self.column_meta(column.index as usize).map_or(0, |(m, _)| m.n_dict as usize)
    }

    pub(super) fn read_dict(&self, column: &Column<'_>) -> Result<Dict, SegmentError> {
        let (bytes, n) = self.dict_bytes(column)?;
        let raw_bytes = self.column_meta(column.index as usize).map_or(0, |(meta, _)| {
            self.data.will_read(meta.dict_offset, meta.dict_bytes);
            meta.dict_raw_bytes
        });
        Dict::read(bytes, column.kind, n, raw_bytes)
    }

    /// The dictionary of a `Dict` column: decoded on first use, then kept while the cache has room.
    pub fn dict(&self, column: &Column<'_>) -> Result<Arc<Dict>, SegmentError> {
        cache::dict(self.id, column.index, || self.read_dict(column))
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

    /// Event times of a block, ascending.
    pub fn read_times<'s>(&self, block: usize, scratch: &'s mut Scratch) -> Result<&'s [TimeNs], SegmentError> {
        let (meta, data) = self.block(self.time_blocks()?, block)?;
        let scale = power(meta.exponent).ok_or_else(|| damaged("exponent of times"))?;
        scratch.ints.resize(self.block_rows(block), 0);
        ints::read(meta, data, scale, &mut scratch.ints);
        Ok(&scratch.ints)
    }

    /// Sample rates of a block (also when uniform).
    pub fn read_sample_rates<'s>(&self, block: usize, scratch: &'s mut Scratch) -> Result<&'s [f64], SegmentError> {
        let n = self.block_rows(block);
        if let Some(rate) = self.uniform_sample_rate() {
            scratch.floats.clear();
            scratch.floats.resize(n, rate);
            return Ok(&scratch.floats);
        }
        let (meta, data) = self.block(self.load_blocks(self.n_columns() + 1, self.trailer.rates_offset)?, block)?;
        scratch.floats.resize(n, 0.0);
        stored_floats(meta, data, &mut scratch.ints, &mut scratch.floats)?;
        Ok(&scratch.floats)
    }

    /// Codes of a `Dict` or `Bools` column; a missing cell has the code `dict.len()` (2 for bools).
    pub fn read_codes<'s>(&self, column: &Column<'_>, block: usize, scratch: &'s mut Scratch) -> Result<Codes<'s>, SegmentError> {
        let n_dict = if column.layout == Layout::Bools { 2 } else { self.n_dict(column) };
        let missing = n_dict as u32;
        let (meta, data) = self.block(self.column_blocks(column)?, block)?;
        let n = self.block_rows(block);
        if meta.presence == Presence::None {
            return Ok(Codes::Const(missing));
        }
        if meta.presence == Presence::All && meta.encoding == Encoding::Const {
            return Ok(Codes::Const((meta.base as u32).min(missing)));
        }
        let (head, values) = split(meta, data, n)?;
        Ok(match n_dict {
            0..=255 => Codes::U8(dense_codes(meta, head, values, missing as u8, n, &mut scratch.u8, &mut scratch.tmp8)),
            256..=65_535 => Codes::U16(dense_codes(meta, head, values, missing as u16, n, &mut scratch.u16, &mut scratch.tmp16)),
            _ => Codes::U32(dense_codes(meta, head, values, missing, n, &mut scratch.u32, &mut scratch.tmp32)),
        })
    }

    /// Integers of a block, one per row, 0 where missing.
    pub fn read_ints<'s>(
        &self,
        column: &Column<'_>,
        block: usize,
        scratch: &'s mut Scratch,
    ) -> Result<(&'s [i64], Valid<'s>), SegmentError> {
        let (meta, data) = self.block(self.column_blocks(column)?, block)?;
        let n = self.block_rows(block);
        if meta.presence == Presence::All {
            scratch.ints.resize(n, 0);
            ints::read(meta, data, 1, &mut scratch.ints);
            return Ok((&scratch.ints, Valid::All));
        }
        scratch.ints.clear();
        scratch.ints.resize(n, 0);
        if meta.presence == Presence::None {
            return Ok((&scratch.ints, Valid::None));
        }
        let (head, values) = split(meta, data, n)?;
        scratch.tmp_ints.resize(meta.n_stored as usize, 0);
        ints::read(meta, values, 1, &mut scratch.tmp_ints);
        scatter(meta, head, &scratch.tmp_ints, &mut scratch.ints, &mut scratch.bits);
        Ok((&scratch.ints, Valid::Bits(&scratch.bits)))
    }

    /// Floats of a block, one per row, 0 where missing. Also serves `Ints`, as floats.
    pub fn read_floats<'s>(
        &self,
        column: &Column<'_>,
        block: usize,
        scratch: &'s mut Scratch,
    ) -> Result<(&'s [f64], Valid<'s>), SegmentError> {
        let (meta, data) = self.block(self.column_blocks(column)?, block)?;
        let n = self.block_rows(block);
        if meta.presence == Presence::None {
            scratch.floats.clear();
            scratch.floats.resize(n, 0.0);
            return Ok((&scratch.floats, Valid::None));
        }
        let (head, values) = split(meta, data, n)?;
        if meta.presence == Presence::All {
            scratch.floats.resize(n, 0.0);
            numbers(column, meta, values, &mut scratch.tmp_ints, &mut scratch.floats)?;
            return Ok((&scratch.floats, Valid::All));
        }
        scratch.tmp_floats.resize(meta.n_stored as usize, 0.0);
        numbers(column, meta, values, &mut scratch.tmp_ints, &mut scratch.tmp_floats)?;
        scratch.floats.clear();
        scratch.floats.resize(n, 0.0);
        scatter(meta, head, &scratch.tmp_floats, &mut scratch.floats, &mut scratch.bits);
        Ok((&scratch.floats, Valid::Bits(&scratch.bits)))
    }

    /// Raw ids of a block as numbers (big-endian; `Hex8` in the low 64 bits), one per row, 0 where missing.
    pub fn read_ids<'s>(
        &self,
        column: &Column<'_>,
        block: usize,
        scratch: &'s mut Scratch,
    ) -> Result<(&'s [u128], Valid<'s>), SegmentError> {
        let width = column.kind.id().ok_or_else(|| damaged("ids in a column of another kind"))?.width();
        let (meta, data) = self.block(self.column_blocks(column)?, block)?;
        let n = self.block_rows(block);
        if meta.presence == Presence::All {
            scratch.ids.resize(n, 0);
            raw_ids(data, width, &mut scratch.ids);
            return Ok((&scratch.ids, Valid::All));
        }
        scratch.ids.clear();
        scratch.ids.resize(n, 0);
        if meta.presence == Presence::None {
            return Ok((&scratch.ids, Valid::None));
        }
        let (head, values) = split(meta, data, n)?;
        scratch.tmp_ids.resize(meta.n_stored as usize, 0);
        raw_ids(values, width, &mut scratch.tmp_ids);
        scatter(meta, head, &scratch.tmp_ids, &mut scratch.ids, &mut scratch.bits);
        Ok((&scratch.ids, Valid::Bits(&scratch.bits)))
    }

    /// The present cells of a block as (row in block, …): rows into `rows`, values into the buffer of the layout
    /// (`u32` codes, `ints`, `floats`, `ids`) of `scratch`.
    pub(super) fn read_stored(
        &self,
        column: &Column<'_>,
        block: usize,
        rows: &mut Vec<u32>,
        scratch: &mut Scratch,
    ) -> Result<(), SegmentError> {
        let (meta, data) = self.block(self.column_blocks(column)?, block)?;
        let n = self.block_rows(block);
        rows.clear();
        let (head, values) = split(meta, data, n)?;
        match meta.presence {
            Presence::None => {}
            Presence::All => rows.extend(0..n as u32),
            Presence::Positions | Presence::Bitmap => each_position(meta, head, n, |p| rows.push(p as u32)),
        }
        let stored = if meta.presence == Presence::None { 0 } else { rows.len() };
        match column.layout {
            Layout::Dict | Layout::Bools => {
                scratch.u32.resize(stored, 0);
                read_u32_codes(meta, values, scratch);
                let missing = if column.layout == Layout::Bools { 2 } else { self.n_dict(column) } as u32;
                if meta.presence == Presence::All {
                    let mut kept = 0;
                    for i in 0..stored {
                        if scratch.u32[i] < missing {
                            scratch.u32[kept] = scratch.u32[i];
                            rows[kept] = rows[i];
                            kept += 1;
                        }
                    }
                    rows.truncate(kept);
                    scratch.u32.truncate(kept);
                } else if scratch.u32.iter().any(|c| *c >= missing) {
                    return Err(damaged("code beyond the dictionary"));
                }
            }
            Layout::Ints => {
                scratch.ints.resize(stored, 0);
                ints::read(meta, values, 1, &mut scratch.ints);
            }
            Layout::Floats => {
                scratch.floats.resize(stored, 0.0);
                numbers(column, meta, values, &mut scratch.tmp_ints, &mut scratch.floats)?;
            }
            Layout::Ids => {
                scratch.ids.resize(stored, 0);
                raw_ids(values, column.kind.id().map_or(16, |k| k.width()), &mut scratch.ids);
            }
        }
        Ok(())
    }

    /// All cells of one row, for raw results: cheap for few rows (no block is decoded as a whole).
    /// Answers time and sample rate.
    pub fn row(&self, row: usize, visit: &mut dyn FnMut(&str, Value)) -> Result<(TimeNs, f64), SegmentError> {
        for i in 0..self.n_columns() {
            let column = self.column_at(i).ok_or_else(|| damaged("column entry"))?;
            match self.cell(&column, row)? {
                Value::Null => {}
                value => visit(column.name, value),
            }
        }
        self.row_time(row)
    }

    /// Cells of a column, one per row asked for: for many rows cheaper than one [`Self::cell`] after the other.
    pub fn cells(&self, column: &Column<'_>, rows: &[usize]) -> Result<Vec<Value>, SegmentError> {
        if column.layout != Layout::Dict || rows.len() < 2 || cache::known(self.id, column.index).is_some() {
            return rows.iter().map(|row| self.cell(column, *row)).collect();
        }
        let mut codes = Vec::with_capacity(rows.len());
        for (i, row) in rows.iter().enumerate() {
            if let Some(code) = self.code(column, *row)? {
                codes.push((code, i));
            }
        }
        codes.sort_unstable();
        let wanted: Vec<u32> = codes.iter().map(|c| c.0).collect();
        let texts = read_many(self.dict_bytes(column)?.0, column.kind, &wanted)?;
        let mut out = vec![Value::Null; rows.len()];
        for ((_, i), text) in codes.into_iter().zip(texts) {
            out[i] = Value::Str(text);
        }
        Ok(out)
    }

    /// Time and sample rate of one row.
    pub fn row_time(&self, row: usize) -> Result<(TimeNs, f64), SegmentError> {
        let (block, at) = (row / BLOCK_ROWS, row % BLOCK_ROWS);
        let (meta, data) = self.block(self.time_blocks()?, block)?;
        let time = power(meta.exponent).and_then(|scale| ints::get(meta, data, scale, at)).ok_or_else(|| damaged("time of a row"))?;
        let rate = match self.uniform_sample_rate() {
            Some(rate) => rate,
            None => {
                let (meta, data) = self.block(self.load_blocks(self.n_columns() + 1, self.trailer.rates_offset)?, block)?;
                ints::get(meta, data, 1, at).and_then(|i| float_of(meta, i)).ok_or_else(|| damaged("sample rate of a row"))?
            }
        };
        Ok((time, rate))
    }

    /// The place of a row's stored value in its block, if the row has one.
    fn stored_index(&self, meta: &BlockMeta, head: &[u8], n: usize, row: usize) -> Option<usize> {
        match meta.presence {
            Presence::All => Some(row),
            Presence::None => None,
            Presence::Positions => {
                let (positions, _) = head.as_chunks::<2>();
                positions.binary_search_by_key(&row, |p| u16::from_le_bytes(*p) as usize).ok()
            }
            Presence::Bitmap => {
                if row >= n || head[row / 8] >> (row % 8) & 1 == 0 {
                    return None;
                }
                let (words, bytes) = head[..row / 8].as_chunks::<8>();
                let whole = words.iter().map(|w| u64::from_le_bytes(*w).count_ones()).sum::<u32>()
                    + bytes.iter().map(|b| b.count_ones()).sum::<u32>();
                Some((whole + (head[row / 8] & ((1u16 << (row % 8)) - 1) as u8).count_ones()) as usize)
            }
        }
    }

    /// The code of one cell of a `Dict` or `Bools` column; `None` if it is missing.
    pub fn code(&self, column: &Column<'_>, row: usize) -> Result<Option<u32>, SegmentError> {
        let (block, row) = (row / BLOCK_ROWS, row % BLOCK_ROWS);
        let (meta, data) = self.block(self.column_blocks(column)?, block)?;
        let n = self.block_rows(block);
        let (head, values) = split(meta, data, n)?;
        let Some(at) = self.stored_index(meta, head, n, row) else { return Ok(None) };
        let code = ints::get(meta, values, 1, at).ok_or_else(|| damaged("one cell"))?;
        let missing = if column.layout == Layout::Bools { 2 } else { self.n_dict(column) as i64 };
        Ok((0..missing).contains(&code).then_some(code as u32))
    }

    /// One cell.
    pub fn cell(&self, column: &Column<'_>, row: usize) -> Result<Value, SegmentError> {
        if matches!(column.layout, Layout::Dict | Layout::Bools) {
            let Some(code) = self.code(column, row)? else { return Ok(Value::Null) };
            if column.layout == Layout::Bools {
                return Ok(Value::Bool(code == 1));
            }
            if let Some(dict) = cache::known(self.id, column.index) {
                let mut scratch = String::new();
                return Ok(Value::Str(dict.text(code, &mut scratch).to_owned()));
            }
            return Ok(Value::Str(read_one(self.dict_bytes(column)?.0, column.kind, code)?));
        }
        let (block, row) = (row / BLOCK_ROWS, row % BLOCK_ROWS);
        let (meta, data) = self.block(self.column_blocks(column)?, block)?;
        let n = self.block_rows(block);
        let (head, values) = split(meta, data, n)?;
        let Some(at) = self.stored_index(meta, head, n, row) else { return Ok(Value::Null) };
        let value = || match column.kind {
            ColumnKind::Int => ints::get(meta, values, 1, at).map(Value::Int),
            ColumnKind::Float => ints::get(meta, values, 1, at).and_then(|i| float_of(meta, i)).map(Value::Float),
            _ => {
                let id = column.kind.id()?;
                let raw = values.get(at * id.width()..)?.get(..id.width())?;
                let mut text = String::new();
                write_id(id, raw, &mut text);
                Some(Value::Str(text))
            }
        };
        value().ok_or_else(|| damaged("one cell"))
    }
}

/// Splits a block into presence and values.
pub(super) fn split<'a>(meta: &BlockMeta, data: &'a [u8], n: usize) -> Result<(&'a [u8], &'a [u8]), SegmentError> {
    let head = match meta.presence {
        Presence::All | Presence::None => 0,
        Presence::Bitmap => n.div_ceil(8),
        Presence::Positions => 2 * meta.n_stored as usize,
    };
    data.split_at_checked(head).ok_or_else(|| damaged("presence of a block"))
}

/// Calls `f` with the rows that have a stored value; never more than `n_stored`, all below `n`.
pub(super) fn each_position(meta: &BlockMeta, head: &[u8], n: usize, mut f: impl FnMut(usize)) {
    if meta.presence == Presence::Positions {
        let (positions, _) = head.as_chunks::<2>();
        for p in positions.iter().map(|p| u16::from_le_bytes(*p) as usize).filter(|p| *p < n) {
            f(p);
        }
    } else {
        let mut left = meta.n_stored;
        for (i, byte) in head.iter().enumerate() {
            let mut byte = *byte;
            while byte != 0 && left > 0 {
                let p = i * 8 + byte.trailing_zeros() as usize;
                byte &= byte - 1;
                if p < n {
                    f(p);
                    left -= 1;
                }
            }
        }
    }
}

/// Puts stored values at their rows and notes the rows in `bits`.
fn scatter<T: Copy>(meta: &BlockMeta, head: &[u8], values: &[T], out: &mut [T], bits: &mut Vec<u64>) {
    bits.clear();
    bits.resize(out.len().div_ceil(64), 0);
    if meta.presence == Presence::Bitmap {
        expand(head, values, out, bits);
        return;
    }
    let mut values = values.iter();
    each_position(meta, head, out.len(), |p| {
        if let Some(v) = values.next() {
            out[p] = *v;
            bits[p / 64] |= 1 << (p % 64);
        }
    });
}

/// [`scatter`] by bitmap, 64 rows at a time; words without a gap are copied.
fn expand<T: Copy>(head: &[u8], mut values: &[T], out: &mut [T], bits: &mut [u64]) {
    for ((bytes, rows), bits) in head.chunks(8).zip(out.chunks_mut(64)).zip(bits) {
        let mut word = [0; 8];
        word[..bytes.len()].copy_from_slice(bytes);
        let mut word = u64::from_le_bytes(word);
        if rows.len() < 64 {
            word &= (1 << rows.len()) - 1;
        }
        let n = word.count_ones() as usize;
        let Some((these, rest)) = values.split_at_checked(n) else { return };
        values = rest;
        *bits = word;
        if n == rows.len() {
            rows.copy_from_slice(these);
            continue;
        }
        for v in these {
            rows[word.trailing_zeros() as usize] = *v;
            word &= word - 1;
        }
    }
}

fn dense_codes<'s, T: Packable + Ord>(
    meta: &BlockMeta,
    head: &[u8],
    values: &[u8],
    missing: T,
    n: usize,
    out: &'s mut Vec<T>,
    tmp: &mut Vec<T>,
) -> &'s [T] {
    if meta.presence == Presence::All {
        out.resize(n, missing);
        ints::read_codes(meta, values, out);
    } else {
        out.clear();
        out.resize(n, missing);
        tmp.resize(meta.n_stored as usize, missing);
        ints::read_codes(meta, values, tmp);
        if meta.presence == Presence::Bitmap {
            let mut bits = vec![0; n.div_ceil(64)];
            expand(head, tmp, out, &mut bits);
        }
        let mut stored = tmp.iter();
        let head = if meta.presence == Presence::Bitmap { &[] } else { head };
        each_position(meta, head, n, |p| {
            if let Some(v) = stored.next() {
                out[p] = *v;
            }
        });
    }
    // Codes index dictionaries: damage that a checksum missed must not become a panic later.
    for c in out.iter_mut() {
        *c = (*c).min(missing);
    }
    out
}

fn read_u32_codes(meta: &BlockMeta, values: &[u8], scratch: &mut Scratch) {
    let n = scratch.u32.len();
    match meta.lane {
        super::pack::Lane::U8 => {
            scratch.tmp8.resize(n, 0);
            ints::read_codes(meta, values, &mut scratch.tmp8);
            for (o, c) in scratch.u32.iter_mut().zip(&scratch.tmp8) {
                *o = u32::from(*c);
            }
            if meta.encoding == Encoding::Const {
                scratch.u32.fill(meta.base as u32);
            }
        }
        super::pack::Lane::U16 => {
            scratch.tmp16.resize(n, 0);
            ints::read_codes(meta, values, &mut scratch.tmp16);
            for (o, c) in scratch.u32.iter_mut().zip(&scratch.tmp16) {
                *o = u32::from(*c);
            }
        }
        _ => ints::read_codes(meta, values, &mut scratch.u32),
    }
}

fn raw_ids(data: &[u8], width: usize, out: &mut [u128]) {
    if width == 8 {
        let (ids, _) = data.as_chunks::<8>();
        for (o, b) in out.iter_mut().zip(ids) {
            *o = u128::from(u64::from_be_bytes(*b));
        }
    } else {
        let (ids, _) = data.as_chunks::<16>();
        for (o, b) in out.iter_mut().zip(ids) {
            *o = u128::from_be_bytes(*b);
        }
    }
}

fn float_of(meta: &BlockMeta, i: i64) -> Option<f64> {
    if meta.exponent == EXPONENT_BITS {
        return Some(f64::from_bits(i as u64));
    }
    Some(i as f64 / power(meta.exponent)? as f64)
}

fn stored_floats(meta: &BlockMeta, data: &[u8], tmp: &mut Vec<i64>, out: &mut [f64]) -> Result<(), SegmentError> {
    if meta.exponent == EXPONENT_BITS {
        tmp.resize(out.len(), 0);
        ints::read(meta, data, 1, tmp);
        for (o, i) in out.iter_mut().zip(tmp.iter()) {
            *o = f64::from_bits(*i as u64);
        }
        return Ok(());
    }
    let power = power(meta.exponent).ok_or_else(|| damaged("exponent of floats"))? as f64;
    ints::read_decimals(meta, data, power, out);
    Ok(())
}

fn numbers(column: &Column<'_>, meta: &BlockMeta, data: &[u8], tmp: &mut Vec<i64>, out: &mut [f64]) -> Result<(), SegmentError> {
    if column.layout == Layout::Floats {
        return stored_floats(meta, data, tmp, out);
    }
    tmp.resize(out.len(), 0);
    ints::read(meta, data, 1, tmp);
    for (o, i) in out.iter_mut().zip(tmp.iter()) {
        *o = *i as f64;
    }
    Ok(())
}
