//! The edge: what happens to every request before its route and to every answer after it.
//!
//! Id, span, host rule; then the route; then the problem's body, a late 503, headers, one line in the
//! log, two metrics. A fault is logged here, once, and nowhere else.

pub(crate) mod guard;
mod headers;
mod host;
pub(crate) mod late;
mod report;
mod sent;
mod unread;

use std::sync::Arc;

use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{Error, HttpMessage, HttpResponse, error};
use tokio::time::Instant;
use tracing::Instrument;

pub use self::headers::DOCS_CSP;
use self::sent::until_sent;
use self::unread::Held;
use super::context::Context;
use super::heads::Turn;
use super::problem::{Kind, Problem};
use super::settings::Frame;
use crate::fault::{Fault, FaultKind};

/// LIMIT: api.md, section 1.
const REQUEST_ID_CHARS_MAX: usize = 64;

/// The middleware around the whole application.
pub(crate) async fn edge(
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse, Error> {
    let frame = request.app_data::<Data<Frame>>().cloned();
    let frame = frame.ok_or_else(|| error::ErrorInternalServerError("no frame"))?;
    let context = Context { request_id: request_id(&request, &frame), started: Instant::now() };
    request.extensions_mut().insert(context.clone());
    let span = tracing::info_span!("request", request_id = %context.request_id);
    pass(request, next, &frame, &context).instrument(span).await
}

async fn pass(
    mut request: ServiceRequest,
    next: Next<BoxBody>,
    frame: &Frame,
    context: &Context,
) -> Result<ServiceResponse, Error> {
    let answering = request.conn_data::<Turn>().map(Turn::answering);
    let held = Held::of(&mut request);
    let response = match host::check(request.request(), &frame.settings) {
        Ok(()) => next.call(request).await?,
        Err(problem) => {
            ServiceResponse::new(request.into_parts().0, HttpResponse::from_error(problem))
        }
    };
    let mut response = written(response, frame, context).await;
    headers::add(response.headers_mut(), &context.request_id);
    report::tell(&response, context);
    Ok(until_sent(response, (held, answering)))
}

/// Writes the body of a problem, if the answer is one.
async fn written(response: ServiceResponse, frame: &Frame, context: &Context) -> ServiceResponse {
    let Some(error) = response.response().error() else { return response };
    let foreign;
    let problem = if let Some(problem) = error.as_error::<Problem>() {
        problem
    } else {
        foreign = of_the_framework(error);
        &foreign
    };
    log(problem, context);
    let url = &frame.settings.public_url;
    let answer = problem.answer(url, &context.request_id, frame.idle_s());
    if problem.kind() == Kind::Overloaded {
        frame.late.pause((frame.random)()).await;
    }
    response.into_response(answer)
}

/// What the framework says when nobody asked us: its text is for the log.
fn of_the_framework(error: &Error) -> Problem {
    match error.as_response_error().status_code().as_u16() {
        400 => Kind::MalformedRequest.into(),
        404 => Kind::NotFound.into(),
        408 => Problem::new(Kind::RequestTimeout).closing(),
        413 => Problem::new(Kind::BodyTooLarge).closing(),
        415 => Kind::MediaTypeUnsupported.into(),
        _ => Fault::internal(error.to_string()).into(),
    }
}

fn log(problem: &Problem, context: &Context) {
    let Some(fault) = problem.fault() else { return };
    let (id, code) = (context.request_id.as_ref(), problem.kind().code());
    let (place, cause) = (fault.place(), fault.chain());
    match fault.kind() {
        FaultKind::Internal => {
            tracing::error!(
                request_id = id,
                code,
                fault.place = place,
                fault.cause = cause,
                "fault"
            );
        }
        FaultKind::Unavailable | FaultKind::Overloaded => {
            tracing::warn!(
                request_id = id,
                code,
                fault.place = place,
                fault.cause = cause,
                "fault"
            );
        }
    }
}

// SECURITY: HTTP-11. An id is a label in a log line: it is taken in its alphabet only.
fn request_id(request: &ServiceRequest, frame: &Frame) -> Arc<str> {
    let given = request.headers().get("x-request-id").and_then(|value| value.to_str().ok());
    let is_good = |text: &&str| {
        let of_alphabet = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        (1..=REQUEST_ID_CHARS_MAX).contains(&text.len()) && text.bytes().all(of_alphabet)
    };
    match given.filter(is_good) {
        Some(id) => Arc::from(id),
        None => Arc::from((frame.new_id)()),
    }
}
