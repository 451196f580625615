//! Own sessions: the list of the live ones, and their end (SES-08).

use crate::Fault;
use crate::app::App;
use crate::domain::event::{Action, Actor, Subject, session_data};
use crate::domain::ids::{SessionId, UserId};
use crate::domain::session::{EndReason, Origin, Session, SignedIn};
use crate::domain::time::Timestamp;
use crate::flows::Stamp;
use crate::store::{Writer, events, sessions};

/// The page of live sessions that began before the place `before`, newest first, and whether more follow.
pub async fn list(
    app: &App,
    signed_in: &SignedIn,
    before: (Timestamp, SessionId),
    limit: usize,
) -> Result<(Vec<Session>, bool), Fault> {
    let mut db = app.store.read().await?;
    let fetched = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
    let now = app.clock.now();
    let mut found = sessions::list_live(&mut db, signed_in.user.id, now, before, fetched).await?;
    let has_more = found.len() > limit;
    found.truncate(limit);
    Ok((found, has_more))
}

/// Ends a session of one's own, the current one too; `false` if it is not live, or somebody else's (AUZ-03).
pub async fn end(
    app: &App,
    signed_in: &SignedIn,
    session: SessionId,
    origin: Origin,
) -> Result<bool, Fault> {
    let user = signed_in.user.id;
    let change = Ending { stamp: Stamp::new(app, Actor::User(user), origin), user, session };
    app.store.write(change, |tx, ending| Box::pin(end_one(tx, ending))).await
}

/// Ends every session of one's own but the current one.
pub async fn end_others(app: &App, signed_in: &SignedIn, origin: Origin) -> Result<(), Fault> {
    let user = signed_in.user.id;
    let stamp = Stamp::new(app, Actor::User(user), origin);
    let change = Ending { stamp, user, session: signed_in.session_id };
    app.store.write(change, |tx, ending| Box::pin(end_all_but(tx, ending))).await
}

struct Ending {
    stamp: Stamp,
    user: UserId,
    session: SessionId,
}

async fn end_one(tx: &mut Writer, ending: &Ending) -> Result<bool, Fault> {
    let Ending { stamp, user, session } = ending;
    let is_ended = sessions::end_of_user(tx, *session, *user, stamp.now, EndReason::Ended).await?;
    if is_ended {
        tell(tx, ending, *session).await?;
    }
    Ok(is_ended)
}

async fn end_all_but(tx: &mut Writer, ending: &Ending) -> Result<(), Fault> {
    let Ending { stamp, user, session } = ending;
    let ended = sessions::end_others(tx, *user, *session, stamp.now, EndReason::Ended).await?;
    for session in ended {
        tell(tx, ending, session).await?;
    }
    Ok(())
}

async fn tell(tx: &mut Writer, ending: &Ending, session: SessionId) -> Result<(), Fault> {
    let subject = Subject::User(ending.user);
    let event = ending.stamp.event(Action::SessionEnded, subject, session_data(session))?;
    events::append(tx, &event).await
}
