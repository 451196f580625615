//! Everything that is stored about the caller, in pieces: what there is once, and pages of what there is much of.
//!
//! No handle is open between two pages, so that a slow reader holds nothing.

use crate::Fault;
use crate::app::App;
use crate::domain::event::OwnEvent;
use crate::domain::ids::{EventId, SessionId, UserId};
use crate::domain::session::{SignedIn, StoredSession};
use crate::domain::time::Timestamp;
use crate::domain::user::User;
use crate::flows::own_events;
use crate::flows::reauthenticate::require_fresh;
use crate::store::email_changes::{self, EmailChange};
pub use crate::store::one_time_tokens::StoredOneTimeToken as Token;
use crate::store::one_time_tokens::{self, Purpose};
use crate::store::{credentials, roles, sessions, unique_values};

/// LIMIT: rows of a page, some 300 bytes each.
const PAGE: usize = 500;
/// LIMIT: one token a purpose lives, and those that were spent leave when they would have ended.
const TOKENS_MAX: i64 = 1000;

/// Why nothing is exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The password was given too long ago (AUZ-08).
    #[error("a recent sign-in is required")]
    NotFresh,
    /// It could not be done.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// What there is once.
pub struct Head {
    /// The account.
    pub user: User,
    /// When the password was set, and whether it is to be changed.
    pub password: Option<(Timestamp, bool)>,
    /// The roles, and since when.
    pub roles: Vec<(String, Timestamp)>,
    /// What nobody else may have: the field and the value as it is compared.
    pub unique_values: Vec<(String, String)>,
    /// The wish for another address.
    pub email_change: Option<EmailChange>,
    /// Tokens that were mailed.
    pub one_time_tokens: Vec<Token>,
}

/// What there is once about the caller, if the password was given a short while ago.
pub async fn begin(app: &App, signed_in: &SignedIn) -> Result<Head, ExportError> {
    require_fresh(app, signed_in).or(Err(ExportError::NotFresh))?;
    let id = signed_in.user.id;
    let mut db = app.store.read().await?;
    let credential = credentials::find(&mut db, id).await?;
    let credential = credential.filter(|credential| !credential.hash.is_none());
    let mut tokens = one_time_tokens::list(&mut db, id, TOKENS_MAX).await?;
    // SECURITY: ENU-08. An open change of the address is told by its wish alone: whether a token was made for it
    // depends on who has the address.
    let change = Purpose::EmailChange.as_str();
    tokens.retain(|token| token.purpose != change || token.used_at.is_some());
    Ok(Head {
        user: signed_in.user.clone(),
        password: credential.map(|credential| (credential.set_at, credential.must_change)),
        roles: roles::list_of_user(&mut db, id).await?,
        unique_values: unique_values::list(&mut db, id).await?,
        email_change: email_changes::find(&mut db, id).await?,
        one_time_tokens: tokens,
    })
}

/// A page of sessions, ended ones too, newest first; empty at the end.
pub async fn sessions(
    app: &App,
    user: UserId,
    before: Option<(Timestamp, SessionId)>,
) -> Result<Vec<StoredSession>, Fault> {
    let before = before.unwrap_or(super::sessions::FIRST);
    let limit = i64::try_from(PAGE).unwrap_or(i64::MAX);
    sessions::list_all(&mut app.store.read().await?, user, before, limit).await
}

/// A page of events, newest first; empty at the end.
pub async fn events(
    app: &App,
    user: UserId,
    before: Option<EventId>,
) -> Result<Vec<OwnEvent>, Fault> {
    Ok(own_events::page(app, user, before, PAGE).await?.events)
}
