//! What one types to log in: an address or a username, or something that nobody can have.
//!
//! It tells which key to look up and never whether anybody is there. What cannot be right is no
//! error: the caller does the same work for it and gives the same answer (ENU-01, ENU-02).

use std::fmt;

use crate::domain::email::CanonicalEmail;
use crate::domain::fields::{FieldCode, FieldFault};
use crate::domain::username::Username;

/// The key under which the owner of an identifier is found.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum LoginIdentifier {
    /// It has an `@` and is an address.
    Email(CanonicalEmail),
    /// It has none and could be a username; the form that is compared.
    Username(String),
    /// No account has such an identifier.
    Nobody,
}

/// The identifier has more than [`LoginIdentifier::BYTES_MAX`] bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("An identifier has at most 254 bytes.")]
pub struct IdentifierTooLong;

impl IdentifierTooLong {
    /// The fault of the field at `pointer`.
    pub fn at(self, pointer: &str) -> FieldFault {
        FieldFault::new(pointer, FieldCode::TooLong, self.to_string())
    }
}

impl LoginIdentifier {
    /// LIMIT: the longest address (RFC 5321), counted after blanks at the ends are dropped.
    pub const BYTES_MAX: usize = CanonicalEmail::BYTES_MAX;

    /// Takes any text that is not too long.
    pub fn parse(text: &str) -> Result<Self, IdentifierTooLong> {
        let text = text.trim();
        if text.len() > Self::BYTES_MAX {
            return Err(IdentifierTooLong);
        }
        Ok(if text.contains('@') {
            CanonicalEmail::parse(text).map_or(Self::Nobody, Self::Email)
        } else {
            Username::canonical_of(text).map_or(Self::Nobody, Self::Username)
        })
    }
}

impl fmt::Debug for LoginIdentifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Email(_) => "Email(***)",
            Self::Username(_) => "Username(***)",
            Self::Nobody => "Nobody",
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_at_sign_makes_an_address_and_nothing_else_does() {
        let email = |text| LoginIdentifier::Email(CanonicalEmail::parse(text).unwrap());
        let name = |text: &str| LoginIdentifier::Username(text.to_owned());
        let cases = [
            (" Ann@Example.org ", email("ann@example.org")),
            ("\tAnn.B ", name("ann.b")),
            ("admin", name("admin")),
            ("", LoginIdentifier::Nobody),
            ("   ", LoginIdentifier::Nobody),
            ("a", LoginIdentifier::Nobody),
            ("a@b", LoginIdentifier::Nobody),
            ("@ann", LoginIdentifier::Nobody),
            ("ann＠example.org", LoginIdentifier::Nobody),
            ("\u{430}nn", LoginIdentifier::Nobody),
        ];
        for (text, expected) in cases {
            assert_eq!(LoginIdentifier::parse(text), Ok(expected), "{text:?}");
        }
    }

    #[test]
    fn inp_03_wildcards_find_nobody() {
        for text in ["%@%.%", "_dmin@example.org", "%", "_dmin", "a%n"] {
            let found = LoginIdentifier::parse(text).unwrap();
            // An underscore and a percent sign are letters of a local part like others: compared, never matched.
            match found {
                LoginIdentifier::Email(address) => assert_eq!(address.as_str(), text),
                other => assert_eq!(other, LoginIdentifier::Nobody, "{text:?}"),
            }
        }
    }

    #[test]
    fn enu_01_only_the_length_is_an_error() {
        let longest = "é".repeat(127);
        assert_eq!(LoginIdentifier::parse(&longest), Ok(LoginIdentifier::Nobody));
        assert_eq!(LoginIdentifier::parse(&format!("  {longest} ")), Ok(LoginIdentifier::Nobody));
        for text in [format!("{longest}a"), "@".repeat(255), "ﷺ".repeat(20_000)] {
            assert_eq!(LoginIdentifier::parse(&text), Err(IdentifierTooLong));
        }
    }

    #[test]
    fn debug_shows_nothing_personal() {
        for text in ["ann@example.org", "annabel"] {
            let shown = format!("{:?}", LoginIdentifier::parse(text).unwrap());
            assert!(!shown.contains("ann"), "{shown}");
        }
    }

    proptest! {
        #[test]
        fn any_text_up_to_254_bytes_is_accepted(text in any::<String>()) {
            prop_assert_eq!(LoginIdentifier::parse(&text).is_err(), text.trim().len() > 254);
        }
    }
}
