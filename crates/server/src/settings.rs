//! What an operator can set, each setting defined once: flag, environment variable, TOML key, default and text.
//!
//! Owns: names, units, defaults, precedence (flag over environment over file over default). Never does: open anything
//! but the settings file, start anything.

mod reference;
mod units;

#[cfg(test)]
mod tests;

pub use reference::{Flag, flags, reference};

use model::Limits;
use serde_json::Value as Json;
use std::path::{Path, PathBuf};
use units::{bytes_text, parse_bytes, parse_seconds, seconds_text};

/// Everything that the server is told at start.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Address of HTTP: all of the API and OTLP/HTTP.
    pub listen: String,
    /// Address of OTLP/gRPC; empty turns it off.
    pub otlp_grpc_listen: String,
    /// Where the data lives.
    pub data_dir: PathBuf,
    /// Ask for keys on a loopback address, too.
    pub require_keys: bool,
    /// How users reach the server, for links in answers; empty: as the request did.
    pub public_url: String,
    /// Record one event per request in dataset `wideye`.
    pub self_telemetry: bool,
    /// Threads for decoding and for questions; 0 means one per core.
    pub threads: usize,
    /// Connections that may be open at once.
    pub connections_max: usize,
    /// Bytes of requests that may be in work at once.
    pub ingest_bytes_max: usize,
    /// Bytes of cached partial answers.
    pub cache_bytes_max: usize,
    /// Bytes of decoded dictionaries kept; 0 means a share of the machine's memory.
    pub dictionaries_bytes_max: usize,
    /// Bytes of unsealed events after which they become a segment.
    pub seal_bytes: usize,
    /// Seconds that requests get to end when the server stops.
    pub drain_seconds_max: f64,
    /// Limits of ingest and questions.
    pub limits: Limits,
}

/// Of the machine's memory, one part in so many is for decoded dictionaries, and at least so many bytes.
const DICTIONARIES_SHARE: usize = 8;
const DICTIONARIES_BYTES_MIN: usize = 256 << 20;

impl Default for Settings {
    fn default() -> Self {
        Settings {
            listen: "127.0.0.1:8080".into(),
            otlp_grpc_listen: "127.0.0.1:4317".into(),
            data_dir: PathBuf::from("wideye-data"),
            require_keys: false,
            public_url: String::new(),
            self_telemetry: true,
            threads: 0,
            connections_max: 4_096,
            ingest_bytes_max: 256 << 20,
            cache_bytes_max: 256 << 20,
            dictionaries_bytes_max: 0,
            seal_bytes: 128 << 20,
            drain_seconds_max: 15.0,
            limits: Limits::default(),
        }
    }
}

/// A setting that cannot be used, with where it came from.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("setting '{name}' from {origin}: {message}")]
pub struct SettingError {
    name: String,
    origin: String,
    message: String,
}

/// One setting.
struct Key {
    name: &'static str,
    text: &'static str,
    get: fn(&Settings) -> String,
    set: fn(&mut Settings, &str) -> Result<(), String>,
}

const KEYS: &[Key] = &[
    Key {
        name: "listen",
        text: "Address of HTTP: the API and OTLP/HTTP. On any but a loopback address the server starts only if a key exists.",
        get: |s| s.listen.clone(),
        set: |s, v| set(&mut s.listen, v.to_owned()),
    },
    Key {
        name: "otlp_grpc_listen",
        text: "Address of OTLP/gRPC. Empty: not served.",
        get: |s| s.otlp_grpc_listen.clone(),
        set: |s, v| set(&mut s.otlp_grpc_listen, v.to_owned()),
    },
    Key {
        name: "data_dir",
        text: "Directory of all data. One process at a time.",
        get: |s| s.data_dir.display().to_string(),
        set: |s, v| if v.is_empty() { Err("name a directory".into()) } else { set(&mut s.data_dir, v.into()) },
    },
    Key {
        name: "require_keys",
        text: "Ask for keys on a loopback address, too.",
        get: |s| s.require_keys.to_string(),
        set: |s, v| set(&mut s.require_keys, parse_bool(v)?),
    },
    Key {
        name: "public_url",
        text: "How users reach the server, such as `https://wideye.example.org`, for links in answers. Empty: as the request did.",
        get: |s| s.public_url.clone(),
        set: |s, v| set(&mut s.public_url, v.trim_end_matches('/').to_owned()),
    },
    Key {
        name: "self_telemetry",
        text: "Record one event per request in dataset `wideye`.",
        get: |s| s.self_telemetry.to_string(),
        set: |s, v| set(&mut s.self_telemetry, parse_bool(v)?),
    },
    Key {
        name: "threads",
        text: "Threads that decode requests, and threads that answer questions. 0: one per core.",
        get: |s| s.threads.to_string(),
        set: |s, v| set(&mut s.threads, parse_count(v)?),
    },
    Key {
        name: "connections_max",
        text: "Connections that may be open at once, and no more than half of the files that the system lets the server open. \
               A new one beyond it is closed with a 503.",
        get: |s| s.connections_max.to_string(),
        set: |s, v| set(&mut s.connections_max, parse_count(v)?),
    },
    Key {
        name: "ingest_bytes_max",
        text: "Bytes of requests that may be in work at once, packed and unpacked. Beyond it senders are told to wait (429).",
        get: |s| bytes_text(s.ingest_bytes_max),
        set: |s, v| set(&mut s.ingest_bytes_max, parse_bytes(v)?),
    },
    Key {
        name: "cache_bytes_max",
        text: "Memory for partial answers of questions that are asked again.",
        get: |s| bytes_text(s.cache_bytes_max),
        set: |s, v| set(&mut s.cache_bytes_max, parse_bytes(v)?),
    },
    Key {
        name: "dictionaries_bytes_max",
        text: "Memory for values of text columns, decoded, that questions are likely to need again. 0: an eighth of the \
               machine's memory (or of that of its control group), at least 256MiB.",
        get: |s| bytes_text(s.dictionaries_bytes_max),
        set: |s, v| set(&mut s.dictionaries_bytes_max, parse_bytes(v)?),
    },
    Key {
        name: "seal_bytes",
        text: "Unsealed events become a segment when they take this much.",
        get: |s| bytes_text(s.seal_bytes),
        set: |s, v| set(&mut s.seal_bytes, parse_bytes(v)?),
    },
    Key {
        name: "drain_seconds_max",
        text: "Time that running requests get to end after SIGTERM.",
        get: |s| seconds_text(s.drain_seconds_max),
        set: |s, v| set(&mut s.drain_seconds_max, parse_seconds(v)?),
    },
];

fn set<T>(slot: &mut T, value: T) -> Result<(), String> {
    *slot = value;
    Ok(())
}

fn parse_bool(text: &str) -> Result<bool, String> {
    match text {
        "true" | "1" | "yes" | "on" | "" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err(format!("'{text}' is neither true nor false")),
    }
}

fn parse_count(text: &str) -> Result<usize, String> {
    text.replace('_', "").parse().map_err(|_| format!("'{text}' is not a whole number"))
}

impl Settings {
    /// From flags (name and value, as on the command line without `--`), the environment and the text of a TOML file.
    /// Also answers which `WIDEYE_…` variables mean nothing to the server.
    ///
    /// # Errors
    /// An unknown flag or key of the file, a value that does not fit.
    pub fn load(
        flags: &[(String, String)],
        environment: impl IntoIterator<Item = (String, String)>,
        file: Option<(&Path, &str)>,
    ) -> Result<(Settings, Vec<String>), SettingError> {
        let mut settings = Settings::default();
        if let Some((path, text)) = file {
            settings.apply_file(path, text)?;
        }
        let mut unknown = Vec::new();
        let mut variables: Vec<_> = environment.into_iter().filter(|(name, _)| name.starts_with("WIDEYE_")).collect();
        variables.sort();
        for (variable, value) in variables {
            match names().find(|name| env_name(name) == variable) {
                Some(name) => settings.set(&name, &value, &format!("environment variable {variable}"))?,
                None => unknown.push(variable),
            }
        }
        for (flag, value) in flags {
            settings.set(&flag.replace('-', "_"), value, &format!("flag --{flag}"))?;
        }
        settings.check()?;
        Ok((settings, unknown))
    }

    fn apply_file(&mut self, path: &Path, text: &str) -> Result<(), SettingError> {
        let origin = path.display().to_string();
        let table: toml::Table = text.parse().map_err(|e: toml::de::Error| SettingError {
            name: "(the whole file)".into(),
            origin: origin.clone(),
            message: e.to_string().trim_end().to_owned(),
        })?;
        for (name, value) in table {
            match value {
                toml::Value::Table(section) => {
                    for (inner, value) in section {
                        self.set(&format!("{name}.{inner}"), &toml_text(&value), &origin)?;
                    }
                }
                value => self.set(&name, &toml_text(&value), &origin)?,
            }
        }
        Ok(())
    }

    fn set(&mut self, name: &str, value: &str, origin: &str) -> Result<(), SettingError> {
        let outcome = if let Some(limit) = name.strip_prefix("limits.") {
            set_limit(&mut self.limits, limit, value)
        } else if let Some(key) = KEYS.iter().find(|k| k.name == name) {
            (key.set)(self, value)
        } else {
            Err(unknown(name))
        };
        outcome.map_err(|message| SettingError { name: name.into(), origin: origin.into(), message })
    }

    fn check(&self) -> Result<(), SettingError> {
        if self.limits.string_bytes_max > Limits::STRING_BYTES_CEILING {
            return Err(SettingError {
                name: "limits.string_bytes_max".into(),
                origin: "the settings".into(),
                message: format!("at most {} is possible", bytes_text(Limits::STRING_BYTES_CEILING)),
            });
        }
        Ok(())
    }

    /// Bytes of decoded dictionaries to keep on this machine.
    #[must_use]
    pub fn dictionaries_bytes(&self) -> usize {
        match self.dictionaries_bytes_max {
            0 => crate::machine::memory_bytes().map_or(0, |bytes| bytes / DICTIONARIES_SHARE).max(DICTIONARIES_BYTES_MIN),
            bytes => bytes,
        }
    }

    /// Threads to use on this machine.
    #[must_use]
    pub fn threads(&self) -> usize {
        if self.threads > 0 { self.threads } else { std::thread::available_parallelism().map_or(1, usize::from) }
    }
}

fn names() -> impl Iterator<Item = String> {
    let limits = limits_json(&Limits::default());
    let limits: Vec<String> = limits.keys().map(|k| format!("limits.{k}")).collect();
    KEYS.iter().map(|k| k.name.to_owned()).chain(limits)
}

fn env_name(name: &str) -> String {
    format!("WIDEYE_{}", name.replace('.', "_").to_uppercase())
}

fn toml_text(value: &toml::Value) -> String {
    match value {
        toml::Value::String(s) => s.clone(),
        toml::Value::Integer(n) => n.to_string(),
        toml::Value::Float(f) => f.to_string(),
        toml::Value::Boolean(b) => b.to_string(),
        other => format!("{other:?}"),
    }
}

fn unknown(name: &str) -> String {
    let near = names().map(|n| (distance(&n, name), n)).min().filter(|(d, _)| *d <= 3);
    match near {
        Some((_, near)) => format!("there is no such setting; did you mean '{near}'?"),
        None => "there is no such setting; docs/reference/config.md lists all".into(),
    }
}

/// Edits between two names.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let next = (diagonal + usize::from(ca != *cb)).min(row[j] + 1).min(row[j + 1] + 1);
            diagonal = row[j + 1];
            row[j + 1] = next;
        }
    }
    row[b.len()]
}

fn limits_json(limits: &Limits) -> serde_json::Map<String, Json> {
    match serde_json::to_value(limits) {
        Ok(Json::Object(map)) => map,
        _ => serde_json::Map::new(),
    }
}

/// The unit of a limit is in its name.
#[derive(Clone, Copy, PartialEq)]
enum Unit {
    Bytes,
    Seconds,
    Count,
}

fn limit_unit(name: &str) -> Unit {
    if name.contains("bytes") {
        Unit::Bytes
    } else if name.contains("seconds") {
        Unit::Seconds
    } else {
        Unit::Count
    }
}

fn limit_text(name: &str, value: &Json) -> String {
    match limit_unit(name) {
        Unit::Bytes => bytes_text(value.as_u64().unwrap_or_default() as usize),
        Unit::Seconds => seconds_text(value.as_f64().unwrap_or_default()),
        Unit::Count => value.to_string(),
    }
}

fn set_limit(limits: &mut Limits, name: &str, text: &str) -> Result<(), String> {
    let mut map = limits_json(limits);
    let Some(slot) = map.get_mut(name) else { return Err(unknown(&format!("limits.{name}"))) };
    *slot = match limit_unit(name) {
        Unit::Bytes => parse_bytes(text)?.into(),
        Unit::Count => parse_count(text)?.into(),
        Unit::Seconds if slot.is_f64() => parse_seconds(text)?.into(),
        Unit::Seconds => (parse_seconds(text)? as i64).into(),
    };
    *limits = serde_json::from_value(Json::Object(map)).map_err(|e| e.to_string())?;
    Ok(())
}
