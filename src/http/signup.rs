//! Signing up: with a mail that proves the mailbox, with an invitation, or at once.

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use validator::Validate;

use super::answer::json;
use super::body::Body;
use super::context::Client;
use super::idempotency;
use super::problem::{Kind, Problem};
use super::views::{Accepted, AcceptedAnswer, Profile, SignedUpAnswer};
use crate::Fault;
use crate::app::App;
use crate::domain::email::EmailAddress;
use crate::domain::fields::FieldFault;
use crate::domain::profile::Writer;
use crate::domain::username::Username;
use crate::flows::idempotency::{Begun, Held, Kept, Presented, begin};
use crate::flows::invitation::{AcceptError, Acceptance, accept};
use crate::flows::passwords::check_new;
use crate::flows::signup::{Once, SignedUp, Signup, SignupError, admit, signup as flow_signup};

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
    /// The fields that the operator declared; with an invitation a merge patch over what the inviter set.
    #[serde(default)]
    #[schema(nullable = false)]
    profile: Option<Profile>,
    /// The token of an invitation, `pci_…`.
    #[serde(default)]
    #[schema(nullable = false)]
    invitation: Option<String>,
}

/// A signup whose values are valid by themselves.
enum Wish {
    /// Anybody's.
    Open(Signup),
    /// With an invitation.
    Invited(Acceptance),
}

impl Wish {
    fn email(&self) -> &EmailAddress {
        match self {
            Self::Open(signup) => &signup.email,
            Self::Invited(acceptance) => &acceptance.email,
        }
    }

    async fn grant(self, app: &App, once: Option<&Once>) -> Result<SignedUp, AcceptError> {
        match self {
            Self::Open(signup) => Ok(flow_signup(app, signup, once).await?),
            Self::Invited(acceptance) => accept(app, acceptance, once).await,
        }
    }
}

impl SignupBody {
    /// Everything that is wrong with the values, or the values.
    async fn parse(self, app: &App, client: Client) -> Result<Wish, Problem> {
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
        let given = self.profile.map_or_else(Map::new, |profile| profile.0);
        let profile = match &self.invitation {
            // What it leads to is checked with the inviter's profile at hand.
            Some(_) => Some(Value::Object(given)),
            None => {
                let profile = app.schema.compose(&Value::Object(given), Writer::User, "/profile");
                profile.map_err(|found| faults.extend(found)).ok()
            }
        };
        let (Some(email), Some(password), Ok(username), Some(Value::Object(profile))) =
            (email, password, username, profile)
        else {
            return Err(Problem::validation(faults));
        };
        let origin = client.into();
        Ok(match self.invitation {
            Some(token) => {
                Wish::Invited(Acceptance { token, email, password, username, profile, origin })
            }
            None => Wish::Open(Signup { email, password, username, profile, origin }),
        })
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
    let body = received.check()?;
    admit(&app, body.invitation.is_some())?;
    let wish = body.parse(&app, client).await?;
    let Some(key) = key else { return signed_up(&app, &wish.grant(&app, None).await?) };
    let presented = Presented {
        key: &key,
        route: "POST /v1/signup",
        caller: wish.email().canonical().as_str(),
        body: &sent,
    };
    let held = match begin(&app, &presented).await? {
        Begun::Again(kept) => return idempotency::again(kept),
        Begun::First(held) => held,
    };
    let once = Once { held, render: kept };
    match wish.grant(&app, Some(&once)).await {
        Ok(done) => signed_up(&app, &done),
        Err(error) => Err(unkept(&app, once.held, error).await),
    }
}

/// Ends the key of a signup that failed: a conflict is kept, anything else may be tried again.
async fn unkept(app: &App, held: Held, error: AcceptError) -> Problem {
    let (kind, pointers) = match &error {
        AcceptError::Signup(SignupError::Superseded) => return error.into(),
        AcceptError::Signup(SignupError::UsernameTaken) => (Kind::UsernameTaken, Vec::new()),
        AcceptError::Signup(SignupError::EmailTaken) => (Kind::EmailTaken, Vec::new()),
        AcceptError::Taken(taken) if taken.has_username() => (Kind::UsernameTaken, Vec::new()),
        AcceptError::Taken(taken) => (Kind::ValueTaken, taken.pointers().to_vec()),
        _ => {
            held.release(app).await;
            return error.into();
        }
    };
    let kept = Kept::Conflict { code: kind.code().to_owned(), pointers };
    match held.end(app, &kept).await {
        Ok(()) => error.into(),
        Err(fault) => Problem::internal(fault),
    }
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

impl From<AcceptError> for Problem {
    fn from(error: AcceptError) -> Self {
        match error {
            AcceptError::TokenInvalid => Kind::TokenInvalid.into(),
            AcceptError::Invalid(faults) => Self::validation(faults),
            AcceptError::Taken(taken) => taken.into(),
            AcceptError::Moved => Kind::Overloaded.into(),
            AcceptError::Signup(error) => error.into(),
            AcceptError::Fault(fault) => Self::internal(fault),
        }
    }
}
