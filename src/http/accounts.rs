//! Proving the mailbox.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::Data;
use serde::Deserialize;
use utoipa::ToSchema;
use validator::Validate;

use super::answer::{Json, json};
use super::body::Body;
use super::context::Client;
use super::problem::{Kind, Problem};
use super::views::{Accepted, AcceptedAnswer, TokenAnswer};
use crate::app::App;
use crate::domain::email::CanonicalEmail;
use crate::flows::resend::resend as flow_resend;
use crate::flows::verify_email::{Proof, VerifyError, verify_email as flow_verify};

/// What proves a mailbox.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct VerifyBody {
    /// The token of the mail, `pcv_…`.
    token: String,
    /// The password of the signup.
    #[schema(format = "password")]
    password: String,
}

/// Proves a mailbox and opens the first session.
///
/// The token proves the mailbox, the password that the same person signed up. A wrong password
/// leaves the token as it is.
#[utoipa::path(post, path = "/v1/email/verify", tag = "accounts", operation_id = "verify_email",
    request_body = VerifyBody, security(()), responses(
        (status = 200, description = "The mailbox is proven.", body = TokenAnswer)))]
pub(crate) async fn verify(
    app: Data<App>,
    client: Client,
    body: Body<VerifyBody>,
) -> Result<Json<TokenAnswer>, Problem> {
    let body = body.read().await?;
    let password = app.passwords.for_trying(&body.password);
    let password = password.map_err(|error| Problem::validation(vec![error.at("/password")]))?;
    let proof = Proof { token: body.token, password, origin: client.into() };
    let verified = flow_verify(&app, proof).await?;
    Ok(Json(TokenAnswer::new(&verified.tokens).without(&verified.dropped)))
}

/// Whom to mail again.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResendBody {
    /// An address.
    #[schema(example = "ann@example.org")]
    email: String,
}

/// Mails the verification token again.
///
/// The answer is the same for every address. A new mail voids the token mailed before.
#[utoipa::path(post, path = "/v1/email/resend", tag = "accounts",
    operation_id = "resend_verification", request_body = ResendBody, security(()), responses(
        (status = 202, description = "A mail goes out, if the account needs one.",
            body = AcceptedAnswer)))]
pub(crate) async fn resend(
    app: Data<App>,
    client: Client,
    body: Body<ResendBody>,
) -> Result<HttpResponse, Problem> {
    let email = CanonicalEmail::parse(&body.read().await?.email);
    let email = email.map_err(|error| Problem::validation(vec![error.at("/email")]))?;
    flow_resend(&app, email, client.into()).await?;
    Ok(accepted(Accepted::Accepted))
}

fn accepted(status: Accepted) -> HttpResponse {
    json(StatusCode::ACCEPTED, &AcceptedAnswer { status })
}

impl From<VerifyError> for Problem {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::TokenInvalid => Kind::TokenInvalid.into(),
            VerifyError::BadCredentials => Kind::InvalidCredentials.into(),
            VerifyError::Fault(fault) => Self::internal(fault),
        }
    }
}
