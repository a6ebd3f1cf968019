//! OTLP protobuf as an exporter writes it: trace export requests, attribute by attribute, with no copy in between.
//!
//! Owns: the wire form of ExportTraceServiceRequest (opentelemetry-proto 1.x). Never does: decode, or send.

use std::fmt::Write;

/// Field numbers under which a message lists its attributes.
const RESOURCE_ATTRIBUTES: u8 = 1;
const EVENT_ATTRIBUTES: u8 = 3;
const LINK_ATTRIBUTES: u8 = 4;
const SPAN_ATTRIBUTES: u8 = 9;

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn varint_len(value: usize) -> usize {
    (64 - (value as u64 | 1).leading_zeros() as usize).div_ceil(7)
}

/// A length-delimited field: string, bytes or message.
fn delimited(out: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    out.push(field << 3 | 2);
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn fixed64(out: &mut Vec<u8>, field: u8, value: u64) {
    out.push(field << 3 | 1);
    out.extend_from_slice(&value.to_le_bytes());
}

fn number(out: &mut Vec<u8>, field: u8, value: u64) {
    out.push(field << 3);
    varint(out, value);
}

/// Encoded attributes, ready to stand in the message that they were made for.
#[derive(Clone, Debug)]
pub(crate) struct Attrs {
    field: u8,
    bytes: Vec<u8>,
}

impl Attrs {
    fn of(field: u8) -> Attrs {
        Attrs { field, bytes: Vec::new() }
    }

    /// Attributes of a span.
    pub(crate) fn span() -> Attrs {
        Attrs::of(SPAN_ATTRIBUTES)
    }

    /// Attributes of a resource.
    pub(crate) fn resource() -> Attrs {
        Attrs::of(RESOURCE_ATTRIBUTES)
    }

    /// Adds all attributes of another list of the same kind of message.
    pub(crate) fn extend(&mut self, other: &Attrs) {
        debug_assert_eq!(self.field, other.field);
        self.bytes.extend_from_slice(&other.bytes);
    }

    fn key(&mut self, key: &str, any_len: usize) {
        let len = 1 + varint_len(key.len()) + key.len() + 1 + varint_len(any_len) + any_len;
        self.bytes.push(self.field << 3 | 2);
        varint(&mut self.bytes, len as u64);
        delimited(&mut self.bytes, 1, key.as_bytes());
        self.bytes.push(2 << 3 | 2);
        varint(&mut self.bytes, any_len as u64);
    }

    /// Adds a text.
    pub(crate) fn str(&mut self, key: &str, value: &str) {
        self.key(key, 1 + varint_len(value.len()) + value.len());
        delimited(&mut self.bytes, 1, value.as_bytes());
    }

    /// Adds a text written by `format_args!`.
    pub(crate) fn fmt(&mut self, key: &str, value: std::fmt::Arguments<'_>) {
        let mut text = String::with_capacity(40);
        // Writing to a String cannot fail.
        if text.write_fmt(value).is_ok() {
            self.str(key, &text);
        }
    }

    /// Adds a truth value.
    pub(crate) fn bool(&mut self, key: &str, value: bool) {
        self.key(key, 2);
        number(&mut self.bytes, 2, u64::from(value));
    }

    /// Adds an integer.
    pub(crate) fn int(&mut self, key: &str, value: i64) {
        self.key(key, 1 + varint_len(value as u64 as usize));
        number(&mut self.bytes, 3, value as u64);
    }

    /// Adds a float.
    pub(crate) fn float(&mut self, key: &str, value: f64) {
        self.key(key, 9);
        fixed64(&mut self.bytes, 4, value.to_bits());
    }
}

/// Who waits for whom, as OTLP numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Internal = 1,
    Server = 2,
    Client = 3,
    Producer = 4,
    Consumer = 5,
}

/// A span, ready but for its encoding.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    pub(crate) trace_id: [u8; 16],
    pub(crate) id: [u8; 8],
    pub(crate) parent: Option<[u8; 8]>,
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) start_ns: i64,
    pub(crate) end_ns: i64,
    pub(crate) attrs: Attrs,
    /// What went wrong, if the span failed.
    pub(crate) error: Option<&'static str>,
    pub(crate) exception: Option<Exception>,
    /// Trace and span of the work that led to this one.
    pub(crate) link: Option<([u8; 16], [u8; 8])>,
}

/// An exception as instrumentation records it on a span.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exception {
    pub(crate) kind: &'static str,
    pub(crate) message: &'static str,
    pub(crate) stacktrace: &'static str,
}

impl Span {
    /// Appends the Span message.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        delimited(out, 1, &self.trace_id);
        delimited(out, 2, &self.id);
        if let Some(parent) = &self.parent {
            delimited(out, 4, parent);
        }
        delimited(out, 5, self.name.as_bytes());
        number(out, 6, self.kind as u64);
        fixed64(out, 7, self.start_ns as u64);
        fixed64(out, 8, self.end_ns as u64);
        out.extend_from_slice(&self.attrs.bytes);
        if let Some(exception) = &self.exception {
            let mut attrs = Attrs::of(EVENT_ATTRIBUTES);
            attrs.str("exception.type", exception.kind);
            attrs.str("exception.message", exception.message);
            attrs.str("exception.stacktrace", exception.stacktrace);
            let mut event = Vec::new();
            fixed64(&mut event, 1, self.end_ns as u64);
            delimited(&mut event, 2, b"exception");
            event.extend_from_slice(&attrs.bytes);
            delimited(out, 11, &event);
        }
        if let Some((trace_id, id)) = &self.link {
            let mut attrs = Attrs::of(LINK_ATTRIBUTES);
            attrs.str("link.reason", "caused by");
            let mut link = Vec::new();
            delimited(&mut link, 1, trace_id);
            delimited(&mut link, 2, id);
            link.extend_from_slice(&attrs.bytes);
            delimited(out, 13, &link);
        }
        let mut status = Vec::new();
        if let Some(message) = self.error {
            delimited(&mut status, 2, message.as_bytes());
            number(&mut status, 3, 2);
        }
        if !status.is_empty() {
            delimited(out, 15, &status);
        }
    }
}

/// The spans of one running copy of a service since its last export: one ResourceSpans, one scope.
#[derive(Debug)]
pub(crate) struct Export {
    resource: Attrs,
    scope: &'static str,
    spans: Vec<u8>,
    n_spans: usize,
    scratch: Vec<u8>,
}

impl Export {
    /// Nothing to send yet.
    pub(crate) fn new(resource: Attrs, scope: &'static str) -> Export {
        Export { resource, scope, spans: Vec::new(), n_spans: 0, scratch: Vec::new() }
    }

    /// Adds a span.
    pub(crate) fn push(&mut self, span: &Span) {
        self.scratch.clear();
        span.write(&mut self.scratch);
        delimited(&mut self.spans, 2, &self.scratch);
        self.n_spans += 1;
    }

    /// Bytes of spans waiting.
    pub(crate) fn bytes(&self) -> usize {
        self.spans.len()
    }

    /// Appends the waiting spans to an ExportTraceServiceRequest and forgets them; answers how many.
    pub(crate) fn drain(&mut self, request: &mut Vec<u8>) -> usize {
        if self.n_spans == 0 {
            return 0;
        }
        let mut scope = Vec::new();
        delimited(&mut scope, 1, self.scope.as_bytes());
        delimited(&mut scope, 2, b"1.4.2");
        let scope_len = 1 + varint_len(scope.len()) + scope.len() + self.spans.len();
        let resource_len = self.resource.bytes.len();
        let resource_spans_len = 1 + varint_len(resource_len) + resource_len + 1 + varint_len(scope_len) + scope_len;

        request.push(1 << 3 | 2);
        varint(request, resource_spans_len as u64);
        delimited(request, 1, &self.resource.bytes);
        request.push(2 << 3 | 2);
        varint(request, scope_len as u64);
        delimited(request, 1, &scope);
        request.append(&mut self.spans);
        std::mem::take(&mut self.n_spans)
    }
}
