//! For tests: keys made at run time, tokens signed over any text, a clock that is turned by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
    RsaPublicKeyComponents,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::{Algorithm, Clock, Jwk, JwkSet, KeySet, Policy, PublicKey};

pub(crate) const NOW_S: i64 = 1_800_000_000;
pub(crate) const ISSUER: &str = "https://accounts.example.org";
pub(crate) const AUDIENCE: &str = "portcullis";

pub(crate) fn policy() -> Policy {
    Policy::new(ISSUER, AUDIENCE)
}

pub(crate) fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A key pair of one algorithm.
pub(crate) enum Pair {
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
    Rsa(RsaPair),
}

impl Pair {
    pub(crate) fn generate(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Es256 => {
                Self::Ec(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
            }
            Algorithm::EdDsa => Self::Ed(Ed25519KeyPair::generate().unwrap()),
            Algorithm::Rs256 => Self::Rsa(RsaPair::generate(KeySize::Rsa2048).unwrap()),
        }
    }

    pub(crate) fn public(&self) -> PublicKey {
        match self {
            Self::Ec(pair) => PublicKey::p256(pair.public_key().as_ref()).unwrap(),
            Self::Ed(pair) => PublicKey::ed25519(pair.public_key().as_ref()).unwrap(),
            Self::Rsa(pair) => {
                let parts = RsaPublicKeyComponents::<Vec<u8>>::from(pair.public_key());
                PublicKey::rsa(&parts.n, &parts.e).unwrap()
            }
        }
    }

    pub(crate) fn jwk(&self) -> Jwk {
        Jwk::new(self.public())
    }

    pub(crate) fn keys(&self) -> KeySet {
        KeySet::new(&JwkSet { keys: vec![self.jwk()] })
    }

    pub(crate) fn header(&self) -> Value {
        let jwk = self.jwk();
        json!({ "alg": jwk.algorithm(), "kid": jwk.kid(), "typ": "at+jwt" })
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Ec(pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Self::Ed(pair) => pair.sign(message).as_ref().to_vec(),
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).unwrap();
                signature
            }
        }
    }

    /// A token over exactly these texts.
    pub(crate) fn token_of(&self, header: &str, payload: &str) -> String {
        let signed = format!("{}.{}", b64(header), b64(payload));
        let signature = b64(self.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    pub(crate) fn token(&self, claims: &Value) -> String {
        self.token_of(&self.header().to_string(), &claims.to_string())
    }
}

/// The claims of a user's token, valid at [`NOW_S`] for 15 minutes.
pub(crate) fn claims() -> Value {
    json!({
        "iss": ISSUER, "sub": "01990000-0000-7000-8000-000000000001", "aud": [AUDIENCE],
        "exp": NOW_S + 900, "iat": NOW_S - 5, "nbf": NOW_S - 5, "jti": "t-1",
        "client_id": "portcullis", "scope": "account", "sid": "s-1", "roles": ["admin", "clerk"],
        "auth_time": NOW_S - 5, "amr": ["pwd"], "email": "ann@example.org", "email_verified": true,
        "locale": "de",
    })
}

/// [`claims`] with one member set.
pub(crate) fn claims_with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

/// [`claims`] without one member.
pub(crate) fn claims_without(name: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(name);
    claims
}

/// A clock that starts at [`NOW_S`] and stands until it is moved.
#[derive(Clone, Default)]
pub(crate) struct HandClock(Arc<AtomicI64>);

impl HandClock {
    pub(crate) fn advance_s(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl Clock for HandClock {
    fn now_s(&self) -> i64 {
        NOW_S + self.0.load(Ordering::SeqCst)
    }

    fn elapsed(&self) -> Duration {
        Duration::from_secs(self.0.load(Ordering::SeqCst).unsigned_abs())
    }
}

/// Runs `work` beside the test.
#[expect(clippy::disallowed_methods, reason = "a test has no task tracker; it awaits or aborts")]
pub(crate) fn beside<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> tokio::task::JoinHandle<T> {
    tokio::task::spawn(work)
}
