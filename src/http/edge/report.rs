//! What is told about each answer: one access line and two metrics (LOG-08, LOG-09).
//!
//! A path can hold anything and a query holds secrets, so both are told by the pattern of the route.

use actix_web::dev::ServiceResponse;

use crate::http::context::{Context, peer};

// SECURITY: LOG-09. A label has as many values as the source has names.
const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"];

/// Tells it.
pub(super) fn tell(response: &ServiceResponse, context: &Context) {
    let request = response.request();
    let asked = request.method().as_str();
    let method = METHODS.iter().copied().find(|known| *known == asked).unwrap_or("OTHER");
    let pattern = request.match_pattern().filter(|pattern| !pattern.is_empty());
    let route = pattern.unwrap_or_else(|| "unmatched".to_owned());
    let status = response.status().as_u16();
    let took = context.started.elapsed();
    metrics::counter!(
        "portcullis_http_requests_total",
        "method" => method, "route" => route.clone(), "status" => status.to_string()
    )
    .increment(1);
    metrics::histogram!("portcullis_http_request_duration_seconds", "route" => route.clone())
        .record(took.as_secs_f64());
    tracing::info!(
        target: "portcullis::access",
        request_id = context.request_id.as_ref(),
        http.method = method,
        http.route = route,
        http.status = status,
        duration_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
        client.address = %peer(request),
        "answered"
    );
}
