//! Signing up and proving the mailbox.

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use validator::Validate;

use super::answer::{Json, json};
use super::body::Body;
use super::context::Client;
use super::idempotency;
use super::problem::{Kind, Problem};
use super::views::{Accepted, AcceptedAnswer, Profile, SignedUpAnswer, TokenAnswer};
use crate::Fault;
use crate::app::App;
use crate::domain::email::{CanonicalEmail, EmailAddress};
use crate::domain::fields::FieldFault;
use crate::domain::profile::Writer;
use crate::domain::username::Username;
use crate::flows::idempotency::{Begun, Held, Kept, Presented, begin};
use crate::flows::passwords::check_new;
use crate::flows::resend::resend as flow_resend;
use crate::flows::signup::{Once, SignedUp, Signup, SignupError, signup as flow_signup};
use crate::flows::verify_email::{Proof, VerifyError, verify_email as flow_verify};

/// What somebody signs up with.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignupBody {
    /// An address; blanks at its ends are dropped.
    #[schema(example = "ann@example.org")]
    email: String,
    /// 12 to 256 code points, compared byte for byte; none of the common ones.
    #[schema(format = "password", example = "violet-otter-picnic-9")]
    password: String,
    /// 3 to 32 of letters, digits, `.`, `_`, `-`; compared in lower case.
    #[serde(default)]
    #[schema(nullable = false, example = "ann")]
    username: Option<String>,
    /// The fields that the operator declared.
    #[serde(default)]
    #[schema(nullable = false)]
    profile: Option<Profile>,
}

impl SignupBody {
    /// Everything that is wrong with the values, or the values.
    async fn parse(self, app: &App, client: Client) -> Result<Signup, Problem> {
        let mut faults: Vec<FieldFault> = Vec::new();
        let email = EmailAddress::parse(&self.email);
        let email = email.map_err(|error| faults.push(error.at("/email"))).ok();
        let username = self.username.as_deref().map(|text| Username::parse(text, &app.reserved));
        let username = username.transpose().map_err(|error| faults.push(error.at("/username")));
        let mut own = vec![self.email.as_str()];
        own.extend(email.as_ref().map(|email| email.canonical().as_str()));
        own.extend(self.username.as_deref());
        let password = match check_new(app, &self.password, &own).await {
            Ok(password) => Some(password),
            Err(error) => {
                faults.push(error.at("/password").map_err(Problem::internal)?);
                None
            }
        };
        let given = Value::Object(self.profile.map_or_else(Map::new, |profile| profile.0));
        let profile = app.schema.compose(&given, Writer::User, "/profile");
        let profile = profile.map_err(|found| faults.extend(found)).ok();
        match (email, password, username, profile) {
            (Some(email), Some(password), Ok(username), Some(Value::Object(profile))) => {
                Ok(Signup { email, password, username, profile, origin: client.into() })
            }
            _ => Err(Problem::validation(faults)),
        }
    }
}

/// Signs somebody up.
///
/// The answer is the same for a new and for a taken address; a mail tells which it was. On a signup
/// that is not verified yet, the newest one replaces password, username and profile. With an invitation,
/// or where no proof of the mailbox is needed, the account can be used at once (201).
#[utoipa::path(post, path = "/v1/signup", tag = "accounts", operation_id = "create_signup",
    params(idempotency::KeyParameter),
    request_body = SignupBody, security(()), responses(
        (status = 201, description = "The account can be used.", body = SignedUpAnswer,
            headers(("Idempotency-Replayed" = bool, description = "Only on an answer that was given before."))),
        (status = 202, description = "A mail is on its way.", body = AcceptedAnswer,
            headers(("Idempotency-Replayed" = bool, description = "Only on an answer that was given before.")))))]
pub(crate) async fn signup(
    app: Data<App>,
    client: Client,
    request: HttpRequest,
    body: Body<SignupBody>,
) -> Result<HttpResponse, Problem> {
    let key = idempotency::key(&request)?;
    body.admit()?;
    let received = body.receive().await?;
    let sent = received.value().clone();
    let signup = received.check()?.parse(&app, client).await?;
    let Some(key) = key else { return signed_up(&app, &flow_signup(&app, signup, None).await?) };
    let presented = Presented {
        key: &key,
        route: "POST /v1/signup",
        caller: signup.email.canonical().as_str(),
        body: &sent,
    };
    let held = match begin(&app, &presented).await? {
        Begun::Again(kept) => return idempotency::again(kept),
        Begun::First(held) => held,
    };
    let once = Once { held, render: kept };
    match flow_signup(&app, signup, Some(&once)).await {
        Ok(done) => signed_up(&app, &done),
        Err(error) => Err(unkept(&app, once.held, error).await),
    }
}

/// Ends the key of a signup that failed: a conflict is kept, anything else may be tried again.
async fn unkept(app: &App, held: Held, error: SignupError) -> Problem {
    let code = match &error {
        SignupError::UsernameTaken => Kind::UsernameTaken.code(),
        SignupError::EmailTaken => Kind::EmailTaken.code(),
        SignupError::Superseded => return error.into(),
        SignupError::Closed | SignupError::Fault(_) => {
            held.release(app).await;
            return error.into();
        }
    };
    let kept = Kept::Conflict { code: code.to_owned(), pointers: Vec::new() };
    if let Err(fault) = held.end(app, &kept).await {
        return Problem::internal(fault);
    }
    error.into()
}

/// The answer to a signup as it is given again.
fn kept(app: &App, done: &SignedUp) -> Result<Kept, Fault> {
    let (status, body) = match done {
        SignedUp::ByMail => {
            let status = Accepted::VerificationRequired;
            (StatusCode::ACCEPTED, serde_json::to_value(AcceptedAnswer { status }))
        }
        SignedUp::AtOnce { user, tokens } => {
            (StatusCode::CREATED, serde_json::to_value(SignedUpAnswer::new(app, user, tokens)))
        }
    };
    Ok(Kept::Answer { status: status.as_u16(), body: body.map_err(Fault::internal)? })
}

fn signed_up(app: &App, done: &SignedUp) -> Result<HttpResponse, Problem> {
    match kept(app, done)? {
        Kept::Answer { status, body } => {
            let status = StatusCode::from_u16(status).map_err(Fault::internal)?;
            Ok(json(status, &body))
        }
        Kept::Conflict { .. } => {
            Err(Fault::internal("a signup that succeeded is no conflict").into())
        }
    }
}

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

impl From<SignupError> for Problem {
    fn from(error: SignupError) -> Self {
        match error {
            SignupError::UsernameTaken => Kind::UsernameTaken.into(),
            SignupError::EmailTaken => Kind::EmailTaken.into(),
            SignupError::Closed => Kind::SignupClosed.into(),
            SignupError::Superseded => Kind::IdempotencyInProgress.into(),
            SignupError::Fault(fault) => Self::internal(fault),
        }
    }
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
