//! One's own audit trail: what happened to the account.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::me::signed_in;
use super::paging::{PageQuery, Paging};
use super::problem::Problem;
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
    let paging = Paging::public(&app, signed_in.user.id, "/v1/me/events", &page.read()?)?;
    let found =
        own_events::list(&app, &signed_in, paging.before().map(EventId), paging.limit()).await?;
    let total =
        if paging.wants_total() { Some(own_events::count(&app, &signed_in).await?) } else { None };
    let items: Vec<EventView> = found.events.into_iter().map(EventView::from).collect();
    Ok(paging.answer(items, found.next.map(|id| id.0), total))
}
