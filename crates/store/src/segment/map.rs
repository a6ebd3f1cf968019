//! Read-only memory maps of segment files.
//!
//! Owns: the one `unsafe` call of the store. Never does: writing, or interpreting bytes.
#![allow(unsafe_code, reason = "mapping a file is unsafe by nature; the proof is below")]

use memmap2::{Advice, Mmap};
use std::{fs::File, io, path::Path};

/// Maps a whole file.
///
/// Proof: the map is sound while nobody shortens or rewrites the file. Segment files get their name by an atomic
/// rename after they are complete, are never opened for writing again, and are only ever unlinked (which leaves the
/// mapped pages valid). The data directory is locked against a second process. A user who truncates the file by hand
/// gets SIGBUS, not undefined results.
pub(super) fn map(path: &Path) -> io::Result<Mmap> {
    let file = File::open(path)?;
    // SAFETY: see above.
    let map = unsafe { Mmap::map(&file) }?;
    // Else the system reads megabytes around each page touched, and a question about two columns reads all of them.
    // Only advice: where it cannot be had, all works as well.
    map.advise(Advice::Random).ok();
    Ok(map)
}

/// Asks for bytes to be read from disk, without waiting for them. They lie within the map.
pub(super) fn will_read(map: &Mmap, offset: usize, bytes: usize) {
    map.advise_range(Advice::WillNeed, offset, bytes).ok();
}
