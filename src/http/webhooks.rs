//! Webhook endpoints, for administrators. Every call looks the role up (AUZ-05).

pub(crate) mod catalogue;
pub(crate) mod deliveries;
pub mod views;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use utoipa::ToSchema;
use validator::Validate;

use self::catalogue::EventType;
use self::views::{SecretView, WebhookPage, WebhookState, WebhookView};
use super::admin::Administrator;
use super::answer::json;
use super::body::Body;
use super::context::Client;
use super::if_match::{IfMatch, etag};
use super::me::expected;
use super::paging::{PageQuery, Paging};
use super::path;
use super::problem::{Kind, Problem};
use super::query::{self, Query};
use crate::app::App;
use crate::domain::ids::WebhookId;
use crate::domain::webhook::Endpoint;
use crate::flows::webhooks::{self as flow, By, New, Patch, WebhookError};

const PATH: &str = "/admin/v1/webhooks";

fn by(who: &Administrator, client: Client) -> By {
    (who.actor(), client.into())
}

fn shown(endpoint: Endpoint) -> HttpResponse {
    let tag = etag(endpoint.version);
    tagged(json(StatusCode::OK, &WebhookView::from(endpoint)), &tag)
}

fn shown_with(status: StatusCode, endpoint: Endpoint, secret: &str) -> HttpResponse {
    let tag = etag(endpoint.version);
    let view = SecretView { webhook: endpoint.into(), secret: secret.to_owned() };
    tagged(json(status, &view), &tag)
}

fn tagged(mut answer: HttpResponse, tag: &str) -> HttpResponse {
    if let Ok(tag) = HeaderValue::from_str(tag) {
        answer.headers_mut().insert(header::ETAG, tag);
    }
    answer
}

/// Lists the endpoints, newest first.
#[utoipa::path(get, path = "/admin/v1/webhooks", tag = "webhooks", operation_id = "list_webhooks",
    params(PageQuery), security(("bearer" = [])), responses(
        (status = 200, description = "A page of endpoints.", body = WebhookPage,
            headers(("Link" = String, description = "Only where more follow: the next page, `rel=\"next\"`.")))))]
pub(crate) async fn list(
    app: Data<App>,
    request: HttpRequest,
    page: Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let who = Administrator::of(&app, &request).await?;
    let paging = Paging::admin(&app, who.id(), PATH.to_owned(), &page.read()?)?;
    let before = paging.before().map(|(at, id)| (at, WebhookId(id)));
    let found = flow::list(&app, before, paging.limit()).await?;
    let total = if paging.wants_total() { Some(flow::count(&app).await?) } else { None };
    let items = found.items.into_iter().map(WebhookView::from).collect();
    Ok(paging.answer(items, found.next.map(|(at, id)| (at, id.0)), total))
}

/// An endpoint that is to be made.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateBody {
    /// Where messages go: https, a public host, a port of web servers.
    #[schema(max_length = 2048, example = "https://example.org/hooks")]
    url: String,
    /// The types that it is told of, or `["*"]` for all, those of later versions too.
    #[schema(value_type = Vec<EventType>, min_items = 1, max_items = 100)]
    events: Vec<String>,
    /// What you say of it.
    #[serde(default)]
    #[schema(max_length = 200)]
    description: Option<String>,
}

/// Makes an endpoint. Its secret is shown in this answer and never again.
#[utoipa::path(post, path = "/admin/v1/webhooks", tag = "webhooks", operation_id = "create_webhook",
    request_body = CreateBody, security(("bearer" = [])), responses(
        (status = 201, description = "The endpoint, enabled.", body = SecretView,
            headers(("ETag" = String, description = "The version in quotes."),
                    ("Location" = String, description = "The endpoint.")),
            links(("endpoint" = (operation_id = "get_webhook", parameters(("id" = "$response.body#/id"))))))))]
pub(crate) async fn create(
    app: Data<App>,
    client: Client,
    request: HttpRequest,
    body: Body<CreateBody>,
) -> Result<HttpResponse, Problem> {
    let who = Administrator::of(&app, &request).await?;
    let CreateBody { url, events, description } = body.read().await?;
    let new = New { url, events, description };
    let (endpoint, secret) = flow::create(&app, by(&who, client), new).await?;
    let location = format!("{PATH}/{}", endpoint.id);
    let mut answer = shown_with(StatusCode::CREATED, endpoint, &secret);
    if let Ok(location) = HeaderValue::from_str(&location) {
        answer.headers_mut().insert(header::LOCATION, location);
    }
    Ok(answer)
}

/// Shows an endpoint.
#[utoipa::path(get, path = "/admin/v1/webhooks/{id}", tag = "webhooks", operation_id = "get_webhook",
    params(("id" = String, Path, description = "The endpoint.", format = "uuid")),
    security(("bearer" = [])), responses(
        (status = 200, description = "The endpoint.", body = WebhookView,
            headers(("ETag" = String, description = "The version in quotes.")))))]
pub(crate) async fn get(app: Data<App>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let id: WebhookId = path::id(&request, "id")?;
    Administrator::of(&app, &request).await?;
    query::nothing(&request)?;
    Ok(shown(flow::find(&app, id).await?))
}

/// A merge patch (RFC 7396) of an endpoint.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WebhookPatchBody {
    /// Where messages go.
    #[serde(default)]
    #[schema(nullable = false, max_length = 2048)]
    url: Option<String>,
    /// The types that it is told of, or `["*"]`.
    #[serde(default)]
    #[schema(nullable = false, value_type = Option<Vec<EventType>>, min_items = 1, max_items = 100)]
    events: Option<Vec<String>>,
    /// What you say of it; null removes it.
    #[serde(default)]
    #[schema(max_length = 200)]
    description: Option<String>,
    /// Whether anything is sent. What waits for a disabled endpoint goes on when it is enabled.
    #[serde(default)]
    #[schema(nullable = false)]
    state: Option<WebhookState>,
}

/// Changes an endpoint.
#[utoipa::path(patch, path = "/admin/v1/webhooks/{id}", tag = "webhooks", operation_id = "update_webhook",
    request_body(content((WebhookPatchBody = "application/merge-patch+json"), (WebhookPatchBody = "application/json"))),
    params(("id" = String, Path, description = "The endpoint.", format = "uuid"),
        ("If-Match" = String, Header, description = "The `ETag` of the endpoint that was read, or `*`.")),
    security(("bearer" = [])), responses(
        (status = 200, description = "The endpoint as it is now.", body = WebhookView,
            headers(("ETag" = String, description = "The version in quotes.")))))]
pub(crate) async fn patch(
    app: Data<App>,
    client: Client,
    request: HttpRequest,
    body: Body<WebhookPatchBody>,
) -> Result<HttpResponse, Problem> {
    let id: WebhookId = path::id(&request, "id")?;
    let who = Administrator::of(&app, &request).await?;
    body.admit()?;
    let if_match = IfMatch::required(&request)?;
    let received = body.receive().await?;
    if !if_match.allows(flow::find(&app, id).await?.version) {
        return Err(Kind::VersionConflict.into());
    }
    let names_description = received.value().get("description").is_some();
    let body = received.check()?;
    let patch = Patch {
        url: body.url,
        events: body.events,
        description: names_description.then_some(body.description),
        state: body.state.map(Into::into),
    };
    let patched = flow::update(&app, by(&who, client), id, (patch, expected(if_match)));
    Ok(shown(patched.await?))
}

/// Removes an endpoint. What waits for it is not sent any more.
#[utoipa::path(delete, path = "/admin/v1/webhooks/{id}", tag = "webhooks", operation_id = "delete_webhook",
    params(("id" = String, Path, description = "The endpoint.", format = "uuid")),
    security(("bearer" = [])), responses((status = 204, description = "It is gone.")))]
pub(crate) async fn delete(
    app: Data<App>,
    client: Client,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let id: WebhookId = path::id(&request, "id")?;
    let who = Administrator::of(&app, &request).await?;
    query::nothing(&request)?;
    flow::delete(&app, by(&who, client), id).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Gives an endpoint a new secret. For a while messages are signed with the former one too.
#[utoipa::path(post, path = "/admin/v1/webhooks/{id}/rotate-secret", tag = "webhooks",
    operation_id = "rotate_webhook_secret",
    params(("id" = String, Path, description = "The endpoint.", format = "uuid")),
    security(("bearer" = [])), responses(
        (status = 200, description = "The endpoint and its new secret.", body = SecretView,
            headers(("ETag" = String, description = "The version in quotes.")))))]
pub(crate) async fn rotate(
    app: Data<App>,
    client: Client,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let id: WebhookId = path::id(&request, "id")?;
    let who = Administrator::of(&app, &request).await?;
    query::nothing(&request)?;
    let (endpoint, secret) = flow::rotate_secret(&app, by(&who, client), id).await?;
    Ok(shown_with(StatusCode::OK, endpoint, &secret))
}

impl From<WebhookError> for Problem {
    fn from(error: WebhookError) -> Self {
        match error {
            WebhookError::Invalid(faults) => Self::validation(faults),
            WebhookError::NotFound => Kind::NotFound.into(),
            WebhookError::VersionConflict => Kind::VersionConflict.into(),
            WebhookError::Conflict(why) => Self::new(Kind::StateConflict).with_detail(why),
            WebhookError::Fault(fault) => Self::internal(fault),
        }
    }
}
