//! `x-portcullis`: who writes and reads a field, and what else it is for.

use serde_json::Value;

use super::build::SchemaError;
use crate::domain::json;

/// Who writes a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writer {
    /// The user themselves.
    User,
    /// An administrator or the CLI.
    Admin,
}

/// Who reads a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// The user themselves.
    User,
    /// An administrator or the CLI.
    Admin,
}

/// What the operator declared about one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldRule {
    /// `write`: the least that may set it.
    pub write: Writer,
    /// `read`: the least that sees it.
    pub read: Reader,
    /// `unique`: no two accounts share the value.
    pub unique: bool,
    /// `search`: its text is found by the user search.
    pub search: bool,
    /// `facet`: it can be counted and filtered by.
    pub facet: bool,
    /// `claim`: it goes into the access token under this name.
    pub claim: Option<String>,
}

impl Default for FieldRule {
    fn default() -> Self {
        let (write, read) = (Writer::User, Reader::User);
        Self { write, read, unique: false, search: false, facet: false, claim: None }
    }
}

impl FieldRule {
    /// Tells whether `by` may set the field.
    pub fn may_write(&self, by: Writer) -> bool {
        by == Writer::Admin || self.write == Writer::User
    }

    /// Tells whether `to` sees the field.
    pub fn may_read(&self, to: Reader) -> bool {
        to == Reader::Admin || self.read == Reader::User
    }

    /// Reads the annotation that stands at the pointer `at`.
    pub(super) fn parse(annotation: &Value, at: &str, errors: &mut Vec<SchemaError>) -> Self {
        let mut rule = Self::default();
        let Some(members) = annotation.as_object() else {
            errors.push(SchemaError::new(at, "must be an object"));
            return rule;
        };
        for (name, value) in members {
            if let Err(expected) = rule.set(name, value) {
                errors.push(SchemaError::new(json::join(at, name), expected));
            }
        }
        rule
    }

    fn set(&mut self, name: &str, value: &Value) -> Result<(), &'static str> {
        let flag = || value.as_bool().ok_or("must be true or false");
        let is_for_user = || match value.as_str() {
            Some("user") => Ok(true),
            Some("admin") => Ok(false),
            _ => Err("must be \"user\" or \"admin\""),
        };
        match name {
            "write" => self.write = if is_for_user()? { Writer::User } else { Writer::Admin },
            "read" => self.read = if is_for_user()? { Reader::User } else { Reader::Admin },
            "unique" => self.unique = flag()?,
            "search" => self.search = flag()?,
            "facet" => self.facet = flag()?,
            "claim" => {
                let claim = value.as_str().filter(|claim| !claim.is_empty());
                self.claim = Some(claim.ok_or("must be the name of a claim")?.to_owned());
            }
            _ => return Err("is none of write, read, unique, search, facet, claim"),
        }
        Ok(())
    }
}
