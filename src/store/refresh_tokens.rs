//! The table `refresh_tokens`: the family of a session. At most one is live; only digests are stored (SES-01).

use super::sql::{Sql, execute, optional, statements};
use super::users::user_columns;
use super::{Conn, Read, ReadFresh, Writer, sessions};
use crate::Fault;
use crate::domain::ids::{SessionId, UserId};
use crate::domain::time::Timestamp;
use crate::domain::token::TokenDigest;
use crate::domain::user::User;

macro_rules! presented {
    ($lock:literal) => {
        concat!(
            "SELECT refresh_tokens.session_id AS session_id, refresh_tokens.generation AS generation,
                    refresh_tokens.successor AS successor, refresh_tokens.used_at AS used_at,
                    refresh_tokens.expires_at AS token_expires_at,
                    sessions.audience AS audience, sessions.auth_time AS auth_time,
                    sessions.ended_at AS ended_at, sessions.expires_at AS session_expires_at,
                    sessions.absolute_expires_at AS absolute_expires_at,
                    COALESCE((SELECT password_credentials.must_change FROM password_credentials
                              WHERE password_credentials.user_id = users.id), FALSE) AS must_change, ",
            user_columns!(),
            " FROM refresh_tokens
             JOIN sessions ON sessions.id = refresh_tokens.session_id
             JOIN users ON users.id = sessions.user_id
             WHERE refresh_tokens.digest = $1",
            $lock
        )
    };
}

macro_rules! spend {
    ($successor:literal) => {
        concat!(
            "UPDATE refresh_tokens
             SET used_at = COALESCE(used_at, $3), successor = CASE WHEN digest = $1 THEN ",
            $successor,
            " END
             WHERE session_id = $2 AND ((digest = $1 AND used_at IS NULL) OR generation = $5)"
        )
    };
}

statements! {
    // PORTABILITY: SQLite has one writer, so a row needs no lock. PostgreSQL gives whoever waited for the two locked
    // rows their newest versions (SES-05); the rest of the row may be a moment older.
    // The session first: two tokens of a family would else wait for each other.
    LOCK_PRESENTED = Sql::split(presented!(""), presented!(" FOR UPDATE OF sessions, refresh_tokens"));
    // SES-01, SES-04: a sealed successor is kept by the parent of the live token alone; one statement spends the
    // live token and makes its own parent forget.
    // PORTABILITY: PostgreSQL takes a lone parameter of a CASE for text; BYTEA is no type of SQLite.
    SPEND = Sql::split(spend!("$4"), spend!("CAST($4 AS BYTEA)"));
    INSERT = Sql::both(
        "INSERT INTO refresh_tokens (digest, session_id, generation, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5)",
    );
    DELETE_OF_SESSION = Sql::both(
        "DELETE FROM refresh_tokens WHERE digest IN
           (SELECT digest FROM refresh_tokens WHERE session_id = $1 LIMIT $2)",
    );
    // PORTABILITY: PostgreSQL moves the end of the session in the same statement, a round trip fewer; SQLite has no
    // statement for two tables, and no trips. The rows are independent: neither statement reads what the other writes.
    INSERT_NEXT = Sql::split(
        "INSERT INTO refresh_tokens (digest, session_id, generation, created_at, expires_at)
         SELECT $1, sessions.id, $3, $4, $5 FROM sessions WHERE id = $2 AND ended_at IS NULL",
        "WITH moved AS (
             UPDATE sessions SET last_used_at = $4, expires_at = $5
             WHERE id = $2 AND ended_at IS NULL RETURNING id
         )
         INSERT INTO refresh_tokens (digest, session_id, generation, created_at, expires_at)
         SELECT $1, moved.id, $3, $4, $5 FROM moved",
    );
    FIND_SESSION = Sql::both("SELECT session_id FROM refresh_tokens WHERE digest = $1");
    DELETE_OF_USER = Sql::both(
        "DELETE FROM refresh_tokens
         WHERE session_id IN (SELECT id FROM sessions WHERE user_id = $1)",
    );
}

/// A refresh token that somebody presents, with its session and user as they are now.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Presented {
    /// Its session.
    pub session_id: SessionId,
    /// Its place in the family, from 0.
    pub generation: i64,
    /// The sealed token that replaced it, while that one is live.
    pub successor: Option<Vec<u8>>,
    /// When it was first used.
    pub used_at: Option<Timestamp>,
    /// When it ends by itself.
    pub token_expires_at: Timestamp,
    /// For whom the session's access tokens are.
    pub audience: String,
    /// When the password was last given.
    pub auth_time: Timestamp,
    /// When the session was ended.
    pub ended_at: Option<Timestamp>,
    /// The nearer end of the session.
    pub session_expires_at: Timestamp,
    /// The absolute end of the session.
    pub absolute_expires_at: Timestamp,
    /// Whether the password is to be changed.
    pub must_change: bool,
    /// Whose session it is.
    #[sqlx(flatten)]
    pub user: User,
}

/// Finds a token and keeps other refreshes away from its family.
pub async fn lock_presented(
    tx: &mut Writer,
    digest: &TokenDigest,
) -> Result<Option<Presented>, Fault> {
    optional!(tx, LOCK_PRESENTED, digest)
}

/// Retires the live token and keeps its sealed successor; `false` if it is live no more.
pub async fn spend(
    tx: &mut Writer,
    digest: &TokenDigest,
    found: &Presented,
    now: Timestamp,
    successor: &[u8],
) -> Result<bool, Fault> {
    let parent = found.generation - 1;
    let rows = execute!(tx, SPEND, digest, found.session_id, now, successor, parent)?;
    Ok(rows == if found.generation == 0 { 1 } else { 2 })
}

/// A token that is to be live.
#[derive(Clone, Debug)]
pub struct NewRefreshToken {
    /// What is stored of it.
    pub digest: TokenDigest,
    /// Its session.
    pub session_id: SessionId,
    /// Its place in the family.
    pub generation: i64,
    /// When it is made.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Timestamp,
}

/// Inserts the live token of a session.
pub async fn insert(tx: &mut Writer, token: &NewRefreshToken) -> Result<(), Fault> {
    execute!(
        tx,
        INSERT,
        &token.digest,
        token.session_id,
        token.generation,
        token.created_at,
        token.expires_at,
    )
    .map(|_rows| ())
}

/// Inserts the token that follows a spent one, and moves the nearer end of its session to the token's; `false` if the
/// session ended.
pub async fn insert_next(tx: &mut Writer, token: &NewRefreshToken) -> Result<bool, Fault> {
    let (session, at, until) = (token.session_id, token.created_at, token.expires_at);
    let rows = execute!(tx, INSERT_NEXT, &token.digest, session, token.generation, at, until)?;
    match tx.conn() {
        Conn::Sqlite(_) if rows == 1 => sessions::move_expiry(tx, session, at, until).await,
        _ => Ok(rows == 1),
    }
}

/// Finds the session of a token, live or retired.
pub async fn find_session(
    db: &mut impl ReadFresh,
    digest: &TokenDigest,
) -> Result<Option<SessionId>, Fault> {
    let row: Option<(SessionId,)> = optional!(db, FIND_SESSION, digest)?;
    Ok(row.map(|(session,)| session))
}

/// Removes the families of all sessions of `user`.
pub async fn delete_of_user(tx: &mut Writer, user: UserId) -> Result<(), Fault> {
    execute!(tx, DELETE_OF_USER, user).map(|_rows| ())
}

/// Removes at most `limit` tokens of a session; how many.
pub async fn delete_of_session(
    tx: &mut Writer,
    session: SessionId,
    limit: i64,
) -> Result<u64, Fault> {
    execute!(tx, DELETE_OF_SESSION, session, limit)
}
