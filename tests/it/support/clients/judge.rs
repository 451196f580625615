//! What every answer of the wire must be, whatever a test asks for.

use std::sync::Arc;

use serde_json::Value;

use super::Answer;
use crate::support::openapi::{Seen, untruths};

/// Holds answers against the document and the contract.
#[derive(Clone)]
pub(super) struct Judge {
    pub(super) document: Arc<Value>,
    pub(super) public_url: String,
    pub(super) may_fail: bool,
    pub(super) may_be_older: bool,
}

/// What is not in the document: pages for people and machines of operators.
const PAGES: [&str; 4] = ["/openapi.json", "/docs", "/problems/", "/metrics"];

const ALWAYS: [(&str, &str); 4] = [
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("x-frame-options", "DENY"),
    ("cross-origin-opener-policy", "same-origin"),
];

impl Judge {
    #[track_caller]
    pub(super) fn judge(&self, method: &str, target: &str, answer: &Answer) {
        let path = &plain(target.split(['?', '#']).next().unwrap_or_default());
        assert!(self.may_fail || answer.status < 500, "{method} {target}: {answer:?}");
        let is_page = PAGES.iter().any(|page| path.starts_with(page)) && answer.status < 400;
        judge_headers(path, is_page, answer);
        if answer.status >= 400 && method != "HEAD" {
            self.judge_problem(path, answer);
        }
        if !is_page {
            let body = answer.text.as_bytes();
            let (status, headers) = (answer.status, answer.headers.as_slice());
            let mut found = untruths(&self.document, Seen { method, path, status, headers, body });
            found.retain(|untruth| !(self.may_be_older && untruth.starts_with("/profile")));
            assert!(found.is_empty(), "{method} {target}: {found:?}: {answer:?}");
        }
    }

    #[track_caller]
    fn judge_problem(&self, path: &str, answer: &Answer) {
        if path.starts_with("/health/") && answer.status == 503 {
            assert_eq!(answer.header("content-type"), Some("application/json"), "{answer:?}");
            return;
        }
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{answer:?}");
        assert_eq!(answer.body["status"], answer.status, "{answer:?}");
        assert_eq!(answer.body["request_id"].as_str(), answer.header("x-request-id"));
        let code = answer.body["code"].as_str().unwrap_or_default();
        let page = format!("{}/problems/{code}", self.public_url);
        assert_eq!(answer.body["type"], page, "{answer:?}");
        let has_errors = answer.body.get("errors").is_some();
        assert_eq!(has_errors, ["validation_failed", "value_taken"].contains(&code), "{answer:?}");
    }
}

#[track_caller]
fn judge_headers(path: &str, is_page: bool, answer: &Answer) {
    for (name, value) in ALWAYS {
        assert_eq!(answer.header(name), Some(value), "{path} {name}");
    }
    if !is_page {
        let policy = "default-src 'none'; frame-ancestors 'none'";
        assert_eq!(answer.header("content-security-policy"), Some(policy), "{path}");
        let is_kept = path.starts_with("/.well-known/") && answer.status == 200;
        let kept = if is_kept { "public, max-age=300" } else { "no-store" };
        assert_eq!(answer.header("cache-control"), Some(kept), "{path}");
    }
    assert_eq!(answer.header("server"), None, "{path}");
    assert!(answer.header("x-request-id").is_some_and(|id| !id.is_empty()), "{path}");
    let mut names: Vec<&str> = answer.headers.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    let all = names.len();
    names.dedup();
    assert_eq!(names.len(), all, "a header stands twice: {answer:?}");
}

/// The path with its encoded letters as letters: the same path (RFC 3986, section 6.2.2.2).
fn plain(path: &str) -> String {
    let mut pieces = path.split('%');
    let mut plain = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let letter = piece.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match letter.filter(u8::is_ascii_alphanumeric) {
            Some(letter) => plain.extend([&char::from(letter).to_string(), &piece[2..]]),
            None => plain.extend(["%", piece]),
        }
    }
    plain
}
