//! Signing in, staying signed in, signing out.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use utoipa::ToSchema;
use validator::Validate;

use super::answer::Json;
use super::bearer;
use super::body::Body;
use super::context::Client;
use super::problem::{Kind, Next, Problem};
use super::views::TokenAnswer;
use crate::app::App;
use crate::domain::fields::{FieldCode, FieldFault};
use crate::domain::identifier::LoginIdentifier;
use crate::flows::login::{Attempt, LoginError, login as flow_login};
use crate::flows::logout::{Logout, logout as flow_logout};
use crate::flows::refresh::{RefreshError, refresh as flow_refresh};

/// What somebody signs in with.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LoginBody {
    /// An address or a username, at most 254 bytes.
    #[schema(example = "ann@example.org")]
    identifier: String,
    /// The password.
    #[schema(format = "password")]
    password: String,
    /// For whom the access tokens are to be; one of `token.audiences`, the first by default.
    #[serde(default)]
    #[schema(nullable = false, example = "portcullis")]
    audience: Option<String>,
}

impl LoginBody {
    fn parse(self, app: &App, client: Client) -> Result<Attempt, Problem> {
        let mut faults = Vec::new();
        let identifier = LoginIdentifier::parse(&self.identifier);
        let identifier = identifier.map_err(|error| faults.push(error.at("/identifier"))).ok();
        let password = app.passwords.for_trying(&self.password);
        let password = password.map_err(|error| faults.push(error.at("/password"))).ok();
        let audience = self.audience.unwrap_or_else(|| app.settings.own_audience().to_owned());
        if !app.settings.audiences.contains(&audience) {
            let detail = "The audience is none of this service's.";
            faults.push(FieldFault::new("/audience", FieldCode::AudienceUnknown, detail));
        }
        match (identifier, password) {
            (Some(identifier), Some(password)) if faults.is_empty() => {
                Ok(Attempt { identifier, password, audience, origin: client.into() })
            }
            _ => Err(Problem::validation(faults)),
        }
    }
}

/// Signs somebody in.
///
/// An unknown name, a wrong password, an account without a password and one that is suspended or
/// deleted are answered alike.
#[utoipa::path(post, path = "/v1/login", tag = "sessions", operation_id = "create_session",
    request_body = LoginBody, security(()), responses(
        (status = 200, description = "A new session.", body = TokenAnswer)))]
pub(crate) async fn login(
    app: Data<App>,
    client: Client,
    body: Body<LoginBody>,
) -> Result<Json<TokenAnswer>, Problem> {
    let attempt = body.read().await?.parse(&app, client)?;
    Ok(Json(TokenAnswer::new(&flow_login(&app, attempt).await?)))
}

/// What keeps a session going.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RefreshBody {
    /// The refresh token in hand, `pcr_…`.
    refresh_token: String,
}

/// Replaces a refresh token and gives a new access token.
///
/// A client that lost the answer may ask again within seconds and gets the same refresh token. Any
/// other reuse of a replaced token ends the session.
#[utoipa::path(post, path = "/v1/token/refresh", tag = "sessions",
    operation_id = "refresh_session", request_body = RefreshBody, security(()), responses(
        (status = 200, description = "New tokens of the same session.", body = TokenAnswer)))]
pub(crate) async fn refresh(
    app: Data<App>,
    client: Client,
    body: Body<RefreshBody>,
) -> Result<Json<TokenAnswer>, Problem> {
    let body = body.read().await?;
    let tokens = flow_refresh(&app, &body.refresh_token, client.into()).await?;
    Ok(Json(TokenAnswer::new(&tokens)))
}

/// What names the session that is to end.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LogoutBody {
    /// A refresh token of the session; needed unless a bearer token names it.
    #[serde(default)]
    #[schema(nullable = false)]
    refresh_token: Option<String>,
}

/// Ends the session that a refresh token or a bearer token names, or both.
///
/// The answer is the same for dead tokens and for garbage. With a bearer token no body is needed.
#[utoipa::path(post, path = "/v1/logout", tag = "sessions", operation_id = "delete_session",
    request_body(content = Option<LogoutBody>), security((), ("bearer" = [])), responses(
        (status = 204, description = "What the tokens named is over.")))]
pub(crate) async fn logout(
    app: Data<App>,
    client: Client,
    request: HttpRequest,
    body: Body<LogoutBody>,
) -> Result<HttpResponse, Problem> {
    let access_token = match bearer::optional(&request) {
        Ok(token) => token.map(|token| token.as_str().to_owned()),
        // SES-07: garbage is a token that names nothing.
        Err(problem) if problem.kind() == Kind::AccessTokenInvalid => Some(String::new()),
        Err(problem) => return Err(problem),
    };
    let body = body.read_if_any().await?;
    if body.is_none() && access_token.is_none() {
        return Err(missing(""));
    }
    let refresh_token = body.and_then(|body| body.refresh_token);
    if refresh_token.is_none() && access_token.is_none() {
        return Err(missing("/refresh_token"));
    }
    flow_logout(&app, Logout { refresh_token, access_token, origin: client.into() }).await?;
    Ok(HttpResponse::NoContent().finish())
}

fn missing(pointer: &str) -> Problem {
    let detail = "A refresh token here, or a bearer token, names the session.";
    Problem::validation(vec![FieldFault::new(pointer, FieldCode::Required, detail)])
}

impl From<LoginError> for Problem {
    fn from(error: LoginError) -> Self {
        match error {
            LoginError::BadCredentials => Kind::InvalidCredentials.into(),
            LoginError::EmailNotVerified => {
                Self::new(Kind::EmailNotVerified).with_next(Next::VerifyEmail)
            }
            LoginError::Fault(fault) => Self::internal(fault),
        }
    }
}

impl From<RefreshError> for Problem {
    fn from(error: RefreshError) -> Self {
        match error {
            RefreshError::Invalid => Kind::RefreshTokenInvalid.into(),
            RefreshError::Reused => Kind::RefreshTokenReused.into(),
            RefreshError::Fault(fault) => Self::internal(fault),
        }
    }
}
