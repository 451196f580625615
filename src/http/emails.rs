//! Another address: asked for, confirmed, cancelled.

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use utoipa::ToSchema;
use validator::Validate;

use super::answer::json;
use super::body::Body;
use super::context::Client;
use super::me::signed_in;
use super::problem::{Kind, Problem};
use super::views::{Accepted, AcceptedAnswer};
use crate::app::App;
use crate::domain::email::EmailAddress;
use crate::domain::fields::{FieldCode, FieldFault};
use crate::flows::change_email::{self, ConfirmError, Confirmation, Request, RequestError};

/// Which address is wanted.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EmailBody {
    /// The new address; blanks at its ends are dropped.
    #[schema(example = "ann@example.net")]
    email: String,
    /// The password.
    #[schema(format = "password")]
    password: String,
}

impl EmailBody {
    /// Everything that is wrong with the values, or the values.
    fn parse(self, app: &App, client: Client) -> Result<Request, Problem> {
        let mut faults = Vec::new();
        let email = EmailAddress::parse(&self.email);
        let email = email.map_err(|error| faults.push(error.at("/email"))).ok();
        let password = app.passwords.for_trying(&self.password);
        let password = password.map_err(|error| faults.push(error.at("/password"))).ok();
        match (email, password) {
            (Some(email), Some(password)) => Ok(Request { email, password, origin: client.into() }),
            _ => Err(Problem::validation(faults)),
        }
    }
}

/// Asks for another address.
///
/// The new address gets a mail to confirm it, the old one a notice with a way to cancel. Until the confirmation
/// the old address works. The answer is the same for an address that somebody else has; its owner is told.
#[utoipa::path(post, path = "/v1/me/email", tag = "me", operation_id = "request_email_change",
    request_body = EmailBody, security(("bearer" = [])), responses(
        (status = 202, description = "Mails are on their way.", body = AcceptedAnswer)))]
pub(crate) async fn request(
    app: Data<App>,
    client: Client,
    request: HttpRequest,
    body: Body<EmailBody>,
) -> Result<HttpResponse, Problem> {
    let signed_in = signed_in(&app, &request).await?;
    let wanted = body.read().await?.parse(&app, client)?;
    change_email::request(&app, &signed_in, wanted).await?;
    Ok(json(StatusCode::ACCEPTED, &AcceptedAnswer { status: Accepted::Accepted }))
}

/// What confirms another address.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConfirmBody {
    /// The token of the mail to the new address, `pce_…`.
    token: String,
    /// The password.
    #[schema(format = "password")]
    password: String,
}

/// Moves the account to the new address.
///
/// The token proves the mailbox, the password that its owner wants the account. A wrong password leaves the token
/// as it is. All sessions end but the one that asked.
#[utoipa::path(post, path = "/v1/email/change/confirm", tag = "accounts",
    operation_id = "confirm_email_change", request_body = ConfirmBody, security(()), responses(
        (status = 204, description = "The account has the new address.")))]
pub(crate) async fn confirm(
    app: Data<App>,
    client: Client,
    body: Body<ConfirmBody>,
) -> Result<HttpResponse, Problem> {
    let ConfirmBody { token, password } = body.read().await?;
    let password = app.passwords.for_trying(&password);
    let password = password.map_err(|error| Problem::validation(vec![error.at("/password")]))?;
    let confirmation = Confirmation { token, password, origin: client.into() };
    change_email::confirm(&app, confirmation).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// What cancels the wish for another address.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CancelBody {
    /// The token of the mail to the old address, `pcx_…`.
    token: String,
}

/// Cancels the wish for another address, until it is confirmed.
#[utoipa::path(post, path = "/v1/email/change/cancel", tag = "accounts",
    operation_id = "cancel_email_change", request_body = CancelBody, security(()), responses(
        (status = 204, description = "The account keeps its address.")))]
pub(crate) async fn cancel(
    app: Data<App>,
    client: Client,
    body: Body<CancelBody>,
) -> Result<HttpResponse, Problem> {
    change_email::cancel(&app, &body.read().await?.token, client.into()).await?;
    Ok(HttpResponse::NoContent().finish())
}

impl From<RequestError> for Problem {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::OwnAddress => {
                let detail = "The account has this address already.";
                let fault = FieldFault::new("/email", FieldCode::NotAllowed, detail);
                Self::validation(vec![fault])
            }
            RequestError::Reprove(error) => error.into(),
        }
    }
}

impl From<ConfirmError> for Problem {
    fn from(error: ConfirmError) -> Self {
        match error {
            ConfirmError::TokenInvalid => Kind::TokenInvalid.into(),
            ConfirmError::BadCredentials => Kind::InvalidCredentials.into(),
            ConfirmError::Fault(fault) => Self::internal(fault),
        }
    }
}
