//! Parquet files, row by row, as events.
//!
//! Owns: what each Parquet type becomes. Never does: anything with Arrow.

use super::{BATCH_BYTES, Batch, Envelope, Sink};
use crate::error::CliError;
use model::time::write_date_time;
use parquet::{
    data_type::AsBytes,
    errors::ParquetError,
    file::reader::{ChunkReader, FileReader, SerializedFileReader},
    record::{Field, Row},
};
use std::io::{Read, Write};

fn wrong(path: &str) -> impl FnOnce(ParquetError) -> CliError {
    let path = path.to_owned();
    move |e| CliError::Found(format!("{path} cannot be read as Parquet: {e}"))
}

/// Reads a Parquet stream whole, then sends it.
pub(super) fn read_all(mut stream: Box<dyn Read>, path: &str, envelope: &Envelope, sink: &mut impl Sink) -> Result<(), CliError> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).map_err(CliError::io("read", path))?;
    read(bytes::Bytes::from(bytes), path, envelope, sink)
}

/// Reads rows and sends them in batches.
pub(super) fn read<R: ChunkReader + 'static>(file: R, path: &str, envelope: &Envelope, sink: &mut impl Sink) -> Result<(), CliError> {
    let reader = SerializedFileReader::new(file).map_err(wrong(path))?;
    let (mut batch, mut event) = (Batch::default(), Vec::new());
    for (i, row) in reader.get_row_iter(None).map_err(wrong(path))?.enumerate() {
        let row = row.map_err(wrong(path))?;
        event.clear();
        write_event(&row, envelope, &mut event);
        if !batch.lines.is_empty() && batch.body.len() + event.len() > BATCH_BYTES {
            sink.send(std::mem::take(&mut batch))?;
        }
        batch.push(i as u64 + 1, &event);
    }
    if !batch.lines.is_empty() {
        sink.send(batch)?;
    }
    Ok(())
}

/// Writes a row as an event with its envelope.
fn write_event(row: &Row, envelope: &Envelope, out: &mut Vec<u8>) {
    out.push(b'{');
    let time =
        row.get_column_iter().filter(|(_, v)| !matches!(v, Field::Null)).filter_map(|(name, v)| Some((envelope.time_rank(name)?, v)));
    if let Some((_, value)) = time.min_by_key(|(rank, _)| *rank) {
        out.extend_from_slice(b"\"time\":");
        write_field(value, out);
        out.push(b',');
    }
    if let Some(column) = &envelope.sample_rate
        && let Some((_, value)) = row.get_column_iter().find(|(name, _)| *name == column)
    {
        out.extend_from_slice(b"\"samplerate\":");
        write_field(value, out);
        out.push(b',');
    }
    out.extend_from_slice(b"\"data\":");
    write_row(row, out);
    out.push(b'}');
}

fn write_row(row: &Row, out: &mut Vec<u8>) {
    out.push(b'{');
    let mut first = true;
    for (name, value) in row.get_column_iter().filter(|(_, v)| !matches!(v, Field::Null)) {
        if !std::mem::replace(&mut first, false) {
            out.push(b',');
        }
        write_text(name, out);
        out.push(b':');
        write_field(value, out);
    }
    out.push(b'}');
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    // Writing text to memory cannot fail.
    drop(serde_json::to_writer(out, text));
}

fn write_number(n: impl std::fmt::Display, out: &mut Vec<u8>) {
    // Writing to memory cannot fail.
    drop(write!(out, "{n}"));
}

fn write_float(f: f64, out: &mut Vec<u8>) {
    // `{:?}` keeps a fraction or an exponent, so that a float stays one; JSON has no NaN.
    if f.is_finite() { write_number(format_args!("{f:?}"), out) } else { out.extend_from_slice(b"null") }
}

/// Writes a value: numbers and truth values as such, texts and bytes as text, dates and times as RFC 3339.
fn write_field(value: &Field, out: &mut Vec<u8>) {
    match value {
        Field::Null => out.extend_from_slice(b"null"),
        Field::Bool(b) => write_number(b, out),
        Field::Byte(n) => write_number(n, out),
        Field::Short(n) => write_number(n, out),
        Field::Int(n) => write_number(n, out),
        Field::Long(n) => write_number(n, out),
        Field::UByte(n) => write_number(n, out),
        Field::UShort(n) => write_number(n, out),
        Field::UInt(n) => write_number(n, out),
        Field::ULong(n) => write_number(n, out),
        Field::Float16(f) => write_float(f64::from(f.to_f32()), out),
        // Through decimal, so that 0.1f32 becomes 0.1 and not 0.10000000149.
        Field::Float(f) => write_float(f.to_string().parse().unwrap_or(f64::from(*f)), out),
        Field::Double(f) => write_float(*f, out),
        Field::Decimal(d) => {
            let text = value.to_string();
            if d.scale() >= 0 && text.parse::<f64>().is_ok() { write_number(text, out) } else { write_text(&text, out) }
        }
        Field::Str(text) => write_text(text, out),
        Field::Bytes(bytes) => write_text(&String::from_utf8_lossy(bytes.as_bytes()), out),
        Field::TimestampMillis(ms) => write_time(ms.div_euclid(1000), ms.rem_euclid(1000) * 1_000_000, out),
        Field::TimestampMicros(us) => write_time(us.div_euclid(1_000_000), us.rem_euclid(1_000_000) * 1000, out),
        Field::Date(_) | Field::TimeMillis(_) | Field::TimeMicros(_) => write_text(&value.to_string(), out),
        Field::Group(row) => write_row(row, out),
        Field::ListInternal(list) => write_list(list.elements(), out),
        Field::MapInternal(map) => {
            out.push(b'{');
            for (i, (key, value)) in map.entries().iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                match key {
                    Field::Str(name) => write_text(name, out),
                    other => write_text(&other.to_string(), out),
                }
                out.push(b':');
                write_field(value, out);
            }
            out.push(b'}');
        }
    }
}

fn write_list(elements: &[Field], out: &mut Vec<u8>) {
    out.push(b'[');
    for (i, element) in elements.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write_field(element, out);
    }
    out.push(b']');
}

/// RFC 3339 of seconds and nanoseconds since the epoch.
fn write_time(seconds: i64, ns: i64, out: &mut Vec<u8>) {
    let mut text = String::new();
    write_date_time(&mut text, seconds);
    // Writing to memory cannot fail.
    drop(write!(out, "\"{text}.{ns:09}Z\""));
}

#[cfg(test)]
pub(super) fn time_text(seconds: i64, ns: i64) -> String {
    let mut out = Vec::new();
    write_time(seconds, ns, &mut out);
    String::from_utf8(out).unwrap_or_default()
}
