//! The `wideye` program: reads the command line, runs a command, prints its error once.
//!
//! Owns: exit statuses. Never does: work of its own.

mod cli;
mod client;
mod commands;
mod error;
mod fleet;
mod import;
mod pool;
mod render;
mod term;

use clap::Parser;
use std::process::ExitCode;

/// Ingest allocates and frees many small pieces on many threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    match commands::run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error::CliError::OutputClosed) => ExitCode::SUCCESS,
        Err(error) => {
            term::say(format_args!("wideye: {error}"));
            ExitCode::from(error.exit_code())
        }
    }
}
