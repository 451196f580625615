//! Another verification mail: every address costs one look-up job and nothing else (ENU-05); the worker does the rest.

use crate::Fault;
use crate::app::App;
use crate::domain::email::CanonicalEmail;
use crate::domain::event::Actor;
use crate::domain::job::{NewJob, Task};
use crate::domain::session::Origin;
use crate::flows::Stamp;
use crate::flows::proof::ProofLetter;
use crate::store::{Writer, jobs, users};

/// LIMIT: look-ups that wait, of both kinds together (ENU-05). Beyond it every address is told to come back later.
const WAITING_MAX: i64 = 10_000;

/// Accepts an address: if it has an account to verify, a mail goes out.
pub async fn resend(app: &App, email: CanonicalEmail, origin: Origin) -> Result<(), Fault> {
    let stamp = Stamp::new(app, Actor::Anyone, origin);
    let key = app.sealer.keyed_hash("resend_verification", email.as_str().as_bytes());
    let task = Task::ResendVerification { email_canonical: email.as_str().to_owned() };
    let job = NewJob { dedupe_key: Some(key.to_vec()), ..stamp.job(&task)? };
    app.store.write(job, |tx, job| Box::pin(enqueue_look_up(tx, job))).await
}

/// Enqueues a look-up: one waits for an address and kind, whoever asks how often.
pub(super) async fn enqueue_look_up(tx: &mut Writer, job: &NewJob) -> Result<(), Fault> {
    let mut waiting = 0;
    for kind in Task::LOOK_UPS {
        waiting += jobs::count_waiting(tx, kind).await?;
    }
    if waiting >= WAITING_MAX {
        return Err(Fault::overloaded("too many look-ups wait"));
    }
    jobs::enqueue(tx, job).await.map(|_is_new| ())
}

/// Looks the address up and enqueues its mail, in the transaction that ends the look-up job.
pub async fn look_up(
    tx: &mut Writer,
    email_canonical: &str,
    letter: &ProofLetter,
) -> Result<(), Fault> {
    match users::lock_by_email(tx, email_canonical).await? {
        None => Ok(()),
        Some(user) => letter.post(tx, &user).await,
    }
}
