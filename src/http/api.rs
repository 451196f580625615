//! The table of the API: path → function, and what is mounted on which listener.

use std::sync::Arc;

use actix_web::web::{self, Data, ServiceConfig};
use utoipa::OpenApi;

use super::problem::Kind;
use super::routes::{Row, Verb, mount};
use super::{
    ROWS_DOCS, ROWS_HEALTH, ROWS_METRICS, accounts, deletion, emails, events, export, me, metadata,
    openapi, passwords, sign_in, signup,
};
use crate::Fault;
use crate::app::App;
use crate::domain::profile::ProfileSchema;

const ROWS_API: &[Row] = &[
    Row::new(
        Verb::Post,
        "/v1/signup",
        || web::route().to(signup::signup),
        &[
            Kind::SignupClosed,
            Kind::UsernameTaken,
            Kind::EmailTaken,
            Kind::ValueTaken,
            Kind::IdempotencyInProgress,
            Kind::IdempotencyKeyReused,
            Kind::TokenInvalid,
            Kind::Overloaded,
        ],
    ),
    Row::new(
        Verb::Post,
        "/v1/email/verify",
        || web::route().to(accounts::verify),
        &[Kind::TokenInvalid, Kind::InvalidCredentials, Kind::Overloaded],
    ),
    Row::new(
        Verb::Post,
        "/v1/email/resend",
        || web::route().to(accounts::resend),
        &[Kind::Overloaded],
    ),
    Row::new(
        Verb::Post,
        "/v1/login",
        || web::route().to(sign_in::login),
        &[Kind::InvalidCredentials, Kind::EmailNotVerified, Kind::Overloaded],
    ),
    Row::new(
        Verb::Post,
        "/v1/token/refresh",
        || web::route().to(sign_in::refresh),
        &[Kind::RefreshTokenInvalid, Kind::RefreshTokenReused, Kind::Overloaded],
    ),
    Row::new(Verb::Post, "/v1/logout", || web::route().to(sign_in::logout), &[Kind::Overloaded]),
    Row::new(Verb::Get, "/v1/me", || web::route().to(me::get), &[Kind::Overloaded]),
    Row::new(
        Verb::Patch,
        "/v1/me",
        || web::route().to(me::patch),
        &[
            Kind::UsernameTaken,
            Kind::ValueTaken,
            Kind::VersionConflict,
            Kind::IfMatchRequired,
            Kind::Overloaded,
        ],
    ),
    Row::new(
        Verb::Get,
        "/v1/me/sessions",
        || web::route().to(me::list_sessions),
        &[Kind::CursorInvalid, Kind::Overloaded],
    ),
    Row::new(
        Verb::Delete,
        "/v1/me/sessions",
        || web::route().to(me::end_others),
        &[Kind::Overloaded],
    ),
    Row::new(
        Verb::Delete,
        "/v1/me/sessions/{id}",
        || web::route().to(me::end_session),
        &[Kind::NotFound, Kind::Overloaded],
    ),
    Row::new(
        Verb::Post,
        "/v1/password/forgot",
        || web::route().to(passwords::forgot),
        &[Kind::Overloaded],
    ),
    Row::new(
        Verb::Post,
        "/v1/password/reset",
        || web::route().to(passwords::reset),
        &[Kind::TokenInvalid, Kind::Overloaded],
    ),
    Row::new(
        Verb::Post,
        "/v1/email/change/confirm",
        || web::route().to(emails::confirm),
        &[Kind::TokenInvalid, Kind::InvalidCredentials, Kind::Overloaded],
    ),
    Row::new(
        Verb::Post,
        "/v1/email/change/cancel",
        || web::route().to(emails::cancel),
        &[Kind::TokenInvalid, Kind::Overloaded],
    ),
    Row::new(
        Verb::Post,
        "/v1/me/password",
        || web::route().to(passwords::change),
        &[Kind::InvalidCredentials, Kind::Overloaded],
    ),
    Row::new(
        Verb::Post,
        "/v1/me/email",
        || web::route().to(emails::request),
        &[Kind::InvalidCredentials, Kind::Overloaded],
    ),
    Row::new(
        Verb::Post,
        "/v1/me/reauthenticate",
        || web::route().to(passwords::reauthenticate),
        &[Kind::InvalidCredentials, Kind::Overloaded],
    ),
    Row::new(
        Verb::Post,
        "/v1/me/delete",
        || web::route().to(deletion::delete),
        &[Kind::InvalidCredentials, Kind::LastAdmin, Kind::Overloaded],
    ),
    Row::new(
        Verb::Get,
        "/v1/me/events",
        || web::route().to(events::list),
        &[Kind::CursorInvalid, Kind::Overloaded],
    ),
    Row::new(
        Verb::Get,
        "/v1/me/export",
        || web::route().to(export::export),
        &[Kind::ReauthenticationRequired, Kind::Overloaded],
    ),
    Row::new(Verb::Get, "/.well-known/jwks.json", || web::route().to(metadata::jwks), &[]),
    Row::new(
        Verb::Get,
        "/.well-known/openid-configuration",
        || web::route().to(metadata::openid),
        &[],
    ),
    Row::new(
        Verb::Get,
        "/.well-known/oauth-authorization-server",
        || web::route().to(metadata::oauth),
        &[],
    ),
];

#[derive(OpenApi)]
#[openapi(
    paths(
        signup::signup,
        accounts::verify,
        accounts::resend,
        sign_in::login,
        sign_in::refresh,
        sign_in::logout,
        me::get,
        me::patch,
        me::list_sessions,
        me::end_others,
        me::end_session,
        passwords::forgot,
        passwords::reset,
        emails::confirm,
        emails::cancel,
        passwords::change,
        emails::request,
        passwords::reauthenticate,
        deletion::delete,
        events::list,
        export::export,
        metadata::jwks,
        metadata::openid,
        metadata::oauth,
    ),
    components(schemas(metadata::JwkView))
)]
struct OfApi;

/// What the public listener answers.
pub fn public_rows() -> Vec<Row> {
    [ROWS_API, ROWS_HEALTH, ROWS_DOCS].concat()
}

/// What the admin listener answers.
pub fn admin_rows() -> Vec<Row> {
    [ROWS_HEALTH, ROWS_METRICS].concat()
}

/// Mounts `rows` for `app`.
pub fn configure(
    app: Arc<App>,
    rows: Vec<Row>,
) -> impl Fn(&mut ServiceConfig) + Clone + Send + 'static {
    move |config| {
        config.app_data(Data::from(Arc::clone(&app)));
        mount(config, &rows);
    }
}

/// The document that an installation at `public_url` with this profile schema serves.
pub fn served_document(public_url: &str, schema: &ProfileSchema) -> Result<String, Fault> {
    let document = openapi::document(OfApi::openapi(), &public_rows());
    openapi::served(&document, public_url, schema.as_json())
}

/// The text of `openapi/openapi.json`: of no installation, with the built-in profile schema.
pub fn generated_document() -> Result<String, Fault> {
    let document = openapi::document(OfApi::openapi(), &public_rows());
    let schema = ProfileSchema::default_schema()
        .map_err(|_errors| Fault::internal("the built-in profile schema is broken"))?;
    openapi::to_pretty_json(&document, schema.as_json())
}
