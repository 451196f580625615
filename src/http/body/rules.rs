//! The faults that `validator` finds, in the words of the wire.
//!
//! It knows Rust names, keeps them in a random order and carries the rejected value along: here the
//! names become pointers, and the value stays behind.

use serde_json::Value;
use validator::{ValidationError, ValidationErrors, ValidationErrorsKind as Found};

use crate::domain::fields::{FieldCode, FieldFault};
use crate::domain::json::join;

/// The codes that a rule written by hand may name itself.
const CODES: [FieldCode; 15] = [
    FieldCode::Required,
    FieldCode::UnknownMember,
    FieldCode::WrongType,
    FieldCode::ReadOnly,
    FieldCode::TooShort,
    FieldCode::TooLong,
    FieldCode::InvalidFormat,
    FieldCode::OutOfRange,
    FieldCode::NotAllowed,
    FieldCode::Taken,
    FieldCode::PasswordTooShort,
    FieldCode::PasswordTooLong,
    FieldCode::PasswordTooCommon,
    FieldCode::UsernameReserved,
    FieldCode::AudienceUnknown,
];

/// All faults, sorted. A rule's message is taken for its detail, so it must not quote the value.
pub(super) fn faults(errors: &ValidationErrors) -> Vec<FieldFault> {
    let mut faults = Vec::new();
    collect(errors, "", &mut faults);
    faults.sort();
    faults
}

fn collect(errors: &ValidationErrors, at: &str, faults: &mut Vec<FieldFault>) {
    for (name, found) in errors.errors() {
        // `__all__` is how `validator` calls the whole struct.
        let place = if name == "__all__" { at.to_owned() } else { join(at, wire_name(name)) };
        match found {
            Found::Struct(inner) => collect(inner, &place, faults),
            Found::List(items) => {
                for (index, inner) in items {
                    collect(inner, &format!("{place}/{index}"), faults);
                }
            }
            Found::Field(broken) => faults.extend(broken.iter().map(|rule| {
                let (code, detail) = said(rule);
                FieldFault::new(place.clone(), code, detail)
            })),
        }
    }
}

/// Members are called as their fields; a field that is a keyword has a prefix in Rust.
fn wire_name(name: &str) -> &str {
    name.strip_prefix("r#").unwrap_or(name)
}

fn said(rule: &ValidationError) -> (FieldCode, String) {
    let number = |name: &str| rule.params.get(name).and_then(Value::as_u64);
    let named = CODES.iter().copied().find(|code| code.as_str() == rule.code);
    let (code, standing) = match rule.code.as_ref() {
        _ if named.is_some() => (named.unwrap_or(FieldCode::NotAllowed), "This is not allowed."),
        "length" => return length(rule, number("min"), number("max").or(number("equal"))),
        "range" => (FieldCode::OutOfRange, "The number is out of range."),
        "email" | "url" | "regex" | "non_control_character" | "ip" | "ipv4" | "ipv6" => {
            (FieldCode::InvalidFormat, "This is not of the right form.")
        }
        _ => (FieldCode::NotAllowed, "This is not allowed."),
    };
    (code, rule.message.as_deref().unwrap_or(standing).to_owned())
}

fn length(rule: &ValidationError, min: Option<u64>, max: Option<u64>) -> (FieldCode, String) {
    let have = match rule.params.get("value") {
        Some(Value::String(text)) => text.chars().count(),
        Some(Value::Array(items)) => items.len(),
        Some(Value::Object(members)) => members.len(),
        _ => 0,
    };
    match (min, max) {
        (_, Some(max)) if u64::try_from(have).unwrap_or(u64::MAX) > max => {
            (FieldCode::TooLong, format!("At most {max} characters."))
        }
        (Some(min), _) | (None, Some(min)) => {
            (FieldCode::TooShort, format!("At least {min} characters."))
        }
        (None, None) => (FieldCode::InvalidFormat, "This is not of the right form.".to_owned()),
    }
}

/// The path that serde took, as an RFC 6901 pointer.
pub(super) fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let mut at = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => at = format!("{at}/{index}"),
            Segment::Map { key } | Segment::Enum { variant: key } => at = join(&at, key),
            Segment::Unknown => {}
        }
    }
    at
}
