//! Passwords in clear: the rules for one that is tried, and for one that is set.
//!
//! A password is taken byte for byte: nothing is trimmed, folded or normalised (PWD-06, PWD-08), and
//! there are no rules of composition (PWD-07). Hashing is `crypto`'s. What takes long is a step of its
//! own ([`Wanted::judge`]), so that it can run where it holds nobody up.

use std::fmt;

use zeroize::Zeroizing;

use crate::domain::fields::{FieldCode, FieldFault};

mod strength;
#[cfg(test)]
mod tests;

/// A password in clear, wiped when dropped. `Debug` shows nothing.
#[derive(Clone)]
pub struct PlainPassword(Zeroizing<String>);

impl PlainPassword {
    /// The text, for the hasher.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The text, still wiped when dropped, for the hasher's thread.
    pub fn into_inner(self) -> Zeroizing<String> {
        self.0
    }
}

impl fmt::Debug for PlainPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Why a password is refused. Nothing here quotes it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Fewer code points than the given minimum.
    #[error("A password has at least {0} characters.")]
    TooShort(usize),
    /// More code points than the given maximum.
    #[error("A password has at most {0} characters.")]
    TooLong(usize),
    /// It is guessed in too few tries; with advice for people.
    #[error("This password is too easy to guess. {0}")]
    TooCommon(String),
    /// It stands in a list of passwords that were stolen somewhere (PWD-10).
    #[error("This password appeared in a data breach, so it is tried first. Choose another one.")]
    Breached,
}

impl PasswordError {
    /// The stable word for the wire.
    pub fn code(&self) -> FieldCode {
        match self {
            Self::TooShort(_) => FieldCode::PasswordTooShort,
            Self::TooLong(_) => FieldCode::PasswordTooLong,
            Self::TooCommon(_) | Self::Breached => FieldCode::PasswordTooCommon,
        }
    }

    /// The fault of the field at `pointer`.
    pub fn at(&self, pointer: &str) -> FieldFault {
        FieldFault::new(pointer, self.code(), self.to_string())
    }
}

/// What a password must be here.
#[derive(Clone, Debug)]
pub struct PasswordPolicy {
    /// Code points of a password that is set (`password.min_length`, PWD-04).
    pub min_length: usize,
    /// Code points of any password (`password.max_length`, PWD-05).
    pub max_length: usize,
    /// Guesses that a password takes at least, as a power of ten (`password.strength_min`, PWD-09).
    pub strength_min: u32,
    /// The product's name, which everybody would try.
    pub product: String,
    /// The host of `public_url`, likewise.
    pub host: String,
}

impl PasswordPolicy {
    /// Takes a password that is only tried: just the maximum counts, so that old ones stay good.
    pub fn for_trying(&self, text: &str) -> Result<PlainPassword, PasswordError> {
        // SECURITY: PWD-05, PWD-13. Before any hashing; nothing is cut. A code point has 1 to 4 bytes.
        let is_short = text.len() <= self.max_length;
        if !is_short && text.chars().take(self.max_length + 1).count() > self.max_length {
            return Err(PasswordError::TooLong(self.max_length));
        }
        Ok(PlainPassword(Zeroizing::new(text.to_owned())))
    }

    /// Takes a password that somebody wants to have; for callers whose thread nobody else needs.
    ///
    /// `own` are the words that a stranger would try for this person: the address (each form), its
    /// local part, the username (PWD-09).
    pub fn for_setting(&self, text: &str, own: &[&str]) -> Result<PlainPassword, PasswordError> {
        self.wanted(text, own)?.judge()
    }

    /// The quick half of [`PasswordPolicy::for_setting`]: everything but the count of guesses.
    pub fn wanted(&self, text: &str, own: &[&str]) -> Result<Wanted, PasswordError> {
        let password = self.for_trying(text)?;
        if text.chars().count() < self.min_length {
            return Err(PasswordError::TooShort(self.min_length));
        }
        let mut known = vec![self.product.as_str(), self.host.as_str()];
        for &word in own.iter().filter(|word| !word.is_empty()) {
            known.extend(
                [Some(word), word.split_once('@').map(|(local, _)| local)].into_iter().flatten(),
            );
        }
        let lower = Zeroizing::new(text.to_lowercase());
        if known.iter().any(|word| word.to_lowercase() == *lower) {
            return Err(too_common("It is your own address or name, or the name of this service."));
        }
        let mut chars = text.chars();
        let first = chars.next();
        if chars.all(|c| Some(c) == first) {
            return Err(too_common("It is one character over and over."));
        }
        let known = known.into_iter().map(ToOwned::to_owned).collect();
        Ok(Wanted { password, known, strength_min: self.strength_min })
    }
}

/// A password of the right form whose guesses nobody has counted yet.
pub struct Wanted {
    password: PlainPassword,
    known: Vec<String>,
    strength_min: u32,
}

impl Wanted {
    /// The slow half of [`PasswordPolicy::for_setting`]: milliseconds of one core.
    pub fn judge(self) -> Result<PlainPassword, PasswordError> {
        let known: Vec<&str> = self.known.iter().map(String::as_str).collect();
        let text = self.password.expose();
        match strength::weakness(text, &known, self.strength_min) {
            Some(advice) => Err(too_common(&advice)),
            None => Ok(self.password),
        }
    }
}

fn too_common(advice: &str) -> PasswordError {
    PasswordError::TooCommon(advice.to_owned())
}
