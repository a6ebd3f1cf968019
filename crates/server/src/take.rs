//! The way of a request's events: unpack, decode, check columns, write; the computing part off the async threads.
//!
//! Owns: that way, common to all senders' protocols. Never does: know a protocol.

use crate::app::App;
use crate::budget::Lease;
use crate::error::Failure;
use crate::log;
use crate::telemetry::DATASET;
use crate::time::thread_cpu_ns;
use bytes::Bytes;
use ingest::{ContentEncoding, Context, Decoded, IngestError, decompress, otlp::OtlpDecoded};
use model::{Batch, Limits};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};
use store::{OVERFLOW_COLUMN, StoreError, Write};

/// Bodies up to this size that are not packed are decoded without a change of thread.
const SMALL_BYTES: usize = 16 << 10;

/// What a decoder answers, whatever the protocol.
pub(crate) trait Events: Send + 'static {
    fn writes(&mut self) -> &mut Vec<(String, Batch)>;
    /// Events of a dataset have fields that it has no column left for.
    fn overflowed(&mut self, dataset: &str, events: usize, columns_max: usize);
}

impl Events for Decoded {
    fn writes(&mut self) -> &mut Vec<(String, Batch)> {
        &mut self.writes
    }

    /// Senders take an answer that is more than a status for an error.
    fn overflowed(&mut self, _dataset: &str, _events: usize, _columns_max: usize) {}
}

impl Events for OtlpDecoded {
    fn writes(&mut self) -> &mut Vec<(String, Batch)> {
        &mut self.writes
    }

    /// The protocol has a place for warnings.
    fn overflowed(&mut self, dataset: &str, events: usize, columns_max: usize) {
        if !self.message.is_empty() {
            self.message.push_str("; ");
        }
        let text = format!(
            "{events} events of dataset '{dataset}' are kept with some fields as JSON in {OVERFLOW_COLUMN}, as the dataset has {columns_max} columns"
        );
        self.message.push_str(&text);
    }
}

type Append = Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send>>;

/// A request of which everything that could be kept is kept.
#[derive(Debug)]
pub(crate) struct Taken<E> {
    pub(crate) events: E,
    pub(crate) n_rows: usize,
    /// Whether some went to the dataset in which the server tells of itself.
    pub(crate) own: bool,
    pub(crate) unpacked_bytes: usize,
    pub(crate) decode_time: Duration,
    pub(crate) write_time: Duration,
}

struct Decoding<E> {
    taken: Taken<E>,
    append: Option<Append>,
    lease: Lease,
}

/// Takes the events of a body; when it answers, they are on disk and visible.
pub(crate) async fn take<E: Events>(
    app: &Arc<App>,
    (body, lease): (Bytes, Lease),
    encoding: ContentEncoding,
    flatten_depth: usize,
    decode: impl FnOnce(&[u8], &Context<'_>) -> Result<E, IngestError> + Send + 'static,
) -> Result<Taken<E>, Failure> {
    let small = encoding == ContentEncoding::Identity && body.len() <= SMALL_BYTES;
    let on_thread = Arc::clone(app);
    let work = move || begin(&on_thread, body, lease, encoding, flatten_depth, decode);
    let Decoding { mut taken, append, lease } = app.compute(small, work).await??;
    if let Some(append) = append {
        let started = Instant::now();
        append.await?;
        taken.write_time = started.elapsed();
    }
    drop(lease);
    Ok(taken)
}

fn begin<E: Events>(
    app: &App,
    body: Bytes,
    mut lease: Lease,
    encoding: ContentEncoding,
    flatten_depth: usize,
    decode: impl FnOnce(&[u8], &Context<'_>) -> Result<E, IngestError>,
) -> Result<Decoding<E>, Failure> {
    let (started, cpu) = (Instant::now(), thread_cpu_ns());
    let limits: &Limits = &app.settings.limits;
    let unpacked = decompress(&body, encoding, limits.request_bytes_max)?;
    let unpacked_bytes = unpacked.len();
    if encoding != ContentEncoding::Identity && !lease.grow(unpacked_bytes) {
        return Err(Failure::overload("too many requests are in work; send again in a second"));
    }
    let context = Context { now: crate::time::now(), limits, flatten_depth };
    let mut events = decode(&unpacked, &context)?;
    drop(unpacked);
    drop(body);
    let mut writes = Vec::new();
    let (mut n_rows, mut own) = (0, false);
    for (dataset, batch) in std::mem::take(events.writes()) {
        let (batch, overflow) = app.store.fit_columns(&dataset, batch)?;
        if overflow.events > 0 {
            events.overflowed(&dataset, overflow.events, limits.dataset_columns_max);
        }
        if overflow.first {
            log::error(
                "columns_full",
                &[("dataset", &dataset), ("columns_max", &limits.dataset_columns_max), ("kept_in", &OVERFLOW_COLUMN)],
            );
        }
        n_rows += batch.n_rows;
        own |= dataset.eq_ignore_ascii_case(DATASET);
        if batch.n_rows > 0 {
            writes.push(Write { dataset, batch, fitted: true });
        }
    }
    app.metrics.decoded(thread_cpu_ns().saturating_sub(cpu));
    let append = if writes.is_empty() { None } else { start_append(app, writes)? };
    let taken = Taken { events, n_rows, own, unpacked_bytes, decode_time: started.elapsed(), write_time: Duration::ZERO };
    Ok(Decoding { taken, append, lease })
}

/// `append` encodes when it is polled first: that is done here, on the thread that computes.
fn start_append(app: &App, writes: Vec<Write>) -> Result<Option<Append>, StoreError> {
    let store = app.store.clone();
    let mut append: Append = Box::pin(async move { store.append(writes).await });
    match append.as_mut().poll(&mut std::task::Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome.map(|()| None),
        Poll::Pending => Ok(Some(append)),
    }
}

#[cfg(test)]
mod tests {
    use super::Events;
    use ingest::otlp::OtlpDecoded;

    #[test]
    fn an_overflow_is_a_warning_and_rejects_nothing() {
        let mut o = OtlpDecoded { accepted: 3, message: "before".into(), ..Default::default() };
        o.overflowed("d", 2, 9);
        assert_eq!((o.accepted, o.rejected), (3, 0));
        assert_eq!(
            o.message,
            "before; 2 events of dataset 'd' are kept with some fields as JSON in meta.overflow, as the dataset has 9 columns"
        );
    }
}
