//! A refresh: the live token of a session is retired and replaced. Its parent, for seconds, gets the same successor.

use std::time::Duration;

use serde_json::Map;

use crate::Fault;
use crate::app::App;
use crate::crypto::random;
use crate::crypto::seal::Place;
use crate::domain::event::{Action, Actor, Subject, session_data};
use crate::domain::session::{EndReason, Origin};
use crate::domain::signup::EmailVerification;
use crate::domain::time::Timestamp;
use crate::domain::token::{TokenDigest, TokenKind, TokenSecret};
use crate::flows::Stamp;
use crate::flows::tokens::{self, Tokens};
use crate::store::refresh_tokens::{self, NewRefreshToken, Presented};
use crate::store::{Writer, events, sessions};

/// The column of sealed successors.
const SUCCESSOR: &str = "refresh_tokens.successor";

/// Why no tokens were given.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// Unknown, expired, its session ended, or its user may not sign in.
    #[error("the refresh token is not valid")]
    Invalid,
    /// It was retired before, and this call has ended its session (SES-03).
    #[error("the refresh token was used before")]
    Reused,
    /// It could not be done.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Replaces a refresh token and signs a new access token.
pub async fn refresh(app: &App, presented: &str, origin: Origin) -> Result<Tokens, RefreshError> {
    let token = TokenSecret::parse(TokenKind::Refresh, presented).ok_or(RefreshError::Invalid)?;
    let digest = random::digest(&token);
    let next = app.random.token(TokenKind::Refresh);
    let stamp = Stamp::new(app, Actor::Anyone, origin);
    let now = stamp.now;
    let rotation = Rotation {
        stamp,
        successor: app.sealer.seal(Place::new(SUCCESSOR, &digest.0), next.expose().as_bytes())?,
        next: random::digest(&next),
        presented: digest.clone(),
        idle: app.settings.session_idle,
        reuse_window: app.settings.refresh_reuse_window,
        needed: app.settings.email_verification,
    };
    match app.store.write(rotation, |tx, rotation| Box::pin(rotate(tx, rotation))).await? {
        Rotated::Next { found, expires_at } => answer(app, &found, next, expires_at, now),
        Rotated::Again { found, successor } => {
            let plain = app.sealer.open(Place::new(SUCCESSOR, &digest.0), &successor)?;
            let text = std::str::from_utf8(&plain).map_err(Fault::internal)?;
            let again = TokenSecret::parse(TokenKind::Refresh, text)
                .ok_or_else(|| Fault::internal("a sealed successor is no refresh token"))?;
            let expires_at = found.session_expires_at;
            answer(app, &found, again, expires_at, now)
        }
        Rotated::Reused => Err(RefreshError::Reused),
    }
}

fn answer(
    app: &App,
    found: &Presented,
    refresh_token: TokenSecret,
    expires_at: Timestamp,
    now: Timestamp,
) -> Result<Tokens, RefreshError> {
    let subject = tokens::Subject {
        user: &found.user,
        session_id: found.session_id,
        audience: &found.audience,
        auth_time: found.auth_time,
    };
    Ok(Tokens {
        access_token: tokens::access_token(app, &subject, now)?,
        expires_in: app.settings.access_lifetime.as_secs(),
        refresh_token,
        refresh_expires_in: expires_at.since(now).as_secs(),
        session_id: found.session_id,
        must_change_password: found.must_change,
    })
}

struct Rotation {
    stamp: Stamp,
    presented: TokenDigest,
    next: TokenDigest,
    successor: Vec<u8>,
    idle: Duration,
    reuse_window: Duration,
    needed: EmailVerification,
}

enum Rotated {
    Next { found: Box<Presented>, expires_at: Timestamp },
    Again { found: Box<Presented>, successor: Vec<u8> },
    Reused,
}

async fn rotate(tx: &mut Writer, rotation: &Rotation) -> Result<Rotated, RefreshError> {
    let now = rotation.stamp.now;
    let found = refresh_tokens::lock_presented(tx, &rotation.presented).await?;
    let mut found = Box::new(found.ok_or(RefreshError::Invalid)?);
    if found.ended_at.is_some() || found.session_expires_at <= now {
        return Err(RefreshError::Invalid);
    }
    // SECURITY: SES-11. A refresh asks every condition of a login again.
    found.user.may_get_a_token(rotation.needed).or(Err(RefreshError::Invalid))?;

    let Some(used_at) = found.used_at else { return retire(tx, rotation, found).await };
    // SECURITY: SES-04. Only the parent of the live token still has its successor; so no second branch can grow.
    match found.successor.take() {
        Some(successor) if now.since(used_at) <= rotation.reuse_window => {
            Ok(Rotated::Again { found, successor })
        }
        _ => end_reused(tx, rotation, &found).await,
    }
}

async fn retire(
    tx: &mut Writer,
    rotation: &Rotation,
    found: Box<Presented>,
) -> Result<Rotated, RefreshError> {
    let now = rotation.stamp.now;
    if found.token_expires_at <= now {
        return Err(RefreshError::Invalid);
    }
    // SECURITY: SES-05. The row count decides, whatever was read before.
    let spent =
        refresh_tokens::spend(tx, &rotation.presented, &found, now, &rotation.successor).await?;
    if !spent {
        return Err(Fault::internal("a locked refresh token was spent by somebody else").into());
    }
    // SES-06: the absolute end does not move.
    let expires_at = now.plus(rotation.idle).min(found.absolute_expires_at);
    let next = NewRefreshToken {
        digest: rotation.next.clone(),
        session_id: found.session_id,
        generation: found.generation + 1,
        created_at: now,
        expires_at,
    };
    if !refresh_tokens::insert_next(tx, &next).await? {
        return Err(RefreshError::Invalid);
    }
    Ok(Rotated::Next { found, expires_at })
}

/// SECURITY: SES-03. A retired token that comes back was copied: the session ends, for the thief and for its owner.
async fn end_reused(
    tx: &mut Writer,
    rotation: &Rotation,
    found: &Presented,
) -> Result<Rotated, RefreshError> {
    let stamp = &rotation.stamp;
    let ended = sessions::end(tx, found.session_id, stamp.now, EndReason::Reuse).await?;
    if ended.is_none() {
        return Err(RefreshError::Invalid);
    }
    let mut data = session_data(found.session_id);
    data.extend(Map::from_iter([("generation".into(), found.generation.into())]));
    let subject = Subject::User(found.user.id);
    events::append(tx, &stamp.event(Action::TokenReused, subject, data)?).await?;
    Ok(Rotated::Reused)
}
