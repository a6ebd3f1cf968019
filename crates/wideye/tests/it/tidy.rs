//! The rules of the tree that a compiler does not hold: headers, sizes, directions, dependencies.

use serde_json::Value as Json;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Command,
};

/// Which crate may use which of ours, lowest first. Its tests may use all that stand before it. `cluster` and `watch` come later.
const ALLOWED: [(&str, &[&str]); 9] = [
    ("model", &[]),
    ("question", &["model"]),
    ("expr", &["model"]),
    ("ingest", &["model"]),
    ("store", &["model"]),
    ("engine", &["model", "expr", "store"]),
    ("mcp", &["model", "question"]),
    ("server", &["model", "mcp", "expr", "ingest", "store", "engine"]),
    ("wideye", &["model", "question", "mcp", "ingest", "store", "engine", "server"]),
];

/// Longest file that a newcomer still finds a line in.
const LINES_MAX: usize = 900;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn rust_files(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() && path.file_name().is_some_and(|n| n != "target" && n != "generated") {
            rust_files(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
}

fn metadata() -> Json {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What a crate depends on directly.
struct Dependency {
    name: String,
    ours: bool,
    tests_only: bool,
}

/// Each crate's direct dependencies.
fn dependencies() -> BTreeMap<String, Vec<Dependency>> {
    let metadata = metadata();
    let text = |j: &Json| j.as_str().unwrap().to_owned();
    let dependency = |d: &Json| Dependency { name: text(&d["name"]), ours: d.get("path").is_some(), tests_only: d["kind"] == "dev" };
    let dependencies = |p: &Json| p["dependencies"].as_array().unwrap().iter().map(dependency).collect();
    metadata["packages"].as_array().unwrap().iter().map(|p| (text(&p["name"]), dependencies(p))).collect()
}

#[test]
fn every_file_opens_with_what_it_owns_and_stays_small() {
    let mut files = Vec::new();
    rust_files(&root().join("crates"), &mut files);
    assert!(files.len() > 50);
    let mut wrong = Vec::new();
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        let shown = path.strip_prefix(root()).unwrap().display().to_string();
        if !text.starts_with("//!") {
            wrong.push(format!("{shown}: does not open with `//!`"));
        }
        let n = text.lines().count();
        if n > LINES_MAX {
            wrong.push(format!("{shown}: {n} lines, at most {LINES_MAX}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn dependencies_point_one_way() {
    let mut wrong = Vec::new();
    for (name, dependencies) in dependencies() {
        let Some(at) = ALLOWED.iter().position(|(n, _)| *n == name) else {
            wrong.push(format!("{name}: say in this test what it may use"));
            continue;
        };
        for Dependency { name: dependency, ours, tests_only } in dependencies {
            let lower = tests_only && ALLOWED[..at].iter().any(|(n, _)| *n == dependency);
            if ours && !lower && !ALLOWED[at].1.contains(&dependency.as_str()) {
                wrong.push(format!("{name} must not use {dependency}"));
            }
            if name != "cluster" && (dependency.starts_with("datafusion") || dependency.starts_with("arrow")) {
                wrong.push(format!("only `cluster` may link {dependency}, not {name}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_dependency_has_its_reason() {
    let page = std::fs::read_to_string(root().join("docs/dependencies.md")).unwrap();
    let used: BTreeSet<String> = dependencies().into_values().flatten().filter(|d| !d.ours).map(|d| d.name).collect();
    let missing: Vec<_> = used.iter().filter(|name| !page.contains(&format!("| `{name}` |"))).collect();
    assert!(missing.is_empty(), "docs/dependencies.md says nothing of {missing:?}");
    let named = page.lines().filter_map(|l| l.strip_prefix("| `")?.split_once('`').map(|(name, _)| name.to_owned()));
    let gone: Vec<_> = named.filter(|name| !used.contains(name)).collect();
    assert!(gone.is_empty(), "docs/dependencies.md names {gone:?}, which nothing uses");
}

#[test]
fn features_of_others_are_set_in_one_place() {
    let mut wrong = Vec::new();
    for (name, _) in ALLOWED {
        let manifest = std::fs::read_to_string(root().join(format!("crates/{name}/Cargo.toml"))).unwrap();
        let mut in_dependencies = false;
        for line in manifest.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')) {
            if line.starts_with('[') {
                in_dependencies = line.contains("dependencies");
            } else if in_dependencies && !line.ends_with(".workspace = true") {
                wrong.push(format!("{name}: {line}"));
            }
        }
    }
    assert!(wrong.is_empty(), "write `x.workspace = true`: {wrong:#?}");
}
