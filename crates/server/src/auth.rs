//! Who may do what: keys, their scopes, and where in a request a key may be.
//!
//! Owns: making, hashing and checking keys. Never does: keep a secret (only its SHA-256 is stored).

use crate::error::Failure;
use axum::http::HeaderMap;
use model::time::rfc3339;
use model::{ErrorKind, TimeNs};
use parking_lot::RwLock;
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::Arc;
use store::{Store, StoreError};

const KIND: &str = "key";
const PREFIX: &str = "wek";
/// Honeycomb's words: clients look for them.
const UNKNOWN: &str = "unknown API key - check your credentials";

/// What a key allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Send events; datasets come into being by it.
    Ingest,
    /// Ask questions, read datasets, columns, markers; save queries.
    Query,
    /// Everything.
    Manage,
}

impl Scope {
    /// All scopes.
    pub const ALL: [Scope; 3] = [Scope::Ingest, Scope::Query, Scope::Manage];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Scope::Ingest => "ingest",
            Scope::Query => "query",
            Scope::Manage => "manage",
        }
    }

    /// From its name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Scope> {
        Scope::ALL.into_iter().find(|s| s.name() == name.trim())
    }
}

/// A key as it is stored and listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Public part.
    pub id: String,
    /// What it is for, in the words of who made it.
    pub name: String,
    /// What it allows.
    pub scopes: Vec<Scope>,
    /// When it was made, RFC 3339.
    pub created_at: String,
    hash: String,
}

impl Key {
    /// Whether the key allows this.
    #[must_use]
    pub fn allows(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope) || self.scopes.contains(&Scope::Manage)
    }

    fn document(&self) -> Json {
        let scopes: Vec<&str> = self.scopes.iter().map(|s| s.name()).collect();
        json!({ "name": self.name, "scopes": scopes, "created_at": self.created_at, "sha256": self.hash })
    }

    fn from_document(id: &str, body: &Json) -> Option<Key> {
        let text = |name: &str| body[name].as_str().map(str::to_owned);
        let scopes = body["scopes"].as_array()?.iter().filter_map(|s| Scope::parse(s.as_str()?)).collect();
        Some(Key {
            id: id.to_owned(),
            name: text("name").unwrap_or_default(),
            scopes,
            created_at: text("created_at").unwrap_or_default(),
            hash: text("sha256")?,
        })
    }
}

/// Makes a key and answers it with its full text, which cannot be had again.
///
/// # Errors
/// No randomness from the system, or the store does not take it.
pub fn create_key(store: &Store, name: &str, scopes: &[Scope], now: TimeNs) -> Result<(Key, String), KeyError> {
    let mut random = [0u8; 26];
    getrandom::fill(&mut random).map_err(|e| KeyError::Random(e.to_string()))?;
    // 5 bits of each byte: 40 bits name the key, 130 keep it secret. Not 32 hex digits, which senders take for a Classic key.
    let mut id_random = [0u8; 8];
    getrandom::fill(&mut id_random).map_err(|e| KeyError::Random(e.to_string()))?;
    let id = letters(&id_random);
    let secret = format!("{PREFIX}_{id}_{}", letters(&random));
    let key =
        Key { id, name: name.to_owned(), scopes: scopes.to_vec(), created_at: rfc3339(now), hash: hex(&Sha256::digest(secret.as_bytes())) };
    store.put_document(KIND, "", &key.id, &key.document())?;
    Ok((key, secret))
}

/// All keys.
///
/// # Errors
/// The catalog cannot be read.
pub fn list_keys(store: &Store) -> Result<Vec<Key>, KeyError> {
    let documents = store.documents(KIND, "")?;
    Ok(documents.iter().filter_map(|d| Key::from_document(&d.id, &d.body)).collect())
}

/// Deletes a key; false if there is none with this id.
///
/// # Errors
/// The store does not do it.
pub fn delete_key(store: &Store, id: &str) -> Result<bool, KeyError> {
    Ok(store.delete_document(KIND, "", id)?)
}

/// Why a key was not made, listed or deleted.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The system gives no randomness.
    #[error("the system gives no random bytes: {0}")]
    Random(String),
    /// The store.
    #[error("the keys cannot be read or written")]
    Store(#[from] StoreError),
}

impl KeyError {
    /// What the caller should do.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            KeyError::Random(_) => ErrorKind::Unavailable,
            KeyError::Store(e) => e.kind(),
        }
    }
}

fn letters(random: &[u8]) -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    random.iter().map(|b| char::from(ALPHABET[usize::from(b & 31)])).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// The door: who comes in.
#[derive(Debug)]
pub(crate) struct Door {
    /// On a loopback address everyone on the machine may do everything.
    open: bool,
    by_hash: RwLock<HashMap<String, Arc<Key>>>,
}

impl Door {
    pub(crate) fn load(store: &Store, open: bool) -> Result<Door, KeyError> {
        let door = Door { open, by_hash: RwLock::default() };
        door.reload(store)?;
        Ok(door)
    }

    /// Reads the keys again after a change.
    pub(crate) fn reload(&self, store: &Store) -> Result<(), KeyError> {
        let keys = list_keys(store)?;
        *self.by_hash.write() = keys.into_iter().map(|k| (k.hash.clone(), Arc::new(k))).collect();
        Ok(())
    }

    pub(crate) fn is_open(&self) -> bool {
        self.open
    }

    pub(crate) fn n_keys(&self) -> usize {
        self.by_hash.read().len()
    }

    /// The key of a request, if it has one that we know.
    fn known(&self, headers: &HeaderMap) -> Option<Arc<Key>> {
        let hash = hex(&Sha256::digest(sent_key(headers)?.as_bytes()));
        self.by_hash.read().get(&hash).map(Arc::clone)
    }

    /// The key of the request if it allows `scope` (`None`: any key will do); no key where none is needed.
    pub(crate) fn enter(&self, headers: &HeaderMap, scope: Option<Scope>) -> Result<Option<Arc<Key>>, Failure> {
        if self.open {
            return Ok(if self.by_hash.read().is_empty() { None } else { self.known(headers) });
        }
        let unauthorized = |message: &str| Failure::new(ErrorKind::Unauthorized, message);
        let Some(key) = self.known(headers) else { return Err(unauthorized(UNKNOWN)) };
        if scope.is_none_or(|s| key.allows(s)) {
            return Ok(Some(key));
        }
        let needed = scope.map_or("", Scope::name);
        Err(unauthorized(&format!("{UNKNOWN} (key '{}' lacks the scope '{needed}')", key.id)))
    }
}

/// The key as sent: in either of Honeycomb's headers, or as a bearer token.
pub(crate) fn sent_key(headers: &HeaderMap) -> Option<&str> {
    let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).map(str::trim).filter(|v| !v.is_empty());
    text("x-honeycomb-team").or_else(|| text("x-hny-team")).or_else(|| {
        let (kind, token) = text("authorization")?.split_once(' ')?;
        kind.eq_ignore_ascii_case("bearer").then(|| token.trim())
    })
}

/// Whether a key has the form of a Classic one: then headers name the dataset of OTLP.
pub(crate) fn is_classic(key: &str) -> bool {
    let lower_hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    match key.len() {
        32 => key.bytes().all(lower_hex),
        64 => {
            let b = key.as_bytes();
            b.starts_with(b"hc")
                && b[2].is_ascii_lowercase()
                && &b[3..6] == b"ic_"
                && b[6..].iter().all(|c| c.is_ascii_digit() || c.is_ascii_lowercase())
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{is_classic, letters, sent_key};
    use axum::http::HeaderMap;

    #[test]
    fn a_key_may_come_in_three_headers() {
        let check = |name: &'static str, value: &'static str, expect: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            assert_eq!(sent_key(&headers), expect, "{name}: {value}");
        };
        check("x-honeycomb-team", "abc", Some("abc"));
        check("x-hny-team", " abc ", Some("abc"));
        check("authorization", "bearer abc", Some("abc"));
        check("authorization", "Basic abc", None);
        check("x-honeycomb-team", "", None);
    }

    #[test]
    fn classic_keys_are_told_by_their_form() {
        assert!(is_classic("0123456789abcdef0123456789abcdef"));
        assert!(is_classic(&format!("hcaic_{}", "0a".repeat(29))));
        assert!(!is_classic(&format!("wek_{}_{}", letters(&[7; 8]), letters(&[9; 26]))));
        assert!(!is_classic("0123456789ABCDEF0123456789abcdef"));
    }
}
