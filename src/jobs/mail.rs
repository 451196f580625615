//! The job `mail`: renders one mail and hands it over. Safe to run twice: the message is named by the job.

use serde_json::Value;

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
    let language = Language::of(found.as_ref().and_then(locale));
    let envelope = Envelope { id: job.id, attempt: job.attempts, made_at: job.created_at };
    match shift.mailer.send(envelope, language, mail).await {
        Ok(_) => Ok(()),
        Err(error) if error.is_final() => Err(NotDone::Never(error.to_string())),
        Err(error) => Err(NotDone::Later(error.to_string())),
    }
}

/// The user's language, as they or the client that made the account said it.
fn locale(user: &User) -> Option<&str> {
    user.profile.get("locale").and_then(Value::as_str)
}

/// Whether a letter still makes sense, given what became of its account while it waited.
///
/// What has happened is told even if the account was deleted after it: who takes an account over and deletes it must not
/// silence its notices. What asks for something or is no longer true is not. An erased account gets the last word only.
fn is_due(letter: &Letter, user: Option<&User>) -> bool {
    let (is_deleted, is_erased) = match user {
        Some(user) => (user.status() == Status::Deleted, false),
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
