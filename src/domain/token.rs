//! Opaque tokens: 256 random bits with a kind prefix, and the digest that is stored in their place.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

/// What an opaque token is for; the prefix lets secret scanners find it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// `pcr_`: a refresh token.
    Refresh,
    /// `pcv_`: proves a mailbox after signup.
    EmailVerification,
    /// `pcp_`: resets a password.
    PasswordReset,
    /// `pce_`: confirms a change of the address.
    EmailChange,
    /// `pcx_`: cancels a change of the address.
    EmailChangeCancel,
    /// `pci_`: an invitation.
    Invitation,
}

impl TokenKind {
    /// The four characters in front.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Refresh => "pcr_",
            Self::EmailVerification => "pcv_",
            Self::PasswordReset => "pcp_",
            Self::EmailChange => "pce_",
            Self::EmailChangeCancel => "pcx_",
            Self::Invitation => "pci_",
        }
    }
}

/// A token as its holder has it: prefix and 43 characters of base64url. `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenSecret(Zeroizing<String>);

impl TokenSecret {
    /// LIMIT: prefix (4) and 32 bytes as unpadded base64url (43).
    pub const LENGTH: usize = 47;

    /// The token of `kind` over 256 random bits.
    pub fn from_bytes(kind: TokenKind, bytes: &[u8; 32]) -> Self {
        Self(Zeroizing::new(format!("{}{}", kind.prefix(), URL_SAFE_NO_PAD.encode(bytes))))
    }

    /// Takes what a client sent, if it can be a token of `kind` at all (SES-13: exact form only).
    pub fn parse(kind: TokenKind, text: &str) -> Option<Self> {
        let body = text.strip_prefix(kind.prefix())?;
        let bytes = (text.len() == Self::LENGTH).then(|| URL_SAFE_NO_PAD.decode(body).ok())??;
        // SECURITY: SES-13. The last character carries four idle bits: only the canonical spelling counts.
        (bytes.len() == 32 && URL_SAFE_NO_PAD.encode(&bytes) == body)
            .then(|| Self(Zeroizing::new(text.into())))
    }

    /// The text that the holder is given. Never logged, never stored in clear.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for TokenSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// SHA-256 of a token: what is stored and looked up (SES-01). Made by `crypto::random::digest`.
#[derive(Clone, PartialEq, Eq, Hash, sqlx::Type)]
#[sqlx(transparent, no_pg_array)]
pub struct TokenDigest(pub Vec<u8>);

impl fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenDigest(***)")
    }
}
