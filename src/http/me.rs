//! One's own account and sessions. Every call looks session and user up (SES-10).

use actix_web::http::StatusCode;
use actix_web::http::header::{self, ETAG};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use utoipa::ToSchema;
use validator::Validate;

use super::answer::json;
use super::body::Body;
use super::context::Client;
use super::if_match::IfMatch;
use super::paging::{PageQuery, Paging};
use super::problem::{Kind, Problem};
use super::query::{self, Query};
use super::views::{ProfilePatch, SessionPage, SessionView, UserView};
use super::{bearer, path};
use crate::app::App;
use crate::domain::ids::SessionId;
use crate::domain::profile::Reader;
use crate::domain::session::SignedIn;
use crate::domain::user::User;
use crate::flows::authenticate::{AuthenticateError, authenticate};
use crate::flows::me::{Expected, Patch, PatchError, patch as flow_patch};
use crate::flows::sessions;
use crate::flows::unique::Taken;

/// Who calls: the session and user of the bearer token, as the database has them now.
pub(crate) async fn signed_in(app: &App, request: &HttpRequest) -> Result<SignedIn, Problem> {
    let token = bearer::required(request)?;
    authenticate(app, &token).await.map_err(Problem::from)
}

fn shown(app: &App, user: &User) -> HttpResponse {
    let mut answer = json(StatusCode::OK, &UserView::new(user, &app.schema, Reader::User));
    let tag = format!("\"{}\"", user.version);
    if let Ok(tag) = header::HeaderValue::from_str(&tag) {
        answer.headers_mut().insert(ETAG, tag);
    }
    answer
}

/// Shows one's own account.
#[utoipa::path(get, path = "/v1/me", tag = "me", operation_id = "get_me",
    security(("bearer" = [])), responses(
        (status = 200, description = "The account.", body = UserView,
            headers(("ETag" = String, description = "The version in quotes.")))))]
pub(crate) async fn get(app: Data<App>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let signed_in = signed_in(&app, &request).await?;
    query::nothing(&request)?;
    Ok(shown(&app, &signed_in.user))
}

/// A merge patch (RFC 7396) of one's own account.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PatchBody {
    /// The new username; null removes it.
    #[serde(default)]
    username: Option<String>,
    /// The fields to change; null removes one.
    #[serde(default)]
    #[schema(nullable = false)]
    profile: Option<ProfilePatch>,
}

/// Changes one's own username and profile.
#[utoipa::path(patch, path = "/v1/me", tag = "me", operation_id = "update_me",
    request_body(content((PatchBody = "application/merge-patch+json"), (PatchBody = "application/json"))),
    params(("If-Match" = String, Header, description = "The `ETag` of the account that was read, or `*`.")),
    security(("bearer" = [])), responses(
        (status = 200, description = "The account as it is now.", body = UserView,
            headers(("ETag" = String, description = "The version in quotes.")))))]
pub(crate) async fn patch(
    app: Data<App>,
    client: Client,
    request: HttpRequest,
    body: Body<PatchBody>,
) -> Result<HttpResponse, Problem> {
    let signed_in = signed_in(&app, &request).await?;
    body.admit()?;
    let if_match = IfMatch::required(&request)?;
    let received = body.receive().await?;
    if !if_match.allows(signed_in.user.version) {
        return Err(Kind::VersionConflict.into());
    }
    let names_username = received.value().get("username").is_some();
    let body = received.check()?;
    let patch = Patch {
        username: names_username.then_some(body.username),
        profile: body.profile.map(|profile| profile.0),
    };
    let user = flow_patch(&app, &signed_in, patch, expected(if_match), client.into()).await?;
    Ok(shown(&app, &user))
}

pub(super) fn expected(if_match: IfMatch) -> Expected {
    match if_match {
        IfMatch::Any => Expected::Any,
        IfMatch::Tags(tags) => {
            Expected::Versions(tags.iter().filter_map(|tag| tag.parse().ok()).collect())
        }
    }
}

/// Lists one's own live sessions, newest first.
#[utoipa::path(get, path = "/v1/me/sessions", tag = "me", operation_id = "list_sessions",
    params(PageQuery), security(("bearer" = [])), responses(
        (status = 200, description = "A page of sessions.", body = SessionPage,
            headers(("Link" = String, description = "Only where more follow: the next page, `rel=\"next\"`.")))))]
pub(crate) async fn list_sessions(
    app: Data<App>,
    request: HttpRequest,
    page: Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let signed_in = signed_in(&app, &request).await?;
    let paging = Paging::public(&app, signed_in.user.id, "/v1/me/sessions", &page.read()?)?;
    let before = paging.before().map(|(at, id)| (at, SessionId(id)));
    let found = sessions::list(&app, &signed_in, before, paging.limit()).await?;
    let total =
        if paging.wants_total() { Some(sessions::count(&app, &signed_in).await?) } else { None };
    let view = |session| SessionView::new(session, signed_in.session_id);
    let items = found.sessions.into_iter().map(view).collect();
    Ok(paging.answer(items, found.next.map(|(at, id)| (at, id.0)), total))
}

/// Ends one of one's own sessions, the current one too.
#[utoipa::path(delete, path = "/v1/me/sessions/{id}", tag = "me",
    operation_id = "delete_own_session", security(("bearer" = [])),
    params(("id" = String, Path, description = "The session.", format = "uuid")),
    responses((status = 204, description = "The session is over.")))]
pub(crate) async fn end_session(
    app: Data<App>,
    client: Client,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    // AUZ-04: what is no id is 404, also without a token.
    let session: SessionId = path::id(&request, "id")?;
    let signed_in = signed_in(&app, &request).await?;
    query::nothing(&request)?;
    if !sessions::end(&app, &signed_in, session, client.into()).await? {
        return Err(Kind::NotFound.into());
    }
    Ok(HttpResponse::NoContent().finish())
}

/// Ends every session of one's own but the current one.
#[utoipa::path(delete, path = "/v1/me/sessions", tag = "me",
    operation_id = "delete_other_sessions", security(("bearer" = [])),
    responses((status = 204, description = "Only the current session is left.")))]
pub(crate) async fn end_others(
    app: Data<App>,
    client: Client,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let signed_in = signed_in(&app, &request).await?;
    query::nothing(&request)?;
    sessions::end_others(&app, &signed_in, client.into()).await?;
    Ok(HttpResponse::NoContent().finish())
}

impl From<AuthenticateError> for Problem {
    fn from(error: AuthenticateError) -> Self {
        match error {
            AuthenticateError::Invalid => Kind::AccessTokenInvalid.into(),
            AuthenticateError::Fault(fault) => Self::internal(fault),
        }
    }
}

impl From<PatchError> for Problem {
    fn from(error: PatchError) -> Self {
        match error {
            PatchError::VersionConflict => Kind::VersionConflict.into(),
            PatchError::Invalid(faults) => Self::validation(faults),
            PatchError::Taken(taken) => taken.into(),
            PatchError::SignedOut => Kind::AccessTokenInvalid.into(),
            PatchError::Fault(fault) => Self::internal(fault),
        }
    }
}

impl From<Taken> for Problem {
    fn from(taken: Taken) -> Self {
        if taken.has_username() {
            return Kind::UsernameTaken.into();
        }
        Self::new(Kind::ValueTaken).with_faults(taken.faults())
    }
}
