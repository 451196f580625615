//! Shapes: the schemas of the document, compiled, and the faults that they find.
//!
//! The schema that checks is the one that is published, so the document says neither more nor less
//! than the service does. Faults carry pointers and never a value.

use std::any::TypeId;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use jsonschema::error::ValidationErrorKind as Rule;
use jsonschema::{PatternOptions, ValidationError, Validator};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use crate::domain::fields::{FieldCode, FieldFault};
use crate::domain::json::join;
use crate::fault::Fault;

/// LIMIT: 64 KiB hold 10 000 unknown members; nobody reads more than these.
const FAULTS_MAX: usize = 100;

/// One entry a type: as many as there are in the source.
type Compiled = RwLock<HashMap<TypeId, Arc<Shape>>>;
static SHAPES: LazyLock<Compiled> = LazyLock::new(Compiled::default);

/// A compiled schema.
pub(crate) struct Shape(Validator);

impl Shape {
    /// The shape of a body, compiled at its first use.
    pub(crate) fn of_body<T: ToSchema + 'static>() -> Result<Arc<Self>, Fault> {
        Self::cached(TypeId::of::<T>(), schema_of::<T>)
    }

    /// The shape under `key`, or the one made of `schema`.
    pub(crate) fn cached(
        key: TypeId,
        schema: impl FnOnce() -> Result<Value, Fault>,
    ) -> Result<Arc<Self>, Fault> {
        let known = SHAPES.read().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if let Some(shape) = known {
            return Ok(shape);
        }
        let shape = Arc::new(Self::compile(&schema()?)?);
        let mut shapes = SHAPES.write().unwrap_or_else(PoisonError::into_inner);
        Ok(Arc::clone(shapes.entry(key).or_insert(shape)))
    }

    /// Compiles a schema of draft 2020-12 that stands on nothing outside itself.
    pub(crate) fn compile(schema: &Value) -> Result<Self, Fault> {
        // SECURITY: INP-19. Patterns match in linear time, and references stay inside.
        jsonschema::draft202012::options()
            .should_validate_formats(true)
            .with_pattern_options(PatternOptions::regex())
            .offline()
            .build(schema)
            .map(Self)
            .map_err(|error| Fault::internal(error.to_string()))
    }

    /// Everything that is wrong with `value`, in no order.
    pub(crate) fn faults(&self, value: &Value) -> Vec<FieldFault> {
        let mut faults = Vec::new();
        for error in self.0.iter_errors(value) {
            collect(&error, &mut faults);
            if faults.len() >= FAULTS_MAX {
                faults.truncate(FAULTS_MAX);
                break;
            }
        }
        faults
    }
}

/// The schema of `T` with everything that it refers to.
fn schema_of<T: ToSchema>() -> Result<Value, Fault> {
    let mut parts = Vec::new();
    T::schemas(&mut parts);
    let mut schemas = Map::new();
    for (name, schema) in parts {
        schemas.insert(name, serde_json::to_value(schema).map_err(Fault::internal)?);
    }
    let mut root = serde_json::to_value(T::schema()).map_err(Fault::internal)?;
    if let Some(members) = root.as_object_mut() {
        members.insert("components".to_owned(), json!({ "schemas": schemas }));
    }
    Ok(root)
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "a foreign list: what is none of ours is a form"
)]
fn collect(error: &ValidationError<'_>, faults: &mut Vec<FieldFault>) {
    let at = error.instance_path().to_string();
    match error.kind() {
        Rule::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            faults.push(fault(join(&at, name), FieldCode::Required, "This member is missing."));
        }
        Rule::AdditionalProperties { unexpected } | Rule::UnevaluatedProperties { unexpected } => {
            for name in unexpected.iter().take(FAULTS_MAX) {
                let detail = "This member is not one of this call's.";
                faults.push(fault(join(&at, name), FieldCode::UnknownMember, detail));
            }
        }
        Rule::AnyOf { context } | Rule::OneOfNotValid { context } => {
            collect_branch(&at, context, faults);
        }
        Rule::PropertyNames { error } => collect(error, faults),
        rule => {
            let (code, detail) = said(rule);
            faults.push(FieldFault::new(at, code, detail));
        }
    }
}

/// Of several schemas, the faults of the first one that takes values of this type at all.
fn collect_branch(
    at: &str,
    branches: &[Vec<ValidationError<'static>>],
    faults: &mut Vec<FieldFault>,
) {
    let is_of_type = |errors: &&Vec<ValidationError<'static>>| {
        let differs = |error: &ValidationError<'_>| {
            matches!(error.kind(), Rule::Type { .. }) && error.instance_path().to_string() == at
        };
        !errors.iter().any(differs)
    };
    match branches.iter().find(is_of_type) {
        Some(errors) => errors.iter().for_each(|error| collect(error, faults)),
        None => faults.push(fault(at.to_owned(), FieldCode::WrongType, WRONG_TYPE)),
    }
}

const WRONG_TYPE: &str = "This is of another type than it must be.";

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "a foreign list: what is none of ours is a form"
)]
fn said(rule: &Rule) -> (FieldCode, String) {
    let text = |code: FieldCode, detail: &str| (code, detail.to_owned());
    match rule {
        Rule::Type { .. } => text(FieldCode::WrongType, WRONG_TYPE),
        Rule::MaxLength { limit } => (FieldCode::TooLong, format!("At most {limit} characters.")),
        Rule::MinLength { limit } => (FieldCode::TooShort, format!("At least {limit} characters.")),
        Rule::MaxItems { limit } => (FieldCode::TooLong, format!("At most {limit} items.")),
        Rule::MinItems { limit } => (FieldCode::TooShort, format!("At least {limit} items.")),
        Rule::MaxProperties { limit } => (FieldCode::TooLong, format!("At most {limit} members.")),
        Rule::MinProperties { limit } => {
            (FieldCode::TooShort, format!("At least {limit} members."))
        }
        Rule::Maximum { limit } => (FieldCode::OutOfRange, format!("At most {limit}.")),
        Rule::Minimum { limit } => (FieldCode::OutOfRange, format!("At least {limit}.")),
        Rule::ExclusiveMaximum { limit } => (FieldCode::OutOfRange, format!("Less than {limit}.")),
        Rule::ExclusiveMinimum { limit } => (FieldCode::OutOfRange, format!("More than {limit}.")),
        Rule::MultipleOf { .. } => text(FieldCode::OutOfRange, "Not one of the allowed steps."),
        Rule::Enum { .. } | Rule::Constant { .. } => {
            text(FieldCode::NotAllowed, "Not one of the allowed values.")
        }
        Rule::FalseSchema | Rule::Not { .. } | Rule::OneOfMultipleValid { .. } => {
            text(FieldCode::NotAllowed, "Not allowed here.")
        }
        _ => text(FieldCode::InvalidFormat, "This is not of the right form."),
    }
}

fn fault(at: String, code: FieldCode, detail: &str) -> FieldFault {
    FieldFault::new(at, code, detail)
}
