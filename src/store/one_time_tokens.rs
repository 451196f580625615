//! The table `one_time_tokens`: spent by one conditional statement whose row count is the decision (EML-04).

use super::sql::{Sql, all, execute, optional, statements};
use super::users::user_columns;
use super::{Read, ReadFresh, Writer};
use crate::Fault;
use crate::domain::ids::UserId;
use crate::domain::password_hash::PasswordHash;
use crate::domain::time::Timestamp;
use crate::domain::token::TokenDigest;
use crate::domain::user::User;

/// What a one-time token is for. It is good for nothing else (EML-05).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Prove the mailbox of an account.
    EmailVerification,
    /// Set a password without the old one.
    PasswordReset,
    /// Confirm a change of the address, at the new mailbox.
    EmailChange,
    /// Cancel a change of the address, from the old mailbox.
    EmailChangeCancel,
    /// Take an invited account.
    Invitation,
}

impl Purpose {
    /// The word that is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EmailVerification => "email_verification",
            Self::PasswordReset => "password_reset",
            Self::EmailChange => "email_change",
            Self::EmailChangeCancel => "email_change_cancel",
            Self::Invitation => "invitation",
        }
    }
}

/// A live token of a purpose, with its account: `$join` has the address that it must be bound to.
macro_rules! find_live {
    ($join:literal, $address:literal) => {
        concat!(
            "SELECT password_credentials.hash AS hash, password_credentials.set_at AS set_at, ",
            user_columns!(),
            " FROM one_time_tokens
             JOIN users ON users.id = one_time_tokens.user_id ",
            $join,
            " LEFT JOIN password_credentials ON password_credentials.user_id = users.id
             WHERE one_time_tokens.digest = $1 AND one_time_tokens.purpose = $2
               AND one_time_tokens.used_at IS NULL AND one_time_tokens.expires_at > $3
               AND (one_time_tokens.credential_set_at IS NULL
                    OR one_time_tokens.credential_set_at = password_credentials.set_at)
               AND one_time_tokens.bound_to = ",
            $address
        )
    };
}

/// Spends a live token of a purpose that is bound to `$address`.
macro_rules! spend {
    ($address:literal) => {
        concat!(
            "UPDATE one_time_tokens SET used_at = $3
             WHERE digest = $1 AND purpose = $2 AND used_at IS NULL AND expires_at > $3
               AND (credential_set_at IS NULL
                    OR credential_set_at = (SELECT set_at FROM password_credentials
                                            WHERE password_credentials.user_id = one_time_tokens.user_id))
               AND bound_to = ",
            $address
        )
    };
}

statements! {
    FIND_LIVE = Sql::both(find_live!("", "users.email_canonical"));
    SPEND = Sql::both(spend!(
        "(SELECT email_canonical FROM users WHERE users.id = one_time_tokens.user_id)"
    ));
    // EML-05: what moves an account is bound to the address that is wished for now.
    FIND_LIVE_MOVE = Sql::both(find_live!(
        "JOIN email_changes ON email_changes.user_id = users.id AND email_changes.expires_at > $3",
        "email_changes.email_canonical"
    ));
    SPEND_MOVE = Sql::both(spend!(
        "(SELECT email_canonical FROM email_changes
          WHERE email_changes.user_id = one_time_tokens.user_id AND email_changes.expires_at > $3)"
    ));
    VOID = Sql::both(
        "DELETE FROM one_time_tokens WHERE user_id = $1 AND purpose = $2 AND used_at IS NULL",
    );
    VOID_ALL = Sql::both("DELETE FROM one_time_tokens WHERE user_id = $1 AND used_at IS NULL");
    DELETE_OF_USER = Sql::both("DELETE FROM one_time_tokens WHERE user_id = $1");
    LIST = Sql::both(
        "SELECT purpose, created_at, expires_at, used_at FROM one_time_tokens
         WHERE user_id = $1 ORDER BY created_at DESC, digest LIMIT $2",
    );
    DELETE_EXPIRED = Sql::both(
        "DELETE FROM one_time_tokens WHERE digest IN
           (SELECT digest FROM one_time_tokens WHERE expires_at <= $1 LIMIT $2)",
    );
    INSERT = Sql::both(
        "INSERT INTO one_time_tokens (digest, user_id, purpose, bound_to, created_at, expires_at,
                                      credential_set_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    );
}

/// The account that a live token is for, and what proves it.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Holder {
    /// The hash of the password, if there is a credential.
    pub hash: Option<PasswordHash>,
    /// The version of the credential.
    pub set_at: Option<Timestamp>,
    /// The account.
    #[sqlx(flatten)]
    pub user: User,
}

/// Finds the account that a live token of this purpose is for.
pub async fn find_live(
    db: &mut impl ReadFresh,
    digest: &TokenDigest,
    purpose: Purpose,
    now: Timestamp,
) -> Result<Option<Holder>, Fault> {
    let sql = if purpose == Purpose::EmailChange { FIND_LIVE_MOVE } else { FIND_LIVE };
    optional!(db, sql, digest, purpose.as_str(), now)
}

/// Spends a token; `false` if it is not live, not for this purpose, or its address or credential changed.
pub async fn spend(
    tx: &mut Writer,
    digest: &TokenDigest,
    purpose: Purpose,
    now: Timestamp,
) -> Result<bool, Fault> {
    let sql = if purpose == Purpose::EmailChange { SPEND_MOVE } else { SPEND };
    Ok(execute!(tx, sql, digest, purpose.as_str(), now)? == 1)
}

/// A one-time token that is to be made.
#[derive(Clone, Debug)]
pub struct NewOneTimeToken {
    /// What is stored of it.
    pub digest: TokenDigest,
    /// Whose it is.
    pub user_id: UserId,
    /// What it is for.
    pub purpose: Purpose,
    /// The address that it proves, in the form that is compared.
    pub bound_to: String,
    /// When it is made.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Timestamp,
    /// The version of the credential that it is good for, if only for one (EML-05).
    pub credential_set_at: Option<Timestamp>,
}

/// Makes `token` the one live token of its user and purpose (EML-06: it voids the older ones).
pub async fn replace(tx: &mut Writer, token: &NewOneTimeToken) -> Result<(), Fault> {
    execute!(tx, VOID, token.user_id, token.purpose.as_str())?;
    execute!(
        tx,
        INSERT,
        &token.digest,
        token.user_id,
        token.purpose.as_str(),
        &token.bound_to,
        token.created_at,
        token.expires_at,
        token.credential_set_at,
    )
    .map(|_rows| ())
}

/// Voids one live token of `user`, if there is one.
pub async fn void(tx: &mut Writer, user: UserId, purpose: Purpose) -> Result<(), Fault> {
    execute!(tx, VOID, user, purpose.as_str()).map(|_rows| ())
}

/// Voids every live token of `user`.
pub async fn void_all(tx: &mut Writer, user: UserId) -> Result<(), Fault> {
    execute!(tx, VOID_ALL, user).map(|_rows| ())
}

/// Removes every token of `user`.
pub async fn delete_of_user(tx: &mut Writer, user: UserId) -> Result<(), Fault> {
    execute!(tx, DELETE_OF_USER, user).map(|_rows| ())
}

/// A one-time token without what it is looked up by.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct StoredOneTimeToken {
    /// What it is for.
    pub purpose: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Timestamp,
    /// When it was spent.
    pub used_at: Option<Timestamp>,
}

/// Lists the newest `limit` tokens of `user`.
pub async fn list(
    db: &mut impl Read,
    user: UserId,
    limit: i64,
) -> Result<Vec<StoredOneTimeToken>, Fault> {
    all!(db, LIST, user, limit)
}

/// Removes at most `limit` tokens, used or not, that ended by `before`; how many.
pub async fn delete_expired(tx: &mut Writer, before: Timestamp, limit: i64) -> Result<u64, Fault> {
    execute!(tx, DELETE_EXPIRED, before, limit)
}
