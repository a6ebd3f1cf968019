//! Lines of JSON, each an event with or without its envelope.
//!
//! Owns: cutting lines, finding the time of an event. Never does: judge the event itself (the server does).

use super::{BATCH_BYTES, Batch, Envelope, Refused, Sink};
use crate::error::CliError;
use serde::{
    Deserializer,
    de::{Error, IgnoredAny, MapAccess, Visitor},
};
use serde_json::{Value as Json, value::RawValue};
use std::{borrow::Cow, fmt, io::BufRead};

/// Longest line: no event is larger, and a file without line breaks must not fill the memory.
const LINE_BYTES_MAX: usize = 16 << 20;

/// Reads lines and sends them in batches.
pub(super) fn read(mut lines: impl BufRead, path: &str, envelope: &Envelope, sink: &mut impl Sink) -> Result<(), CliError> {
    let (mut line, mut number, mut batch) = (Vec::new(), 0u64, Batch::default());
    loop {
        line.clear();
        let n =
            std::io::Read::take(&mut lines, LINE_BYTES_MAX as u64 + 1).read_until(b'\n', &mut line).map_err(CliError::io("read", path))?;
        if n == 0 {
            break;
        }
        number += 1;
        if n > LINE_BYTES_MAX {
            return Err(CliError::Found(format!(
                "{path}: line {number} is longer than 16 MiB; each event must stand on a line of its own"
            )));
        }
        let text = line.trim_ascii();
        let text = if number == 1 { text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text) } else { text };
        if text.is_empty() {
            continue;
        }
        if number == 1 && text == b"[" {
            return Err(CliError::Found(format!("{path} holds one JSON array; `jq -c '.[]' {path}` makes lines of it")));
        }
        match enveloped(text, envelope) {
            Ok(json) => {
                if !batch.lines.is_empty() && batch.body.len() + json.len() > BATCH_BYTES {
                    sink.send(std::mem::take(&mut batch))?;
                }
                batch.push(number, &json);
            }
            Err(reason) => sink.refuse(Refused { line: number, reason }),
        }
    }
    if !batch.lines.is_empty() {
        sink.send(batch)?;
    }
    Ok(())
}

/// The line with its envelope: as it is if it has one, else with its time and sample rate put around it.
pub(super) fn enveloped<'a>(line: &'a [u8], envelope: &Envelope) -> Result<Cow<'a, [u8]>, String> {
    let text = std::str::from_utf8(line).map_err(|e| format!("not UTF-8: {e}"))?;
    let mut json = serde_json::Deserializer::from_str(text);
    let seen = json
        .deserialize_map(Look { envelope })
        .and_then(|seen| json.end().map(|()| seen))
        .map_err(|e| format!("not a JSON object: {e}"))?;
    let (time, sample_rate, data) = match seen.envelope {
        Some(_) if !seen.names_dataset => return Ok(Cow::Borrowed(line)),
        // An export of all datasets says where each event came from; here all go to one.
        Some(own) => (own.time, own.sample_rate, own.data),
        None if seen.time.is_none() && seen.sample_rate.is_none() => return Ok(Cow::Borrowed(line)),
        None => (seen.time.map(|(_, v)| v), seen.sample_rate, Some(text)),
    };
    let mut out = Vec::with_capacity(line.len() + 64);
    for (name, value) in [("time", time), ("samplerate", sample_rate), ("data", data)] {
        if let Some(value) = value {
            out.push(if out.is_empty() { b'{' } else { b',' });
            out.extend_from_slice(format!("\"{name}\":{value}").as_bytes());
        }
    }
    out.push(b'}');
    Ok(Cow::Owned(out))
}

/// The parts of an envelope.
#[derive(Clone, Copy, Default)]
struct Own<'a> {
    time: Option<&'a str>,
    sample_rate: Option<&'a str>,
    data: Option<&'a str>,
}

/// What the outermost level of a line says about its envelope.
#[derive(Default)]
struct Seen<'a> {
    /// Its own, if it has an object `data` and nothing that an envelope has not.
    envelope: Option<Own<'a>>,
    names_dataset: bool,
    /// Rank of the column (0 is best) and its value.
    time: Option<(usize, &'a str)>,
    sample_rate: Option<&'a str>,
}

struct Look<'e> {
    envelope: &'e Envelope,
}

impl<'de> Visitor<'de> for Look<'_> {
    type Value = Seen<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Seen<'de>, A::Error> {
        let (mut seen, mut own, mut other) = (Seen::default(), Own::default(), false);
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            let rank = self.envelope.time_rank(&key);
            let is_rate = self.envelope.sample_rate.as_deref() == Some(&*key);
            let slot = match &*key {
                "time" => Some(&mut own.time),
                "samplerate" => Some(&mut own.sample_rate),
                "data" => Some(&mut own.data),
                _ => None,
            };
            seen.names_dataset |= key == "dataset";
            other |= slot.is_none() && key != "dataset";
            if rank.is_none() && !is_rate && slot.is_none() {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let value: &'de RawValue = map.next_value()?;
            let value = value.get();
            if let Some(slot) = slot {
                *slot = Some(value);
            }
            if let Some(rank) = rank
                && value != "null"
                && seen.time.is_none_or(|(best, _)| rank < best)
            {
                seen.time = Some((rank, value));
            }
            if is_rate {
                let number = serde_json::from_str::<Json>(value).map_err(A::Error::custom)?;
                seen.sample_rate = number.is_number().then_some(value);
            }
        }
        seen.envelope = (!other && own.data.is_some_and(|d| d.starts_with('{'))).then_some(own);
        Ok(seen)
    }
}
