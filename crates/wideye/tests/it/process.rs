//! The built binary as processes: commands that end, and a server on a port of its own.
//!
//! Owns: starting and ending them. Never does: assert on what they do.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, Command, Output, Stdio},
};
use tempfile::TempDir;

/// The binary under test.
pub(crate) const WIDEYE: &str = env!("CARGO_BIN_EXE_wideye");

/// A running server; it is killed when it goes out of scope.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    pub(crate) url: String,
    pub(crate) dir: TempDir,
}

impl Server {
    /// Starts on an empty directory and waits until it listens.
    pub(crate) fn start() -> Server {
        let dir = TempDir::new().unwrap();
        let mut child = Command::new(WIDEYE)
            .args(["serve", "--listen", "127.0.0.1:0", "--otlp-grpc-listen", "127.0.0.1:0", "--data-dir"])
            .arg(dir.path().join("data"))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let url = log
            .by_ref()
            .map(Result::unwrap)
            .inspect(|line| eprintln!("server: {line}"))
            .find_map(|line| Some(format!("http://{}", line.split_once("http=http://")?.1.split_whitespace().next()?)))
            .expect("the server says where it listens");
        // Whoever writes into a pipe that nobody empties would wait for ever.
        std::thread::spawn(move || log.for_each(drop));
        Server { child, url, dir }
    }

    /// Ends the server as an operator does, and waits for it.
    pub(crate) fn stop(mut self) -> TempDir {
        assert!(Command::new("kill").arg(self.child.id().to_string()).status().unwrap().success());
        assert!(self.child.wait().unwrap().success());
        std::mem::replace(&mut self.dir, TempDir::new().unwrap())
    }

    /// A command against this server.
    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.run_with(args, "")
    }

    /// A command against this server, with text on its standard input.
    pub(crate) fn run_with(&self, args: &[&str], stdin: &str) -> Output {
        let mut command = Command::new(WIDEYE);
        command.args(args).env("WIDEYE_URL", &self.url);
        finish(command, stdin)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Runs a command to its end.
pub(crate) fn finish(mut command: Command, stdin: &str) -> Output {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let text = stdin.to_owned();
    // A command that does not read its input closes it early.
    let writer = std::thread::spawn(move || drop(input.write_all(text.as_bytes())));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

/// Standard output of a command that must succeed.
pub(crate) fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}\n{}", String::from_utf8_lossy(&output.stdout), stderr(output));
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Standard error of a command.
pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
