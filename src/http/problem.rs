//! Problems (RFC 9457): everything that an answer says instead of yes.
//!
//! A handler returns a [`Problem`]; the edge adds the request id and writes the body, so there is
//! one place that knows its form. A fault inside is logged there, once, and never leaves the service.

pub mod pages;
mod table;

use std::borrow::Cow;
use std::fmt;

use actix_web::body::BoxBody;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, Responder, ResponseError};
use serde::{Serialize, Serializer};

pub use self::table::{Kind, Row};
use crate::domain::fields::{FieldCode, FieldFault};
use crate::fault::{Fault, FaultKind};

/// The media type of a problem (RFC 9457, section 3).
pub const MEDIA_TYPE: &str = "application/problem+json";

/// On an answer that was given before (api.md, section 1).
pub(crate) const REPLAYED: &str = "idempotency-replayed";

/// LIMIT: a client that is told to wait for capacity waits at most this long, in seconds.
const RETRY_AFTER_S_MAX: u64 = 3;

/// What there is to do before the call can succeed (`next` on the wire).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Next {
    /// Prove the mailbox.
    VerifyEmail,
    /// Type the password again.
    Reauthenticate,
}

/// Where a fault lies.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Pointer(String),
    Parameter(String),
}

/// One line of `errors`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Line {
    place: Place,
    code: FieldCode,
    detail: String,
}

/// One occurrence of a problem.
#[derive(Debug)]
pub struct Problem(Box<Occurrence>);

/// Behind a pointer, since every `Result` of this room has the size of its larger half.
#[derive(Debug)]
struct Occurrence {
    kind: Kind,
    detail: Option<Cow<'static, str>>,
    lines: Vec<Line>,
    next: Vec<Next>,
    retry_after_s: Option<u64>,
    allow: Option<String>,
    closes: bool,
    is_replay: bool,
    fault: Option<Fault>,
}

impl Problem {
    /// A problem of this kind with its standing detail.
    pub fn new(kind: Kind) -> Self {
        Self(Box::new(Occurrence {
            kind,
            detail: None,
            lines: Vec::new(),
            next: Vec::new(),
            retry_after_s: None,
            allow: None,
            closes: false,
            is_replay: false,
            fault: None,
        }))
    }

    /// A problem that goes away after `retry_after_s` seconds.
    pub fn retry(kind: Kind, retry_after_s: u64) -> Self {
        let mut problem = Self::new(kind);
        problem.0.retry_after_s = Some(retry_after_s);
        problem
    }

    /// A fault: 500 or 503 by its kind, logged at the edge.
    pub fn internal(fault: Fault) -> Self {
        let kind = match fault.kind() {
            FaultKind::Internal => Kind::Internal,
            FaultKind::Unavailable => Kind::Unavailable,
            FaultKind::Overloaded => Kind::Overloaded,
        };
        let mut problem = Self::new(kind);
        problem.0.fault = Some(fault);
        problem
    }

    /// 422 `validation_failed` with all faults of the body, sorted.
    pub fn validation(faults: Vec<FieldFault>) -> Self {
        Self::new(Kind::ValidationFailed).with_faults(faults)
    }

    /// 422 `validation_failed` with all faults of the query; their pointers are parameter names.
    pub fn parameters(faults: Vec<FieldFault>) -> Self {
        Self::new(Kind::ValidationFailed).with_parameter_faults(faults)
    }

    /// 405 with the methods that the path takes.
    pub fn not_allowed(allow: impl Into<String>) -> Self {
        let mut problem = Self::new(Kind::MethodNotAllowed);
        problem.0.allow = Some(allow.into());
        problem
    }

    /// Replaces the standing detail; the text must not quote what was sent.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.0.detail = Some(detail.into());
        self
    }

    /// Adds faults of the body.
    #[must_use]
    pub fn with_faults(mut self, faults: Vec<FieldFault>) -> Self {
        self.0.lines.extend(faults.into_iter().map(|fault| Line {
            place: Place::Pointer(fault.pointer),
            code: fault.code,
            detail: fault.detail,
        }));
        self.0.lines.sort();
        self
    }

    /// Adds faults of the query; their pointers are parameter names.
    #[must_use]
    pub fn with_parameter_faults(mut self, faults: Vec<FieldFault>) -> Self {
        self.0.lines.extend(faults.into_iter().map(|fault| Line {
            place: Place::Parameter(fault.pointer),
            code: fault.code,
            detail: fault.detail,
        }));
        self.0.lines.sort();
        self
    }

    /// Says what to do first.
    #[must_use]
    pub fn with_next(mut self, next: Next) -> Self {
        self.0.next.push(next);
        self
    }

    /// Closes the connection after the answer.
    #[must_use]
    pub fn closing(mut self) -> Self {
        self.0.closes = true;
        self
    }

    /// Says that it is the first answer once more (HTTP-17).
    #[must_use]
    pub fn replayed(mut self) -> Self {
        self.0.is_replay = true;
        self
    }

    /// The kind.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The fault inside, for the log.
    pub fn fault(&self) -> Option<&Fault> {
        self.0.fault.as_ref()
    }

    /// Writes the answer. `idle_s` (1 to 3) is the pause asked of a client where nobody knows better.
    pub(crate) fn answer(&self, public_url: &str, request_id: &str, idle_s: u64) -> HttpResponse {
        let row = self.0.kind.row();
        let wire = Wire {
            kind: format!("{public_url}/problems/{}", row.code),
            title: row.title,
            status: row.status,
            code: row.code,
            detail: self.0.detail.as_deref().unwrap_or(row.detail),
            request_id,
            errors: &self.0.lines,
            next: &self.0.next,
        };
        let mut answer = HttpResponse::build(self.status_code());
        if self.0.closes {
            answer.force_close();
        }
        if self.0.is_replay {
            answer.insert_header((REPLAYED, "true"));
        }
        if let Some(challenge) = self.challenge() {
            answer.insert_header((header::WWW_AUTHENTICATE, challenge));
        }
        if let Some(allow) = self.0.allow.as_ref().and_then(|text| HeaderValue::from_str(text).ok())
        {
            answer.insert_header((header::ALLOW, allow));
        }
        if let Some(seconds) = self.pause(idle_s) {
            answer.insert_header((header::RETRY_AFTER, seconds.to_string()));
        }
        let body = serde_json::to_vec(&wire).unwrap_or_default();
        answer.content_type(MEDIA_TYPE).body(body)
    }

    // SECURITY: JWT-19. `error` only for a bad access token, else clients throw a good one away.
    fn challenge(&self) -> Option<HeaderValue> {
        match (self.0.kind, self.0.kind.row().status) {
            (Kind::AccessTokenInvalid, _) => Some(HeaderValue::from_static(
                r#"Bearer realm="portcullis", error="invalid_token""#,
            )),
            (_, 401) => Some(HeaderValue::from_static(r#"Bearer realm="portcullis""#)),
            (_, _) => None,
        }
    }

    fn pause(&self, idle_s: u64) -> Option<u64> {
        match self.0.kind.row().status {
            503 => Some(self.0.retry_after_s.unwrap_or(idle_s).clamp(1, RETRY_AFTER_S_MAX)),
            429 => Some(self.0.retry_after_s.unwrap_or(1).max(1)),
            _ => self.0.retry_after_s,
        }
    }
}

/// The body; the order of the members is the order here.
#[derive(Serialize)]
struct Wire<'a> {
    #[serde(rename = "type")]
    kind: String,
    title: &'static str,
    status: u16,
    code: &'static str,
    detail: &'a str,
    request_id: &'a str,
    #[serde(skip_serializing_if = "<[Line]>::is_empty")]
    errors: &'a [Line],
    #[serde(skip_serializing_if = "<[Next]>::is_empty")]
    next: &'a [Next],
}

impl Serialize for Line {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut line = serializer.serialize_struct("Line", 3)?;
        match &self.place {
            Place::Pointer(pointer) => line.serialize_field("pointer", pointer)?,
            Place::Parameter(name) => line.serialize_field("parameter", name)?,
        }
        line.serialize_field("code", self.code.as_str())?;
        line.serialize_field("detail", &self.detail)?;
        line.end()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.kind.code())
    }
}

impl From<Kind> for Problem {
    fn from(kind: Kind) -> Self {
        Self::new(kind)
    }
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        Self::internal(fault)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.0.kind.row().status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse<BoxBody> {
        // The edge finds the problem in the response and writes it with the request id.
        HttpResponse::new(self.status_code())
    }
}

impl Responder for Problem {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        HttpResponse::from_error(self)
    }
}

#[cfg(test)]
mod tests;
