//! JSON bodies: size, media type, time, one JSON text, the shape that the document promises, values.
//!
//! A [`Body`] is extracted unread, so that a handler keeps the order of checks of api.md, section 1:
//! it looks at the token, then calls [`Body::read`], or the steps of it one by one.

mod media;
mod rules;
pub(crate) mod shape;

use std::future::{Ready, ready};
use std::marker::PhantomData;
use std::time::Duration;

use actix_web::http::header;
use actix_web::web::{Bytes, Data, Payload};
use actix_web::{FromRequest, HttpRequest, dev};
use serde::de::DeserializeOwned;
use serde_json::Value;
use utoipa::ToSchema;
use validator::Validate;

use self::shape::Shape;
use super::problem::{Kind, Problem};
use super::query;
use super::settings::Frame;
use crate::domain::fields::{FieldCode, FieldFault};
use crate::domain::json::{self, JsonFault};
use crate::fault::Fault;

/// What a body can be made into: its schema is in the document, and checks it.
pub trait Incoming: DeserializeOwned + ToSchema + Validate + 'static {}

impl<T: DeserializeOwned + ToSchema + Validate + 'static> Incoming for T {}

/// A body that was not read yet.
pub struct Body<T> {
    request: HttpRequest,
    payload: Payload,
    becomes: PhantomData<fn() -> T>,
}

/// A body that is one JSON text, with its shape not checked yet.
pub struct Received<T> {
    value: Value,
    numbers: Vec<FieldFault>,
    query: Vec<FieldFault>,
    becomes: PhantomData<fn() -> T>,
}

impl<T: Incoming> Body<T> {
    /// Reads and checks the body, from its size to its values.
    pub async fn read(self) -> Result<T, Problem> {
        self.admit()?;
        self.receive().await?.check()
    }

    /// The same, and `None` if there is no body at all; its media type does not matter then.
    pub async fn read_if_any(self) -> Result<Option<T>, Problem> {
        if self.is_absent() {
            query::nothing(&self.request)?;
            return Ok(None);
        }
        self.read().await.map(Some)
    }

    /// Whether the request has no body: neither a length above zero nor chunks.
    pub fn is_absent(&self) -> bool {
        let headers = self.request.headers();
        let is_empty = headers.get(header::CONTENT_LENGTH).is_none_or(|length| length == "0");
        is_empty && !headers.contains_key(header::TRANSFER_ENCODING)
    }

    /// Checks the declared size, the media type and that nothing is compressed; reads nothing.
    pub fn admit(&self) -> Result<(), Problem> {
        let limit = frame(&self.request)?.settings.body_bytes_max;
        if declared(&self.request).is_some_and(|length| length > limit) {
            return Err(Problem::new(Kind::BodyTooLarge).closing());
        }
        media::check(&self.request)
    }

    /// Reads the body and takes it for JSON. Call [`Body::admit`] first.
    pub async fn receive(self) -> Result<Received<T>, Problem> {
        let settings = &frame(&self.request)?.settings;
        let (limit, within) = (settings.body_bytes_max, settings.body_timeout);
        let query = query::strays(&self.request)?;
        let bytes = collect(self.payload, limit, within).await?;
        let (value, numbers) = parsed(&bytes)?;
        Ok(Received { value, numbers, query, becomes: PhantomData })
    }
}

impl<T: Incoming> Received<T> {
    /// The JSON as it came: a merge patch tells `null` from nothing. It has any shape until
    /// [`Received::check`] agreed, and is `null` if a number in it cannot be computed with.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// Checks the shape and the values; one problem lists all faults.
    pub fn check(self) -> Result<T, Problem> {
        if !self.numbers.is_empty() {
            return Err(Problem::validation(self.numbers).with_parameter_faults(self.query));
        }
        let mut faults = Shape::of_body::<T>()?.faults(&self.value);
        faults.extend(json::find_nul(&self.value).into_iter().map(nul));
        if !faults.is_empty() || !self.query.is_empty() {
            return Err(Problem::validation(one_a_place(faults)).with_parameter_faults(self.query));
        }
        into_checked(self.value).map_err(Problem::validation)
    }
}

impl<T: 'static> FromRequest for Body<T> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut dev::Payload) -> Self::Future {
        let payload = Payload::from_request(request, payload).into_inner();
        ready(match payload {
            Ok(payload) => Ok(Self { request: request.clone(), payload, becomes: PhantomData }),
            Err(error) => Err(Fault::internal(error.to_string()).into()),
        })
    }
}

/// Makes the type and asks `validator`; for values whose shape was found right.
pub(crate) fn into_checked<T>(value: Value) -> Result<T, Vec<FieldFault>>
where
    T: DeserializeOwned + Validate,
{
    let made: T = serde_path_to_error::deserialize(value).map_err(|error| {
        // SECURITY: HTTP-01. The message quotes the value: only the place goes out.
        let code = FieldCode::InvalidFormat;
        vec![FieldFault::new(rules::pointer(error.path()), code, "This is not of the right form.")]
    })?;
    made.validate().map_err(|errors| rules::faults(&errors))?;
    Ok(made)
}

/// Keeps one fault for each place: a text in place of a number is not also out of range.
pub(crate) fn one_a_place(mut faults: Vec<FieldFault>) -> Vec<FieldFault> {
    faults.sort();
    faults.dedup_by(|next, kept| next.pointer == kept.pointer);
    faults
}

/// The frame that the edge stands on.
pub(crate) fn frame(request: &HttpRequest) -> Result<&Data<Frame>, Problem> {
    let frame = request.app_data::<Data<Frame>>();
    frame.ok_or_else(|| Fault::internal("the application has no frame").into())
}

pub(crate) fn nul(pointer: String) -> FieldFault {
    FieldFault::new(pointer, FieldCode::InvalidFormat, "U+0000 is not allowed.")
}

fn declared(request: &HttpRequest) -> Option<usize> {
    request.headers().get(header::CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok()
}

// SECURITY: INP-06, HTTP-12. A body has a limit whether declared or not, and a deadline of its own:
// that of the server covers the head only.
async fn collect(payload: Payload, limit: usize, within: Duration) -> Result<Bytes, Problem> {
    let arrived = tokio::time::timeout(within, payload.to_bytes_limited(limit)).await;
    match arrived {
        Ok(Ok(Ok(bytes))) => Ok(bytes),
        Ok(Ok(Err(_))) => Err(Problem::new(Kind::MalformedRequest)
            .with_detail("The body did not arrive in whole.")
            .closing()),
        Ok(Err(_)) => Err(Problem::new(Kind::BodyTooLarge).closing()),
        Err(_) => Err(Problem::new(Kind::RequestTimeout).closing()),
    }
}

/// The value, or `null` and the numbers that no value can hold: a 422, which is said later.
fn parsed(bytes: &[u8]) -> Result<(Value, Vec<FieldFault>), Problem> {
    let too_large = |at| FieldFault::new(at, FieldCode::OutOfRange, "The number is out of range.");
    match json::parse(bytes) {
        Ok(value) => Ok((value, Vec::new())),
        Err(JsonFault::OutOfRange(at)) => {
            Ok((Value::Null, at.into_iter().map(too_large).collect()))
        }
        Err(fault @ JsonFault::NotJson(_)) => {
            Err(Problem::new(Kind::MalformedRequest).with_detail(fault.to_string()))
        }
    }
}

#[cfg(test)]
mod tests;
