//! The job `mail`: renders one mail and hands it over. Safe to run twice: the message is named by the job.

use std::time::Duration;

use serde_json::{Map, Value};
use tokio::time::Instant;

use super::attempt::{NotDone, Shift};
use crate::domain::job::{ClaimedJob, Letter, Mail};
use crate::domain::user::{Status, User};
use crate::mail::{Envelope, Language};
use crate::store::users;

/// LIMIT: how long a worker waits for its turn at the mail server, besides the time of the job.
const TURN_MAX: Duration = Duration::from_secs(10);

/// Sends one mail; the caller ends the job.
pub(super) async fn run(shift: &Shift, job: &ClaimedJob, mail: &Mail) -> Result<(), NotDone> {
    let found = users::find(&mut shift.app.store.read().await?, mail.user_id).await?;
    if !is_due(&mail.letter, found.as_ref()) {
        tracing::info!(job.id = %job.id, "no mail: the account was deleted while it waited");
        return Ok(());
    }
    let language = Language::of(found.as_ref().and_then(|user| locale_of(&user.profile)));
    let envelope = Envelope { id: job.id, attempt: job.attempts, made_at: job.created_at };
    if shift.mailer.is_remote() {
        let turn = shift.app.outbound.mail_server.wait(Instant::now() + TURN_MAX).await;
        turn.map_err(|error| NotDone::Later(format!("the mail server is {error}")))?;
    }
    match shift.mailer.send(envelope, language, mail).await {
        Ok(_) => Ok(()),
        Err(error) if error.is_final() => Err(NotDone::Never(error.to_string())),
        Err(error) => Err(NotDone::Later(error.to_string())),
    }
}

/// The user's language, as they or the client that made the account said it.
fn locale_of(profile: &Map<String, Value>) -> Option<&str> {
    profile.get("locale").and_then(Value::as_str)
}

/// Whether a letter still makes sense, given what became of its account while it waited.
fn is_due(letter: &Letter, user: Option<&User>) -> bool {
    user.filter(|user| user.erased_at.is_none())
        .is_some_and(|user| user.status() != Status::Deleted || letter.is_for_deleted())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::ids::UserId;
    use crate::domain::time::Timestamp;
    use crate::domain::user::Roles;

    fn user() -> User {
        let at = Timestamp::from_micros(0);
        User {
            id: UserId(uuid::Uuid::nil()),
            email: "ann@example.org".into(),
            email_canonical: "ann@example.org".into(),
            email_verified_at: Some(at),
            username: None,
            profile: Map::new(),
            pending_since: None,
            suspended_at: None,
            deleted_at: None,
            erased_at: None,
            invited_until: None,
            created_at: at,
            updated_at: at,
            last_login_at: None,
            version: 1,
            roles: Roles::default(),
        }
    }

    #[test]
    fn eml_11_a_deleted_account_is_told_what_happened_and_asked_nothing() {
        let at = Timestamp::from_micros(0);
        let token = || "x".to_owned();
        let (deleted, suspended) = (
            User { deleted_at: Some(at), ..user() },
            User { suspended_at: Some(at), email_verified_at: None, ..user() },
        );
        let lifetime_s = 60;
        let erased = User { erased_at: Some(at), ..deleted.clone() };
        // Letter, and whether a deleted account gets it.
        let letters = [
            (Letter::Verify { token: token(), lifetime_s }, false),
            (Letter::AlreadyRegistered, false),
            (Letter::AddressHeld, true),
            (Letter::Reset { token: token(), lifetime_s }, false),
            (Letter::EmailChange { token: token(), lifetime_s }, false),
            (Letter::EmailChangeRequested { token: token(), lifetime_s }, false),
            (Letter::EmailChanged, true),
            (Letter::Invitation { token: token(), lifetime_s }, false),
            (Letter::PasswordChanged, true),
            (Letter::PasswordSet, true),
            (Letter::NewDevice { at, address: String::new(), user_agent: None }, true),
            (Letter::AccountDeleted { grace_s: 60 }, true),
            (Letter::AccountRestored, false),
        ];
        for (n, (letter, to_deleted)) in letters.iter().enumerate() {
            assert!(is_due(letter, Some(&user())), "{n}");
            assert!(is_due(letter, Some(&suspended)), "{n}");
            assert_eq!(is_due(letter, Some(&deleted)), *to_deleted, "{n}");
            assert!(!is_due(letter, Some(&erased)) && !is_due(letter, None), "{n}");
        }
    }

    #[test]
    fn a_locale_that_is_no_text_is_none() {
        let of = |locale: Value| {
            let profile = Map::from_iter([("locale".to_owned(), locale)]);
            Language::of(locale_of(&profile))
        };
        assert_eq!(of(json!("de-AT")), Language::German);
        assert_eq!(of(json!(["de"])), Language::English);
        assert_eq!(of(json!(null)), Language::English);
    }
}
