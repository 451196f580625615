//! The job `forgot_password`: looks an address up and makes its mail, in the transaction that ends the job (ENU-05).

use super::attempt::{NotDone, Shift};
use crate::domain::event::Actor;
use crate::domain::session::Origin;
use crate::domain::time::Timestamp;
use crate::flows::Stamp;
use crate::flows::forgot::{self, ResetLetter};
use crate::store::Writer;
use crate::store::jobs::{self, Held, Outcome};

struct LookUp {
    held: Held,
    email_canonical: String,
    letter: ResetLetter,
    now: Timestamp,
}

/// Looks the address up, makes its token and mail, and ends the job: all or nothing.
pub(super) async fn run(shift: &Shift, held: Held, email_canonical: String) -> Result<(), NotDone> {
    let stamp = Stamp::new(&shift.app, Actor::System, Origin::default());
    let letter = ResetLetter::new(&shift.app, &stamp);
    let look_up = LookUp { held, email_canonical, letter, now: stamp.now };
    shift.app.store.write(look_up, |tx, new| Box::pin(look_up_and_finish(tx, new))).await
}

async fn look_up_and_finish(tx: &mut Writer, new: &LookUp) -> Result<(), NotDone> {
    // SECURITY: REL-14. Asked first: whoever lost the lease makes no second token.
    if !jobs::finish(tx, new.held, Outcome::Done, new.now, None).await? {
        return Err(NotDone::LeaseLost);
    }
    Ok(forgot::look_up(tx, &new.email_canonical, &new.letter).await?)
}
