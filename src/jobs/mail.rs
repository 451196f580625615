//! The job `mail`: renders one mail and hands it over. Safe to run twice: the message is named by the job.

use super::attempt::{NotDone, Shift};
use crate::domain::ids::JobId;
use crate::domain::job::{ClaimedJob, Letter, Mail};
use crate::domain::user::{Status, User};
use crate::mail::{Envelope, MailError};
use crate::store::users;

/// Sends one mail; the caller ends the job.
pub(super) async fn run(shift: &Shift, job: &ClaimedJob, mail: &Mail) -> Result<(), NotDone> {
    let found = users::find(&mut shift.app.store.read().await?, mail.user_id).await?;
    if found.is_none_or(|user| is_left_alone(&user, &mail.letter)) {
        skip(job.id);
        return Ok(());
    }
    let envelope = Envelope { id: job.id, attempt: job.attempts, made_at: job.created_at };
    shift.mailer.send(envelope, mail).await.map_err(|error| match error {
        MailError::Unsendable(_) => NotDone::Never(error.to_string()),
        MailError::NotTaken(_) => NotDone::Later(error.to_string()),
    })
}

/// Of a deleted account its owner is told just that, and whoever is erased is told nothing more.
fn is_left_alone(user: &User, letter: &Letter) -> bool {
    user.erased_at.is_some() || (user.status() == Status::Deleted && !letter.is_for_deleted())
}

fn skip(job: JobId) {
    tracing::info!(job.id = %job, "no mail: the account was deleted while it waited");
}
