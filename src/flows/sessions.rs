//! Own sessions: the list of the live ones, and their end (SES-08).

use crate::Fault;
use crate::app::App;
use crate::domain::event::{Action, Actor, Subject, session_data};
use crate::domain::ids::{SessionId, UserId};
use crate::domain::session::{EndReason, Origin, Session, SignedIn};
use crate::domain::time::Timestamp;
use crate::flows::Stamp;
use crate::store::{Writer, events, sessions};

/// A place in a list of sessions: when one began, and its id.
pub type Place = (Timestamp, SessionId);

/// A page of sessions, newest first.
pub struct Page {
    /// The sessions.
    pub sessions: Vec<Session>,
    /// The place of the last one, if more follow.
    pub next: Option<Place>,
}

/// LIMIT: before every session there can be: the year 9999, which both databases and RFC 3339 still hold.
pub(super) const FIRST: Place =
    (Timestamp::from_micros(253_402_300_799_000_000), SessionId(uuid::Uuid::max()));

/// The page of at most `limit` live sessions that began before the place `before`.
pub async fn list(
    app: &App,
    signed_in: &SignedIn,
    before: Option<Place>,
    limit: usize,
) -> Result<Page, Fault> {
    let mut db = app.store.read().await?;
    let fetched = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
    let (user, now) = (signed_in.user.id, app.clock.now());
    let mut found =
        sessions::list_live(&mut db, user, now, before.unwrap_or(FIRST), fetched).await?;
    let has_more = found.len() > limit;
    found.truncate(limit);
    let last = found.last().map(|session| (session.created_at, session.id));
    Ok(Page { next: last.filter(|_| has_more), sessions: found })
}

/// How many live sessions there are.
pub async fn count(app: &App, signed_in: &SignedIn) -> Result<i64, Fault> {
    let mut db = app.store.read().await?;
    sessions::count_live(&mut db, signed_in.user.id, app.clock.now()).await
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
