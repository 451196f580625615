//! The trail as it is read back, and the one spelling of its parts that hashes are taken of.
//!
//! Every field is written with its length in front, so that no two different lines have the same bytes. A change of
//! a spelling breaks every chain that was made with it.

use serde_json::{Map, Value};

use super::ids::EventId;
use super::time::Timestamp;

/// A hash of the chain, or a hash that the chain covers.
pub type Hash = [u8; 32];

/// What stands before the first entry of a chain.
pub const GENESIS: Hash = [0; 32];

/// A stored event without its details: every column is covered by the chain.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Line {
    /// Names the event.
    pub id: EventId,
    /// When it happened.
    pub at: Timestamp,
    /// `user`, `anyone`, `cli`, `system`.
    pub actor_kind: String,
    /// The user's id, or the name at the command line.
    pub actor_id: Option<String>,
    /// What was done.
    pub action: String,
    /// `user`, `key` and so on.
    pub subject_kind: String,
    /// To whom or what.
    pub subject_id: String,
    /// The request that did it.
    pub request_id: Option<String>,
    /// How it ended.
    pub outcome: String,
    /// 32 bytes: covers the details, which may be erased.
    pub details_hash: Vec<u8>,
}

/// The personal part of an event, until it is erased.
#[derive(Clone, Debug, PartialEq)]
pub struct Details {
    /// The address that it came from.
    pub address: Option<String>,
    /// Changed field names and the like: an object, unless somebody changed it.
    pub data: Value,
    /// 32 bytes: the key of the event's `details_hash`.
    pub hash_key: Option<Vec<u8>>,
}

/// A stored link of the chain.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Entry {
    /// Its place, from 1, without a gap.
    pub seq: i64,
    /// The event that it covers.
    pub event_id: EventId,
    /// 32 bytes: the hash of the entry before.
    pub prev_hash: Vec<u8>,
    /// 32 bytes: over everything of the entry and its event.
    pub hash: Vec<u8>,
}

/// What is stored of one event, and of its place in the chain.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Its place; none until the chain is closed over it.
    pub entry: Option<Entry>,
    /// The event; none where an entry has lost its own.
    pub line: Option<Line>,
    /// Its details; none once they are erased.
    pub details: Option<Details>,
}

/// Where the chain begins: behind the last entry that the retention removed.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Root {
    /// The key of the chain, sealed under the master key.
    pub sealed_key: Vec<u8>,
    /// The last entry that was removed, 0 for none.
    pub seq: i64,
    /// 32 bytes: its hash.
    pub hash: Vec<u8>,
    /// Nothing younger may be removed.
    pub removed_before: Timestamp,
    /// 32 bytes: proves that the service wrote this row.
    pub mac: Vec<u8>,
}

/// Lower-case hexadecimal digits, two a byte.
pub fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0x0f)]).collect()
}

impl Line {
    /// The bytes of this event at the place `seq` behind `prev_hash`.
    pub fn spelled(&self, seq: i64, prev_hash: &[u8]) -> Vec<u8> {
        let mut bytes = Spelling::default();
        bytes.put(&seq.to_be_bytes());
        bytes.put(prev_hash);
        bytes.put(self.id.0.as_bytes());
        bytes.put(&self.at.micros().to_be_bytes());
        bytes.put(self.actor_kind.as_bytes());
        bytes.put_option(self.actor_id.as_deref());
        bytes.put(self.action.as_bytes());
        bytes.put(self.subject_kind.as_bytes());
        bytes.put(self.subject_id.as_bytes());
        bytes.put_option(self.request_id.as_deref());
        bytes.put(self.outcome.as_bytes());
        bytes.put(&self.details_hash);
        bytes.0
    }
}

/// The bytes of the details of an event. Members go by name: PostgreSQL keeps no order.
pub fn details_spelled(address: Option<&str>, data: &Map<String, Value>) -> Vec<u8> {
    let mut bytes = Spelling::default();
    bytes.put_option(address);
    bytes.put_object(data);
    bytes.0
}

#[derive(Default)]
struct Spelling(Vec<u8>);

impl Spelling {
    fn put_length(&mut self, length: usize) {
        self.0.extend(u64::try_from(length).unwrap_or(u64::MAX).to_be_bytes());
    }

    fn put(&mut self, field: &[u8]) {
        self.put_length(field.len());
        self.0.extend(field);
    }

    fn put_option(&mut self, field: Option<&str>) {
        self.0.push(u8::from(field.is_some()));
        if let Some(field) = field {
            self.put(field.as_bytes());
        }
    }

    fn put_object(&mut self, object: &Map<String, Value>) {
        let mut members: Vec<_> = object.iter().collect();
        members.sort_by_key(|(name, _)| name.as_str());
        self.put_length(members.len());
        for (name, value) in members {
            self.put(name.as_bytes());
            self.put_value(value);
        }
    }

    fn put_value(&mut self, value: &Value) {
        match value {
            Value::Object(object) => {
                self.0.push(b'o');
                self.put_object(object);
            }
            Value::Array(items) => {
                self.0.push(b'a');
                self.put_length(items.len());
                for item in items {
                    self.put_value(item);
                }
            }
            Value::String(text) => {
                self.0.push(b's');
                self.put(text.as_bytes());
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {
                self.0.push(b'w');
                self.put(value.to_string().as_bytes());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    fn line() -> Line {
        Line {
            id: EventId(Uuid::from_u128(1)),
            at: Timestamp::from_micros(2),
            actor_kind: "user".into(),
            actor_id: Some("3".into()),
            action: "user.updated".into(),
            subject_kind: "user".into(),
            subject_id: "4".into(),
            request_id: Some("5".into()),
            outcome: "success".into(),
            details_hash: vec![6; 32],
        }
    }

    #[test]
    fn log_11_every_column_the_place_and_the_hash_before_are_spelled() {
        let changed = [
            Line { id: EventId(Uuid::from_u128(9)), ..line() },
            Line { at: Timestamp::from_micros(-2), ..line() },
            Line { actor_kind: "cli".into(), ..line() },
            Line { actor_id: None, ..line() },
            Line { actor_id: Some(String::new()), ..line() },
            Line { action: "user.update".into(), ..line() },
            Line { subject_kind: "key".into(), ..line() },
            Line { subject_id: "5".into(), ..line() },
            Line { request_id: None, ..line() },
            Line { outcome: "failure".into(), ..line() },
            Line { details_hash: vec![7; 32], ..line() },
            // What leaves one field and enters the next.
            Line { subject_kind: "use".into(), subject_id: "r4".into(), ..line() },
            Line { actor_id: None, action: "3user.updated".into(), ..line() },
        ];
        let mut spelled: Vec<_> = changed.iter().map(|line| line.spelled(1, &GENESIS)).collect();
        spelled.push(line().spelled(1, &GENESIS));
        spelled.push(line().spelled(2, &GENESIS));
        spelled.push(line().spelled(1, &[1; 32]));
        let count = spelled.len();
        spelled.sort();
        spelled.dedup();
        assert_eq!(spelled.len(), count);
    }

    #[test]
    fn details_are_the_same_in_any_order_of_their_members_and_in_no_other_way() {
        let spelled = |address, data: Value| {
            let Value::Object(data) = data else { panic!("no object") };
            details_spelled(address, &data)
        };
        let one = spelled(None, json!({ "a": [1, "x"], "b": { "c": null, "d": true } }));
        let reordered = serde_json::from_str(r#"{"b":{"d":true,"c":null},"a":[1,"x"]}"#).unwrap();
        assert_eq!(one, spelled(None, reordered));
        let others = [
            (Some(""), json!({ "a": [1, "x"], "b": { "c": null, "d": true } })),
            (None, json!({ "a": ["1", "x"], "b": { "c": null, "d": true } })),
            (None, json!({ "a": [1, "x"], "b": { "c": "null", "d": true } })),
            (None, json!({ "a": [1, ["x"]], "b": { "c": null, "d": true } })),
            (None, json!({ "a": ["x", 1], "b": { "c": null, "d": true } })),
            (None, json!({ "a": [1, "x"], "b": { "c": null }, "d": true })),
        ];
        for (address, data) in others {
            assert_ne!(spelled(address, data.clone()), one, "{data}");
        }
    }
}
