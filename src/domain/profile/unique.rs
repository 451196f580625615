//! What the values of a `unique` field are compared by.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use unicode_normalization::UnicodeNormalization;

use super::ProfileSchema;
use super::build::SchemaError;
use super::rules::FieldRule;
use crate::domain::json;

impl ProfileSchema {
    /// The pointers of the fields that are declared `unique` (`/profile/phone`), in their order.
    pub fn unique_fields(&self) -> Vec<String> {
        let unique = self.rules().filter(|(_, rule)| rule.unique);
        let mut fields: Vec<String> =
            unique.map(|(name, _)| json::join("/profile", name)).collect();
        fields.sort_unstable();
        fields
    }

    /// The name of the field that `pointer` (`/profile/phone`) points to, if it is declared.
    pub fn name_of(&self, pointer: &str) -> Option<&str> {
        self.rules().map(|(name, _)| name).find(|name| json::join("/profile", name) == pointer)
    }

    /// What `profile` has in the `unique` fields: pointers to the form that is compared.
    pub fn unique_values(&self, profile: &Map<String, Value>) -> BTreeMap<String, String> {
        let unique = self.rules().filter(|(_, rule)| rule.unique);
        let values = unique.filter_map(|(name, _)| {
            Some((json::join("/profile", name), canonical(profile.get(name)?)?))
        });
        values.collect()
    }
}

/// LIMIT: an index row of PostgreSQL holds 2704 bytes, beside the name of the field also its value.
const NAME_BYTES_MAX: usize = 200;

/// Refuses a `unique` field whose name is too long to be part of a key.
pub(super) fn check(rules: &[(String, FieldRule)], errors: &mut Vec<SchemaError>) {
    for (name, rule) in rules {
        if rule.unique && name.len() > NAME_BYTES_MAX {
            let at = json::join(&json::join("/properties", name), "x-portcullis");
            let detail = "is not possible for a member whose name has more than 200 bytes";
            errors.push(SchemaError::new(json::join(&at, "unique"), detail));
        }
    }
}

/// The form that is compared: a text after NFC, all else as compact JSON. A null is no value.
fn canonical(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.nfc().collect()),
        other => {
            let mut written = String::new();
            write(other, &mut written);
            Some(written)
        }
    }
}

/// Compact JSON that is the same whatever the database made of it: sorted members, whole numbers without a fraction.
fn write(value: &Value, out: &mut String) {
    // PORTABILITY: JSONB sorts members its own way, and gives `1e2` back as `100`.
    match value {
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write(item, out);
            }
            out.push(']');
        }
        Value::Object(members) => {
            let sorted: BTreeMap<&String, &Value> = members.iter().collect();
            out.push('{');
            for (index, (name, member)) in sorted.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                out.push_str(&Value::from(name.as_str()).to_string());
                out.push(':');
                write(member, out);
            }
            out.push('}');
        }
        Value::Number(number) => match number.as_f64() {
            // A sum with zero has no negative zero.
            Some(float) if number.is_f64() && float.fract() == 0.0 => {
                out.push_str(&format!("{:.0}", float + 0.0));
            }
            _ => out.push_str(&number.to_string()),
        },
        other => out.push_str(&other.to_string()),
    }
}
