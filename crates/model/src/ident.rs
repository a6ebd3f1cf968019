//! Ids written as text (16 or 32 lower-case hex digits, or a UUID) that can be kept as 8 or 16 raw bytes.
//!
//! Owns: recognising such text and restoring it exactly. Never does: anything with other text.

/// How an id is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IdKind {
    /// 16 lower-case hex digits: 8 bytes.
    Hex8,
    /// 32 lower-case hex digits: 16 bytes.
    Hex16,
    /// 8-4-4-4-12 lower-case hex digits: 16 bytes.
    Uuid,
}

impl IdKind {
    /// Bytes of the raw form.
    #[must_use]
    pub fn width(self) -> usize {
        match self {
            IdKind::Hex8 => 8,
            IdKind::Hex16 | IdKind::Uuid => 16,
        }
    }
}

const BAD: u8 = 0xff;
const NIBBLE: [u8; 256] = {
    let mut t = [BAD; 256];
    let mut i = 0;
    while i < 10 {
        t[b'0' as usize + i] = i as u8;
        i += 1;
    }
    let mut i = 0;
    while i < 6 {
        t[b'a' as usize + i] = 10 + i as u8;
        i += 1;
    }
    t
};

fn hex(text: &[u8], out: &mut [u8]) -> bool {
    let mut seen = 0u8;
    for (pair, o) in text.chunks_exact(2).zip(out) {
        let (a, b) = (NIBBLE[pair[0] as usize], NIBBLE[pair[1] as usize]);
        seen |= a | b;
        *o = (a << 4) | (b & 15);
    }
    seen & 0xf0 == 0
}

/// The raw bytes of an id (the first 8 of them for `Hex8`), if the text is one in exactly the form that [`write_id`] restores.
#[must_use]
pub fn parse_id(text: &[u8]) -> Option<(IdKind, [u8; 16])> {
    let mut out = [0; 16];
    match text.len() {
        16 => hex(text, &mut out[..8]).then_some((IdKind::Hex8, out)),
        32 => hex(text, &mut out).then_some((IdKind::Hex16, out)),
        36 => {
            if text[8] != b'-' || text[13] != b'-' || text[18] != b'-' || text[23] != b'-' {
                return None;
            }
            let mut digits = [0u8; 32];
            digits[..8].copy_from_slice(&text[..8]);
            digits[8..12].copy_from_slice(&text[9..13]);
            digits[12..16].copy_from_slice(&text[14..18]);
            digits[16..20].copy_from_slice(&text[19..23]);
            digits[20..].copy_from_slice(&text[24..]);
            hex(&digits, &mut out).then_some((IdKind::Uuid, out))
        }
        _ => None,
    }
}

/// Appends the text of an id given its raw bytes (`kind.width()` of them are read).
pub fn write_id(kind: IdKind, raw: &[u8], out: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (i, b) in raw.iter().take(kind.width()).enumerate() {
        if kind == IdKind::Uuid && matches!(i, 4 | 6 | 8 | 10) {
            out.push('-');
        }
        out.push(DIGITS[(b >> 4) as usize] as char);
        out.push(DIGITS[(b & 15) as usize] as char);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_restored_to_the_identical_text() {
        for (text, kind) in [
            ("0123456789abcdef", IdKind::Hex8),
            ("00000000000000000123456789abcdef", IdKind::Hex16),
            ("01234567-89ab-cdef-0123-456789abcdef", IdKind::Uuid),
        ] {
            let (k, raw) = parse_id(text.as_bytes()).unwrap();
            assert_eq!(k, kind);
            let mut back = String::new();
            write_id(k, &raw, &mut back);
            assert_eq!(back, text);
        }
    }

    #[test]
    fn other_text_is_not_an_id() {
        for text in ["", "0123456789ABCDEF", "0123456789abcdeg", "01234567-89ab-cdef-0123456789-abcdef", "0123456789abcde\u{e9}", "abc"] {
            assert!(parse_id(text.as_bytes()).is_none(), "{text}");
        }
    }
}
