//! Events of one trace as Jaeger's spans, logs, references and processes.
//!
//! Owns: what each column becomes (docs/jaeger.md). Never does: look for events.

use super::tags::{is_process, tag_of};
use super::wire::{Log, Process, ProcessId, RefType, Reference, Span, Tag, Trace};
use engine::RawEvent;
use model::Value;
use model::columns::{ANNOTATION_TYPE, DURATION_MS, ERROR, PARENT_ID, SERVICE, SIGNAL_TYPE, SPAN_ID, SPAN_KIND, STATUS_CODE, TRACE_ID};
use std::collections::HashMap;
use std::sync::Arc;

const NS_PER_US: i64 = 1_000;

/// Columns that say what Jaeger says elsewhere, or that were made on the way in.
const OF_SPANS: [&str; 9] = [
    TRACE_ID,
    SPAN_ID,
    PARENT_ID,
    "name",
    DURATION_MS,
    "span.num_links",
    "span.num_events",
    "meta.invalid_duration",
    "telemetry.instrumentation_library",
];
/// Likewise of events and links of spans.
const OF_ANNOTATIONS: [&str; 10] = [
    TRACE_ID,
    PARENT_ID,
    "name",
    "parent_name",
    ANNOTATION_TYPE,
    "meta.time_since_span_start_ms",
    "meta.invalid_time_since_span_start",
    "telemetry.instrumentation_library",
    "library.name",
    "library.version",
];

/// Fields of an event by name.
type Fields = Vec<(Arc<str>, Value)>;

fn get<'a>(fields: &'a Fields, name: &str) -> Option<&'a Value> {
    fields.binary_search_by(|(n, _)| (**n).cmp(name)).ok().and_then(|i| fields.get(i)).map(|(_, v)| v)
}

fn written(value: &Value) -> String {
    match value {
        Value::Str(s) => s.clone(),
        Value::Bool(b) => b.to_string(),
        Value::Int(i) => i.to_string(),
        Value::Float(f) => f.to_string(),
        Value::Null => String::new(),
    }
}

fn text_of(fields: &Fields, name: &str) -> Option<String> {
    get(fields, name).map(written).filter(|t| !t.is_empty())
}

fn is(fields: &Fields, name: &str, value: &str) -> bool {
    matches!(get(fields, name), Some(Value::Str(s)) if s == value)
}

/// A field of an event as text.
pub(super) fn text(event: &RawEvent, name: &str) -> Option<String> {
    event.fields.iter().find(|(n, _)| **n == *name).map(|(_, v)| written(v)).filter(|t| !t.is_empty())
}

/// Processes by number, as they are met.
#[derive(Default)]
struct Processes {
    list: Vec<Process>,
}

impl Processes {
    fn id(&mut self, event: &RawEvent) -> ProcessId {
        let fields = event.fields.iter().filter(|(n, _)| is_process(n) && **n != *SERVICE);
        let tags = fields.map(|(n, v)| Tag { key: n.to_string(), value: v.clone() }).collect();
        let dataset = || event.dataset.as_deref().unwrap_or_default().to_owned();
        let process = Process { service_name: text_of(&event.fields, SERVICE).unwrap_or_else(dataset), tags };
        let known = self.list.iter().position(|p| *p == process);
        ProcessId(known.unwrap_or_else(|| {
            self.list.push(process);
            self.list.len() - 1
        }))
    }
}

/// Which resource and scope a span is of, as far as can be told.
type Origin = (ProcessId, Option<String>, Option<String>);

/// A trace from its events in order of time; none if no span is among them.
pub(super) fn trace(id: &str, events: Vec<RawEvent>) -> Option<Trace> {
    let (mut spans, mut annotations): (Vec<RawEvent>, Vec<RawEvent>) = (Vec::new(), Vec::new());
    for mut event in events {
        event.fields.sort_by(|a, b| a.0.cmp(&b.0));
        let is_span = get(&event.fields, SPAN_ID).is_some() && get(&event.fields, ANNOTATION_TYPE).is_none();
        let list = if is_span { &mut spans } else { &mut annotations };
        // What was sent twice is one.
        let sent_twice = list.iter().rev().take_while(|e| e.time == event.time).any(|e| *e == event);
        if !sent_twice {
            list.push(event);
        }
    }
    if spans.is_empty() {
        return None;
    }
    let mut processes = Processes::default();
    let mut origins: Vec<Origin> = Vec::with_capacity(spans.len());
    let mut by_span: HashMap<String, usize> = HashMap::new();
    for (i, span) in spans.iter().enumerate() {
        origins.push((processes.id(span), text_of(&span.fields, "library.name"), text_of(&span.fields, "library.version")));
        by_span.entry(text_of(&span.fields, SPAN_ID).unwrap_or_default()).or_insert(i);
    }
    let mut of_span: Vec<Vec<&RawEvent>> = vec![Vec::new(); spans.len()];
    let mut n_orphans = 0;
    for annotation in &annotations {
        let owner = text_of(&annotation.fields, PARENT_ID).and_then(|id| by_span.get(&id).copied());
        match owner {
            Some(i) => of_span[i].push(annotation),
            None => n_orphans += 1,
        }
    }
    let shared = shared(&spans, &origins, &of_span);
    let made = spans.iter().zip(origins).zip(&of_span).map(|((span, origin), annotations)| {
        let inherited = shared.get(&origin).map_or(&[][..], Vec::as_slice);
        self::span(id, &span.fields, span, origin.0, annotations, inherited)
    });
    let spans = made.collect();
    let warnings = (n_orphans > 0).then(|| vec![format!("{n_orphans} events or links belong to spans that are not here")]);
    Some(Trace { trace_id: id.to_owned(), spans, processes: processes.list, warnings })
}

/// Per origin, the fields that all its spans, their events and links have alike. Attributes of resources and scopes stand in
/// each row; what is shared by all is not of an event.
fn shared(spans: &[RawEvent], origins: &[Origin], of_span: &[Vec<&RawEvent>]) -> HashMap<Origin, Fields> {
    let mut shared: HashMap<Origin, Fields> = HashMap::new();
    if of_span.iter().all(Vec::is_empty) {
        return shared;
    }
    for ((span, origin), annotations) in spans.iter().zip(origins).zip(of_span) {
        let common = shared.entry(origin.clone()).or_insert_with(|| span.fields.clone());
        for event in std::iter::once(span).chain(annotations.iter().copied()) {
            common.retain(|(name, value)| get(&event.fields, name) == Some(value));
        }
    }
    shared
}

fn micros(ns: i64) -> i64 {
    ns.div_euclid(NS_PER_US)
}

fn span(
    trace_id: &str,
    fields: &Fields,
    event: &RawEvent,
    process: ProcessId,
    annotations: &[&RawEvent],
    inherited: &[(Arc<str>, Value)],
) -> Span {
    let mut references = Vec::new();
    if let Some(span_id) = text_of(fields, PARENT_ID) {
        references.push(Reference { ref_type: RefType::ChildOf, trace_id: trace_id.to_owned(), span_id });
    }
    let mut logs = Vec::new();
    for annotation in annotations {
        if is(&annotation.fields, ANNOTATION_TYPE, "link") {
            let (to, span) = (text_of(&annotation.fields, "trace.link.trace_id"), text_of(&annotation.fields, "trace.link.span_id"));
            if let (Some(trace_id), Some(span_id)) = (to, span) {
                references.push(Reference { ref_type: RefType::FollowsFrom, trace_id, span_id });
            }
        } else {
            logs.push(log(annotation, fields, inherited));
        }
    }
    let milliseconds = get(fields, DURATION_MS).and_then(Value::number).unwrap_or(0.0);
    let backwards = get(fields, "meta.invalid_duration") == Some(&Value::Bool(true));
    Span {
        trace_id: trace_id.to_owned(),
        span_id: text_of(fields, SPAN_ID).unwrap_or_default(),
        operation_name: text_of(fields, "name").unwrap_or_default(),
        references,
        start_time: micros(event.time),
        // As large a number as fits; less than nothing is nothing.
        duration: (milliseconds * 1e3).round() as u64,
        tags: tags(fields, event.sample_rate),
        logs,
        process,
        warnings: backwards.then(|| vec!["the span ended before it began; its duration is shown as 0".to_owned()]),
    }
}

/// The tags of a span: its columns, but for those that Jaeger has elsewhere, in order of their names.
fn tags(fields: &Fields, sample_rate: f64) -> Vec<Tag> {
    let is_otlp = is(fields, SIGNAL_TYPE, "trace");
    let mut tags = Vec::with_capacity(fields.len());
    for (name, value) in fields {
        match (&**name, value) {
            (n, _) if OF_SPANS.contains(&n) || is_process(n) => {}
            (SIGNAL_TYPE, _) if is_otlp => {}
            // Ingest writes the kind twice, and writes it if there is none.
            ("type", value) if is_otlp && get(fields, SPAN_KIND) == Some(value) => {}
            (SPAN_KIND, Value::Str(kind)) if kind == "unspecified" => {}
            (STATUS_CODE, Value::Int(code @ 0..=2)) if is_otlp => match code {
                1 => tags.push(Tag::text("otel.status_code", "OK")),
                2 => tags.push(Tag::text("otel.status_code", "ERROR")),
                _ => {}
            },
            (n, value) => tags.push(Tag { key: tag_of(n).to_owned(), value: value.clone() }),
        }
    }
    if sample_rate != 1.0 {
        tags.push(Tag { key: "sample_rate".to_owned(), value: Value::Float(sample_rate).canonical() });
    }
    tags.sort_by(|a, b| a.key.cmp(&b.key));
    tags
}

/// An event of a span: its name, then its attributes.
fn log(event: &RawEvent, span: &Fields, inherited: &[(Arc<str>, Value)]) -> Log {
    let is_log = is(&event.fields, SIGNAL_TYPE, "log");
    let mut fields =
        vec![Tag::text("event", &text_of(&event.fields, "name").unwrap_or_else(|| if is_log { "log".into() } else { String::new() }))];
    for (name, value) in &event.fields {
        let is_inherited = inherited.iter().any(|(n, v)| n == name && v == value) && !name.starts_with("exception.");
        let of_process = is_process(name) && get(span, name) == Some(value);
        let hidden = match &**name {
            SIGNAL_TYPE => true,
            // That the span failed.
            ERROR => !is_log && *value == Value::Bool(true) && get(span, name) == Some(value),
            n => OF_ANNOTATIONS.contains(&n),
        };
        if !hidden && !is_inherited && !of_process {
            fields.push(Tag { key: name.to_string(), value: value.clone() });
        }
    }
    Log { timestamp: micros(event.time), fields }
}

#[cfg(test)]
mod tests;
