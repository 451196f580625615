//! One's own audit trail: what happened to the account.

use actix_web::http::{StatusCode, header};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use super::answer::json;
use super::cursor::CursorOf;
use super::me::{PAGE_DEFAULT, PageQuery, signed_in};
use super::problem::{Kind, Problem};
use super::query::Query;
use crate::app::App;
use crate::domain::event::OwnEvent;
use crate::domain::ids::EventId;
use crate::domain::time::Timestamp;
use crate::flows::own_events;

/// Something that happened to an account.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Event)]
pub(crate) struct EventView {
    /// Names the event.
    #[schema(value_type = String, format = "uuid")]
    id: EventId,
    /// When it happened.
    #[schema(value_type = String, format = "date-time")]
    at: Timestamp,
    /// What was done; more may come.
    #[schema(example = "session.started")]
    action: String,
    /// How it ended.
    #[schema(example = "success")]
    outcome: String,
    /// The address that it came from, or null.
    address: Option<String>,
    /// The request that did it, or null.
    request_id: Option<String>,
    /// Names of changed fields and the like.
    #[schema(value_type = Object)]
    data: Map<String, Value>,
}

impl From<OwnEvent> for EventView {
    fn from(event: OwnEvent) -> Self {
        Self {
            id: event.id,
            at: event.at,
            action: event.action,
            outcome: event.outcome,
            address: event.address,
            request_id: event.request_id,
            data: event.data,
        }
    }
}

/// A page of events, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventPage {
    /// The events.
    items: Vec<EventView>,
    /// Where the list goes on, or null at its end.
    next_cursor: Option<String>,
    /// How many there are in all; only with `count=true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    total: Option<i64>,
}

/// Lists what happened to one's own account, newest first.
#[utoipa::path(get, path = "/v1/me/events", tag = "me", operation_id = "list_own_events",
    params(PageQuery), security(("bearer" = [])), responses(
        (status = 200, description = "A page of events.", body = EventPage,
            headers(("Link" = String, description = "Only where more follow: the next page, `rel=\"next\"`.")))))]
pub(crate) async fn list(
    app: Data<App>,
    request: HttpRequest,
    page: Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let signed_in = signed_in(&app, &request).await?;
    let page = page.read()?;
    let limit = page.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(PAGE_DEFAULT);
    let user = signed_in.user.id.to_string();
    let cursor = CursorOf { list: "me/events", user: &user };
    let hash = |bytes: &[u8]| app.sealer.keyed_hash("cursor", bytes);
    let before = match &page.cursor {
        None => None,
        Some(text) => {
            let place = Uuid::from_slice(&cursor.open(text, &hash)?);
            Some(place.map(EventId).or(Err(Kind::CursorInvalid))?)
        }
    };
    let found = own_events::list(&app, &signed_in, before, limit).await?;
    let next_cursor = found.next.map(|id| cursor.seal(id.0.as_bytes(), &hash));
    let total = match page.count {
        Some(true) => Some(own_events::count(&app, &signed_in).await?),
        Some(false) | None => None,
    };
    let items = found.events.into_iter().map(EventView::from).collect();
    let link = next_cursor.as_ref().map(|next| {
        let url = &app.settings.issuer;
        format!("<{url}/v1/me/events?limit={limit}&cursor={next}>; rel=\"next\"")
    });
    let mut answer = json(StatusCode::OK, &EventPage { items, next_cursor, total });
    if let Some(link) = link.and_then(|link| header::HeaderValue::from_str(&link).ok()) {
        answer.headers_mut().insert(header::LINK, link);
    }
    Ok(answer)
}
