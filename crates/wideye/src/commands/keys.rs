//! `wideye keys`: API keys in a data directory that no server uses at the moment.
//!
//! Owns: opening the directory for it. Never does: hash or judge keys (server does).

use super::serve::now_ns;
use crate::{
    cli::KeysCommand,
    error::CliError,
    render::{Align, Table},
    term::Out,
};
use server::{Scope, create_key, delete_key, list_keys};
use std::path::Path;
use store::{Store, StoreOptions};

fn open(dir: &Path) -> Result<Store, CliError> {
    let mut options = StoreOptions::new(dir, now_ns);
    options.background = false;
    Store::open(options).map_err(|e| CliError::Server(format!("cannot open {}: {e}", dir.display())))
}

fn failed(e: impl std::fmt::Display) -> CliError {
    CliError::Server(e.to_string())
}

pub(super) fn run(command: &KeysCommand, out: &mut Out) -> Result<(), CliError> {
    match command {
        KeysCommand::Create { dir, name, scopes } => {
            let scopes = scopes
                .iter()
                .map(|s| Scope::parse(s).ok_or_else(|| CliError::Usage(format!("unknown scope `{s}`; there are ingest, query and manage"))))
                .collect::<Result<Vec<_>, _>>()?;
            let store = open(&dir.data_dir)?;
            let (key, text) = create_key(&store, name, &scopes, now_ns()).map_err(failed)?;
            store.close().map_err(failed)?;
            out.line(format_args!("{text}"))?;
            crate::term::say(format_args!("key {} for {name}; this is the only time that it is shown", key.id));
        }
        KeysCommand::List { dir } => {
            let store = open(&dir.data_dir)?;
            let keys = list_keys(&store).map_err(failed)?;
            store.close().map_err(failed)?;
            let mut table = Table::new(["id", "name", "scopes", "created"].map(|h| (h.to_owned(), Align::Left)));
            for key in keys {
                let scopes: Vec<&str> = key.scopes.iter().map(|s| s.name()).collect();
                table.row([key.id, key.name, scopes.join(" "), key.created_at]);
            }
            table.print(out)?;
        }
        KeysCommand::Revoke { dir, id } => {
            let store = open(&dir.data_dir)?;
            let found = delete_key(&store, id).map_err(failed)?;
            store.close().map_err(failed)?;
            if !found {
                return Err(CliError::Usage(format!("no key has the id `{id}`; `wideye keys list` shows them")));
            }
        }
    }
    Ok(())
}
