//! `wideye check DIR`: every byte of a data directory read once, what is wrong named.
//!
//! Owns: the report's form. Never does: the checking (store does), repair.

use crate::{
    cli::CheckArgs,
    error::CliError,
    term::{Out, bytes, grouped},
};
use serde_json::json;

pub(super) fn run(args: &CheckArgs, out: &mut Out) -> Result<(), CliError> {
    let mut printed = Ok(());
    let summary = store::check(&args.dir, &mut |finding| {
        if printed.is_err() {
            return;
        }
        printed = if args.json {
            out.line(format_args!("{}", json!({"finding": finding})))
        } else {
            let kind = if finding.damage { "damaged" } else { "to tidy" };
            let range = finding.range.map_or_else(String::new, |(from, to)| format!(" bytes {from}..{to}"));
            out.line(format_args!("{kind}: {}{range}: {}", finding.path.display(), finding.message))
        };
    })
    .map_err(|e| CliError::Found(format!("cannot check {}: {e}", args.dir.display())))?;
    printed?;
    if args.json {
        out.line(format_args!("{}", json!({"summary": summary})))?;
    } else {
        out.line(format_args!(
            "{} datasets, {} segments with {} events in {}, {} write-ahead files with {} events not yet in segments",
            summary.n_datasets,
            grouped(summary.n_segments as u64),
            grouped(summary.segment_rows),
            bytes(summary.segment_bytes),
            summary.wal_files,
            grouped(summary.wal_rows)
        ))?;
    }
    out.flush()?;
    if summary.n_damaged > 0 { Err(CliError::Found(format!("{} findings of damage", summary.n_damaged))) } else { Ok(()) }
}
