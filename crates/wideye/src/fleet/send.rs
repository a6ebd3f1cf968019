//! Export requests on their way: a few connections that send, wait their turn when told to, and keep count.
//!
//! Owns: sending OTLP/HTTP as an exporter does. Never does: make spans.

use crate::{client::Client, error::CliError, pool::Pool};
use flate2::{Compression, write::GzEncoder};
use std::{
    io::Write,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// Connections that send at once.
const CONNECTIONS: usize = 3;

const PATH: &str = "/v1/traces";

/// What went through so far.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) spans: AtomicU64,
    pub(crate) bytes: AtomicU64,
}

/// Sends export requests in the background, a bounded number at a time.
#[derive(Debug)]
pub(crate) struct Sender {
    pool: Pool<(Vec<u8>, usize)>,
    pub(crate) counts: Arc<Counts>,
}

impl Sender {
    pub(crate) fn new(client: &Client, gzip: bool) -> Sender {
        let counts = Arc::new(Counts::default());
        let (client, kept) = (client.clone(), Arc::clone(&counts));
        let pool = Pool::new(CONNECTIONS, move |(body, n_spans): (Vec<u8>, usize)| {
            let bytes = export(&client, gzip, &body)?;
            kept.spans.fetch_add(n_spans as u64, Ordering::Relaxed);
            kept.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
            Ok(())
        });
        Sender { pool, counts }
    }

    /// Queues a request; waits while all connections are busy. Answers the error of an earlier one, if any.
    pub(crate) fn send(&self, body: Vec<u8>, n_spans: usize) -> Result<(), CliError> {
        self.pool.push((body, n_spans))
    }

    /// Waits until everything queued has been answered.
    pub(crate) fn finish(self) -> Result<(), CliError> {
        self.pool.finish()
    }
}

/// Sends one request; answers the bytes on the wire.
fn export(client: &Client, gzip: bool, body: &[u8]) -> Result<usize, CliError> {
    let mut headers = vec![("content-type", "application/x-protobuf")];
    if !gzip {
        client.post_patiently(PATH, &headers, body)?.check(PATH)?;
        return Ok(body.len());
    }
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 8), Compression::fast());
    let packed = encoder.write_all(body).and_then(|()| encoder.finish()).map_err(CliError::io("pack", "an export request"))?;
    headers.push(("content-encoding", "gzip"));
    client.post_patiently(PATH, &headers, &packed)?.check(PATH)?;
    Ok(packed.len())
}
