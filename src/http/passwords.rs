//! Passwords: forgotten, reset, changed, and given again.

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use validator::Validate;

use super::answer::{Json, json};
use super::body::Body;
use super::context::Client;
use super::me::signed_in;
use super::problem::{Kind, Problem};
use super::views::{Accepted, AcceptedAnswer, TokenAnswer};
use crate::app::App;
use crate::domain::email::CanonicalEmail;
use crate::domain::ids::SessionId;
use crate::domain::session::SignedIn;
use crate::flows::change_password::{PasswordChange, change_password as flow_change};
use crate::flows::forgot::forgot as flow_forgot;
use crate::flows::passwords::check_new;
use crate::flows::reauthenticate::{Reauthenticated, reauthenticate as flow_reauthenticate};
use crate::flows::reprove::ReproveError;
use crate::flows::reset_password::{Reset, ResetError, reset_password as flow_reset};

/// Who forgot a password.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ForgotBody {
    /// An address.
    #[schema(example = "ann@example.org")]
    email: String,
}

/// Mails a link that sets a new password.
///
/// The answer is the same for every address. A new mail voids the token mailed before.
#[utoipa::path(post, path = "/v1/password/forgot", tag = "accounts",
    operation_id = "forgot_password", request_body = ForgotBody, security(()), responses(
        (status = 202, description = "A mail goes out, if there is an account.",
            body = AcceptedAnswer)))]
pub(crate) async fn forgot(
    app: Data<App>,
    client: Client,
    body: Body<ForgotBody>,
) -> Result<HttpResponse, Problem> {
    let email = CanonicalEmail::parse(&body.read().await?.email);
    let email = email.map_err(|error| Problem::validation(vec![error.at("/email")]))?;
    flow_forgot(&app, email, client.into()).await?;
    Ok(json(StatusCode::ACCEPTED, &AcceptedAnswer { status: Accepted::Accepted }))
}

/// What resets a password.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResetBody {
    /// The token of the mail, `pcp_…`.
    token: String,
    /// 12 to 256 code points, compared byte for byte; none of the common ones.
    #[schema(format = "password", example = "violet-otter-picnic-9")]
    password: String,
}

/// Sets a new password with the token of a mail.
///
/// Ends all sessions and logs nobody in. The token proves the mailbox: an account that was never verified is
/// verified now, without anything that was set before. A password that is refused leaves the token as it is.
#[utoipa::path(post, path = "/v1/password/reset", tag = "accounts",
    operation_id = "reset_password", request_body = ResetBody, security(()), responses(
        (status = 204, description = "The password is set, and every session is over.")))]
pub(crate) async fn reset(
    app: Data<App>,
    client: Client,
    body: Body<ResetBody>,
) -> Result<HttpResponse, Problem> {
    let ResetBody { token, password } = body.read().await?;
    flow_reset(&app, Reset { token, password, origin: client.into() }).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// What changes a password.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeBody {
    /// The password so far.
    #[schema(format = "password")]
    current_password: String,
    /// 12 to 256 code points, compared byte for byte; none of the common ones.
    #[schema(format = "password", example = "violet-otter-picnic-9")]
    new_password: String,
}

impl ChangeBody {
    /// Everything that is wrong with the values, or the values.
    async fn parse(
        self,
        app: &App,
        signed_in: &SignedIn,
        client: Client,
    ) -> Result<PasswordChange, Problem> {
        let mut faults = Vec::new();
        let current = app.passwords.for_trying(&self.current_password);
        let current = current.map_err(|error| faults.push(error.at("/current_password"))).ok();
        let user = &signed_in.user;
        let mut own = vec![user.email.as_str(), user.email_canonical.as_str()];
        own.extend(user.username.as_deref());
        let new = match check_new(app, &self.new_password, &own).await {
            Ok(new) => Some(new),
            Err(error) => {
                faults.push(error.at("/new_password")?);
                None
            }
        };
        match (current, new) {
            (Some(current), Some(new)) => {
                Ok(PasswordChange { current, new, origin: client.into() })
            }
            _ => Err(Problem::validation(faults)),
        }
    }
}

/// Changes one's own password.
///
/// Every session ends, the one of this call too; the answer holds the tokens of a new one.
#[utoipa::path(post, path = "/v1/me/password", tag = "me", operation_id = "change_password",
    request_body = ChangeBody, security(("bearer" = [])), responses(
        (status = 200, description = "The password is changed, in a new session.",
            body = TokenAnswer)))]
pub(crate) async fn change(
    app: Data<App>,
    client: Client,
    request: HttpRequest,
    body: Body<ChangeBody>,
) -> Result<Json<TokenAnswer>, Problem> {
    let signed_in = signed_in(&app, &request).await?;
    let change = body.read().await?.parse(&app, &signed_in, client).await?;
    let tokens = flow_change(&app, &signed_in, change).await?;
    Ok(Json(TokenAnswer::new(&tokens)))
}

/// The password, given again.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReauthenticateBody {
    /// The password.
    #[schema(format = "password")]
    password: String,
}

/// An access token of a session whose password was just given.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReauthenticateAnswer {
    /// A JWT (RFC 9068) for `Authorization: Bearer`, with a fresh `auth_time`.
    access_token: String,
    /// Always `Bearer`.
    token_type: &'static str,
    /// How long the access token is good, in seconds.
    expires_in: u64,
    /// The session, the same as before.
    #[schema(value_type = String, format = "uuid")]
    session_id: SessionId,
}

impl From<Reauthenticated> for ReauthenticateAnswer {
    fn from(of: Reauthenticated) -> Self {
        Self {
            access_token: of.access_token,
            token_type: "Bearer",
            expires_in: of.expires_in,
            session_id: of.session_id,
        }
    }
}

/// Gives the password again.
///
/// Calls that ask for a recent sign-in are open for a while then. The refresh token in hand stays.
#[utoipa::path(post, path = "/v1/me/reauthenticate", tag = "me", operation_id = "reauthenticate",
    request_body = ReauthenticateBody, security(("bearer" = [])), responses(
        (status = 200, description = "The session is fresh.", body = ReauthenticateAnswer)))]
pub(crate) async fn reauthenticate(
    app: Data<App>,
    client: Client,
    request: HttpRequest,
    body: Body<ReauthenticateBody>,
) -> Result<Json<ReauthenticateAnswer>, Problem> {
    let signed_in = signed_in(&app, &request).await?;
    let password = app.passwords.for_trying(&body.read().await?.password);
    let password = password.map_err(|error| Problem::validation(vec![error.at("/password")]))?;
    let renewed = flow_reauthenticate(&app, &signed_in, password, client.into()).await?;
    Ok(Json(renewed.into()))
}

impl From<ResetError> for Problem {
    fn from(error: ResetError) -> Self {
        match error {
            ResetError::TokenInvalid => Kind::TokenInvalid.into(),
            ResetError::Password(error) => Self::validation(vec![error.at("/password")]),
            ResetError::Fault(fault) => Self::internal(fault),
        }
    }
}

impl From<ReproveError> for Problem {
    fn from(error: ReproveError) -> Self {
        match error {
            ReproveError::BadCredentials => Kind::InvalidCredentials.into(),
            ReproveError::SignedOut => Kind::AccessTokenInvalid.into(),
            ReproveError::Fault(fault) => Self::internal(fault),
        }
    }
}
