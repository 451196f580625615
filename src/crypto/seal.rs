//! Sealing: what the database keeps of a secret that must be read again (keys, successors, payloads).
//!
//! A sealed cell names the master key that it was sealed under and opens at its own place only, so
//! a copied or swapped cell is refused (CFG-13). Passwords and tokens are never sealed: those are
//! hashed. Where the master key comes from is told by `config`.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::{hkdf, hmac};
use zeroize::Zeroizing;

use crate::Fault;
use crate::crypto::random::Random;
pub use crate::domain::master_key::{MasterKey, MasterKeyError};

/// The first byte of a sealed cell: the layout `version, key id, nonce, ciphertext, tag`.
const VERSION: u8 = 1;
const KEY_ID_LEN: usize = 8;
const FINGERPRINT_LEN: usize = 16;

impl MasterKey {
    /// Draws a new key.
    pub fn generate(random: &Random) -> Self {
        let mut key = Zeroizing::new([0; 32]);
        random.fill(&mut key[..]);
        Self::from_bytes(key)
    }
}

/// Where a sealed value is kept: a column and the bytes that name its row.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    column: &'static str,
    row: &'a [u8],
}

impl<'a> Place<'a> {
    /// The cell of `column` (written `table.column`) in the row named by `row`.
    pub const fn new(column: &'static str, row: &'a [u8]) -> Self {
        Self { column, row }
    }

    /// One spelling for each place: the length in front keeps column and row apart.
    fn spelled(self) -> Vec<u8> {
        let length = u64::try_from(self.column.len()).unwrap_or(u64::MAX).to_be_bytes();
        [&length[..], self.column.as_bytes(), self.row].concat()
    }
}

/// Seals and opens with keys derived from the master keys. Clones share them.
#[derive(Clone)]
pub struct Sealer {
    current: Root,
    previous: Vec<Root>,
    random: Random,
}

#[derive(Clone)]
struct Root {
    prk: hkdf::Prk,
    mac: hmac::Key,
    id: [u8; KEY_ID_LEN],
    fingerprint: [u8; FINGERPRINT_LEN],
}

impl Sealer {
    /// Seals under `current`; opens what was sealed under it or one of `previous`.
    pub fn new(current: &MasterKey, previous: &[MasterKey], random: Random) -> Result<Self, Fault> {
        let previous = previous.iter().map(Root::new).collect::<Result<_, _>>()?;
        Ok(Self { current: Root::new(current)?, previous, random })
    }

    /// Encrypts `plain` for `place`; 37 bytes longer, different at each call.
    pub fn seal(&self, place: Place<'_>, plain: &[u8]) -> Result<Vec<u8>, Fault> {
        let nonce = self.random.bytes::<NONCE_LEN>();
        let mut body = plain.to_vec();
        // The plain text is overwritten where it stands, and the tag has its room from the start.
        body.reserve_exact(AES_256_GCM.tag_len());
        self.current
            .key(place)?
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(self.current.bound(place)),
                &mut body,
            )
            .map_err(Fault::internal)?;
        Ok([&[VERSION][..], &self.current.id, &nonce, &body].concat())
    }

    /// Decrypts what `seal` made for this very place.
    pub fn open(&self, place: Place<'_>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Fault> {
        let broken = || Fault::internal(format!("{}: not a sealed value", place.column));
        let (version, rest) = sealed.split_first().ok_or_else(broken)?;
        if *version != VERSION {
            return Err(broken());
        }
        let (id, rest) = rest.split_first_chunk::<KEY_ID_LEN>().ok_or_else(broken)?;
        let (nonce, body) = rest.split_first_chunk::<NONCE_LEN>().ok_or_else(broken)?;
        let root = self.root(*id).ok_or_else(|| {
            Fault::internal(format!("{}: sealed under an unknown master key", place.column))
        })?;

        let mut plain = Zeroizing::new(body.to_vec());
        let length = root
            .key(place)?
            .open_in_place(
                Nonce::assume_unique_for_key(*nonce),
                Aad::from(root.bound(place)),
                plain.as_mut_slice(),
            )
            // SECURITY: CFG-13. Changed, or sealed for another cell: no difference is told.
            .ok()
            .ok_or_else(|| Fault::internal(format!("{}: does not belong here", place.column)))?
            .len();
        plain.truncate(length);
        Ok(plain)
    }

    /// HMAC-SHA-256 of `data` under a key of its own for each purpose.
    ///
    /// Follows the current master key: after its rotation the same data gives another hash.
    pub fn keyed_hash(&self, purpose: &'static str, data: &[u8]) -> [u8; 32] {
        let key = hmac::sign(&self.current.mac, purpose.as_bytes());
        let hash = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.as_ref()), data);
        let mut out = [0; 32];
        out.iter_mut().zip(hash.as_ref()).for_each(|(to, from)| *to = *from);
        out
    }

    /// Names the current master key without telling it: 32 hex digits, kept in the database.
    pub fn fingerprint(&self) -> String {
        hex(&self.current.fingerprint)
    }

    /// Tells whether `fingerprint` is that of the current master key or of a previous one.
    pub fn knows(&self, fingerprint: &str) -> bool {
        std::iter::once(&self.current)
            .chain(&self.previous)
            .any(|root| hex(&root.fingerprint) == fingerprint)
    }

    fn root(&self, id: [u8; KEY_ID_LEN]) -> Option<&Root> {
        std::iter::once(&self.current).chain(&self.previous).find(|root| root.id == id)
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer(***)")
    }
}

impl Root {
    fn new(master: &MasterKey) -> Result<Self, Fault> {
        let prk =
            hkdf::Salt::new(hkdf::HKDF_SHA256, b"portcullis master key").extract(master.bytes());
        let mac = prk.expand(&[b"portcullis mac"], hmac::HMAC_SHA256).map_err(Fault::internal)?;
        let (mut id, mut fingerprint) = ([0; KEY_ID_LEN], [0; FINGERPRINT_LEN]);
        derive(&prk, b"portcullis key id", &mut id)?;
        derive(&prk, b"portcullis fingerprint", &mut fingerprint)?;
        Ok(Self { mac: hmac::Key::from(mac), prk, id, fingerprint })
    }

    /// LIMIT: a key a cell, so 2^32 random nonces (NIST SP 800-38D, 8.3) are never drawn for one key,
    /// however many refresh tokens a service seals.
    fn key(&self, place: Place<'_>) -> Result<LessSafeKey, Fault> {
        let info = [b"portcullis seal ", &place.spelled()[..]].concat();
        let derived = self
            .prk
            .expand(&[&info], &AES_256_GCM)
            .map(UnboundKey::from)
            .map_err(Fault::internal)?;
        Ok(LessSafeKey::new(derived))
    }

    /// What is authenticated beside the value: layout, key and place.
    fn bound(&self, place: Place<'_>) -> Vec<u8> {
        [&[VERSION][..], &self.id, &place.spelled()].concat()
    }
}

struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

fn derive(prk: &hkdf::Prk, info: &[u8], out: &mut [u8]) -> Result<(), Fault> {
    prk.expand(&[info], Length(out.len())).and_then(|okm| okm.fill(out)).map_err(Fault::internal)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        for digit in [byte >> 4, byte & 0x0f] {
            text.extend(char::from_digit(u32::from(digit), 16));
        }
        text
    })
}

#[cfg(test)]
mod tests;
