//! The job `mail`: renders one mail and hands it over. Safe to run twice: the message is named by the job.

use serde_json::{Map, Value};

use super::attempt::{NotDone, Shift};
use crate::domain::job::{ClaimedJob, Letter, Mail};
use crate::domain::user::{Status, User};
use crate::mail::{Envelope, Language};
use crate::store::users;

/// Sends one mail; the caller ends the job.
pub(super) async fn run(shift: &Shift, job: &ClaimedJob, mail: &Mail) -> Result<(), NotDone> {
    let found = users::find(&mut shift.app.store.read().await?, mail.user_id).await?;
    if !is_due(&mail.letter, found.as_ref()) {
        tracing::info!(job.id = %job.id, "no mail: the account was deleted while it waited");
        return Ok(());
    }
    let language = Language::of(found.as_ref().and_then(|user| locale_of(&user.profile)));
    let envelope = Envelope { id: job.id, attempt: job.attempts, made_at: job.created_at };
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
///
/// What has happened is told even if the account was deleted after it: who takes an account over and deletes it must not
/// silence its notices. What asks for something or is no longer true is not. An erased account gets the last word only.
fn is_due(letter: &Letter, user: Option<&User>) -> bool {
    let (is_deleted, is_erased) = match user {
        Some(user) => (user.status() == Status::Deleted, user.erased_at.is_some()),
        None => (true, true),
    };
    match letter {
        Letter::AccountDeleted { .. } => true,
        Letter::EmailChanged
        | Letter::PasswordChanged
        | Letter::PasswordSet
        | Letter::NewDevice { .. }
        | Letter::AddressHeld => !is_erased,
        Letter::Verify { .. }
        | Letter::Reset { .. }
        | Letter::EmailChange { .. }
        | Letter::EmailChangeRequested { .. }
        | Letter::Invitation { .. }
        | Letter::AlreadyRegistered
        | Letter::AccountRestored => !is_deleted,
    }
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
            invited_until: None,
            suspended_at: None,
            deleted_at: None,
            erased_at: None,
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
        // Letter, whether a deleted account gets it, whether an erased one does.
        let letters = [
            (Letter::Verify { token: token(), lifetime_s }, false, false),
            (Letter::AlreadyRegistered, false, false),
            (Letter::AddressHeld, true, false),
            (Letter::Reset { token: token(), lifetime_s }, false, false),
            (Letter::EmailChange { token: token(), lifetime_s }, false, false),
            (Letter::EmailChangeRequested { token: token(), lifetime_s }, false, false),
            (Letter::EmailChanged, true, false),
            (Letter::Invitation { token: token(), lifetime_s }, false, false),
            (Letter::PasswordChanged, true, false),
            (Letter::PasswordSet, true, false),
            (Letter::NewDevice { at, address: String::new(), user_agent: None }, true, false),
            (Letter::AccountDeleted { grace_s: 60 }, true, true),
            (Letter::AccountRestored, false, false),
        ];
        for (n, (letter, to_deleted, to_erased)) in letters.iter().enumerate() {
            assert!(is_due(letter, Some(&user())), "{n}");
            assert!(is_due(letter, Some(&suspended)), "{n}");
            assert_eq!(is_due(letter, Some(&deleted)), *to_deleted, "{n}");
            assert_eq!(is_due(letter, None), *to_erased, "{n}");
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
