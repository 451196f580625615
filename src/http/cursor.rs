//! Cursors: where a list goes on, sealed so that a client can neither read meaning into it nor alter it.
//!
//! The tag binds a cursor to its list and its user. The keyed hash comes from the caller: keys are
//! no business of this room.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq;

use super::problem::{Kind, Problem};

/// LIMIT: half of SHA-256; a forger gets one try a request.
const TAG_BYTES: usize = 16;

/// LIMIT: a cursor holds a moment and an id; this is a multiple of both.
const TEXT_BYTES_MAX: usize = 512;

/// A keyed hash of 32 bytes.
pub type KeyedHash<'a> = &'a dyn Fn(&[u8]) -> [u8; 32];

/// What a cursor is good for.
#[derive(Clone, Copy, Debug)]
pub struct CursorOf<'a> {
    /// The name of the list, `me/sessions`.
    pub list: &'a str,
    /// Whose list it is.
    pub user: &'a str,
}

impl CursorOf<'_> {
    /// Seals `payload`.
    pub fn seal(&self, payload: &[u8], hash: KeyedHash<'_>) -> String {
        let mut bytes = payload.to_vec();
        bytes.extend_from_slice(&self.tag(payload, hash));
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Opens what [`CursorOf::seal`] made for the same list and user; else 400 `cursor_invalid`.
    pub fn open(&self, text: &str, hash: KeyedHash<'_>) -> Result<Vec<u8>, Problem> {
        self.opened(text, hash).ok_or_else(|| Kind::CursorInvalid.into())
    }

    fn opened(&self, text: &str, hash: KeyedHash<'_>) -> Option<Vec<u8>> {
        let short = (text.len() <= TEXT_BYTES_MAX).then_some(text)?;
        let mut payload = URL_SAFE_NO_PAD.decode(short).ok()?;
        let tag = payload.split_off(payload.len().checked_sub(TAG_BYTES)?);
        bool::from(tag.ct_eq(&self.tag(&payload, hash))).then_some(payload)
    }

    fn tag(&self, payload: &[u8], hash: KeyedHash<'_>) -> [u8; TAG_BYTES] {
        let mut input = Vec::new();
        // Lengths in front: "ab" + "c" and "a" + "bc" are different inputs.
        for part in [b"cursor", self.list.as_bytes(), self.user.as_bytes(), payload] {
            input.extend_from_slice(&(part.len() as u64).to_be_bytes());
            input.extend_from_slice(part);
        }
        let mut tag = [0; TAG_BYTES];
        for (to, from) in tag.iter_mut().zip(hash(&input)) {
            *to = from;
        }
        tag
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::hmac;

    use super::*;

    fn hash(input: &[u8]) -> [u8; 32] {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, b"test"), input);
        tag.as_ref().try_into().unwrap()
    }

    #[test]
    fn an_altered_or_foreign_cursor_is_refused() {
        let mine = CursorOf { list: "me/sessions", user: "ann" };
        let text = mine.seal(b"here", &hash);
        assert_eq!(mine.open(&text, &hash).unwrap(), b"here");
        let foreign = [
            CursorOf { list: "me/events", user: "ann" },
            CursorOf { list: "me/sessions", user: "bob" },
            CursorOf { list: "me/sessionsa", user: "nn" },
        ];
        for other in foreign {
            assert_eq!(other.open(&text, &hash).unwrap_err().kind(), Kind::CursorInvalid);
        }
        for at in 0..text.len() {
            let mut altered = text.clone().into_bytes();
            altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
            let altered = String::from_utf8(altered).unwrap();
            assert!(mine.open(&altered, &hash).is_err(), "{altered}");
        }
        for bad in ["", "A", "====", "a b", &text[1..], &format!("{text}A"), &"A".repeat(9000)] {
            assert_eq!(mine.open(bad, &hash).unwrap_err().kind(), Kind::CursorInvalid, "{bad}");
        }
    }
}
