//! Endpoints and deliveries as tables, or as the JSON that HTTP answers.

use crate::cli::failure::Failure;
use crate::cli::output::{self, Form};
use crate::domain::time::Timestamp;
use crate::domain::webhook::{Endpoint, Listed};
use crate::http::webhooks::views::{DeliveryView, SecretView, WebhookView};

fn dash() -> String {
    "-".to_owned()
}

fn time(at: Option<Timestamp>) -> String {
    at.map_or_else(dash, |at| at.to_string())
}

/// All endpoints.
pub(super) fn endpoints(endpoints: Vec<Endpoint>, form: Form) -> Result<String, Failure> {
    if form.json {
        let views: Vec<_> = endpoints.into_iter().map(WebhookView::from).collect();
        return output::json_lines(&views);
    }
    let row = |endpoint: &Endpoint| {
        [
            endpoint.id.to_string(),
            state(endpoint),
            endpoint.url.clone(),
            endpoint.events.words().join(","),
            time(endpoint.failing_since),
        ]
    };
    let rows: Vec<_> = endpoints.iter().map(row).collect();
    Ok(output::table(["ID", "STATE", "URL", "EVENTS", "FAILING SINCE"], &rows))
}

fn state(endpoint: &Endpoint) -> String {
    match &endpoint.disabled_reason {
        Some(reason) => format!("{} ({reason})", endpoint.state.as_str()),
        None => endpoint.state.as_str().to_owned(),
    }
}

fn lines(endpoint: &Endpoint) -> Vec<(&'static str, String)> {
    vec![
        ("id", endpoint.id.to_string()),
        ("url", endpoint.url.clone()),
        ("events", endpoint.events.words().join(",")),
        ("description", endpoint.description.clone().unwrap_or_else(dash)),
        ("state", state(endpoint)),
        ("failing_since", time(endpoint.failing_since)),
        ("previous_secret_until", time(endpoint.previous_secret_until)),
        ("created_at", endpoint.created_at.to_string()),
        ("updated_at", endpoint.updated_at.to_string()),
        ("version", endpoint.version.to_string()),
    ]
}

/// One endpoint.
pub(super) fn endpoint(endpoint: Endpoint, form: Form) -> Result<String, Failure> {
    if form.json {
        return output::json_lines(&[WebhookView::from(endpoint)]);
    }
    Ok(output::pairs(&lines(&endpoint)))
}

/// One endpoint with its secret.
pub(super) fn with_secret(endpoint: Endpoint, secret: &str, form: Form) -> Result<String, Failure> {
    if form.json {
        let secret = secret.to_owned();
        return output::json_lines(&[SecretView { webhook: endpoint.into(), secret }]);
    }
    let mut lines = lines(&endpoint);
    lines.push(("secret", secret.to_owned()));
    Ok(output::pairs(&lines))
}

/// Attempts.
pub(super) fn deliveries(found: Vec<Listed>, form: Form) -> Result<String, Failure> {
    let views: Vec<_> = found.into_iter().map(DeliveryView::from).collect();
    if form.json {
        return output::json_lines(&views);
    }
    let row = |view: &DeliveryView| {
        let status = view.status.map(|status| status.to_string());
        [
            view.id.to_string(),
            view.at.to_string(),
            view.r#type.clone(),
            view.attempt.to_string(),
            status.or_else(|| view.error.clone()).unwrap_or_else(dash),
            format!("{} ms", view.duration_ms),
            view.message_state.clone().unwrap_or_else(dash),
            time(view.next_attempt_at),
        ]
    };
    let names = ["ID", "AT", "TYPE", "ATTEMPT", "OUTCOME", "TOOK", "MESSAGE", "NEXT"];
    Ok(output::table(names, &views.iter().map(row).collect::<Vec<_>>()))
}
