//! The rows of one trace, column by column, as they were read; ids, names and services as numbers.
//!
//! Owns: this table and its numberings. Never does: read segments (`read`), know which row belongs where (`forest`).

use crate::intern::{Key, id_text};
use hashbrown::HashMap;
use model::{IdKind, TimeNs};
use std::hash::Hash;

/// What kind of event a row is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum RowKind {
    /// A unit of work with a duration.
    #[default]
    Span = 0,
    /// Something that happened in a span at one moment.
    SpanEvent = 1,
    /// A span's pointer to another trace.
    Link = 2,
    /// A line of a log that names the trace.
    Log = 3,
    /// Any other event that names the trace.
    Other = 4,
    /// No event: stands for a span that others name as their parent, and that is not there.
    Missing = 5,
}

impl RowKind {
    /// The names of all kinds, in order of their numbers.
    pub const NAMES: [&'static str; 6] = ["span", "span_event", "link", "log", "event", "missing"];
}

/// An id as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
enum IdText {
    Packed(IdKind, u128),
    Text(Box<str>),
}

/// Ids of spans by number; 0 is none.
#[derive(Clone, Debug)]
pub(crate) struct Ids {
    numbers: HashMap<Key, u32>,
    texts: Vec<IdText>,
}

impl Default for Ids {
    fn default() -> Ids {
        Ids { numbers: HashMap::new(), texts: vec![IdText::Text("".into())] }
    }
}

impl Ids {
    fn add(&mut self, key: Key, text: impl FnOnce() -> IdText) -> u32 {
        let Ids { numbers, texts } = self;
        *numbers.entry(key).or_insert_with(|| {
            texts.push(text());
            texts.len() as u32 - 1
        })
    }

    /// The number of an id that is kept packed.
    pub(crate) fn packed(&mut self, kind: IdKind, bits: u128) -> u32 {
        self.add(Key::id(kind.into(), bits), || IdText::Packed(kind, bits))
    }

    /// The number of an id that is any text. The empty text is no id.
    pub(crate) fn text(&mut self, text: &str) -> u32 {
        if text.is_empty() {
            return 0;
        }
        match model::parse_id(text.as_bytes()) {
            Some((kind, raw)) => self.packed(kind, crate::intern::id_bits(kind, &raw)),
            None => self.add(Key::text(text), || IdText::Text(text.into())),
        }
    }

    /// Appends the text of an id.
    pub(crate) fn write(&self, number: u32, out: &mut String) {
        match &self.texts[number as usize] {
            IdText::Packed(kind, bits) => id_text(*kind, *bits, out),
            IdText::Text(text) => out.push_str(text),
        }
    }

    pub(crate) fn get(&self, number: u32) -> String {
        let mut out = String::new();
        self.write(number, &mut out);
        out
    }

    /// Numbers in use, 0 included.
    pub(crate) fn len(&self) -> usize {
        self.texts.len()
    }

    /// Whether an id is nothing but zeros, as some senders write "none".
    pub(crate) fn is_zero(&self, number: u32) -> bool {
        match &self.texts[number as usize] {
            IdText::Packed(_, bits) => *bits == 0,
            IdText::Text(text) => text.bytes().all(|b| b == b'0'),
        }
    }
}

/// Texts by number; 0 is none.
#[derive(Clone, Debug)]
pub(crate) struct Texts {
    numbers: HashMap<Box<str>, u32>,
    texts: Vec<Box<str>>,
}

impl Default for Texts {
    fn default() -> Texts {
        Texts { numbers: HashMap::new(), texts: vec!["".into()] }
    }
}

impl Texts {
    pub(crate) fn add(&mut self, text: &str) -> u32 {
        if text.is_empty() {
            return 0;
        }
        if let Some(n) = self.numbers.get(text) {
            return *n;
        }
        let n = self.texts.len() as u32;
        self.texts.push(text.into());
        self.numbers.insert(text.into(), n);
        n
    }

    pub(crate) fn get(&self, number: u32) -> &str {
        &self.texts[number as usize]
    }

    pub(crate) fn find(&self, text: &str) -> Option<u32> {
        self.numbers.get(text).copied()
    }
}

/// The events of a trace in order of time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rows {
    pub(crate) start_ns: Vec<TimeNs>,
    /// 0 for what has no duration, never negative.
    pub(crate) duration_ns: Vec<i64>,
    pub(crate) kind: Vec<RowKind>,
    /// Numbers of `ids`.
    pub(crate) span: Vec<u32>,
    pub(crate) parent: Vec<u32>,
    /// Numbers of `names`, `services`, `span_kinds`.
    pub(crate) name: Vec<u32>,
    pub(crate) service: Vec<u32>,
    pub(crate) span_kind: Vec<u32>,
    pub(crate) error: Vec<bool>,
    /// Where links lead: row, trace, span.
    pub(crate) links: Vec<(u32, u32, u32)>,
    pub(crate) ids: Ids,
    pub(crate) names: Texts,
    pub(crate) services: Texts,
    pub(crate) span_kinds: Texts,
}

impl Rows {
    pub(crate) fn len(&self) -> usize {
        self.start_ns.len()
    }

    pub(crate) fn end_ns(&self, row: usize) -> TimeNs {
        self.start_ns[row].saturating_add(self.duration_ns[row])
    }

    /// What a row tells of its span.
    pub(crate) fn told(&self, i: usize) -> impl Eq + Hash + use<> {
        let texts = (self.name[i], self.service[i], self.span_kind[i]);
        (self.start_ns[i], self.duration_ns[i], self.kind[i], self.span[i], self.parent[i], texts, self.error[i])
    }
}
