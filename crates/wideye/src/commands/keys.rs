//! `wideye keys`: API keys of a running server, or of a data directory that no server uses at the moment.
//!
//! Owns: choosing between the two. Never does: hash or judge keys (server does).

use super::serve::now_ns;
use crate::{
    cli::{KeyPlace, KeysCommand},
    client::{Client, segment},
    error::CliError,
    render::{Align, Table, text},
    term::{Out, say},
};
use serde_json::{Value as Json, json};
use server::{Scope, create_key, delete_key, list_keys};
use std::path::Path;
use store::{Store, StoreOptions};

const PATH: &str = "/api/v1/keys";

fn failed(e: impl std::fmt::Display) -> CliError {
    CliError::Server(e.to_string())
}

/// Opens the directory for one piece of work.
fn in_directory<T>(dir: &Path, work: impl FnOnce(&Store) -> Result<T, CliError>) -> Result<T, CliError> {
    let mut options = StoreOptions::new(dir, now_ns);
    options.background = false;
    let store = Store::open(options).map_err(|e| CliError::Server(format!("cannot open {}: {e}", dir.display())))?;
    let done = work(&store);
    store.close().map_err(failed)?;
    done
}

fn client(place: &KeyPlace) -> Result<Option<Client>, CliError> {
    place.url.as_deref().map(|url| Client::new(url, place.key.as_deref())).transpose()
}

pub(super) fn run(command: &KeysCommand, out: &mut Out) -> Result<(), CliError> {
    match command {
        KeysCommand::Create { place, name, scopes } => create(place, name, scopes, out),
        KeysCommand::List { place } => list(place, out),
        KeysCommand::Revoke { place, id } => revoke(place, id),
    }
}

fn create(place: &KeyPlace, name: &str, scopes: &[String], out: &mut Out) -> Result<(), CliError> {
    let scopes = scopes
        .iter()
        .map(|s| Scope::parse(s).ok_or_else(|| CliError::Usage(format!("unknown scope `{s}`; there are ingest, query and manage"))))
        .collect::<Result<Vec<_>, _>>()?;
    let (id, secret) = match client(place)? {
        Some(client) => {
            let names: Vec<&str> = scopes.iter().map(|s| s.name()).collect();
            let made = client.post_json(PATH, &json!({"name": name, "scopes": names}))?;
            (text(&made["id"]), text(&made["key"]))
        }
        None => in_directory(&place.data_dir, |store| {
            let (key, secret) = create_key(store, name, &scopes, now_ns()).map_err(failed)?;
            Ok((key.id, secret))
        })?,
    };
    say(format_args!("key {id}, shown this once:"));
    out.line(format_args!("{secret}"))
}

fn list(place: &KeyPlace, out: &mut Out) -> Result<(), CliError> {
    let mut table = Table::new(["id", "name", "scopes", "created"].map(|h| (h.to_owned(), Align::Left)));
    match client(place)? {
        Some(client) => {
            for key in client.get_json(PATH)?.as_array().into_iter().flatten() {
                let scopes: Vec<&str> = key["scopes"].as_array().into_iter().flatten().filter_map(Json::as_str).collect();
                table.row([text(&key["id"]), text(&key["name"]), scopes.join(" "), text(&key["created_at"])]);
            }
        }
        None => {
            for key in in_directory(&place.data_dir, |store| list_keys(store).map_err(failed))? {
                let scopes: Vec<&str> = key.scopes.iter().map(|s| s.name()).collect();
                table.row([key.id, key.name, scopes.join(" "), key.created_at]);
            }
        }
    }
    table.print(out)
}

fn revoke(place: &KeyPlace, id: &str) -> Result<(), CliError> {
    if let Some(client) = client(place)? {
        return client.delete(&format!("{PATH}/{}", segment(id)));
    }
    if in_directory(&place.data_dir, |store| delete_key(store, id).map_err(failed))? {
        return Ok(());
    }
    Err(CliError::Usage(format!("no key has the id `{id}`; `wideye keys list` shows them")))
}
