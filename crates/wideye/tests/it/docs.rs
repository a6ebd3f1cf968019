//! The pages that users read: their examples run, their links lead somewhere.

use crate::process::{Server, WIDEYE, finish, stderr};
use std::{
    path::{Path, PathBuf},
    process::Command,
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// All pages for users.
fn pages() -> Vec<PathBuf> {
    let mut pages =
        vec![root().join("README.md"), root().join("ARCHITECTURE.md"), root().join("CONTRIBUTING.md"), root().join("CHANGELOG.md")];
    collect(&root().join("docs"), &mut pages);
    pages
}

fn collect(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()) {
        if entry.is_dir() {
            collect(&entry, out);
        } else if entry.extension().is_some_and(|e| e == "md") {
            out.push(entry);
        }
    }
}

/// The ```sh blocks of a page that call curl or wideye, with the line that each starts on. A page says ```text for what
/// is only shown.
fn examples(page: &str) -> Vec<(usize, String)> {
    let mut out = Vec::new();
    let mut block: Option<(usize, String)> = None;
    for (i, line) in page.lines().enumerate() {
        match &mut block {
            None if line.trim() == "```sh" => block = Some((i + 2, String::new())),
            None => {}
            Some(_) if line.trim() == "```" => out.extend(block.take()),
            Some((_, text)) => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    out.retain(|(_, text)| text.contains("curl") || text.contains("wideye"));
    out
}

#[test]
fn examples_run() {
    let server = Server::start();
    // What examples ask about must be there.
    let fleet = server.run(&["fleet", "--history", "10m", "--history-spans", "30000", "--no-live"]);
    assert!(fleet.status.success(), "{}", stderr(&fleet));
    let event = r#"{"user.id": "u7", "http.status_code": 500, "duration_ms": 12}"#;
    assert!(server.run_with(&["import", "--dataset", "checkout", "-"], event).status.success());
    let (mut n, mut wrong) = (0, Vec::new());
    let dir = tempfile::TempDir::new().unwrap();
    let bin = Path::new(WIDEYE).parent().unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
    for page in pages() {
        let shown = page.strip_prefix(root()).unwrap().display().to_string();
        for (line, example) in examples(&std::fs::read_to_string(&page).unwrap_or_default()) {
            n += 1;
            let address = server.url.trim_start_matches("http://");
            let script = format!(
                "set -euo pipefail\ncurl() {{ command curl --fail-with-body \"$@\"; }}\n{}",
                example.replace("127.0.0.1:8080", address)
            );
            let mut command = Command::new("bash");
            command.args(["-c", &script]).env("WIDEYE_URL", &server.url).env("PATH", &path).current_dir(dir.path());
            let output = finish(command, "");
            if !output.status.success() {
                wrong.push(format!("{shown}:{line}\n{example}{}{}", String::from_utf8_lossy(&output.stdout), stderr(&output)));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(n > 5, "{n} examples found");
}

#[test]
fn the_page_has_the_grammar_that_the_help_shows() {
    let mut command = Command::new(WIDEYE);
    command.args(["query", "--help"]);
    let help = String::from_utf8(finish(command, "").stdout).unwrap();
    let grammar: Vec<&str> =
        help.lines().map(str::trim_start).skip_while(|l| !l.starts_with("question ")).take_while(|l| !l.is_empty()).collect();
    let page = std::fs::read_to_string(root().join("docs/command-line.md")).unwrap();
    let page: Vec<&str> = page.lines().map(str::trim_start).collect();
    assert!(grammar.len() > 10 && page.windows(grammar.len()).any(|w| w == grammar), "{grammar:#?}");
}

#[test]
fn every_promise_names_tests_that_exist() {
    let page = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let promises = page.split("## Promises").nth(1).unwrap().split("\n## ").next().unwrap();
    let (mut n, mut wrong) = (0, Vec::new());
    for (file, test) in promises.split('`').filter_map(|piece| piece.split_once("::")) {
        n += 1;
        let text = std::fs::read_to_string(root().join(file)).unwrap_or_default();
        if !text.contains(&format!("fn {test}(")) && !text.contains(&format!("def {test}(")) {
            wrong.push(format!("{file}::{test}"));
        }
    }
    assert!(n >= 12 && wrong.is_empty(), "{n} tests named, not there: {wrong:#?}");
}

#[test]
fn links_lead_somewhere() {
    let mut wrong = Vec::new();
    for page in pages() {
        let text = std::fs::read_to_string(&page).unwrap_or_default();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split_once(')').map(|(target, _)| target)) {
            let file = target.split('#').next().unwrap_or_default();
            if file.is_empty() || file.contains("://") || file.contains(' ') {
                continue;
            }
            if !page.parent().unwrap().join(file).exists() {
                wrong.push(format!("{}: {target}", page.strip_prefix(root()).unwrap().display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
