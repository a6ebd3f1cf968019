//! What each command does.
//!
//! Owns: the steps of a command. Never does: parse flags (cli) or lay out answers (render).

mod check;
mod contrast;
mod demo;
mod export;
mod keys;
mod lists;
mod map;
mod mcp;
mod query;
mod serve;
mod trace;

use crate::{
    cli::{Cli, Command},
    error::CliError,
    import,
    term::Out,
};

/// The name of all datasets together.
const ALL: &str = "__all__";

/// Runs the command.
pub(crate) fn run(cli: Cli) -> Result<(), CliError> {
    let mut out = Out::new(cli.color);
    match &cli.command {
        Command::Serve(args) => serve::run(args.config.as_deref(), &args.settings.given),
        Command::Query(args) => query::run(args, &mut out),
        Command::Contrast(args) => contrast::run(args, &mut out),
        Command::Map(args) => map::run(args, &mut out),
        Command::Import(args) => import::run(args),
        Command::Export(args) => export::run(args, &mut out),
        Command::Datasets(args) => lists::datasets(args, &mut out),
        Command::Columns(args) => lists::columns(args, &mut out),
        Command::Trace(args) => trace::run(args, &mut out),
        Command::Mcp(args) => {
            // Standard output belongs to the protocol.
            drop(out);
            return mcp::run(args);
        }
        Command::Keys(args) => keys::run(&args.command, &mut out),
        Command::Check(args) => check::run(args, &mut out),
        Command::Demo(args) => demo::run(args),
        Command::Fleet(args) => demo::fleet(args),
        Command::Openapi => out.bytes(server::openapi().as_bytes()).and_then(|()| out.bytes(b"\n")),
    }?;
    out.flush()
}
