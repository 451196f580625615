//! What was sent to an endpoint, what is to be sent again, and a message that tries it.

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};

use super::views::{DeliveryPage, DeliveryView, TestAnswer};
use crate::app::App;
use crate::domain::ids::{DeliveryId, WebhookId};
use crate::flows::webhooks as flow;
use crate::http::admin::Administrator;
use crate::http::answer::json;
use crate::http::paging::{PageQuery, Paging};
use crate::http::path;
use crate::http::problem::Problem;
use crate::http::query::{self, Query};
use crate::http::views::{Accepted, AcceptedAnswer};

/// Lists the attempts at an endpoint, newest first.
#[utoipa::path(get, path = "/admin/v1/webhooks/{id}/deliveries", tag = "webhooks",
    operation_id = "list_webhook_deliveries",
    params(("id" = String, Path, description = "The endpoint.", format = "uuid"), PageQuery),
    security(("bearer" = [])), responses(
        (status = 200, description = "A page of attempts.", body = DeliveryPage,
            headers(("Link" = String, description = "Only where more follow: the next page, `rel=\"next\"`.")))))]
pub(crate) async fn list(
    app: Data<App>,
    request: HttpRequest,
    page: Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let id: WebhookId = path::id(&request, "id")?;
    let who = Administrator::of(&app, &request).await?;
    let at = format!("{}/{id}/deliveries", super::PATH);
    let paging = Paging::admin(&app, who.id(), at, &page.read()?)?;
    flow::find(&app, id).await?;
    let before = paging.before().map(|(at, id)| (at, DeliveryId(id)));
    let found = flow::deliveries(&app, id, before, paging.limit()).await?;
    let total =
        if paging.wants_total() { Some(flow::count_deliveries(&app, id).await?) } else { None };
    let items = found.items.into_iter().map(DeliveryView::from).collect();
    Ok(paging.answer(items, found.next.map(|(at, id)| (at, id.0)), total))
}

/// Sends the message of an attempt again, under its id, with all its tries before it.
#[utoipa::path(post, path = "/admin/v1/webhooks/{id}/deliveries/{delivery}/redeliver", tag = "webhooks",
    operation_id = "redeliver_webhook_message",
    params(("id" = String, Path, description = "The endpoint.", format = "uuid"),
        ("delivery" = String, Path, description = "An attempt at it.", format = "uuid")),
    security(("bearer" = [])),
    responses((status = 202, description = "The message waits to be sent.", body = AcceptedAnswer)))]
pub(crate) async fn redeliver(
    app: Data<App>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let id: WebhookId = path::id(&request, "id")?;
    let delivery: DeliveryId = path::id(&request, "delivery")?;
    Administrator::of(&app, &request).await?;
    query::nothing(&request)?;
    flow::redeliver(&app, Some(id), delivery).await?;
    Ok(json(StatusCode::ACCEPTED, &AcceptedAnswer { status: Accepted::Accepted }))
}

/// Sends a message of the type `webhook.test` to an endpoint, once. The outcome is among the deliveries.
#[utoipa::path(post, path = "/admin/v1/webhooks/{id}/test", tag = "webhooks", operation_id = "test_webhook",
    params(("id" = String, Path, description = "The endpoint.", format = "uuid")),
    security(("bearer" = [])),
    responses((status = 202, description = "The message waits to be sent.", body = TestAnswer)))]
pub(crate) async fn test(app: Data<App>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let id: WebhookId = path::id(&request, "id")?;
    Administrator::of(&app, &request).await?;
    query::nothing(&request)?;
    let event_id = flow::test(&app, id).await?;
    Ok(json(StatusCode::ACCEPTED, &TestAnswer { status: "accepted", event_id }))
}
