//! From what the schema engine found to the faults of the wire, without the rejected values.

use jsonschema::ValidationError;
use jsonschema::error::ValidationErrorKind as Kind;
use serde_json::Value;

use crate::domain::fields::{FieldCode, FieldFault};
use crate::domain::json;

/// LIMIT: ours; a body of 64 KiB can hold ten thousand faults, and nobody reads them.
const FAULTS_MAX: usize = 100;

/// All faults, in no order.
pub(super) fn collect<'a>(
    errors: impl Iterator<Item = ValidationError<'a>>,
    at: &str,
) -> Vec<FieldFault> {
    let mut found = Vec::new();
    for error in errors {
        translate(&error, at, &mut found);
    }
    found
}

/// Sorted, each once, and no more than a reader takes in.
pub(super) fn tidy(mut found: Vec<FieldFault>) -> Vec<FieldFault> {
    found.sort_unstable();
    found.dedup();
    found.truncate(FAULTS_MAX);
    found
}

/// The fault of a member that nobody declared; its pointer names it.
pub(super) fn unknown_member(at: &str, name: &str) -> FieldFault {
    FieldFault::new(
        json::join(at, name),
        FieldCode::UnknownMember,
        "This member is not known here.",
    )
}

fn translate(error: &ValidationError<'_>, at: &str, found: &mut Vec<FieldFault>) {
    let pointer = format!("{at}{}", error.instance_path().as_str());
    match error.kind() {
        Kind::AdditionalProperties { unexpected } | Kind::UnevaluatedProperties { unexpected } => {
            found.extend(unexpected.iter().map(|name| unknown_member(&pointer, name)));
        }
        Kind::Required { property: Value::String(name) } => {
            let detail = "This member is missing.";
            found.push(FieldFault::new(json::join(&pointer, name), FieldCode::Required, detail));
        }
        // The library's text for a bad name is the name's own, unmasked.
        Kind::PropertyNames { .. } => {
            let detail = "A member's name is not allowed here.";
            found.push(FieldFault::new(pointer, FieldCode::NotAllowed, detail));
        }
        kind => found.push(FieldFault::new(pointer, code(kind), sentence(error))),
    }
}

/// The masked text as a sentence: limits and allowed values, never the value.
fn sentence(error: &ValidationError<'_>) -> String {
    let text = match error.kind() {
        Kind::Custom { message, .. } => message.clone(),
        _ => error.masked_with("value").to_string(),
    };
    let mut chars = text.chars();
    let first = chars.next().map(char::to_uppercase).into_iter().flatten();
    first.chain(chars).chain(std::iter::once('.')).collect()
}

fn code(kind: &Kind) -> FieldCode {
    match kind {
        Kind::Type { .. } => FieldCode::WrongType,
        Kind::Required { .. } => FieldCode::Required,
        Kind::MinLength { .. } | Kind::MinItems { .. } | Kind::MinProperties { .. } => {
            FieldCode::TooShort
        }
        // The only keywords of our own are upper bounds of size.
        Kind::MaxLength { .. }
        | Kind::MaxItems { .. }
        | Kind::MaxProperties { .. }
        | Kind::AdditionalItems { .. }
        | Kind::UnevaluatedItems { .. }
        | Kind::Custom { .. } => FieldCode::TooLong,
        Kind::Maximum { .. }
        | Kind::Minimum { .. }
        | Kind::ExclusiveMaximum { .. }
        | Kind::ExclusiveMinimum { .. }
        | Kind::MultipleOf { .. } => FieldCode::OutOfRange,
        Kind::Format { .. }
        | Kind::Pattern { .. }
        | Kind::ContentEncoding { .. }
        | Kind::ContentMediaType { .. }
        | Kind::FromUtf8 { .. }
        | Kind::BacktrackLimitExceeded { .. }
        | Kind::RegexEngineFailure { .. } => FieldCode::InvalidFormat,
        Kind::AdditionalProperties { .. } | Kind::UnevaluatedProperties { .. } => {
            FieldCode::UnknownMember
        }
        Kind::Enum { .. }
        | Kind::Constant { .. }
        | Kind::AnyOf { .. }
        | Kind::OneOfMultipleValid { .. }
        | Kind::OneOfNotValid { .. }
        | Kind::Not { .. }
        | Kind::FalseSchema
        | Kind::Contains
        | Kind::UniqueItems
        | Kind::PropertyNames { .. }
        | Kind::Referencing(_) => FieldCode::NotAllowed,
    }
}
