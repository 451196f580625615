//! Around each route: the deadline, and a panic that becomes one 500 (HTTP-13, HTTP-15).
//!
//! It stands behind the router, because a request that is held twice cannot be routed.

use std::any::Any;
use std::panic::AssertUnwindSafe;

use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{Error, HttpMessage, HttpResponse};
use futures_util::FutureExt;
use tokio::time::{Instant, timeout_at};

use crate::deadline;
use crate::fault::Fault;
use crate::http::context::Context;
use crate::http::problem::Problem;
use crate::http::settings::Frame;

/// The middleware around one route. A handler that is over its time is dropped.
pub(crate) async fn guard(
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse, Error> {
    let kept = request.request().clone();
    let started = kept.extensions().get::<Context>().map_or_else(Instant::now, |it| it.started);
    let within = kept.app_data::<Data<Frame>>().map(|frame| frame.settings.request_timeout);
    let at = started + within.unwrap_or_default();
    let work = AssertUnwindSafe(async move { next.call(request).await }).catch_unwind();
    let problem: Problem = match deadline::scope(at, timeout_at(at, work)).await {
        Ok(Ok(Ok(response))) => return Ok(response),
        Ok(Ok(Err(error))) => return Ok(ServiceResponse::from_err(error, kept)),
        Ok(Err(panic)) => Fault::internal(format!("panic: {}", text(panic.as_ref()))).into(),
        Err(_) => Fault::unavailable("the deadline of the request passed").into(),
    };
    Ok(ServiceResponse::new(kept, HttpResponse::from_error(problem)))
}

fn text(panic: &(dyn Any + Send)) -> &str {
    let literal = panic.downcast_ref::<&str>().copied();
    literal.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no text")
}
