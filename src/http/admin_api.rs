//! The table of the API for operators, on the admin listener only (AUZ-05), and its document.

use actix_web::web;
use serde_json::Value;
use utoipa::OpenApi;

use super::problem::Kind;
use super::routes::{Row, Verb};
use super::webhooks::{self, catalogue, deliveries};
use super::{ROWS_DOCS, ROWS_HEALTH, ROWS_METRICS, openapi};
use crate::Fault;

/// What every call of this table may say.
const COMMON: [Kind; 2] = [Kind::PermissionDenied, Kind::Overloaded];

const ROWS_WEBHOOKS: &[Row] = &[
    Row::new(
        Verb::Get,
        "/admin/v1/webhooks",
        || web::route().to(webhooks::list),
        &[Kind::CursorInvalid, COMMON[0], COMMON[1]],
    ),
    Row::new(
        Verb::Post,
        "/admin/v1/webhooks",
        || web::route().to(webhooks::create),
        &[Kind::StateConflict, COMMON[0], COMMON[1]],
    ),
    Row::new(Verb::Get, "/admin/v1/webhooks/{id}", || web::route().to(webhooks::get), &COMMON),
    Row::new(
        Verb::Patch,
        "/admin/v1/webhooks/{id}",
        || web::route().to(webhooks::patch),
        &[Kind::VersionConflict, Kind::IfMatchRequired, COMMON[0], COMMON[1]],
    ),
    Row::new(
        Verb::Delete,
        "/admin/v1/webhooks/{id}",
        || web::route().to(webhooks::delete),
        &COMMON,
    ),
    Row::new(
        Verb::Post,
        "/admin/v1/webhooks/{id}/rotate-secret",
        || web::route().to(webhooks::rotate),
        &COMMON,
    ),
    Row::new(
        Verb::Post,
        "/admin/v1/webhooks/{id}/test",
        || web::route().to(deliveries::test),
        &[Kind::StateConflict, COMMON[0], COMMON[1]],
    ),
    Row::new(
        Verb::Get,
        "/admin/v1/webhooks/{id}/deliveries",
        || web::route().to(deliveries::list),
        &[Kind::CursorInvalid, COMMON[0], COMMON[1]],
    ),
    Row::new(
        Verb::Post,
        "/admin/v1/webhooks/{id}/deliveries/{delivery}/redeliver",
        || web::route().to(deliveries::redeliver),
        &[Kind::StateConflict, COMMON[0], COMMON[1]],
    ),
];

#[derive(OpenApi)]
#[openapi(paths(
    webhooks::list,
    webhooks::create,
    webhooks::get,
    webhooks::patch,
    webhooks::delete,
    webhooks::rotate,
    deliveries::test,
    deliveries::list,
    deliveries::redeliver,
))]
struct OfAdminApi;

/// What the admin listener answers.
pub fn rows() -> Vec<Row> {
    [ROWS_WEBHOOKS, ROWS_HEALTH, ROWS_DOCS, ROWS_METRICS].concat()
}

fn document() -> Result<openapi::Document, Fault> {
    let mut document = openapi::document(OfAdminApi::openapi(), &rows(), &openapi::ADMIN);
    catalogue::add_to(&mut document)?;
    Ok(document)
}

/// The document that the admin listener serves: of whatever address it is read from.
pub fn served_document() -> Result<String, Fault> {
    openapi::served(&document()?, "/", &Value::Null)
}

/// The text of `openapi/admin.json`.
pub fn generated_document() -> Result<String, Fault> {
    openapi::to_pretty_json(&document()?, &Value::Null)
}
