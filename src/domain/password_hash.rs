//! What is stored of a password: the PHC text of its hash, or a marker that nothing verifies.
//!
//! Made and read by `crypto::hasher` only; the store carries it, and nobody shows it (PWD-16).

use std::fmt;

/// A stored password hash in PHC form, or the marker of an account without a password.
#[derive(Clone, PartialEq, Eq, sqlx::Type)]
#[sqlx(transparent, no_pg_array)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// The marker's text: not a PHC text, so no password verifies against it (PWD-12).
    const NOBODY: &'static str = "!";

    /// Takes a text as it was stored or computed; whether it is a hash shows when it is verified.
    pub fn from_stored(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The marker of an account that has no password.
    pub fn none() -> Self {
        Self(Self::NOBODY.into())
    }

    /// Tells whether this is the marker of an account without a password.
    pub fn is_none(&self) -> bool {
        self.0 == Self::NOBODY
    }

    /// The stored text. Never logged, never answered.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
