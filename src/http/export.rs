//! Everything that is stored about one's own account, as one document that is sent page by page.

use actix_web::http::header;
use actix_web::web::{Bytes, Data};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::stream;
use serde::Serialize;
use utoipa::ToSchema;

use super::events::EventView;
use super::me::signed_in;
use super::problem::{Kind, Next, Problem};
use super::query;
use super::views::UserView;
use crate::Fault;
use crate::app::App;
use crate::domain::ids::{EventId, SessionId, UserId};
use crate::domain::profile::Reader;
use crate::domain::session::StoredSession;
use crate::domain::time::Timestamp;
use crate::flows::export::{self, ExportError, Head, Token};

/// Everything that is stored about an account.
#[derive(ToSchema)]
#[schema(as = Export)]
#[expect(dead_code, reason = "the shape of what is written piece by piece")]
struct ExportView {
    /// The account.
    user: UserView,
    /// What is known of the password, which is not itself stored; null without one.
    password: Option<PasswordView>,
    /// The roles, and since when.
    roles: Vec<GrantedRole>,
    /// Values that no other account may have.
    unique_values: Vec<UniqueValue>,
    /// The change of the address that waits for its confirmation, or null.
    email_change: Option<EmailChangeView>,
    /// Tokens that were mailed; they themselves are not stored.
    one_time_tokens: Vec<OneTimeTokenView>,
    /// Every session that is stored, newest first.
    sessions: Vec<ExportedSession>,
    /// Everything that happened to the account, newest first.
    events: Vec<EventView>,
}

#[derive(Serialize)]
struct HeadView {
    user: UserView,
    password: Option<PasswordView>,
    roles: Vec<GrantedRole>,
    unique_values: Vec<UniqueValue>,
    email_change: Option<EmailChangeView>,
    one_time_tokens: Vec<OneTimeTokenView>,
}

/// What is known of a password.
#[derive(Serialize, ToSchema)]
struct PasswordView {
    /// When it was set.
    #[schema(value_type = String, format = "date-time")]
    set_at: Timestamp,
    /// Whether it is to be changed.
    must_change: bool,
}

/// A role of the account.
#[derive(Serialize, ToSchema)]
struct GrantedRole {
    /// The name of the role.
    role: String,
    /// Since when.
    #[schema(value_type = String, format = "date-time")]
    granted_at: Timestamp,
}

/// A value that no other account may have.
#[derive(Serialize, ToSchema)]
struct UniqueValue {
    /// Where it stands in the account, as a pointer.
    #[schema(example = "/username")]
    field: String,
    /// The form that is compared.
    value: String,
}

/// A change of the address that waits for its confirmation.
#[derive(Serialize, ToSchema)]
struct EmailChangeView {
    /// The new address.
    email: String,
    /// When it was asked for.
    #[schema(value_type = String, format = "date-time")]
    requested_at: Timestamp,
    /// When it ends by itself.
    #[schema(value_type = String, format = "date-time")]
    expires_at: Timestamp,
}

/// A token that was mailed.
#[derive(Serialize, ToSchema)]
struct OneTimeTokenView {
    /// What it is for.
    #[schema(example = "email_verification")]
    purpose: String,
    /// When it was made.
    #[schema(value_type = String, format = "date-time")]
    created_at: Timestamp,
    /// When it ends by itself.
    #[schema(value_type = String, format = "date-time")]
    expires_at: Timestamp,
    /// When it was used, or null.
    #[schema(value_type = Option<String>, format = "date-time")]
    used_at: Option<Timestamp>,
}

/// A session as it is stored.
#[derive(Serialize, ToSchema)]
struct ExportedSession {
    /// Names the session.
    #[schema(value_type = String, format = "uuid")]
    id: SessionId,
    /// Which client signed in.
    client_id: String,
    /// For whom its access tokens are.
    audience: String,
    /// What the client called itself, or null.
    user_agent: Option<String>,
    /// The address that it began from.
    address: String,
    /// When it began.
    #[schema(value_type = String, format = "date-time")]
    created_at: Timestamp,
    /// When it was last refreshed.
    #[schema(value_type = String, format = "date-time")]
    last_used_at: Timestamp,
    /// When the password was last given in it.
    #[schema(value_type = String, format = "date-time")]
    auth_time: Timestamp,
    /// When it ends unless it is used.
    #[schema(value_type = String, format = "date-time")]
    expires_at: Timestamp,
    /// When it was ended, or null.
    #[schema(value_type = Option<String>, format = "date-time")]
    ended_at: Option<Timestamp>,
    /// Why it was ended, or null.
    #[schema(example = "logout")]
    end_reason: Option<String>,
}

impl From<StoredSession> for ExportedSession {
    fn from(stored: StoredSession) -> Self {
        let session = stored.session;
        Self {
            id: session.id,
            client_id: session.client_id,
            audience: session.audience,
            user_agent: session.user_agent,
            address: session.address,
            created_at: session.created_at,
            last_used_at: session.last_used_at,
            auth_time: session.auth_time,
            expires_at: session.expires_at,
            ended_at: stored.ended_at,
            end_reason: stored.end_reason,
        }
    }
}

impl HeadView {
    fn new(head: Head, app: &App) -> Self {
        let password = head.password;
        let token = |token: Token| OneTimeTokenView {
            purpose: token.purpose,
            created_at: token.created_at,
            expires_at: token.expires_at,
            used_at: token.used_at,
        };
        Self {
            // SECURITY: AUZ-07. Fields that are for administrators are so here too.
            user: UserView::new(&head.user, &app.schema, Reader::User),
            password: password.map(|(set_at, must_change)| PasswordView { set_at, must_change }),
            roles: head
                .roles
                .into_iter()
                .map(|(role, granted_at)| GrantedRole { role, granted_at })
                .collect(),
            unique_values: head
                .unique_values
                .into_iter()
                .map(|(field, value)| UniqueValue { field, value })
                .collect(),
            email_change: head.email_change.map(|wish| EmailChangeView {
                email: wish.email,
                requested_at: wish.requested_at,
                expires_at: wish.expires_at,
            }),
            one_time_tokens: head.one_time_tokens.into_iter().map(token).collect(),
        }
    }
}

/// Exports everything that is stored about one's own account.
///
/// Needs a password that was given a short while ago, at the sign-in or by `/v1/me/reauthenticate`.
#[utoipa::path(get, path = "/v1/me/export", tag = "me", operation_id = "export_me",
    security(("bearer" = [])), responses(
        (status = 200, description = "One document, to be saved.", body = ExportView,
            headers(("Content-Disposition" = String, description = "`attachment` with the name of a file.")))))]
pub(crate) async fn export(app: Data<App>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let signed_in = signed_in(&app, &request).await?;
    query::nothing(&request)?;
    let user = signed_in.user.id;
    let head = HeadView::new(export::begin(&app, &signed_in).await?, &app);
    let mut text = serde_json::to_string(&head).map_err(Fault::internal)?;
    // The object goes on with the lists.
    text.truncate(text.len().saturating_sub(1));
    text.push_str(",\"sessions\":[");
    let first = Piece { app, user, then: Then::Head(text) };
    let name = "attachment; filename=\"account.json\"";
    Ok(HttpResponse::Ok()
        .content_type("application/json")
        .insert_header((header::CONTENT_DISPOSITION, name))
        .streaming(stream::try_unfold(first, next)))
}

/// How far the document is written.
struct Piece {
    app: Data<App>,
    user: UserId,
    then: Then,
}

enum Then {
    Head(String),
    Sessions(Option<(Timestamp, SessionId)>),
    Events(Option<EventId>),
    Nothing,
}

/// The next piece of the document. A fault breaks the connection off: what arrived is no JSON.
async fn next(piece: Piece) -> Result<Option<(Bytes, Piece)>, Fault> {
    let Piece { app, user, then } = piece;
    let (text, then) = match then {
        Then::Nothing => return Ok(None),
        Then::Head(text) => (text, Then::Sessions(None)),
        Then::Sessions(before) => {
            let found = export::sessions(&app, user, before).await.inspect_err(tell)?;
            let last = found.last().map(|last| (last.session.created_at, last.session.id));
            let views: Vec<_> = found.into_iter().map(ExportedSession::from).collect();
            let text = items(&views, before.is_none())?;
            match last {
                Some(last) => (text, Then::Sessions(Some(last))),
                None => (text + "],\"events\":[", Then::Events(None)),
            }
        }
        Then::Events(before) => {
            let found = export::events(&app, user, before).await.inspect_err(tell)?;
            let last = found.last().map(|last| last.id);
            let views: Vec<_> = found.into_iter().map(EventView::from).collect();
            let text = items(&views, before.is_none())?;
            match last {
                Some(last) => (text, Then::Events(Some(last))),
                None => (text + "]}", Then::Nothing),
            }
        }
    };
    Ok(Some((text.into(), Piece { app, user, then })))
}

fn tell(fault: &Fault) {
    tracing::warn!(error = %fault.chain(), at = fault.place(), "an export was broken off");
}

/// The inside of an array, going on behind what stands there.
fn items<T: Serialize>(items: &[T], is_first: bool) -> Result<String, Fault> {
    let mut text = String::new();
    for item in items {
        if !(is_first && text.is_empty()) {
            text.push(',');
        }
        text.push_str(&serde_json::to_string(item).map_err(Fault::internal)?);
    }
    Ok(text)
}

impl From<ExportError> for Problem {
    fn from(error: ExportError) -> Self {
        match error {
            ExportError::NotFresh => {
                Self::new(Kind::ReauthenticationRequired).with_next(Next::Reauthenticate)
            }
            ExportError::Fault(fault) => Self::internal(fault),
        }
    }
}
