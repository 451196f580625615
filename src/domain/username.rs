//! Usernames: 3 to 32 characters of a narrow alphabet, shown as typed, compared in lower case.
//!
//! The alphabet has no `@`, so a username never looks like an address, and nothing beyond ASCII, so
//! no two of them look alike by script or direction (INP-12). Who has one is known to the store.

use std::collections::HashSet;
use std::fmt;

use crate::domain::fields::{FieldCode, FieldFault};

/// Words that nobody gets: they speak for the service, the team or the machine.
const BUILT_IN: &str = "\
    abuse account accounts admin administration administrator anonymous api apis auth billing \
    broadcasthost contact daemon deleted everyone false ftp guest help helpdesk hostmaster \
    info localhost login logout mail mailerdaemon me moderator nan nil nobody none noreply \
    null oauth oauth2 official operator portcullis postmaster privacy register replyto root \
    security self service settings signin signup smtp ssl staff superuser support sysadmin \
    system tls true undefined unknown user username users verify void webhook webmaster \
    wellknown www";

/// The usernames that are refused whoever asks, in lower case.
#[derive(Clone, Debug)]
pub struct Reserved(HashSet<String>);

impl Default for Reserved {
    fn default() -> Self {
        Self::with(std::iter::empty::<&str>())
    }
}

impl Reserved {
    /// The built-in words and `more` (`accounts.reserved_usernames`), in any case.
    pub fn with<S: AsRef<str>>(more: impl IntoIterator<Item = S>) -> Self {
        let mut words: HashSet<String> = BUILT_IN.split(' ').map(str::to_owned).collect();
        words.extend(more.into_iter().map(|word| word.as_ref().trim().to_lowercase()));
        Self(words)
    }

    /// No word at all: for a name that was taken before it was reserved.
    pub fn none() -> Self {
        Self(HashSet::new())
    }

    /// Tells whether `typed` is one of the words, also with joints strewn in, or looks like one.
    fn holds(&self, typed: &str) -> bool {
        let [whole, bare] = [with_joints(typed), without_joints(typed)];
        let is_word = |word: &String| {
            // SECURITY: INP-12. `ad.min` is read as the word without its joints; a word that has joints of its own
            // keeps them, whichever they are.
            let (name, word) = match word.chars().any(is_joint) {
                true => (&whole, with_joints(word)),
                false => (&bare, without_joints(word)),
            };
            looks_like(name, &word)
        };
        self.0.iter().any(is_word)
    }
}

fn is_joint(c: char) -> bool {
    matches!(c, '.' | '_' | '-')
}

/// Every joint as a dash, and pairs of letters as the one that they look like.
fn with_joints(text: &str) -> String {
    text.replace(is_joint, "-").replace("rn", "m").replace("vv", "w").replace("VV", "W")
}

fn without_joints(text: &str) -> String {
    with_joints(&text.replace(is_joint, ""))
}

/// Whether people read `name`, in its own spelling, as `word`, which is in lower case: `ADMIN`, `adm1n`, `heIp`, `MAlL`.
fn looks_like(name: &str, word: &str) -> bool {
    let is_upper = !name.chars().any(|c| c.is_ascii_lowercase() && c != 'l');
    let is_alike = |(own, wanted): (char, char)| match (own, wanted) {
        ('0', 'o') | ('1', 'i' | 'l') | ('I', 'l') => true,
        ('l', 'i') => is_upper,
        _ => own.to_ascii_lowercase() == wanted,
    };
    name.len() == word.len() && name.chars().zip(word.chars()).all(is_alike)
}

/// Why a text is no username.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsernameError {
    /// Fewer than [`Username::LENGTH_MIN`] characters.
    #[error("A username has at least 3 characters.")]
    TooShort,
    /// More than [`Username::LENGTH_MAX`] characters.
    #[error("A username has at most 32 characters.")]
    TooLong,
    /// Other signs than letters, digits, `.`, `_`, `-`, or one of these three at an end.
    #[error(
        "A username is of A-Z, a-z, 0-9, '.', '_' and '-', and begins and ends with a letter or digit."
    )]
    InvalidFormat,
    /// One of the words that nobody gets.
    #[error("This username is reserved.")]
    Reserved,
}

impl UsernameError {
    /// The stable word for the wire.
    pub fn code(self) -> FieldCode {
        match self {
            Self::TooShort => FieldCode::TooShort,
            Self::TooLong => FieldCode::TooLong,
            Self::InvalidFormat => FieldCode::InvalidFormat,
            Self::Reserved => FieldCode::UsernameReserved,
        }
    }

    /// The fault of the field at `pointer`.
    pub fn at(self, pointer: &str) -> FieldFault {
        FieldFault::new(pointer, self.code(), self.to_string())
    }
}

/// A username as typed, with the form that is compared beside it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Username {
    typed: String,
    canonical: String,
}

impl Username {
    /// LIMIT: the contract's pattern, `[A-Za-z0-9][A-Za-z0-9._-]{1,30}[A-Za-z0-9]`.
    pub const LENGTH_MIN: usize = 3;
    /// LIMIT: the contract's pattern.
    pub const LENGTH_MAX: usize = 32;

    /// Takes a username that somebody wants to have. Nothing is trimmed.
    pub fn parse(text: &str, reserved: &Reserved) -> Result<Self, UsernameError> {
        let canonical = Self::canonical_of(text)?;
        if reserved.holds(text) {
            return Err(UsernameError::Reserved);
        }
        Ok(Self { typed: text.to_owned(), canonical })
    }

    /// The form that is compared, for looking up a username that may or may not exist.
    pub fn canonical_of(text: &str) -> Result<String, UsernameError> {
        // SECURITY: INP-11. Bytes first: no walk over a long text; 32 characters have 128 at most.
        if text.len() > Self::LENGTH_MAX * 4 || text.chars().count() > Self::LENGTH_MAX {
            return Err(UsernameError::TooLong);
        }
        if text.chars().count() < Self::LENGTH_MIN {
            return Err(UsernameError::TooShort);
        }
        let is_end = |c: char| c.is_ascii_alphanumeric();
        let is_inner = |c: char| is_end(c) || matches!(c, '.' | '_' | '-');
        if text.chars().all(is_inner) && text.starts_with(is_end) && text.ends_with(is_end) {
            Ok(text.to_ascii_lowercase())
        } else {
            Err(UsernameError::InvalidFormat)
        }
    }

    /// The person's own spelling: what is shown.
    pub fn typed(&self) -> &str {
        &self.typed
    }

    /// The form that is compared and unique.
    pub fn canonical(&self) -> &str {
        &self.canonical
    }

    /// Takes the two forms apart: typed, canonical.
    pub fn into_parts(self) -> (String, String) {
        (self.typed, self.canonical)
    }
}

impl fmt::Debug for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Username(***)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<Username, UsernameError> {
        Username::parse(text, &Reserved::default())
    }

    #[test]
    fn a_username_is_shown_as_typed_and_compared_in_lower_case() {
        for text in ["Ann", "a.B", "a--b", "9lives", "x_y.z-1", &"A".repeat(32)] {
            let name = parse(text).unwrap();
            assert_eq!(name.typed(), text);
            assert_eq!(name.canonical(), text.to_lowercase());
        }
    }

    #[test]
    fn inp_12_the_alphabet_is_narrow() {
        let cases = [
            "a@b",
            "ann@example.org",
            "-ann",
            "ann-",
            ".ann",
            "ann_",
            "an n",
            " ann",
            "ann ",
            "\u{430}nn",
            "\u{202e}nna",
            "an\u{200d}n",
            "an\u{200b}n",
            "änn",
            "ａnn",
            "ann\0",
            "an\nn",
            "ann\n",
            "an/n",
            "an%n",
            "ann\u{301}",
            "\u{212a}im",
        ];
        for text in cases {
            assert_eq!(parse(text), Err(UsernameError::InvalidFormat), "{text:?}");
        }
    }

    #[test]
    fn inp_12_lengths_are_counted_before_anything_else() {
        for text in ["", "a", "ab", "é"] {
            assert_eq!(parse(text), Err(UsernameError::TooShort), "{text:?}");
        }
        for text in ["a".repeat(33), "ﷺ".repeat(20_000), "ﷺ".repeat(33)] {
            assert_eq!(parse(&text), Err(UsernameError::TooLong));
        }
    }

    #[test]
    fn inp_12_reserved_words_are_refused_in_any_dress() {
        for text in ["admin", "ADMIN", "Root", "m.e", "ad.min", "no-reply", "post_master", "www"] {
            assert_eq!(parse(text), Err(UsernameError::Reserved), "{text:?}");
        }
        let reserved = Reserved::with(["Acme", " crown-jewels "]);
        for text in ["acme", "AC-ME", "crown-jewels", "admin"] {
            assert_eq!(Username::parse(text, &reserved), Err(UsernameError::Reserved), "{text:?}");
        }
        for text in ["acmes", "crownjewels", "administer"] {
            assert!(Username::parse(text, &reserved).is_ok(), "{text:?}");
        }
    }

    #[test]
    fn inp_12_what_looks_like_a_reserved_word_is_refused() {
        let reserved = Reserved::with(["Acme-Mail", "paypal", "intern"]);
        for text in [
            "adm1n",
            "ADM1N",
            "ADMlN",
            "r00t",
            "R0OT",
            "adrnin",
            "ad_rnin",
            "supp0rt",
            "heIp",
            "he1p",
            "MAlL",
            "vvww",
            "acme.mail",
            "ACME_MAIL",
            "acrne-mai1",
            "acme-maiI",
            "paypa1",
            "PayPaI",
            "pay-pal",
            "0auth2",
            "a.d.m.1.n",
        ] {
            assert_eq!(Username::parse(text, &reserved), Err(UsernameError::Reserved), "{text:?}");
        }
        for text in [
            "mall", "Mall", "heip", "tis", "r2d2", "acmemail", "paypals", "0wen", "arnold", "ann1",
            "bernie",
        ] {
            assert!(Username::parse(text, &reserved).is_ok(), "{text:?}");
        }
    }

    #[test]
    fn the_built_in_words_are_bare_lower_case() {
        for word in BUILT_IN.split(' ') {
            assert!(
                !word.is_empty()
                    && word.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit()),
                "{word}"
            );
        }
    }

    proptest! {
        #[test]
        fn a_canonical_username_is_its_own_canonical_form(text in any::<String>(), name in "[A-Za-z0-9._-]{1,34}") {
            for candidate in [text, name] {
                if let Ok(canonical) = Username::canonical_of(&candidate) {
                    prop_assert_eq!(Username::canonical_of(&canonical), Ok(canonical));
                }
            }
        }
    }
}
