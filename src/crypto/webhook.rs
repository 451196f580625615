//! Signatures of webhook messages (Standard Webhooks 1.0): HMAC-SHA-256 over `id.timestamp.body`.

use std::fmt;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::random::Random;
use crate::Fault;

/// LIMIT: WHK-01. The public libraries take 24 to 64 bytes.
const SECRET_BYTES: usize = 32;

/// What an endpoint checks signatures with. `Debug` shows nothing.
#[derive(Clone)]
pub struct WebhookSecret(Zeroizing<[u8; SECRET_BYTES]>);

impl WebhookSecret {
    /// Draws a new one.
    pub fn generate(random: &Random) -> Self {
        let mut bytes = Zeroizing::new([0; SECRET_BYTES]);
        random.fill(&mut bytes[..]);
        Self(bytes)
    }

    /// The secret of these bytes, which were unsealed.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Fault> {
        let mut secret = Zeroizing::new([0; SECRET_BYTES]);
        if bytes.len() != secret.len() {
            return Err(Fault::internal("a webhook secret of another length"));
        }
        secret.copy_from_slice(bytes);
        Ok(Self(secret))
    }

    /// The bytes, to be sealed.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0[..]
    }

    /// As its owner has it: `whsec_` and the standard alphabet with padding, which is all that libraries take.
    pub fn to_text(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("whsec_{}", STANDARD.encode(&self.0[..])))
    }

    /// `v1,` and the signature of a message that is sent at `timestamp`, in seconds since 1970 UTC.
    pub fn sign(&self, id: &str, timestamp: i64, body: &str) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.0[..]);
        let tag = hmac::sign(&key, format!("{id}.{timestamp}.{body}").as_bytes());
        format!("v1,{}", STANDARD.encode(tag))
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whk_01_a_known_message_has_its_known_signature() {
        // The key of the bytes 0 to 31; reckoned with Python's hmac.
        let bytes: Vec<u8> = (0..32).collect();
        let secret = WebhookSecret::from_bytes(&bytes).unwrap();
        let text = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
        assert_eq!(secret.to_text().as_str(), text);
        let signature = secret.sign("msg_1", 1_795_000_000, r#"{"type":"user.created"}"#);
        assert_eq!(signature, "v1,+e7mNbQA6ZtCqIidujtNbjExtF89IjED8tMisnmup2g=");
        assert_eq!(format!("{secret:?}"), "WebhookSecret(***)");
    }

    #[test]
    fn whk_01_each_part_is_signed() {
        let random = Random::seeded(1);
        let (one, other) = (WebhookSecret::generate(&random), WebhookSecret::generate(&random));
        let signature = one.sign("a", 1, "{}");
        assert_eq!(signature, one.sign("a", 1, "{}"));
        for altered in [
            one.sign("b", 1, "{}"),
            one.sign("a", 2, "{}"),
            one.sign("a", 1, "[]"),
            other.sign("a", 1, "{}"),
        ] {
            assert_ne!(signature, altered);
        }
        assert!(WebhookSecret::from_bytes(&[0; 31]).is_err());
    }
}
