//! Query parameters: each at most once (400), none that the call does not know (422), values checked
//! against the schema of the document (422, with `parameter` in place of `pointer`).
//!
//! Like a body, a [`Query`] is extracted unread: the token is looked at first.

use std::any::TypeId;
use std::collections::BTreeMap;
use std::future::{Ready, ready};
use std::marker::PhantomData;

use actix_web::{FromRequest, HttpRequest, dev};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use utoipa::IntoParams;
use utoipa::openapi::path::{Parameter, ParameterIn};
use validator::Validate;

use super::body::shape::Shape;
use super::body::{into_checked, nul, one_a_place};
use super::problem::{Kind, Problem};
use crate::domain::fields::{FieldCode, FieldFault};
use crate::domain::json;
use crate::fault::Fault;

/// LIMIT: as many faults as a body lists.
const FAULTS_MAX: usize = 100;

/// A query that was not read yet.
pub struct Query<T> {
    request: HttpRequest,
    becomes: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned + IntoParams + Validate + 'static> Query<T> {
    /// Reads and checks the parameters; one problem lists all faults.
    pub fn read(&self) -> Result<T, Problem> {
        let pairs = pairs(self.request.query_string())?;
        let parameters = T::into_params(|| Some(ParameterIn::Query));
        let key = TypeId::of::<Self>();
        let shape = Shape::cached(key, || schema_of(&parameters))?;
        let value = typed(pairs, &parameters);
        let mut faults = shape.faults(&value);
        faults.extend(json::find_nul(&value).into_iter().map(nul));
        if faults.is_empty() {
            return into_checked(value).map_err(|faults| Problem::parameters(named(faults)));
        }
        Err(Problem::parameters(named(one_a_place(faults))))
    }
}

impl<T: 'static> FromRequest for Query<T> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut dev::Payload) -> Self::Future {
        ready(Ok(Self { request: request.clone(), becomes: PhantomData }))
    }
}

/// For calls that take no parameters: refuses any.
pub fn nothing(request: &HttpRequest) -> Result<(), Problem> {
    let faults = strays(request)?;
    if faults.is_empty() { Ok(()) } else { Err(Problem::parameters(faults)) }
}

/// The parameters of a call that takes none, as faults.
pub(crate) fn strays(request: &HttpRequest) -> Result<Vec<FieldFault>, Problem> {
    let names = pairs(request.query_string())?.into_keys().take(FAULTS_MAX);
    let detail = "This parameter is not one of this call's.";
    Ok(names.map(|name| FieldFault::new(name, FieldCode::UnknownMember, detail)).collect())
}

// SECURITY: INP-14. A name that stands twice is refused: two readers could take different ones.
fn pairs(query: &str) -> Result<BTreeMap<String, String>, Problem> {
    let mut pairs = BTreeMap::new();
    for piece in query.split('&').filter(|piece| !piece.is_empty()) {
        let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
        let (Some(name), Some(value)) = (decoded(name), decoded(value)) else {
            return Err(Problem::new(Kind::MalformedRequest)
                .with_detail("The query is not percent-encoded UTF-8."));
        };
        if pairs.insert(name, value).is_some() {
            return Err(
                Problem::new(Kind::MalformedRequest).with_detail("A query parameter stands twice.")
            );
        }
    }
    Ok(pairs)
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let (high, low) = (digit(bytes.next()?)?, digit(bytes.next()?)?);
                high << 4 | low
            }
            byte => byte,
        });
    }
    String::from_utf8(out).ok()
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// The parameters as one object schema.
fn schema_of(parameters: &[Parameter]) -> Result<Value, Fault> {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for parameter in parameters {
        let schema = serde_json::to_value(&parameter.schema).map_err(Fault::internal)?;
        properties.insert(parameter.name.clone(), schema);
        if parameter.required == utoipa::openapi::Required::True {
            required.push(parameter.name.clone());
        }
    }
    Ok(json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    }))
}

/// Reads numbers and booleans where the schema asks for them; what is none stays a text.
fn typed(pairs: BTreeMap<String, String>, parameters: &[Parameter]) -> Value {
    let takes = |name: &str, kind: &str| {
        let parameter = parameters.iter().find(|parameter| parameter.name == name);
        let schema = parameter.and_then(|found| serde_json::to_value(&found.schema).ok());
        schema.and_then(|schema| schema.get("type").cloned()).is_some_and(|types| {
            types == kind || types.as_array().is_some_and(|all| all.iter().any(|one| one == kind))
        })
    };
    let value = |name: &str, text: String| {
        let number = || text.parse::<i64>().map(Value::from).or_else(|_| text.parse().map(float));
        match text.as_str() {
            "true" | "false" if takes(name, "boolean") => Value::Bool(text == "true"),
            _ if takes(name, "integer") || takes(name, "number") => {
                number().unwrap_or(Value::String(text))
            }
            _ => Value::String(text),
        }
    };
    pairs
        .into_iter()
        .map(|(name, text)| {
            let value = value(&name, text);
            (name, value)
        })
        .collect()
}

/// A number that no `i64` holds; infinity is beyond every bound, so the largest number stands for it.
fn float(number: f64) -> Value {
    if number.is_nan() { Value::Null } else { Value::from(number.clamp(f64::MIN, f64::MAX)) }
}

/// Pointers into an object of one level, as the names of its members.
fn named(faults: Vec<FieldFault>) -> Vec<FieldFault> {
    let name = |pointer: &str| {
        pointer.strip_prefix('/').unwrap_or(pointer).replace("~1", "/").replace("~0", "~")
    };
    faults.into_iter().map(|fault| FieldFault { pointer: name(&fault.pointer), ..fault }).collect()
}

#[cfg(test)]
mod tests;
