//! One JSON object from bytes, without a member that stands twice at any depth (JWT-17).
//!
//! `serde_json` lets the last of two equal members win, other parsers the first: a token that
//! means two things to two readers is refused before anybody reads it.

use std::collections::BTreeSet;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// The members of the object that `bytes` are, or `None`: not UTF-8, not JSON, no object, a member
/// twice, something behind it, deeper than 127 levels (a limit of `serde_json`).
pub(crate) fn object(bytes: &[u8]) -> Option<Map<String, Value>> {
    serde_json::from_slice::<Distinct>(bytes).ok()?;
    serde_json::from_slice(bytes).ok()
}

/// Any JSON value whose objects have distinct members; keeps nothing.
struct Distinct;

impl<'de> Deserialize<'de> for Distinct {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Walk)
    }
}

struct Walk;

impl<'de> Visitor<'de> for Walk {
    type Value = Distinct;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without double members")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Distinct, A::Error> {
        let mut seen = BTreeSet::new();
        while let Some(name) = map.next_key::<String>()? {
            if !seen.insert(name) {
                return Err(A::Error::custom("a member stands twice"));
            }
            map.next_value::<Distinct>()?;
        }
        Ok(Distinct)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Distinct, A::Error> {
        while items.next_element::<Distinct>()?.is_some() {}
        Ok(Distinct)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Distinct, E> {
        Ok(Distinct)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Distinct, E> {
        Ok(Distinct)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Distinct, E> {
        Ok(Distinct)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Distinct, E> {
        Ok(Distinct)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Distinct, E> {
        Ok(Distinct)
    }

    fn visit_unit<E: Error>(self) -> Result<Distinct, E> {
        Ok(Distinct)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jwt_17_only_one_object_with_distinct_members_is_read() {
        let read = object(br#" {"a": [1, -1, 1.5, "x", null, true, {"a": {}}]} "#).unwrap();
        assert_eq!(read.len(), 1);
        let bad: [&[u8]; 12] = [
            b"",
            b"null",
            b"[]",
            b"\"{}\"",
            b"{}{}",
            b"{} x",
            b"\xef\xbb\xbf{}",
            b"{\"a\": \"\xff\"}",
            br#"{"a": "\ud800"}"#,
            br#"{"a": 1, "a": 1}"#,
            br#"{"a": 1, "\u0061": 1}"#,
            br#"{"a": [{"b": 1, "b": 2}]}"#,
        ];
        for bytes in bad {
            assert_eq!(object(bytes), None, "{}", String::from_utf8_lossy(bytes));
        }
        let deep = format!("{}1{}", r#"{"a":"#.repeat(200), "}".repeat(200));
        assert_eq!(object(deep.as_bytes()), None);
    }
}
