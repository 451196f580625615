//! `Idempotency-Key`: the header, and the answers that are given again (HTTP-17).

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};

use utoipa::IntoParams;

use super::answer::json;
use super::problem::{Kind, Problem, REPLAYED};
use crate::domain::fields::{FieldCode, FieldFault};
use crate::fault::Fault;
use crate::flows::idempotency::{IdempotencyError, Kept};

const KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// LIMIT: api.md, section 1.
const KEY_CHARS_MAX: usize = 128;

/// The header, in the document.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "only described; the header is read by `key`")]
pub(crate) struct KeyParameter {
    /// Names this call, 1 to 128 visible ASCII characters: within 24 hours the same key with the same body
    /// gets the first answer again, and nothing is done twice.
    #[param(rename = "Idempotency-Key", required = false)]
    key: Option<String>,
}

/// The key of a request: 400 unless it is one of 1 to 128 visible ASCII characters.
pub(crate) fn key(request: &HttpRequest) -> Result<Option<String>, Problem> {
    let malformed = || {
        Problem::new(Kind::MalformedRequest)
            .with_detail("Idempotency-Key is not one key of 1 to 128 visible ASCII characters.")
    };
    let mut values = request.headers().get_all(KEY);
    let Some(value) = values.next() else { return Ok(None) };
    let bytes = value.as_bytes();
    let is_key = (1..=KEY_CHARS_MAX).contains(&bytes.len())
        && bytes.iter().all(u8::is_ascii_graphic)
        && values.next().is_none();
    let text = value.to_str().ok().filter(|_| is_key).ok_or_else(malformed)?;
    Ok(Some(text.to_owned()))
}

/// The first answer once more, with the request id of this call.
pub(crate) fn again(kept: Kept) -> Result<HttpResponse, Problem> {
    match kept {
        Kept::Answer { status, body } => {
            let status = StatusCode::from_u16(status).map_err(Fault::internal)?;
            let mut answer = json(status, &body);
            answer
                .headers_mut()
                .insert(HeaderName::from_static(REPLAYED), HeaderValue::from_static("true"));
            Ok(answer)
        }
        Kept::Conflict { code, pointers } => {
            let kind = Kind::ALL.iter().copied().find(|kind| kind.code() == code);
            let kind = kind.ok_or_else(|| Fault::internal("a kept answer has an unknown code"))?;
            Err(Problem::new(kind).with_faults(taken(pointers)).replayed())
        }
    }
}

/// One line of `errors` for each value that somebody else has.
pub(crate) fn taken(pointers: Vec<String>) -> Vec<FieldFault> {
    let fault = |pointer| FieldFault::new(pointer, FieldCode::Taken, "Somebody else has this.");
    pointers.into_iter().map(fault).collect()
}

impl From<IdempotencyError> for Problem {
    fn from(error: IdempotencyError) -> Self {
        match error {
            IdempotencyError::KeyReused => Kind::IdempotencyKeyReused.into(),
            IdempotencyError::InProgress => Kind::IdempotencyInProgress.into(),
            IdempotencyError::Fault(fault) => Self::internal(fault),
        }
    }
}
