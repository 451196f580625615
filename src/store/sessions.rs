//! The table `sessions`: logins. Whether one lives is decided here and in the database, never in memory (SES-16).

use sqlx::types::Json;

use super::sql::{Sql, all, execute, optional, statements};
use super::users::user_columns;
use super::{Read, ReadFresh, Writer};
use crate::Fault;
use crate::domain::ids::{SessionId, UserId};
use crate::domain::session::{EndReason, Session, SignedIn, StoredSession};
use crate::domain::signup::EmailVerification;
use crate::domain::time::Timestamp;

macro_rules! insert {
    ($lock:literal) => {
        concat!(
            "INSERT INTO sessions (id, user_id, client_id, audience, created_at, last_used_at, expires_at,
                                   absolute_expires_at, auth_time, amr, address, user_agent)
             SELECT $1, users.id, $3, $4, $5, $5, $6, $7, $5, $8, $9, $10
             FROM users JOIN password_credentials ON password_credentials.user_id = users.id
             WHERE users.id = $2 AND password_credentials.set_at = $11
               AND (users.email_verified_at IS NOT NULL OR $12)
               AND users.suspended_at IS NULL AND users.deleted_at IS NULL",
            $lock
        )
    };
}

statements! {
    // SES-09: what the reader saw before the hash must still be true.
    // PORTABILITY: PostgreSQL would read what was true before a suspension that it then waits for; with the rows
    // locked it asks again.
    INSERT_IF_CURRENT =
        Sql::split(insert!(""), insert!(" FOR NO KEY UPDATE OF users, password_credentials"));
    // EML-13: what had a session is no pending signup any more, or that session would outlive the next signup.
    TOUCH_USER = Sql::both(
        "UPDATE users SET last_login_at = $2, pending_since = NULL WHERE id = $1",
    );
    FIND_SIGNED_IN = Sql::both(concat!(
        "SELECT sessions.id AS session_id, sessions.auth_time AS session_auth_time, ", user_columns!(),
        " FROM sessions JOIN users ON users.id = sessions.user_id
         WHERE sessions.id = $1 AND sessions.ended_at IS NULL AND sessions.expires_at > $2"
    ));
    LIST_LIVE = Sql::both(
        "SELECT id, user_id, client_id, audience, created_at, last_used_at, expires_at,
                absolute_expires_at, auth_time, address, user_agent
         FROM sessions
         WHERE user_id = $1 AND ended_at IS NULL AND expires_at > $2 AND (created_at, id) < ($3, $4)
         ORDER BY created_at DESC, id DESC LIMIT $5",
    );
    COUNT_LIVE = Sql::both(
        "SELECT COUNT(*) FROM sessions WHERE user_id = $1 AND ended_at IS NULL AND expires_at > $2",
    );
    MOVE_EXPIRY = Sql::both(
        "UPDATE sessions SET last_used_at = $2, expires_at = $3 WHERE id = $1 AND ended_at IS NULL",
    );
    END = Sql::both(
        "UPDATE sessions SET ended_at = $2, end_reason = $3
         WHERE id = $1 AND ended_at IS NULL AND expires_at > $2 RETURNING user_id",
    );
    END_OF_USER = Sql::both(
        "UPDATE sessions SET ended_at = $3, end_reason = $4
         WHERE id = $1 AND user_id = $2 AND ended_at IS NULL AND expires_at > $3",
    );
    LIST_DEAD = Sql::both(
        "SELECT id FROM sessions WHERE ended_at <= $1 OR absolute_expires_at <= $1 LIMIT $2",
    );
    DELETE_DEAD = Sql::both(
        "DELETE FROM sessions WHERE id = $1 AND (ended_at <= $2 OR absolute_expires_at <= $2)",
    );
    END_OTHERS = Sql::both(
        "UPDATE sessions SET ended_at = $3, end_reason = $4
         WHERE user_id = $1 AND id <> $2 AND ended_at IS NULL AND expires_at > $3 RETURNING id",
    );
    REAUTHENTICATE = Sql::both(
        "UPDATE sessions SET auth_time = $2 WHERE id = $1 AND ended_at IS NULL AND expires_at > $2",
    );
    LIST_PLACES = Sql::both(
        "SELECT address, user_agent FROM sessions
         WHERE user_id = $1 ORDER BY created_at DESC, id DESC LIMIT $2",
    );
    END_ALL = Sql::both(
        "UPDATE sessions SET ended_at = $2, end_reason = $3
         WHERE user_id = $1 AND ended_at IS NULL AND expires_at > $2 RETURNING id",
    );
    LIST_SIGNED_IN = Sql::both(
        "SELECT DISTINCT user_id FROM sessions WHERE ended_at IS NULL AND expires_at > $1
           AND user_id > $2 ORDER BY user_id LIMIT $3",
    );
    LIST_ALL = Sql::both(
        "SELECT id, user_id, client_id, audience, created_at, last_used_at, expires_at,
                absolute_expires_at, auth_time, address, user_agent, ended_at, end_reason
         FROM sessions WHERE user_id = $1 AND (created_at, id) < ($2, $3)
         ORDER BY created_at DESC, id DESC LIMIT $4",
    );
    ANONYMIZE = Sql::both("UPDATE sessions SET address = '', user_agent = NULL WHERE user_id = $1");
}

/// Inserts `session`, if the user may sign in and the credential is the one of `credential_set_at`.
pub async fn insert_if_current(
    tx: &mut Writer,
    session: &Session,
    credential_set_at: Timestamp,
    needed: EmailVerification,
) -> Result<bool, Fault> {
    let rows = execute!(
        tx,
        INSERT_IF_CURRENT,
        session.id,
        session.user_id,
        &session.client_id,
        &session.audience,
        session.created_at,
        session.expires_at,
        session.absolute_expires_at,
        Json(["pwd"]),
        &session.address,
        &session.user_agent,
        credential_set_at,
        needed == EmailVerification::Optional,
    )?;
    Ok(rows == 1)
}

/// Notes on the user that a session began.
pub async fn touch_user(tx: &mut Writer, user: UserId, at: Timestamp) -> Result<(), Fault> {
    execute!(tx, TOUCH_USER, user, at).map(|_rows| ())
}

/// Finds the live session and its user in one statement.
pub async fn find_signed_in(
    db: &mut impl ReadFresh,
    session: SessionId,
    now: Timestamp,
) -> Result<Option<SignedIn>, Fault> {
    optional!(db, FIND_SIGNED_IN, session, now)
}

/// Lists at most `limit` live sessions of `user` that began before the place `(at, id)`, newest first.
pub async fn list_live(
    db: &mut impl ReadFresh,
    user: UserId,
    now: Timestamp,
    before: (Timestamp, SessionId),
    limit: i64,
) -> Result<Vec<Session>, Fault> {
    all!(db, LIST_LIVE, user, now, before.0, before.1, limit)
}

/// Counts the live sessions of `user`.
pub async fn count_live(
    db: &mut impl ReadFresh,
    user: UserId,
    now: Timestamp,
) -> Result<i64, Fault> {
    let row: Option<(i64,)> = optional!(db, COUNT_LIVE, user, now)?;
    Ok(row.map_or(0, |(count,)| count))
}

/// Moves the nearer end of a session that was refreshed; `false` if it ended.
pub async fn move_expiry(
    tx: &mut Writer,
    session: SessionId,
    now: Timestamp,
    expires_at: Timestamp,
) -> Result<bool, Fault> {
    Ok(execute!(tx, MOVE_EXPIRY, session, now, expires_at)? == 1)
}

/// Ends a live session; its user, or `None` if it was not live.
pub async fn end(
    tx: &mut Writer,
    session: SessionId,
    now: Timestamp,
    reason: EndReason,
) -> Result<Option<UserId>, Fault> {
    let row: Option<(UserId,)> = optional!(tx, END, session, now, reason.as_str())?;
    Ok(row.map(|(user,)| user))
}

/// Ends a live session of `user`; `false` if it was not live or is not theirs (AUZ-03).
pub async fn end_of_user(
    tx: &mut Writer,
    session: SessionId,
    user: UserId,
    now: Timestamp,
    reason: EndReason,
) -> Result<bool, Fault> {
    Ok(execute!(tx, END_OF_USER, session, user, now, reason.as_str())? == 1)
}

/// Ends every live session of `user` but one, and names them.
pub async fn end_others(
    tx: &mut Writer,
    user: UserId,
    kept: SessionId,
    now: Timestamp,
    reason: EndReason,
) -> Result<Vec<SessionId>, Fault> {
    let rows: Vec<(SessionId,)> = all!(tx, END_OTHERS, user, kept, now, reason.as_str())?;
    Ok(rows.into_iter().map(|(session,)| session).collect())
}

/// Notes that the password was given again in a live session; `false` if it ended.
pub async fn reauthenticate(
    tx: &mut Writer,
    session: SessionId,
    at: Timestamp,
) -> Result<bool, Fault> {
    Ok(execute!(tx, REAUTHENTICATE, session, at)? == 1)
}

/// Lists the address and the user agent of the newest `limit` sessions of `user`, ended ones too.
pub async fn list_places(
    db: &mut impl ReadFresh,
    user: UserId,
    limit: i64,
) -> Result<Vec<(String, Option<String>)>, Fault> {
    all!(db, LIST_PLACES, user, limit)
}

/// Ends every live session of `user`, and names them.
pub async fn end_all(
    tx: &mut Writer,
    user: UserId,
    now: Timestamp,
    reason: EndReason,
) -> Result<Vec<SessionId>, Fault> {
    let rows: Vec<(SessionId,)> = all!(tx, END_ALL, user, now, reason.as_str())?;
    Ok(rows.into_iter().map(|(session,)| session).collect())
}

/// Lists at most `limit` users behind `after` who have a live session, in the order of their ids.
pub async fn list_signed_in(
    db: &mut impl ReadFresh,
    now: Timestamp,
    after: UserId,
    limit: i64,
) -> Result<Vec<UserId>, Fault> {
    let rows: Vec<(UserId,)> = all!(db, LIST_SIGNED_IN, now, after, limit)?;
    Ok(rows.into_iter().map(|(user,)| user).collect())
}

/// Lists at most `limit` sessions of `user`, ended ones too, that began before the place `(at, id)`, newest first.
pub async fn list_all(
    db: &mut impl Read,
    user: UserId,
    before: (Timestamp, SessionId),
    limit: i64,
) -> Result<Vec<StoredSession>, Fault> {
    all!(db, LIST_ALL, user, before.0, before.1, limit)
}

/// Forgets where the sessions of `user` came from.
pub async fn anonymize(tx: &mut Writer, user: UserId) -> Result<(), Fault> {
    execute!(tx, ANONYMIZE, user).map(|_rows| ())
}

/// Lists at most `limit` sessions that were ended, or reached their absolute end, by `before`.
pub async fn list_dead(
    db: &mut impl ReadFresh,
    before: Timestamp,
    limit: i64,
) -> Result<Vec<SessionId>, Fault> {
    let rows: Vec<(SessionId,)> = all!(db, LIST_DEAD, before, limit)?;
    Ok(rows.into_iter().map(|(session,)| session).collect())
}

/// Removes a session that was dead by `before` and has no token left; `false` if it is not dead.
pub async fn delete_dead(
    tx: &mut Writer,
    session: SessionId,
    before: Timestamp,
) -> Result<bool, Fault> {
    Ok(execute!(tx, DELETE_DEAD, session, before)? == 1)
}
