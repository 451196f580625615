//! The job `mail`: renders one mail and hands it over. Safe to run twice: the message is named by the job.

use super::attempt::{NotDone, Shift};
use crate::domain::ids::JobId;
use crate::domain::job::{ClaimedJob, Mail};
use crate::domain::user::{Status, User};
use crate::mail::{Envelope, MailError};
use crate::store::users;

/// Sends one mail; the caller ends the job.
pub(super) async fn run(shift: &Shift, job: &ClaimedJob, mail: &Mail) -> Result<(), NotDone> {
    let found = users::find(&mut shift.app.store.read().await?, mail.user_id).await?;
    let is_due = |user: User| user.status() != Status::Deleted || mail.letter.is_for_deleted();
    if !found.is_some_and(is_due) {
        skip(job.id);
        return Ok(());
    }
    let envelope = Envelope { id: job.id, attempt: job.attempts, made_at: job.created_at };
    shift.mailer.send(envelope, mail).await.map_err(|error| match error {
        MailError::Unsendable(_) => NotDone::Never(error.to_string()),
        MailError::NotTaken(_) => NotDone::Later(error.to_string()),
    })
}

fn skip(job: JobId) {
    tracing::info!(job.id = %job, "no mail: the account was deleted while it waited");
}
