//! E-mail addresses: the form a person typed, and the one form that is compared.
//!
//! A value in hand is valid: one ASCII local part and one mail domain of at least two labels. What
//! could be taken for another address (look-alike signs, literals, quoted parts) is refused. Whether
//! a mailbox exists is for the verification mail to find out.

use std::fmt;

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};

use crate::domain::fields::{FieldCode, FieldFault};

#[cfg(test)]
mod tests;

/// Why a text is no e-mail address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EmailError {
    /// More than [`CanonicalEmail::BYTES_MAX`] bytes, or a local part of more than 64.
    #[error("An e-mail address has at most 254 bytes, 64 of them before the @.")]
    TooLong,
    /// Anything else: signs, parts or a domain that no address has here.
    #[error("This is not an e-mail address of the form name@example.org.")]
    InvalidFormat,
}

impl EmailError {
    /// The stable word for the wire.
    pub fn code(self) -> FieldCode {
        match self {
            Self::TooLong => FieldCode::TooLong,
            Self::InvalidFormat => FieldCode::InvalidFormat,
        }
    }

    /// The fault of the field at `pointer`.
    pub fn at(self, pointer: &str) -> FieldFault {
        FieldFault::new(pointer, self.code(), self.to_string())
    }
}

/// An e-mail address in the form that is compared: lower case, domain as A-label (INP-01, INP-02).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, sqlx::Type)]
#[sqlx(transparent, no_pg_array)]
pub struct CanonicalEmail(String);

impl CanonicalEmail {
    /// LIMIT: RFC 5321, 4.5.3.1.3: a path is 256 octets, two of them brackets.
    pub const BYTES_MAX: usize = 254;
    /// LIMIT: RFC 5321, 4.5.3.1.1.
    pub const LOCAL_BYTES_MAX: usize = 64;

    /// Folds `text` (trimmed) to the form that is compared.
    pub fn parse(text: &str) -> Result<Self, EmailError> {
        let text = text.trim();
        // SECURITY: INP-11. The length comes before everything that walks or maps characters.
        if text.len() > Self::BYTES_MAX {
            return Err(EmailError::TooLong);
        }
        let (local, domain) = text.split_once('@').ok_or(EmailError::InvalidFormat)?;
        if local.len() > Self::LOCAL_BYTES_MAX {
            return Err(EmailError::TooLong);
        }
        if !is_dot_atom(local) {
            return Err(EmailError::InvalidFormat);
        }
        let domain = fold_domain(domain).ok_or(EmailError::InvalidFormat)?;
        let folded = format!("{}@{domain}", local.to_ascii_lowercase());
        if folded.len() > Self::BYTES_MAX { Err(EmailError::TooLong) } else { Ok(Self(folded)) }
    }

    /// The whole address.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before the `@`.
    pub fn local_part(&self) -> &str {
        self.0.split_once('@').map_or("", |(local, _)| local)
    }

    /// The part after the `@`, in lower case and ASCII.
    pub fn domain(&self) -> &str {
        self.0.split_once('@').map_or("", |(_, domain)| domain)
    }
}

impl fmt::Debug for CanonicalEmail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CanonicalEmail(***)")
    }
}

/// An e-mail address as typed (trimmed), with its canonical form beside it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct EmailAddress {
    typed: String,
    canonical: CanonicalEmail,
}

impl EmailAddress {
    /// Takes what a person typed; blanks at its ends are dropped.
    pub fn parse(text: &str) -> Result<Self, EmailError> {
        let canonical = CanonicalEmail::parse(text)?;
        Ok(Self { typed: text.trim().to_owned(), canonical })
    }

    /// The person's own spelling: what is shown.
    pub fn typed(&self) -> &str {
        &self.typed
    }

    /// The form that is compared and unique.
    pub fn canonical(&self) -> &CanonicalEmail {
        &self.canonical
    }

    /// Takes the two forms apart: typed, canonical.
    pub fn into_parts(self) -> (String, CanonicalEmail) {
        (self.typed, self.canonical)
    }
}

impl fmt::Debug for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EmailAddress(***)")
    }
}

/// RFC 5322 `dot-atom-text`: no quotes, no blanks, no comments, nothing beyond ASCII; and no `%`.
fn is_dot_atom(local: &str) -> bool {
    // SECURITY: INP-02. `%00` ends the text in some mailers, and `ann%b.example@` is a source route.
    let is_atext = |c: u8| c.is_ascii_alphanumeric() || b"!#$&'*+-/=?^_`{|}~".contains(&c);
    local.split('.').all(|atom| !atom.is_empty() && atom.bytes().all(is_atext))
}

/// The domain in lower-case A-labels, if mail can go there and nothing in it poses as ASCII.
fn fold_domain(domain: &str) -> Option<String> {
    let uts46 = Uts46::new();
    // SECURITY: INP-02. UTS 46 maps `ſ`, `K`, `．` and `＠` to ASCII and drops zero-width signs; one
    // address would have spellings that other systems read as another one.
    let poses = |c: char| {
        let one = c.to_string();
        let (shown, _) = uts46.to_unicode(one.as_bytes(), AsciiDenyList::EMPTY, Hyphens::Allow);
        shown.is_empty() || !shown.chars().all(|mapped| !mapped.is_ascii())
    };
    if domain.chars().any(|c| !c.is_ascii() && poses(c)) {
        return None;
    }
    let folded = uts46
        .to_ascii(
            domain.as_bytes(),
            AsciiDenyList::STD3,
            Hyphens::CheckFirstLast,
            DnsLength::Verify,
        )
        .ok()?;
    // RFC 1123, 2.1: the last label begins with a letter, which no address literal does.
    let (_, last) = folded.rsplit_once('.')?;
    last.starts_with(|c: char| c.is_ascii_lowercase()).then(|| folded.into_owned())
}
