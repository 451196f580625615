//! From the text of a schema file to a [`ProfileSchema`], or everything that is wrong with it.
//!
//! Refuses what would make the profile open, slow or curious: members that nobody declared,
//! patterns that backtrack, formats that nobody checks, references that leave the file (INP-19).

use std::fmt;

use jsonschema::{Draft, PatternOptions, Validator, draft202012};
use serde_json::{Map, Value};

use super::rules::FieldRule;
use super::{ProfileSchema, claims, formats, keywords, unique};
use crate::domain::json::{self, JsonFault};

/// LIMIT: ours; no honest schema nests deeper, and reading recurses once a level.
const DEPTH_MAX: usize = 40;
/// LIMIT: ours; bytes of one compiled pattern, a tenth of the engine's own limit.
const PATTERN_BYTES_MAX: usize = 1024 * 1024;

/// One fault of a profile schema.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SchemaError {
    /// RFC 6901 pointer into the schema; `""` is the whole file.
    pub pointer: String,
    /// What is wrong, as the end of a sentence that begins with the pointer.
    pub detail: String,
}

impl SchemaError {
    pub(super) fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), detail: detail.into() }
    }
}

impl fmt::Display for SchemaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}: {}", self.pointer, self.detail)
    }
}

impl std::error::Error for SchemaError {}

pub(super) fn build(text: &str) -> Result<ProfileSchema, Vec<SchemaError>> {
    let json = read(text).map_err(|error| vec![error])?;
    let mut errors = Vec::new();
    check_root(&json, &mut errors);
    walk(&json, "", &mut errors);
    let found = draft202012::meta::validator();
    errors.extend(
        found.iter_errors(&json).map(|error| {
            SchemaError::new(error.instance_path().as_str(), error.masked().to_string())
        }),
    );
    let declared = json.get("properties").and_then(Value::as_object).into_iter().flatten();
    let declared: Vec<_> = declared.collect();
    let rules = declared.iter().map(|(name, field)| {
        let at = json::join(&json::join("/properties", name), "x-portcullis");
        let rule = field.get("x-portcullis");
        (
            (*name).clone(),
            rule.map_or_else(FieldRule::default, |r| FieldRule::parse(r, &at, &mut errors)),
        )
    });
    let rules: Vec<(String, FieldRule)> = rules.collect();
    claims::check(&json, &rules, &mut errors);
    unique::check(&rules, &mut errors);
    if !errors.is_empty() {
        return Err(tidy(errors));
    }
    // SECURITY: INP-19. Compiled only now: the walk has refused what reaches outside or never ends.
    let validator = compile(&json).map_err(|error| vec![error])?;
    let with_default = declared.into_iter().filter_map(|(name, field)| {
        field.get("default").map(|value| (name.clone(), value.clone()))
    });
    let defaults: Map<String, Value> = with_default.collect();
    let errors = misfits(&defaults, &validator);
    if !errors.is_empty() {
        return Err(tidy(errors));
    }
    Ok(ProfileSchema { json, rules, defaults, validator })
}

fn tidy(mut errors: Vec<SchemaError>) -> Vec<SchemaError> {
    errors.sort_unstable();
    errors.dedup();
    errors
}

fn read(text: &str) -> Result<Value, SchemaError> {
    if text.len() > ProfileSchema::BYTES_MAX {
        return Err(SchemaError::new("", "has more than 64 KiB"));
    }
    json::parse_to_depth(text.as_bytes(), DEPTH_MAX).map_err(|fault| match fault {
        JsonFault::NotJson(why) => SchemaError::new("", format!("is not a JSON text: {why}")),
        JsonFault::OutOfRange(at) => {
            SchemaError::new(at.concat(), "has a number that is out of range")
        }
    })
}

/// The root is an object, closed, and declares its members by name.
fn check_root(json: &Value, errors: &mut Vec<SchemaError>) {
    if json.get("type") != Some(&Value::from("object")) {
        errors.push(SchemaError::new("/type", "must be \"object\""));
    }
    // SECURITY: AUZ-02. What is not declared never binds.
    if json.get("additionalProperties") != Some(&Value::Bool(false)) {
        errors.push(SchemaError::new("/additionalProperties", "must be false"));
    }
    if json.get("patternProperties").is_some() {
        let detail = "is not possible at the top: each member is declared by its name";
        errors.push(SchemaError::new("/patternProperties", detail));
    }
    let draft = json.get("$schema").map(|uri| uri.as_str().unwrap_or_default());
    if draft.is_some_and(|uri| {
        uri.trim_end_matches('#') != "https://json-schema.org/draft/2020-12/schema"
    }) {
        errors.push(SchemaError::new("/$schema", "must be JSON Schema 2020-12"));
    }
}

/// Members whose value maps names to schemas.
pub(super) const MAPS: [&str; 5] =
    ["properties", "patternProperties", "$defs", "definitions", "dependentSchemas"];
/// Members whose value is data, whatever it looks like.
pub(super) const DATA: [&str; 5] = ["const", "enum", "default", "examples", "x-portcullis"];

fn walk(schema: &Value, at: &str, errors: &mut Vec<SchemaError>) {
    match schema {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                walk(item, &format!("{at}/{index}"), errors);
            }
        }
        Value::Object(members) => {
            for (name, value) in members {
                let here = json::join(at, name);
                check_member(name, value, &here, errors);
                match value {
                    Value::Object(schemas) if MAPS.contains(&name.as_str()) => {
                        for (name, schema) in schemas {
                            walk(schema, &json::join(&here, name), errors);
                        }
                    }
                    _ if DATA.contains(&name.as_str()) => {}
                    _ => walk(value, &here, errors),
                }
            }
        }
        _ => {}
    }
}

fn check_member(name: &str, value: &Value, here: &str, errors: &mut Vec<SchemaError>) {
    let mut refuse = |detail: &str| errors.push(SchemaError::new(here, detail));
    match name {
        "$ref" | "$dynamicRef" if !value.as_str().is_some_and(|uri| uri.starts_with('#')) => {
            refuse("must point into this file: it begins with #");
        }
        // A new base makes `#` mean another document.
        "$id" | "$vocabulary" => refuse("is not possible here"),
        "x-portcullis" => {
            let field = here.strip_prefix("/properties/").and_then(|rest| rest.split_once('/'));
            if field.is_none_or(|(_, rest)| rest != "x-portcullis") {
                refuse("belongs to the members at the top only");
            }
        }
        name if keywords::NAMES.contains(&name) && value.as_u64().is_none() => {
            refuse("must be a whole number, 0 or more");
        }
        _ => {}
    }
}

fn compile(json: &Value) -> Result<Validator, SchemaError> {
    let options = jsonschema::options()
        .with_draft(Draft::Draft202012)
        .offline()
        .should_validate_formats(true)
        .should_ignore_unknown_formats(false)
        // SECURITY: INP-19. The default engine backtracks: `(a+)+$` would be a way to stop a core.
        .with_pattern_options(PatternOptions::regex().size_limit(PATTERN_BYTES_MAX))
        .with_format("e164", formats::is_e164)
        .with_format("bcp47", formats::is_bcp47)
        .with_format("iana-timezone", formats::is_timezone)
        .with_keyword("x-maxBytes", keywords::max_bytes)
        .with_keyword("x-maxDepth", keywords::max_depth)
        .with_keyword("x-maxMembers", keywords::max_members);
    options.build(json).map_err(|error| {
        let at = error.instance_path().as_str();
        let at = if at.is_empty() { error.schema_path().as_str() } else { at };
        SchemaError::new(at, error.masked().to_string())
    })
}

/// The defaults that would not pass as values of their own fields.
fn misfits(defaults: &Map<String, Value>, validator: &Validator) -> Vec<SchemaError> {
    let check = |(name, value): (&String, &Value)| {
        let alone = Value::Object(Map::from_iter([(name.clone(), value.clone())]));
        let own = json::join("", name);
        let is_own = |path: &str| path == own || path.starts_with(&format!("{own}/"));
        let error = validator.iter_errors(&alone).find(|e| is_own(e.instance_path().as_str()))?;
        let at = json::join(&json::join("/properties", name), "default");
        Some(SchemaError::new(at, format!("does not fit its own field: {}", error.masked())))
    };
    defaults.iter().filter_map(check).collect()
}
