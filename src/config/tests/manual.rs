//! `docs/CONFIG.md` is `default.toml` as a page: this test fails when it is stale, `UPDATE=1` writes it.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use crate::config::raw::DEFAULTS;

#[test]
fn the_manual_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/CONFIG.md");
    let page = page();
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page,
        "docs/CONFIG.md is stale: run UPDATE=1 cargo test the_manual_is_current"
    );
}

#[test]
fn every_key_has_a_comment_with_its_bounds() {
    let mut comment = String::new();
    for line in DEFAULTS.lines() {
        match line.strip_prefix("# ") {
            Some(text) => comment.push_str(text),
            None if line.is_empty() => comment.clear(),
            None if line.contains(" = ") => assert!(comment.len() > 10, "no comment above: {line}"),
            None => {}
        }
    }
}

/// A table a section: key, default, meaning. Keys that stand together share a meaning.
fn page() -> String {
    let head = "| key | default | meaning |\n|---|---|---|\n";
    let (intro, rest) = DEFAULTS.split_once("\n\n").unwrap();
    let mut page = String::from("# Configuration\n\nGenerated from `src/config/default.toml`.\n");
    let intro: Vec<_> = intro.lines().map(|line| line.trim_start_matches("# ")).collect();
    for paragraph in intro.split(|line| *line == "#") {
        write!(page, "\n{}\n", paragraph.join(" ").replace("__", "\\_\\_")).unwrap();
    }
    write!(page, "\n## Without a section\n\n{head}").unwrap();
    let mut comment: Vec<&str> = Vec::new();
    for line in rest.lines() {
        if let Some(text) = line.strip_prefix("# ") {
            comment.push(text);
        } else if let Some(section) = line.strip_prefix('[') {
            write!(page, "\n## {}\n\n{head}", section.trim_end_matches(']')).unwrap();
        } else if let Some((key, value)) = line.split_once(" = ") {
            let meaning = comment.join(" ").replace('|', "\\|");
            writeln!(page, "| `{key}` | `{value}` | {meaning} |").unwrap();
        } else {
            comment.clear();
        }
    }
    page
}
