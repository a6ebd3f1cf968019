//! Content encodings, unpacked up to a limit.
//!
//! Owns: gzip and zstd with a hard cap on output. Never does: guess an encoding from the bytes.

use crate::IngestError;
use std::borrow::Cow;
use std::io::Read;

/// How a body is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentEncoding {
    /// Not at all.
    Identity,
    /// gzip, one member or more.
    Gzip,
    /// zstd, one frame or more.
    Zstd,
}

impl ContentEncoding {
    /// From the value of a `Content-Encoding` header; empty is `Identity`, `zst` is an alias.
    pub fn parse(name: &str) -> Result<ContentEncoding, IngestError> {
        match name.trim().to_ascii_lowercase().as_str() {
            "" | "identity" | "none" => Ok(ContentEncoding::Identity),
            "gzip" | "x-gzip" => Ok(ContentEncoding::Gzip),
            "zstd" | "zst" => Ok(ContentEncoding::Zstd),
            _ => Err(IngestError::Encoding(name.to_owned())),
        }
    }
}

/// Unpacks a body. More than `limit_bytes` of output is `TooLarge`, found out without holding it.
pub fn decompress(body: &[u8], encoding: ContentEncoding, limit_bytes: usize) -> Result<Cow<'_, [u8]>, IngestError> {
    if body.is_empty() {
        return Ok(Cow::Borrowed(body));
    }
    match encoding {
        ContentEncoding::Identity if body.len() > limit_bytes => Err(IngestError::TooLarge { limit_bytes }),
        ContentEncoding::Identity => Ok(Cow::Borrowed(body)),
        ContentEncoding::Gzip => {
            // The last four bytes are the size of the last member, which is a good guess and no more.
            let size = body.last_chunk().map_or(0, |c| u32::from_le_bytes(*c) as usize);
            capped(flate2::bufread::MultiGzDecoder::new(body), "gzip", size, limit_bytes).map(Cow::Owned)
        }
        ContentEncoding::Zstd => unzstd(body, limit_bytes).map(Cow::Owned),
    }
}

fn unzstd(body: &[u8], limit_bytes: usize) -> Result<Vec<u8>, IngestError> {
    let invalid = |e: std::io::Error| IngestError::Compressed { encoding: "zstd", reason: e.to_string() };
    let size = match zstd::zstd_safe::get_frame_content_size(body) {
        Ok(Some(size)) if size > limit_bytes as u64 => return Err(IngestError::TooLarge { limit_bytes }),
        Ok(size) => size.unwrap_or(0) as usize,
        Err(_) => 0,
    };
    if size > 0 && zstd::zstd_safe::find_frame_compressed_size(body) == Ok(body.len()) {
        // One frame that tells its size: no need for a stream.
        return zstd::bulk::decompress(body, size).map_err(invalid);
    }
    let mut decoder = zstd::stream::read::Decoder::with_buffer(body).map_err(invalid)?;
    // A frame may ask for a window as large as it likes; none that fits the limit needs more than that.
    let window_log = limit_bytes.next_power_of_two().trailing_zeros().clamp(23, 27);
    decoder.window_log_max(window_log).map_err(invalid)?;
    capped(decoder, "zstd", size, limit_bytes)
}

/// Reads to the end, at most `limit_bytes`; about `size` are expected.
fn capped(mut reader: impl Read, encoding: &'static str, size: usize, limit_bytes: usize) -> Result<Vec<u8>, IngestError> {
    let mut out = Vec::with_capacity(size.min(limit_bytes).min(1 << 20) + 1);
    let read = reader.by_ref().take(limit_bytes as u64 + 1).read_to_end(&mut out);
    if out.len() > limit_bytes {
        return Err(IngestError::TooLarge { limit_bytes });
    }
    match read {
        Ok(_) => Ok(out),
        Err(e) => Err(IngestError::Compressed { encoding, reason: e.to_string() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        zstd::bulk::compress(bytes, 1).unwrap()
    }

    fn zstd_stream(bytes: &[u8]) -> Vec<u8> {
        zstd::stream::encode_all(bytes, 1).unwrap()
    }

    #[test]
    fn all_encodings_unpack() {
        let text: Vec<u8> = (0..200_000u32).flat_map(|i| (i % 1_000).to_le_bytes()).collect();
        for (name, packed) in [("", text.clone()), ("gzip", gzip(&text)), ("zstd", zstd(&text)), ("ZST", zstd_stream(&text))] {
            let encoding = ContentEncoding::parse(name).unwrap();
            assert_eq!(decompress(&packed, encoding, text.len()).unwrap(), text, "{name}");
            let error = decompress(&packed, encoding, text.len() - 1).unwrap_err();
            assert_eq!(error.http_status(), 413, "{name}");
        }
        assert_eq!(ContentEncoding::parse("br").unwrap_err().http_status(), 415);
    }

    #[test]
    fn several_members_and_frames_follow_each_other() {
        for (encoding, packed) in [
            (ContentEncoding::Gzip, [gzip(b"one"), gzip(b""), gzip(b"two")].concat()),
            (ContentEncoding::Zstd, [zstd(b"one"), zstd_stream(b""), zstd_stream(b"two")].concat()),
        ] {
            assert_eq!(&*decompress(&packed, encoding, 6).unwrap(), b"onetwo");
            assert_eq!(decompress(&packed, encoding, 5).unwrap_err().http_status(), 413);
        }
    }

    #[test]
    fn bombs_are_too_large() {
        let zeros = vec![0; 300 << 20];
        for (encoding, packed) in
            [(ContentEncoding::Gzip, gzip(&zeros)), (ContentEncoding::Zstd, zstd(&zeros)), (ContentEncoding::Zstd, zstd_stream(&zeros))]
        {
            assert_eq!(decompress(&packed, encoding, 20 << 20).unwrap_err().http_status(), 413);
        }
    }

    #[test]
    fn damaged_bodies_are_told_apart() {
        let text = [7; 5_000];
        for (encoding, packed) in [(ContentEncoding::Gzip, gzip(&text)), (ContentEncoding::Zstd, zstd(&text))] {
            for damaged in [&packed[..packed.len() - 3], b"plain text", &packed[1..]] {
                assert_eq!(decompress(damaged, encoding, 1 << 20).unwrap_err().http_status(), 400);
            }
            assert!(decompress(b"", encoding, 1).unwrap().is_empty());
        }
    }
}
