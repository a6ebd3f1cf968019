//! The terminal: output that may be closed on us, colour where it is wanted, a line that shows progress.
//!
//! Owns: stdout and stderr of the process, width and colour. Never does: decide what is printed.

use crate::error::CliError;
use std::{
    fmt::Arguments,
    io::{BufWriter, IsTerminal, StdoutLock, Write},
    time::{Duration, Instant},
};

/// Standard output, buffered; a closed pipe ends the command quietly.
#[derive(Debug)]
pub(crate) struct Out {
    to: BufWriter<StdoutLock<'static>>,
    /// Whether to colour.
    pub(crate) colour: bool,
}

/// When to colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ColourWhen {
    /// On terminals, unless NO_COLOR is set.
    #[default]
    Auto,
    Always,
    Never,
}

impl Out {
    pub(crate) fn new(colour: ColourWhen) -> Out {
        let stdout = std::io::stdout();
        let colour = match colour {
            ColourWhen::Always => true,
            ColourWhen::Never => false,
            ColourWhen::Auto => stdout.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()),
        };
        Out { to: BufWriter::with_capacity(1 << 16, stdout.lock()), colour }
    }

    /// Writes a line.
    pub(crate) fn line(&mut self, text: Arguments<'_>) -> Result<(), CliError> {
        self.to.write_fmt(text).and_then(|()| self.to.write_all(b"\n")).map_err(closed)
    }

    /// Writes bytes as they are.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), CliError> {
        self.to.write_all(bytes).map_err(closed)
    }

    /// Hands everything over to the system.
    pub(crate) fn flush(&mut self) -> Result<(), CliError> {
        self.to.flush().map_err(closed)
    }

    /// The text in a style, if colours are on.
    pub(crate) fn paint(&self, style: Style, text: &str) -> String {
        if self.colour { format!("\u{1b}[{}m{text}\u{1b}[0m", style.code()) } else { text.to_owned() }
    }
}

fn closed(source: std::io::Error) -> CliError {
    if source.kind() == std::io::ErrorKind::BrokenPipe {
        CliError::OutputClosed
    } else {
        CliError::Io { doing: "write to", path: "standard output".to_owned(), source }
    }
}

/// The few styles that we use.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Style {
    Bold,
    Dim,
    Accent,
    /// Failures, and nothing else.
    Bad,
}

impl Style {
    fn code(self) -> &'static str {
        match self {
            Style::Bold => "1",
            Style::Dim => "2",
            Style::Accent => "36",
            Style::Bad => "31",
        }
    }
}

/// Writes a line to standard error.
pub(crate) fn say(text: Arguments<'_>) {
    // Nobody is left to be told when standard error is closed.
    drop(writeln!(std::io::stderr().lock(), "{text}"));
}

/// Columns of the terminal, or 100 where there is none.
pub(crate) fn width() -> usize {
    terminal_size::terminal_size().map_or(100, |(w, _)| usize::from(w.0)).clamp(40, 240)
}

/// A count with thin groups of three: 1,234,567.
pub(crate) fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// Bytes for people: 12.3 MB.
pub(crate) fn bytes(n: u64) -> String {
    let n = n as f64;
    for (unit, size) in [("GB", 1e9), ("MB", 1e6), ("kB", 1e3)] {
        if n >= size {
            return format!("{:.1} {unit}", n / size);
        }
    }
    format!("{n} B")
}

/// A line on standard error that is rewritten in place; on anything but a terminal only the end is told.
#[derive(Debug)]
pub(crate) struct Progress {
    what: String,
    total: Option<u64>,
    start: Instant,
    drawn: Option<Instant>,
    live: bool,
}

impl Progress {
    /// Starts; `total` in the unit of `done` of [`Self::show`], if known.
    pub(crate) fn new(what: &str, total: Option<u64>) -> Progress {
        let now = now();
        Progress { what: what.to_owned(), total, start: now, drawn: None, live: std::io::stderr().is_terminal() }
    }

    /// Seconds since the start.
    pub(crate) fn seconds(&self) -> f64 {
        self.start.elapsed().as_secs_f64().max(1e-6)
    }

    /// Draws the line, at most ten times a second: how much of the total is done, and how many items that was.
    pub(crate) fn show(&mut self, done: u64, items: u64, unit: &str) {
        let now = now();
        if !self.live || self.drawn.is_some_and(|at| now - at < Duration::from_millis(100)) {
            return;
        }
        self.drawn = Some(now);
        let mut line = format!("\r\u{1b}[2K{} ", self.what);
        if let Some(total) = self.total {
            let share = if total == 0 { 1.0 } else { (done as f64 / total as f64).min(1.0) };
            let filled = (share * 24.0) as usize;
            let bar = "━".repeat(filled) + &"╌".repeat(24 - filled);
            line.push_str(&format!("{bar} {:3.0} % ", share * 100.0));
        }
        line.push_str(&format!("{} {unit}, {}/s", grouped(items), grouped((items as f64 / self.seconds()) as u64)));
        let mut err = std::io::stderr().lock();
        drop(err.write_all(line.as_bytes()).and_then(|()| err.flush()));
    }

    /// Clears the line.
    pub(crate) fn clear(&mut self) {
        if self.drawn.take().is_some() {
            let mut err = std::io::stderr().lock();
            drop(err.write_all(b"\r\x1b[2K").and_then(|()| err.flush()));
        }
    }
}

fn now() -> Instant {
    Instant::now()
}
