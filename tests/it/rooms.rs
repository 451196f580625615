//! The walls of the house: which room may name which, read from the sources (ADR 0001).
//!
//! Finds `crate::room` in use lines, groups and paths, `super::` that leaves a room, and crates that have
//! one room of their own. Comments and texts do not count.

use std::fs;
use std::path::{Path, PathBuf};

/// Every room, and the rooms that it may use besides itself. `domain` and the root items (`Fault`,
/// `FaultKind`, `Clock`) are free for all.
const MAY_USE: &[(&str, &[&str])] = &[
    ("main", ROOMS),
    ("cli", ROOMS),
    ("app", ROOMS),
    ("config", &["telemetry"]),
    ("domain", &[]),
    ("flows", &["app", "store", "search", "cache", "crypto", "outbound"]),
    ("http", &["app", "flows", "telemetry"]),
    ("store", &[]),
    ("search", &["store"]),
    ("cache", &[]),
    ("crypto", &[]),
    ("outbound", &[]),
    ("jobs", &["app", "flows", "store", "mail", "outbound", "crypto"]),
    ("mail", &[]),
    ("telemetry", &[]),
    ("clock", &[]),
    ("fault", &[]),
];

const ROOMS: &[&str] = &[
    "app",
    "cache",
    "cli",
    "config",
    "crypto",
    "flows",
    "http",
    "jobs",
    "mail",
    "outbound",
    "search",
    "store",
    "telemetry",
];

/// Crates that only some rooms may name.
const CRATES: &[(&str, &[&str])] = &[
    ("sqlx", &["store", "domain"]),
    ("actix_web", &["http", "cli", "main"]),
    ("actix_http", &["http"]),
    ("actix_service", &["http"]),
];

#[test]
fn rooms_use_only_what_they_may() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = sources(&src);
    assert!(files.len() > 10, "found {} files only", files.len());
    let strays: Vec<_> = files
        .iter()
        .flat_map(|file| {
            let name = file.strip_prefix(&src).unwrap().to_str().unwrap();
            strays(name, &fs::read_to_string(file).unwrap())
        })
        .collect();
    // You are here because a `use crate::…` crossed a wall. Do not widen the table first.
    //   1. Is the line in the right room? The table at the top of src/lib.rs says where it belongs.
    //   2. Does a flow need something from http? Then pass it in as a domain type.
    //   3. Still convinced? Change the table and write an ADR in the same commit.
    assert!(strays.is_empty(), "walls crossed:\n{}", strays.join("\n"));
}

#[test]
fn a_planted_stray_is_found_in_every_disguise() {
    let planted = [
        ("http/me.rs", "use crate::store::users;"),
        ("http/me.rs", "pub(crate) use crate::store as s;"),
        ("http/me.rs", "use crate::{domain::ids, store::{Store, users}};"),
        ("http/me.rs", "use crate::{\n    domain::ids,\n    store,\n};"),
        ("http/me.rs", "fn f() { crate::store::users::find() }"),
        ("http/me.rs", "let quote = '\"'; let x: crate :: store::Row;"),
        ("http/me.rs", "let s = r#\"\"\"#; crate::store::x();"),
        ("http/me/tests.rs", "use super::super::super::store;"),
        ("http/mod.rs", "use super::store;"),
        ("http/me.rs", "use sqlx::Row;"),
        ("flows/login.rs", "fn f(r: actix_web::HttpRequest) {}"),
        ("flows/login.rs", "use crate::http::Problem;"),
        ("flows/login.rs", "use crate::config::Config;"),
        ("flows/login.rs", "use crate::jobs;"),
        ("store/users.rs", "use crate::http;"),
        ("domain/user.rs", "use crate::store;"),
        ("domain/user.rs", "use crate::app::App;"),
        ("crypto/hasher.rs", "use crate::config::Password;"),
        ("novel/mod.rs", "use crate::store;"),
    ];
    for (file, text) in planted {
        assert_eq!(strays(file, text).len(), 1, "{file}: {text}: {:?}", strays(file, text));
    }
}

#[test]
fn what_is_allowed_is_no_stray() {
    let allowed = [
        ("http/me.rs", "use crate::{app::App, flows::login, domain::ids};"),
        ("http/me.rs", "use crate::Fault; use crate::{Clock, FaultKind}; use crate::clock::Clock;"),
        ("http/me.rs", "// use crate::store;\n/* crate::store /* */ crate::store */"),
        ("http/me.rs", "let a = \"crate::store \\\" crate::store\"; let b = r#\"crate::store\"#;"),
        ("http/me.rs", "fn f<'a>(x: &'a str) {} use super::problem; use crate::http::body;"),
        ("http/me/tests.rs", "use super::super::body;"),
        ("store/users.rs", "use sqlx::Row; use crate::domain::user::User;"),
        ("jobs/mail.rs", "use crate::{app::App, mail, store::jobs};"),
        ("app.rs", "use crate::config::Config;"),
        ("cli/serve.rs", "use crate::config; use crate::http;"),
        ("store/mod.rs", "let my_crate::store = 1;"),
    ];
    for (file, text) in allowed {
        assert_eq!(strays(file, text), [""; 0], "{file}: {text}");
    }
}

fn sources(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The walls that one file crosses, each with its line.
fn strays(file: &str, text: &str) -> Vec<String> {
    let parts: Vec<_> = file.trim_end_matches(".rs").split('/').collect();
    let room = parts[0];
    if room == "lib" {
        return Vec::new();
    }
    let code = code_only(text);
    let depth = parts.iter().filter(|part| **part != "mod").count();
    let mut found: Vec<(usize, String)> = Vec::new();
    for (at, names) in paths(&code, depth) {
        for name in names {
            let is_room = MAY_USE.iter().any(|(known, _)| *known == name);
            let is_free = ["domain", "clock", "fault"].contains(&name.as_str()) || name == room;
            let may = MAY_USE.iter().find(|(known, _)| *known == room).map(|(_, may)| *may);
            if is_room && !is_free && !may.unwrap_or(&[]).contains(&name.as_str()) {
                found.push((at, name));
            }
        }
    }
    for (name, rooms) in CRATES {
        let path = format!("{name}::");
        let uses = code.match_indices(&path).map(|(at, _)| at);
        let whole = uses.filter(|at| !is_word(code[..*at].chars().next_back()));
        if !rooms.contains(&room) {
            found.extend(whole.map(|at| (at, (*name).to_owned())));
        }
    }
    let line = |at: usize| code[..at].matches('\n').count() + 1;
    found.iter().map(|(at, name)| format!("src/{file}:{}: {room} uses {name}", line(*at))).collect()
}

/// Where a path starts at the root of the crate, and the names that stand there.
fn paths(code: &str, depth: usize) -> Vec<(usize, Vec<String>)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate") {
        let rest = code[at + "crate".len()..].trim_start();
        let is_path = !is_word(code[..at].chars().next_back());
        if let Some(rest) = rest.strip_prefix("::").filter(|_| is_path) {
            found.push((at, firsts(rest)));
        }
    }
    let climb = "super::".repeat(depth);
    for (at, _) in code.match_indices(&climb) {
        let before = code[..at].chars().next_back();
        if !is_word(before) && before != Some(':') {
            found.push((at, firsts(&code[at + climb.len()..])));
        }
    }
    found
}

/// The first name of a path, or the first names of a group.
fn firsts(rest: &str) -> Vec<String> {
    let rest = rest.trim_start();
    let Some(group) = rest.strip_prefix('{') else { return vec![word(rest)] };
    let (mut names, mut depth, mut is_start) = (Vec::new(), 1, true);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => is_start = true,
            c if is_start && is_word(Some(c)) => {
                names.push(word(&group[at..]));
                is_start = false;
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    names
}

fn word(text: &str) -> String {
    text.chars().take_while(|c| is_word(Some(*c))).collect()
}

fn is_word(c: Option<char>) -> bool {
    c.is_some_and(|c| c.is_alphanumeric() || c == '_')
}

/// The text with comments and the contents of literals blanked out; every line stays where it is.
fn code_only(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let skipped = match c {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => block_comment(rest),
            '"' => quoted(rest),
            'r' if !is_word(out.chars().next_back()) => raw_text(rest),
            '\'' => character(rest),
            _ => 0,
        };
        let (skip, next) = rest.split_at(skipped.max(c.len_utf8()));
        if skipped > 0 {
            out.push(' ');
            out.extend(skip.chars().filter(|c| *c == '\n'));
        } else {
            out.push_str(skip);
        }
        rest = next;
    }
    out
}

fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        let step = if rest.starts_with(b"/*") {
            (1, 2)
        } else if rest.starts_with(b"*/") {
            (-1, 2)
        } else {
            (0, 1)
        };
        (depth, at) = (depth + step.0, at + step.1);
        if depth == 0 {
            break;
        }
    }
    at
}

fn quoted(text: &str) -> usize {
    let mut is_escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            '"' if !is_escaped => return at + 1,
            '\\' => is_escaped = !is_escaped,
            _ => is_escaped = false,
        }
    }
    text.len()
}

/// `r"…"` and `r#"…"#`; 0 for a word that starts with r.
fn raw_text(text: &str) -> usize {
    let hashes = text[1..].chars().take_while(|c| *c == '#').count();
    let open = 1 + hashes + 1;
    if !text[1 + hashes..].starts_with('"') {
        return 0;
    }
    let end = format!("\"{}", "#".repeat(hashes));
    text[open..].find(&end).map_or(text.len(), |at| open + at + end.len())
}

/// `'x'` and `'\n'`; 0 for a lifetime.
fn character(text: &str) -> usize {
    let mut chars = text.char_indices().skip(1);
    match (chars.next(), chars.next()) {
        (Some((_, '\\')), Some(_)) => text[3..].find('\'').map_or(0, |at| at + 4),
        (Some(_), Some((at, '\''))) => at + 1,
        _ => 0,
    }
}
