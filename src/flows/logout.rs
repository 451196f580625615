//! A logout: whatever names a session ends it, a dead token too; the answer is always the same (SES-07).

use portcullis_verify::Refused;

use crate::Fault;
use crate::app::App;
use crate::crypto::random;
use crate::domain::event::{Action, Actor, Subject, session_data};
use crate::domain::ids::SessionId;
use crate::domain::session::{EndReason, Origin};
use crate::domain::token::{TokenKind, TokenSecret};
use crate::flows::{Stamp, authenticate};
use crate::store::{Writer, events, refresh_tokens, sessions};

/// LIMIT: an access token that fails in nothing but `exp`, by at most this, still ends its session.
const EXPIRED_MAX_S: i64 = 3600;

/// What names the sessions that are to end.
pub struct Logout {
    /// A refresh token, live or retired, or garbage.
    pub refresh_token: Option<String>,
    /// An access token, or garbage.
    pub access_token: Option<String>,
    /// Where it came from.
    pub origin: Origin,
}

/// Ends the sessions that the tokens name, if they name any.
pub async fn logout(app: &App, logout: Logout) -> Result<(), Fault> {
    let mut named = Vec::new();
    if let Some(token) = &logout.access_token {
        named.extend(of_access_token(app, token).await?);
    }
    if let Some(token) = &logout.refresh_token {
        named.extend(of_refresh_token(app, token).await?);
    }
    named.dedup();
    if named.is_empty() {
        return Ok(());
    }
    let stamp = Stamp::new(app, Actor::Anyone, logout.origin);
    app.store.write((stamp, named), |tx, (stamp, named)| Box::pin(end(tx, stamp, named))).await
}

async fn of_access_token(app: &App, token: &str) -> Result<Option<SessionId>, Fault> {
    let named = |claims| authenticate::names(claims).map(|(session, _)| session);
    Ok(match authenticate::claims(app, token).await? {
        Ok(claims) => named(&claims),
        Err(Refused::Expired { claims, by_s }) if by_s <= EXPIRED_MAX_S => named(&claims),
        Err(_) => None,
    })
}

async fn of_refresh_token(app: &App, token: &str) -> Result<Option<SessionId>, Fault> {
    let Some(token) = TokenSecret::parse(TokenKind::Refresh, token) else { return Ok(None) };
    let mut db = app.store.read().await?;
    refresh_tokens::find_session(&mut db, &random::digest(&token)).await
}

async fn end(tx: &mut Writer, stamp: &Stamp, named: &[SessionId]) -> Result<(), Fault> {
    for session in named {
        if let Some(user) = sessions::end(tx, *session, stamp.now, EndReason::Logout).await? {
            let by = stamp.clone().by(Actor::User(user));
            let data = session_data(*session);
            let event = by.event(Action::SessionEnded, Subject::User(user), data)?;
            events::append(tx, &event).await?;
        }
    }
    Ok(())
}
