//! The keywords that bound free objects: `x-maxBytes`, `x-maxDepth`, `x-maxMembers` (INP-15).

use std::io;

use jsonschema::paths::Location;
use jsonschema::{Keyword, ValidationError};
use serde_json::{Map, Value};

/// A keyword: its name, what it measures and how its limit is told.
struct Measure {
    of: fn(&Value) -> u64,
    told: &'static str,
}

/// The keywords of this file.
pub(super) const NAMES: [&str; 3] = ["x-maxBytes", "x-maxDepth", "x-maxMembers"];

struct AtMost {
    measure: Measure,
    limit: u64,
}

impl<'i> Keyword<'i> for AtMost {
    fn validate(&self, instance: &'i Value) -> Result<(), ValidationError<'i>> {
        if self.is_valid(instance) {
            return Ok(());
        }
        Err(ValidationError::custom(format!(
            "value has more than {} {}",
            self.limit, self.measure.told
        )))
    }

    fn is_valid(&self, instance: &'i Value) -> bool {
        (self.measure.of)(instance) <= self.limit
    }
}

type Made<'a> = Result<Box<dyn for<'i> Keyword<'i>>, ValidationError<'a>>;

/// Makes `x-maxBytes`.
pub(super) fn max_bytes<'a>(_: &'a Map<String, Value>, limit: &'a Value, _: Location) -> Made<'a> {
    at_most(limit, Measure { of: compact_bytes, told: "bytes as compact JSON" })
}

/// Makes `x-maxDepth`.
pub(super) fn max_depth<'a>(_: &'a Map<String, Value>, limit: &'a Value, _: Location) -> Made<'a> {
    at_most(limit, Measure { of: depth, told: "levels" })
}

/// Makes `x-maxMembers`.
pub(super) fn max_members<'a>(
    _: &'a Map<String, Value>,
    limit: &'a Value,
    _: Location,
) -> Made<'a> {
    at_most(limit, Measure { of: members, told: "members in all" })
}

fn at_most(limit: &Value, measure: Measure) -> Made<'static> {
    let limit = limit.as_u64().ok_or_else(|| ValidationError::schema("must be a whole number"))?;
    Ok(Box::new(AtMost { measure, limit }))
}

/// Bytes of the shortest JSON text.
pub(super) fn compact_bytes(value: &Value) -> u64 {
    struct Count(u64);
    impl io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self.0.saturating_add(bytes.len() as u64);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    // Neither the writer nor a `Value` can fail; a failure would count as too much.
    serde_json::to_writer(&mut count, value).map_or(u64::MAX, |()| count.0)
}

/// Levels of arrays and objects, this one counted; 0 for everything else.
pub(super) fn depth(value: &Value) -> u64 {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// Members of all objects on all levels.
pub(super) fn members(value: &Value) -> u64 {
    match value {
        Value::Array(items) => items.iter().map(members).sum(),
        Value::Object(object) => object.len() as u64 + object.values().map(members).sum::<u64>(),
        _ => 0,
    }
}
