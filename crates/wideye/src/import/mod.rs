//! `wideye import`: files of events, sent to a server as batches.
//!
//! Owns: opening and unpacking files, batches, progress, the summary. Never does: decide which events are good
//! (the server does, and says why), write to a data directory.

mod ndjson;
mod parquet;
#[cfg(test)]
mod tests;

use crate::{
    cli::ImportArgs,
    client::{Client, segment},
    error::CliError,
    pool::Pool,
    term::{self, Progress},
};
use serde_json::Value as Json;
use std::{
    fs::File,
    io::{BufReader, Read},
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

/// A batch is sent when it holds so many bytes: well below what any server takes.
const BATCH_BYTES: usize = 4 << 20;

/// Batches on their way at once.
const CONNECTIONS: usize = 3;

/// An event that was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    /// Number of the line (NDJSON) or row (Parquet), counted from 1.
    pub(crate) line: u64,
    pub(crate) reason: String,
}

/// Lines of one request, and the number of each.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) body: Vec<u8>,
    pub(crate) lines: Vec<u64>,
}

impl Batch {
    /// Adds a line of JSON that has no line break.
    pub(crate) fn push(&mut self, line: u64, json: &[u8]) {
        self.body.extend_from_slice(json);
        self.body.push(b'\n');
        self.lines.push(line);
    }
}

/// What is known of a file while it is sent.
#[derive(Debug, Default)]
struct Tally {
    taken: AtomicU64,
    refused: Mutex<Vec<Refused>>,
}

/// Where batches of a file go.
pub(crate) trait Sink {
    /// Takes a batch, and how many bytes of the file were read by now.
    fn send(&mut self, batch: Batch) -> Result<(), CliError>;
    /// Notes a line that cannot even be sent.
    fn refuse(&mut self, refused: Refused);
}

struct Upload {
    pool: Pool<Batch>,
    tally: Arc<Tally>,
    progress: Progress,
    read: Arc<AtomicU64>,
}

impl Sink for Upload {
    fn send(&mut self, batch: Batch) -> Result<(), CliError> {
        self.progress.show(self.read.load(Ordering::Relaxed), self.tally.taken.load(Ordering::Relaxed), "events");
        self.pool.push(batch)
    }

    fn refuse(&mut self, refused: Refused) {
        if let Ok(mut all) = self.tally.refused.lock() {
            all.push(refused);
        }
    }
}

/// Which columns hold what is not a field.
#[derive(Clone, Debug, Default)]
pub(crate) struct Envelope {
    pub(crate) time: Option<String>,
    pub(crate) sample_rate: Option<String>,
}

/// Columns that are taken for the time where the user named none.
pub(crate) const TIME_COLUMNS: [&str; 4] = ["time", "timestamp", "@timestamp", "ts"];

impl Envelope {
    /// How good a column is as the event's time: 0 is best.
    pub(crate) fn time_rank(&self, column: &str) -> Option<usize> {
        match &self.time {
            Some(name) => (name == column).then_some(0),
            None => TIME_COLUMNS.iter().position(|name| *name == column),
        }
    }
}

/// Counts the bytes that go through.
struct Counted<R> {
    inner: R,
    n: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
        let n = self.inner.read(to)?;
        self.n.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

/// Imports all files, one after the other.
pub(crate) fn run(args: &ImportArgs) -> Result<(), CliError> {
    let client = Client::new(&args.server.url, args.server.key.as_deref())?;
    let envelope = Envelope { time: args.time_column.clone(), sample_rate: args.sample_rate_column.clone() };
    let (mut taken, mut refused) = (0, 0);
    for path in &args.files {
        let (t, r) = file(&client, path, args, &envelope)?;
        taken += t;
        refused += r;
    }
    if args.files.len() > 1 {
        term::say(format_args!("{} files: {} events taken, {} refused", args.files.len(), term::grouped(taken), term::grouped(refused)));
    }
    if refused > 0 { Err(CliError::Found(format!("{} events were refused", term::grouped(refused)))) } else { Ok(()) }
}

/// Imports one file; answers how many events were taken and refused.
fn file(client: &Client, path: &Path, args: &ImportArgs, envelope: &Envelope) -> Result<(u64, u64), CliError> {
    let stdin = path.as_os_str() == "-";
    let shown = if stdin { "standard input".to_owned() } else { path.display().to_string() };
    let read = Arc::new(AtomicU64::new(0));
    let (raw, size): (Box<dyn Read>, Option<u64>) = if stdin {
        (Box::new(std::io::stdin().lock()), None)
    } else {
        let file = File::open(path).map_err(CliError::io("open", &shown))?;
        let size = file.metadata().ok().filter(|m| m.is_file()).map(|m| m.len());
        (Box::new(file), size)
    };
    let counted = Counted { inner: raw, n: Arc::clone(&read) };
    let (packing, stream) = sniff(counted).map_err(CliError::io("read", &shown))?;

    let tally = Arc::new(Tally::default());
    let target = format!("/1/batch/{}", segment(&args.dataset));
    let (sent, to) = (Arc::clone(&tally), client.clone());
    let pool = Pool::new(CONNECTIONS, move |batch: Batch| post(&to, &target, batch, &sent));
    let mut upload = Upload { pool, tally, progress: Progress::new(&shown, size), read };

    match packing {
        Packing::Parquet if !stdin => {
            let file = File::open(path).map_err(CliError::io("open", &shown))?;
            parquet::read(file, &shown, envelope, &mut upload)?;
        }
        Packing::Parquet => parquet::read_all(stream, &shown, envelope, &mut upload)?,
        Packing::Lines => {
            let mut lines = BufReader::with_capacity(1 << 20, stream);
            // A packed file may hold Parquet, too.
            if std::io::BufRead::fill_buf(&mut lines).map_err(CliError::io("read", &shown))?.starts_with(b"PAR1") {
                parquet::read_all(Box::new(lines), &shown, envelope, &mut upload)?;
            } else {
                ndjson::read(lines, &shown, envelope, &mut upload)?;
            }
        }
    }

    let Upload { pool, tally, mut progress, .. } = upload;
    pool.finish()?;
    progress.clear();
    let taken = tally.taken.load(Ordering::Relaxed);
    let mut refused = tally.refused.lock().map(|mut r| std::mem::take(&mut *r)).unwrap_or_default();
    refused.sort_by_key(|r| r.line);
    let rate = (taken as f64 / progress.seconds()) as u64;
    term::say(format_args!(
        "{shown}: {} events to {} in {:.1} s ({}/s), {} refused",
        term::grouped(taken),
        args.dataset,
        progress.seconds(),
        term::grouped(rate),
        term::grouped(refused.len() as u64)
    ));
    summary(&refused, args.show_refused);
    Ok((taken, refused.len() as u64))
}

/// Names refused lines, and how often each reason came up.
fn summary(refused: &[Refused], show: usize) {
    for r in refused.iter().take(show) {
        term::say(format_args!("  line {}: {}", r.line, r.reason));
    }
    if refused.len() > show {
        let mut reasons: Vec<(&str, usize)> = Vec::new();
        for r in &refused[show..] {
            match reasons.iter_mut().find(|(reason, _)| *reason == r.reason) {
                Some((_, n)) => *n += 1,
                None => reasons.push((&r.reason, 1)),
            }
        }
        reasons.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
        for (reason, n) in reasons.iter().take(10) {
            term::say(format_args!("  {} more: {reason}", term::grouped(*n as u64)));
        }
    }
}

fn post(client: &Client, path: &str, batch: Batch, tally: &Tally) -> Result<(), CliError> {
    let reply = client.post_patiently(path, &[("content-type", "application/x-ndjson")], &batch.body)?;
    reply.check(path)?;
    let statuses: Vec<Json> =
        serde_json::from_slice(&reply.body).map_err(|e| CliError::Answer { path: path.to_owned(), what: e.to_string() })?;
    if statuses.len() != batch.lines.len() {
        let what = format!("{} statuses for {} events", statuses.len(), batch.lines.len());
        return Err(CliError::Answer { path: path.to_owned(), what });
    }
    for (line, status) in batch.lines.into_iter().zip(&statuses) {
        if status["status"].as_u64() == Some(202) {
            tally.taken.fetch_add(1, Ordering::Relaxed);
        } else if let Ok(mut refused) = tally.refused.lock() {
            let reason = status["error"].as_str().unwrap_or("no reason given").to_owned();
            refused.push(Refused { line, reason });
        }
    }
    Ok(())
}

#[derive(Debug, PartialEq, Eq)]
enum Packing {
    Lines,
    Parquet,
}

/// Looks at the first bytes and unpacks what is packed.
fn sniff(mut raw: impl Read + 'static) -> std::io::Result<(Packing, Box<dyn Read>)> {
    let mut magic = [0u8; 4];
    let mut n = 0;
    while n < magic.len() {
        match raw.read(&mut magic[n..])? {
            0 => break,
            more => n += more,
        }
    }
    let stream = std::io::Cursor::new(magic[..n].to_vec()).chain(raw);
    Ok(match &magic[..n] {
        b"PAR1" => (Packing::Parquet, Box::new(stream)),
        [0x1f, 0x8b, ..] => (Packing::Lines, Box::new(flate2::read::MultiGzDecoder::new(stream))),
        [0x28, 0xb5, 0x2f, 0xfd] => (Packing::Lines, Box::new(zstd::stream::read::Decoder::new(stream)?)),
        _ => (Packing::Lines, Box::new(stream)),
    })
}
