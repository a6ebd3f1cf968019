//! Lines and their envelopes, batches, Parquet rows.

use super::{Batch, Envelope, Refused, Sink, ndjson, parquet};
use crate::error::CliError;
use ::parquet::{
    data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type},
    file::{properties::WriterProperties, writer::SerializedFileWriter},
    schema::parser::parse_message_type,
};
use std::{io::BufReader, sync::Arc};

#[derive(Default)]
struct Kept {
    batches: Vec<Batch>,
    refused: Vec<Refused>,
}

impl Sink for Kept {
    fn send(&mut self, batch: Batch) -> Result<(), CliError> {
        self.batches.push(batch);
        Ok(())
    }
    fn refuse(&mut self, refused: Refused) {
        self.refused.push(refused);
    }
}

fn check(line: &str, time: Option<&str>, expected: &str) {
    let envelope = Envelope { time: time.map(str::to_owned), sample_rate: Some("rate".to_owned()) };
    let got = ndjson::enveloped(line.as_bytes(), &envelope).unwrap();
    assert_eq!(std::str::from_utf8(&got).unwrap(), expected);
}

#[test]
fn events_get_their_envelope() {
    check(r#"{"a":1}"#, None, r#"{"a":1}"#);
    check(r#"{"time":1,"data":{"a":1}}"#, None, r#"{"time":1,"data":{"a":1}}"#);
    check(r#"{"ts":5,"a":1}"#, None, r#"{"time":5,"data":{"ts":5,"a":1}}"#);
    check(r#"{"ts":5,"timestamp":"x"}"#, None, r#"{"time":"x","data":{"ts":5,"timestamp":"x"}}"#);
    check(r#"{"ts":5,"at":6,"rate":4}"#, Some("at"), r#"{"time":6,"samplerate":4,"data":{"ts":5,"at":6,"rate":4}}"#);
    check(r#"{"time":1,"dataset":"x","data":{"a":1}}"#, None, r#"{"time":1,"data":{"a":1}}"#);
    // A field that happens to be called data makes no envelope.
    check(r#"{"ts":5,"data":{"x":1},"more":2}"#, None, r#"{"time":5,"data":{"ts":5,"data":{"x":1},"more":2}}"#);
    check(r#"{"ts":null,"a":"\u00e4"}"#, None, r#"{"ts":null,"a":"\u00e4"}"#);
}

#[test]
fn lines_are_numbered_and_bad_ones_named() {
    let text = "\u{feff}{\"a\":1}\n\n  {\"a\":2}  \r\nnonsense\n[1]\n{\"a\":3}";
    let mut kept = Kept::default();
    ndjson::read(BufReader::with_capacity(3, text.as_bytes()), "x", &Envelope::default(), &mut kept).unwrap();
    assert_eq!(kept.batches.len(), 1);
    assert_eq!(kept.batches[0].lines, [1, 3, 6]);
    assert_eq!(kept.batches[0].body, b"{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n");
    assert_eq!(kept.refused.iter().map(|r| r.line).collect::<Vec<_>>(), [4, 5]);
}

#[test]
fn large_files_become_several_batches() {
    let line = format!("{{\"a\":\"{}\"}}\n", "x".repeat(1 << 20));
    let mut kept = Kept::default();
    ndjson::read(BufReader::new(line.repeat(9).as_bytes()), "x", &Envelope::default(), &mut kept).unwrap();
    assert_eq!(kept.batches.iter().map(|b| b.lines.len()).collect::<Vec<_>>(), [3, 3, 3]);
}

#[test]
fn times_of_parquet_keep_their_fraction() {
    assert_eq!(parquet::time_text(951_782_400, 5), "\"2000-02-29T00:00:00.000000005Z\"");
    assert_eq!(parquet::time_text(-1, 999_000_000), "\"1969-12-31T23:59:59.999000000Z\"");
    assert_eq!(parquet::time_text(1_795_350_600, 0), "\"2026-11-22T12:30:00.000000000Z\"");
}

#[test]
fn parquet_rows_become_events() {
    let schema = "message m { REQUIRED INT64 ts (TIMESTAMP(MILLIS,true)); OPTIONAL BYTE_ARRAY name (UTF8); REQUIRED DOUBLE ms; }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let mut bytes = Vec::new();
    let mut writer = SerializedFileWriter::new(&mut bytes, schema, Arc::new(WriterProperties::default())).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<Int64Type>().write_batch(&[1500, -1], None, None).unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<ByteArrayType>().write_batch(&[ByteArray::from("ä\"")], Some(&[1, 0]), None).unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<DoubleType>().write_batch(&[2.0, f64::NAN], None, None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();

    let mut kept = Kept::default();
    parquet::read_all(Box::new(std::io::Cursor::new(bytes)), "x", &Envelope::default(), &mut kept).unwrap();
    let lines: Vec<&str> = std::str::from_utf8(&kept.batches[0].body).unwrap().lines().collect();
    assert_eq!(
        lines,
        [
            r#"{"time":"1970-01-01T00:00:01.500000000Z","data":{"ts":"1970-01-01T00:00:01.500000000Z","name":"ä\"","ms":2.0}}"#,
            r#"{"time":"1969-12-31T23:59:59.999000000Z","data":{"ts":"1969-12-31T23:59:59.999000000Z","ms":null}}"#,
        ]
    );
}
