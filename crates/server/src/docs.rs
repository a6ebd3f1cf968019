//! Committed pages that are generated from code.
//!
//! Owns: comparing them, and rewriting them when WIDEYE_BLESS is set. Only tests use it.

use std::path::PathBuf;

fn path(page: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").join(page)
}

pub(crate) fn read(page: &str) -> String {
    std::fs::read_to_string(path(page)).unwrap_or_else(|e| panic!("{page}: {e}"))
}

pub(crate) fn check(page: &str, expected: &str) {
    if std::env::var_os("WIDEYE_BLESS").is_some() {
        std::fs::create_dir_all(path(page).parent().unwrap()).unwrap();
        std::fs::write(path(page), expected).unwrap();
    }
    assert!(read(page) == expected, "{page} is out of date: WIDEYE_BLESS=1 cargo test -p server rewrites it");
}
