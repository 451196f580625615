//! What is always true of the tables (`data.md`, I1–I7): each line is a query that must count nothing.

use super::database::{TestDatabase, Text};

/// A rule, and the query that counts the rows that break it.
type Rule = (&'static str, Query);

enum Query {
    Both(&'static str),
    Split(&'static str, &'static str),
}

impl Text for &Query {
    fn text(self, is_sqlite: bool) -> &'static str {
        match *self {
            Query::Both(text) => text,
            Query::Split(sqlite, postgres) => (sqlite, postgres).text(is_sqlite),
        }
    }
}

/// The id of a SQLite row as the trail spells it.
macro_rules! hyphenated {
    ($id:literal) => {
        concat!(
            "lower(substr(hex(",
            $id,
            "), 1, 8) || '-' || substr(hex(",
            $id,
            "), 9, 4) || '-' || substr(hex(",
            $id,
            "), 13, 4) || '-' || substr(hex(",
            $id,
            "), 17, 4) || '-' || substr(hex(",
            $id,
            "), 21))"
        )
    };
}

const RULES: &[Rule] = &[
    (
        "I2: every user has a credential",
        Query::Both(
            "SELECT COUNT(*) FROM users WHERE NOT EXISTS
               (SELECT 1 FROM password_credentials WHERE user_id = users.id)",
        ),
    ),
    (
        "I2: every user has the event of its creation",
        Query::Split(
            concat!(
                "SELECT COUNT(*) FROM users WHERE 1 <> (SELECT COUNT(*) FROM events
                   WHERE action = 'user.created' AND subject_id = ",
                hyphenated!("users.id"),
                ")"
            ),
            "SELECT COUNT(*) FROM users WHERE 1 <> (SELECT COUNT(*) FROM events
               WHERE action = 'user.created' AND subject_id = users.id::text)",
        ),
    ),
    (
        "I2: every event of a user has its user",
        Query::Split(
            concat!(
                "SELECT COUNT(*) FROM events WHERE subject_kind = 'user' AND NOT EXISTS
                   (SELECT 1 FROM users WHERE ",
                hyphenated!("users.id"),
                " = subject_id)"
            ),
            "SELECT COUNT(*) FROM events WHERE subject_kind = 'user' AND NOT EXISTS
               (SELECT 1 FROM users WHERE users.id::text = subject_id)",
        ),
    ),
    (
        "I2: every event has its details, but those of whoever is erased",
        Query::Split(
            concat!(
                "SELECT COUNT(*) FROM events WHERE NOT EXISTS
                   (SELECT 1 FROM event_details WHERE event_id = events.id)
                 AND NOT EXISTS (SELECT 1 FROM users WHERE erased_at IS NOT NULL AND ",
                hyphenated!("users.id"),
                " IN (subject_id, actor_id))"
            ),
            "SELECT COUNT(*) FROM events WHERE NOT EXISTS
               (SELECT 1 FROM event_details WHERE event_id = events.id)
             AND NOT EXISTS (SELECT 1 FROM users WHERE erased_at IS NOT NULL
                             AND users.id::text IN (subject_id, actor_id))",
        ),
    ),
    (
        "I2, I9: every verification token has its mail",
        Query::Both(
            "SELECT COUNT(*) FROM one_time_tokens WHERE NOT EXISTS
               (SELECT 1 FROM jobs WHERE kind = 'mail' AND jobs.created_at = one_time_tokens.created_at)",
        ),
    ),
    (
        "I2: every session has the event of its start",
        Query::Both(
            "SELECT ABS((SELECT COUNT(*) FROM sessions)
                      - (SELECT COUNT(*) FROM events WHERE action = 'session.started'))",
        ),
    ),
    (
        "I2: every session that ended has a reason and an event, and no other has",
        Query::Both(
            "SELECT (SELECT COUNT(*) FROM sessions WHERE (ended_at IS NULL) <> (end_reason IS NULL))
                  + ABS((SELECT COUNT(*) FROM sessions WHERE ended_at IS NOT NULL)
                      - (SELECT COUNT(*) FROM events
                         WHERE action IN ('session.ended', 'session.token_reused')))",
        ),
    ),
    (
        "I2: a session belongs to a user who is verified",
        Query::Both(
            "SELECT COUNT(*) FROM sessions JOIN users ON users.id = sessions.user_id
             WHERE users.email_verified_at IS NULL",
        ),
    ),
    (
        "I4: one live refresh token a session, the youngest of an unbroken line",
        Query::Both(
            "SELECT COUNT(*) FROM sessions JOIN users ON users.id = sessions.user_id
             WHERE erased_at IS NULL AND (1 <>
               (SELECT COUNT(*) FROM refresh_tokens t WHERE t.session_id = sessions.id AND t.used_at IS NULL
                  AND t.generation = (SELECT COUNT(*) - 1 FROM refresh_tokens n
                                      WHERE n.session_id = sessions.id))
                OR 1 <> (SELECT COUNT(*) FROM refresh_tokens t
                         WHERE t.session_id = sessions.id AND t.used_at IS NULL))",
        ),
    ),
    (
        "SES-04: only the parent of the live token keeps a sealed successor",
        Query::Both(
            "SELECT COUNT(*) FROM refresh_tokens t WHERE (t.successor IS NOT NULL) <>
               EXISTS (SELECT 1 FROM refresh_tokens n WHERE n.session_id = t.session_id
                         AND n.generation = t.generation + 1 AND n.used_at IS NULL)",
        ),
    ),
    (
        "SES-06: no end lies behind the absolute one",
        Query::Both(
            "SELECT COUNT(*) FROM sessions JOIN refresh_tokens ON refresh_tokens.session_id = sessions.id
             WHERE sessions.expires_at > absolute_expires_at
                OR refresh_tokens.expires_at > absolute_expires_at",
        ),
    ),
    (
        "I5: one live one-time token a user and purpose",
        Query::Both(
            "SELECT COUNT(*) FROM (SELECT 1 AS one FROM one_time_tokens WHERE used_at IS NULL
               GROUP BY user_id, purpose HAVING COUNT(*) > 1) AS twice",
        ),
    ),
    (
        "I5: a spent verification token has proven its mailbox",
        Query::Both(
            "SELECT COUNT(*) FROM one_time_tokens JOIN users ON users.id = one_time_tokens.user_id
             WHERE used_at IS NOT NULL AND email_verified_at IS NULL",
        ),
    ),
    (
        "I7: an address is there once",
        Query::Both("SELECT COUNT(*) - COUNT(DISTINCT email_canonical) FROM users"),
    ),
    (
        "I7, ENU-12: a username is held by whoever is verified and shows it, and by nobody else",
        Query::Both(
            "SELECT COUNT(*) FROM users WHERE (email_verified_at IS NOT NULL AND username IS NOT NULL) <>
               EXISTS (SELECT 1 FROM unique_values
                       WHERE user_id = users.id AND field = '/username'
                         AND value_canonical = LOWER(username))",
        ),
    ),
    (
        "I7, ENU-12: who is not verified holds nothing",
        Query::Both(
            "SELECT COUNT(*) FROM unique_values JOIN users ON users.id = unique_values.user_id
             WHERE users.email_verified_at IS NULL",
        ),
    ),
    (
        "a proven mailbox is pending no more",
        Query::Both(
            "SELECT COUNT(*) FROM users
             WHERE email_verified_at IS NOT NULL AND pending_since IS NOT NULL",
        ),
    ),
    (
        "a tombstone is nobody: no name, no address, no profile, nothing that lives or is held",
        Query::Both(
            "SELECT COUNT(*) FROM users WHERE erased_at IS NOT NULL
               AND (email <> email_canonical OR SUBSTR(email, 1, 7) <> 'erased:' OR username IS NOT NULL
                    OR CAST(profile AS TEXT) <> '{}' OR deleted_at IS NULL OR last_login_at IS NOT NULL
                    OR EXISTS (SELECT 1 FROM password_credentials WHERE user_id = users.id AND hash <> '!')
                    OR EXISTS (SELECT 1 FROM sessions WHERE user_id = users.id
                               AND (ended_at IS NULL AND expires_at > erased_at
                                    OR address <> '' OR user_agent IS NOT NULL))
                    OR EXISTS (SELECT 1 FROM refresh_tokens JOIN sessions ON sessions.id = session_id
                               WHERE user_id = users.id)
                    OR EXISTS (SELECT 1 FROM one_time_tokens WHERE user_id = users.id)
                    OR EXISTS (SELECT 1 FROM email_changes WHERE user_id = users.id)
                    OR EXISTS (SELECT 1 FROM unique_values WHERE user_id = users.id)
                    OR EXISTS (SELECT 1 FROM user_roles WHERE user_id = users.id))",
        ),
    ),
    (
        "SES-10: whoever is barred or deleted has no live session",
        Query::Both(
            "SELECT COUNT(*) FROM sessions JOIN users ON users.id = sessions.user_id
             WHERE ended_at IS NULL AND sessions.expires_at > COALESCE(suspended_at, deleted_at)",
        ),
    ),
    (
        "I14: passwords are argon2id or none",
        Query::Both(
            "SELECT COUNT(*) FROM password_credentials
             WHERE hash <> '!' AND SUBSTR(hash, 1, 10) <> '$argon2id$'",
        ),
    ),
    (
        "I14: no token and no address stands in a payload in clear",
        Query::Split(
            "SELECT COUNT(*) FROM jobs WHERE instr(payload, CAST('pcv_' AS BLOB)) > 0
                OR instr(payload, CAST('@' AS BLOB) || CAST('example' AS BLOB)) > 0",
            r"SELECT COUNT(*) FROM jobs WHERE position('\x7063765f'::bytea IN payload) > 0
                OR position('\x406578616d706c65'::bytea IN payload) > 0",
        ),
    ),
    (
        "a job that ended keeps no payload, one that runs has a lease",
        Query::Both(
            "SELECT COUNT(*) FROM jobs
             WHERE (state IN ('done', 'given_up')) <> (payload IS NULL)
                OR (state IN ('done', 'given_up')) <> (finished_at IS NOT NULL)
                OR (state = 'running') <> (lease_until IS NOT NULL)",
        ),
    ),
    (
        "LOG-11: an event has its place in the chain, or waits for it",
        Query::Both(
            "SELECT COUNT(*) FROM events
             WHERE EXISTS (SELECT 1 FROM event_chain WHERE event_chain.event_id = events.id)
                 = EXISTS (SELECT 1 FROM events_unchained WHERE events_unchained.event_id = events.id)",
        ),
    ),
    (
        "LOG-11: each entry of the chain follows the one before it",
        Query::Both(
            "SELECT COUNT(*) FROM event_chain AS entry WHERE NOT EXISTS
               (SELECT 1 FROM event_chain AS prior
                WHERE prior.seq = entry.seq - 1 AND prior.hash = entry.prev_hash)
               AND NOT EXISTS
               (SELECT 1 FROM event_chain_root
                WHERE event_chain_root.seq = entry.seq - 1 AND event_chain_root.hash = entry.prev_hash)",
        ),
    ),
    (
        "a revoked or former key has the times of one",
        Query::Both(
            "SELECT COUNT(*) FROM signing_keys
             WHERE retires_at > gone_at OR signs_at > retires_at OR (retires_at IS NOT NULL AND gone_at IS NULL)",
        ),
    ),
];

/// Asserts every rule, and names all that are broken.
pub(crate) async fn assert_invariants(database: &TestDatabase) {
    let mut raw = database.raw().await;
    let mut broken = Vec::new();
    for (rule, query) in RULES {
        let rows = raw.count(query).await;
        if rows != 0 {
            broken.push(format!("{rule}: {rows} rows"));
        }
    }
    assert!(broken.is_empty(), "not true of the database:\n{}", broken.join("\n"));
}
