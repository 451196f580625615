//! The profile: what an operator declares about users beyond the core fields, as one JSON Schema.
//!
//! A schema in hand has been checked: it is closed, stays inside its file, and matches in linear
//! time (INP-19). Values are checked with all faults at once and without quoting them. Uniqueness,
//! search and claims are declared here and kept by the store, the search and the signer.

use std::collections::HashSet;

use jsonschema::Validator;
use serde_json::{Map, Value};

use crate::domain::fields::{FieldCode, FieldFault};
use crate::domain::json;

mod build;
mod claims;
mod faults;
mod formats;
mod keywords;
mod merge;
mod moved;
mod rules;
#[cfg(test)]
mod tests;
mod unique;

pub use build::SchemaError;
pub use merge::merge_patch;
pub use moved::moved;
pub use rules::{FieldRule, Reader, Writer};

/// A checked profile schema with its rules per field.
#[derive(Debug)]
pub struct ProfileSchema {
    json: Value,
    rules: Vec<(String, FieldRule)>,
    defaults: Map<String, Value>,
    validator: Validator,
}

impl ProfileSchema {
    /// LIMIT: ours; the schema goes into the OpenAPI document and is compiled at each start.
    pub const BYTES_MAX: usize = 64 * 1024;
    /// The text of the schema that counts where the operator gives none.
    pub const DEFAULT: &str = include_str!("profile/default.json");

    /// The schema that counts where the operator gives none.
    pub fn default_schema() -> Result<Self, Vec<SchemaError>> {
        Self::from_json(Self::DEFAULT)
    }

    /// Checks and compiles the text of an operator's file, or lists everything wrong with it.
    pub fn from_json(text: &str) -> Result<Self, Vec<SchemaError>> {
        build::build(text)
    }

    /// The schema as written, for the OpenAPI document.
    pub fn as_json(&self) -> &Value {
        &self.json
    }

    /// The declared fields with their rules, by name.
    pub fn rules(&self) -> impl Iterator<Item = (&str, &FieldRule)> {
        self.rules.iter().map(|(name, rule)| (name.as_str(), rule))
    }

    /// The rule of one field; `None` if it is not declared.
    pub fn rule(&self, name: &str) -> Option<&FieldRule> {
        self.rules().find_map(|(declared, rule)| (declared == name).then_some(rule))
    }

    /// All faults of a whole profile; `at` is where it stands in the body (`/profile`).
    pub fn validate(&self, profile: &Value, at: &str) -> Vec<FieldFault> {
        faults::tidy(self.all_faults(profile, at))
    }

    /// The same, however many they are.
    fn all_faults(&self, profile: &Value, at: &str) -> Vec<FieldFault> {
        faults::collect(self.validator.iter_errors(profile), at)
    }

    /// The members of `patch`, null ones too, that `by` may not write or that nobody declared.
    pub fn check_writable(&self, patch: &Value, by: Writer, at: &str) -> Vec<FieldFault> {
        // SECURITY: AUZ-02. A null of an undeclared or foreign member changes nothing in the result,
        // so only here it is seen.
        let refuse = |name: &String| match self.rule(name) {
            None => Some(faults::unknown_member(at, name)),
            Some(rule) if rule.may_write(by) => None,
            Some(_) => Some(FieldFault::new(
                json::join(at, name),
                FieldCode::ReadOnly,
                "Only an administrator may write this member.",
            )),
        };
        faults::tidy(patch.as_object().into_iter().flat_map(Map::keys).filter_map(refuse).collect())
    }

    /// Adds each declared `default` whose field is absent.
    pub fn fill_defaults(&self, profile: &mut Value) {
        let Some(members) = profile.as_object_mut() else { return };
        for (name, value) in &self.defaults {
            members.entry(name).or_insert_with(|| value.clone());
        }
    }

    /// A new account's profile: what was `given` (nulls are values, and faults), with defaults.
    pub fn compose(&self, given: &Value, by: Writer, at: &str) -> Result<Value, Vec<FieldFault>> {
        let mut profile = given.clone();
        self.fill_defaults(&mut profile);
        let mut found = self.check_writable(given, by, at);
        found.extend(self.validate(&profile, at));
        if found.is_empty() { Ok(profile) } else { Err(faults::tidy(found)) }
    }

    /// `current` with the merge patch `patch`, if `by` may write it and the result fits.
    ///
    /// Faults that `current` has already, in members that the patch does not name, stay as they are: the schema may
    /// have changed since they were stored, and whoever changes something else is not to blame (ADR 0015).
    pub fn patched(
        &self,
        current: &Value,
        patch: &Value,
        by: Writer,
        at: &str,
    ) -> Result<Value, Vec<FieldFault>> {
        if !patch.is_object() {
            // A patch that is no object would replace the whole profile, fields of others too.
            return Err(self.validate(patch, at));
        }
        let mut found = self.check_writable(patch, by, at);
        if by == Writer::Admin {
            // What an earlier schema declared can be cleared away.
            found.retain(|fault| {
                let name = member_of(&fault.pointer, at).unwrap_or_default();
                let is_left_over = patch.get(&name) == Some(&Value::Null);
                !(is_left_over && current.get(&name).is_some())
            });
        }
        let patched = merge_patch(current.clone(), patch);
        let result = self.all_faults(&patched, at);
        if !result.is_empty() {
            let before: HashSet<FieldFault> = self.all_faults(current, at).into_iter().collect();
            let is_touched = |fault: &FieldFault| {
                member_of(&fault.pointer, at).is_some_and(|name| patch.get(&name).is_some())
            };
            let is_new = |fault: &FieldFault| is_touched(fault) || !before.contains(fault);
            found.extend(result.into_iter().filter(is_new));
        }
        if found.is_empty() { Ok(patched) } else { Err(faults::tidy(found)) }
    }

    /// What `to` may see of `profile`; members that are no longer declared are for administrators.
    #[must_use]
    pub fn visible(&self, profile: &Value, to: Reader) -> Value {
        let members = profile.as_object().into_iter().flatten();
        let is_shown = |name: &str| {
            to == Reader::Admin || self.rule(name).is_some_and(|rule| rule.may_read(to))
        };
        let shown = members.filter(|(name, _)| is_shown(name));
        Value::Object(shown.map(|(name, value)| (name.clone(), value.clone())).collect())
    }
}

/// The member at the top that `pointer` leads into, where the profile stands at `at`.
fn member_of(pointer: &str, at: &str) -> Option<String> {
    let token = pointer.strip_prefix(at)?.strip_prefix('/')?.split('/').next()?;
    Some(token.replace("~1", "/").replace("~0", "~"))
}
