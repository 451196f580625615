//! Strict JSON: bytes in, one tree out, or the reason why the bytes are not one JSON text.
//!
//! Stricter than the library's reader: no double member, a bounded depth, and a number that no
//! `f64` holds is told apart from bad JSON (INP-05, INP-07). Size is bounded by whoever reads the
//! bytes; U+0000 is found by [`find_nul`], since it is JSON and another answer (422).

use serde_json::{Map, Number, Value};

mod reader;
#[cfg(test)]
mod tests;

/// LIMIT: INP-07; the contract says 16 levels of arrays and objects, the outermost one counted.
pub const DEPTH_MAX: usize = 16;

/// Why bytes cannot be taken. Nothing here quotes them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonFault {
    /// They are not one JSON text in UTF-8: 400, with what was found wrong first.
    #[error("The body is not a JSON text: {0}.")]
    NotJson(&'static str),
    /// It is JSON with numbers, at these pointers, that are too large to compute with: 422.
    #[error("The body has a number that is out of range.")]
    OutOfRange(Vec<String>),
}

/// Reads the one JSON text that `bytes` are.
pub fn parse(bytes: &[u8]) -> Result<Value, JsonFault> {
    parse_to_depth(bytes, DEPTH_MAX)
}

/// Reads a JSON text of another depth: an operator's file, not a client's body.
///
/// The reader recurses once a level, so `depth_max` stays small.
pub(crate) fn parse_to_depth(bytes: &[u8], depth_max: usize) -> Result<Value, JsonFault> {
    let text = std::str::from_utf8(bytes).or(Err(JsonFault::NotJson("it is not UTF-8")))?;
    let mut reader = reader::Reader::new(text, depth_max);
    let value = reader.document().map_err(JsonFault::NotJson)?;
    let out_of_range = reader.into_out_of_range();
    if out_of_range.is_empty() { Ok(value) } else { Err(JsonFault::OutOfRange(out_of_range)) }
}

/// Pointers to each text, or member with a name, that holds U+0000 (INP-05).
///
/// PostgreSQL can store such a text neither as `TEXT` nor as `JSONB`.
pub fn find_nul(value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    collect_nul(value, "", &mut found);
    found
}

fn collect_nul(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::String(text) if text.contains('\0') => found.push(at.to_owned()),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                collect_nul(item, &format!("{at}/{index}"), found);
            }
        }
        Value::Object(members) => {
            for (name, member) in members {
                let at = join(at, name);
                if name.contains('\0') {
                    found.push(at.clone());
                }
                collect_nul(member, &at, found);
            }
        }
        _ => {}
    }
}

/// The RFC 6901 pointer to the member `name` of what `pointer` points to.
pub fn join(pointer: &str, name: &str) -> String {
    format!("{pointer}/{}", escape(name))
}

/// `name` as one reference token of an RFC 6901 pointer.
pub fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
