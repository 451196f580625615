//! Private signing keys: made, imported, kept as PKCS#8, and the signature itself.
//!
//! A key is parsed once and signs through aws-lc directly; its `kid` is the thumbprint of its public
//! part. What the claims mean is `portcullis_verify`'s business, which key signs when `keyring`'s.

use std::fmt;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
    RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_verify::PublicKey;
use serde::Serialize;
use serde_json::json;
use zeroize::Zeroizing;

use crate::Fault;
use crate::crypto::{der, import};
use crate::domain::keys::{PublicJwk, SigningAlgorithm};

/// LIMIT: below 3072 bits RSA has less than 128 bits of strength (NIST SP 800-57, table 2; JWT-14).
const RSA_BITS_MIN: usize = 3072;
/// LIMIT: a token with a longer signature may pass 3 500 bytes.
const RSA_BITS_MAX: usize = 4096;

/// Why a text or a document is no key to sign with. Shows nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Neither of the two forms that are read.
    #[error("is neither a private key in PKCS#8 PEM nor a private JWK")]
    NotAKey,
    /// PKCS#8 under a passphrase.
    #[error("is encrypted: decrypt it first (openssl pkcs8 -in FILE)")]
    Encrypted,
    /// PKCS#1, SEC 1 or OpenSSH.
    #[error("is in an older form: convert it to PKCS#8 (openssl pkcs8 -topk8 -nocrypt -in FILE)")]
    OldForm,
    /// No private part.
    #[error("is a public key: the private one is needed to sign")]
    PublicOnly,
    /// A JWK set.
    #[error("is a set of keys: bring the one private JWK")]
    KeySet,
    /// Symmetric, DSA, X25519, post-quantum and so on.
    #[error("is of a kind that does not sign here: EC P-256, Ed25519 or RSA is needed")]
    Kind,
    /// EC or OKP over another curve.
    #[error("is over another curve: P-256 or Ed25519 is needed")]
    Curve,
    /// `alg` or `use` says something else.
    #[error("says by its alg or use that it is for something else than ES256, EdDSA or RS256")]
    Purpose,
    /// Another modulus length.
    #[error("is an RSA key of {0} bits: 3072 to 4096 are needed")]
    RsaBits(usize),
    /// Exponent below 65537.
    #[error("is an RSA key with a public exponent below 65537")]
    RsaExponent,
    /// Parts missing or inconsistent, more than two primes, or a length that aws-lc does not take.
    #[error(
        "is not a whole RSA key of 3072 to 4096 bits with two primes (n, e, d, p, q, dp, dq, qi)"
    )]
    RsaRefused,
    /// The parts do not fit each other.
    #[error("is broken: its parts do not belong together")]
    Broken,
}

/// A parsed private key, and what follows from it once and for all.
pub struct PrivateKey {
    pair: Pair,
    public: PublicJwk,
    /// The first part of each token, with its dot.
    header: String,
}

/// The parsed key in aws-lc's memory, which is wiped when it is dropped.
pub(super) enum Pair {
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
    Rsa(Box<RsaKeyPair>),
}

impl PrivateKey {
    /// Makes a new key; RSA gets 3072 bits, which takes up to seconds and must not block a runtime.
    pub fn generate(algorithm: SigningAlgorithm) -> Result<Self, Fault> {
        let pair = match algorithm {
            SigningAlgorithm::Es256 => {
                EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map(Pair::Ec)
            }
            SigningAlgorithm::EdDsa => Ed25519KeyPair::generate().map(Pair::Ed),
            SigningAlgorithm::Rs256 => {
                RsaKeyPair::generate(KeySize::Rsa3072).map(|pair| Pair::Rsa(Box::new(pair)))
            }
        };
        Self::new(pair.map_err(Fault::internal)?).map_err(Fault::internal)
    }

    /// Reads PKCS#8 PEM or a private JWK of one of the three algorithms.
    pub fn import(text: &str) -> Result<Self, KeyError> {
        Self::new(import::read(text)?)
    }

    /// Reads what `to_pkcs8` wrote, if it is a key of `algorithm`.
    pub fn from_pkcs8(algorithm: SigningAlgorithm, document: &[u8]) -> Result<Self, Fault> {
        let key = import::pkcs8(document).and_then(Self::new).map_err(Fault::internal)?;
        if key.algorithm() == algorithm {
            Ok(key)
        } else {
            Err(Fault::internal("a stored key is not of its algorithm"))
        }
    }

    /// The key in PKCS#8, version 1: what is sealed into the database.
    pub fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, Fault> {
        // Version 1 for Ed25519 too: many a reader refuses version 2.
        let bytes = match &self.pair {
            Pair::Ec(pair) => pair.to_pkcs8v1().map(|der| Zeroizing::new(der.as_ref().to_vec())),
            Pair::Ed(pair) => pair.to_pkcs8v1().map(|der| Zeroizing::new(der.as_ref().to_vec())),
            Pair::Rsa(pair) => AsDer::<Pkcs8V1Der<'_>>::as_der(pair.as_ref())
                .map(|der| Zeroizing::new(der.as_ref().to_vec())),
        };
        bytes.map_err(Fault::internal)
    }

    /// The one algorithm that the key signs with.
    pub fn algorithm(&self) -> SigningAlgorithm {
        self.public.algorithm()
    }

    /// The RFC 7638 thumbprint (SHA-256): 43 characters of base64url.
    pub fn kid(&self) -> &str {
        self.public.kid()
    }

    /// The public part, as it is published.
    pub fn public_jwk(&self) -> &PublicJwk {
        &self.public
    }

    /// Signs `payload` as a compact JWS of type `at+jwt` (RFC 7515, RFC 9068).
    pub fn sign(&self, payload: &impl Serialize) -> Result<String, Fault> {
        let body = serde_json::to_vec(payload).map_err(Fault::internal)?;
        let mut token = String::with_capacity(self.header.len() + body.len() * 4 / 3 + 700);
        token.push_str(&self.header);
        URL_SAFE_NO_PAD.encode_string(&body, &mut token);
        let signature = self.pair.sign(token.as_bytes())?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(&signature, &mut token);
        Ok(token)
    }

    fn new(pair: Pair) -> Result<Self, KeyError> {
        let public = pair.public_jwk()?;
        let header = json!({ "alg": public.algorithm(), "kid": public.kid(), "typ": "at+jwt" });
        let header = format!("{}.", URL_SAFE_NO_PAD.encode(header.to_string()));
        Ok(Self { pair, public, header })
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Pair {
    pub(super) fn algorithm(&self) -> SigningAlgorithm {
        match self {
            Self::Ec(_) => SigningAlgorithm::Es256,
            Self::Ed(_) => SigningAlgorithm::EdDsa,
            Self::Rsa(_) => SigningAlgorithm::Rs256,
        }
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Fault> {
        match self {
            Self::Ec(pair) => pair
                .sign(&SystemRandom::new(), message)
                .map(|signature| signature.as_ref().to_vec()),
            Self::Ed(pair) => pair.try_sign(message).map(|signature| signature.as_ref().to_vec()),
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)
                    .map(|()| signature)
            }
        }
        .map_err(Fault::internal)
    }

    fn public_jwk(&self) -> Result<PublicJwk, KeyError> {
        let public = match self {
            Self::Ec(pair) => PublicKey::p256(pair.public_key().as_ref()),
            Self::Ed(pair) => PublicKey::ed25519(pair.public_key().as_ref()),
            Self::Rsa(pair) => {
                let (n, e) = rsa_numbers(pair.public_key().as_ref())?;
                PublicKey::rsa(n, e)
            }
        };
        public.map(PublicJwk::new).or(Err(KeyError::Broken))
    }
}

/// Modulus and exponent, if both are what JWT-14 asks for.
fn rsa_numbers(public: &[u8]) -> Result<(&[u8], &[u8]), KeyError> {
    let (n, e) = der::rsa_public(public).ok_or(KeyError::Broken)?;
    let zeros = n.first().map_or(0, |byte| byte.leading_zeros() as usize);
    let bits = n.len() * 8 - zeros;
    if !(RSA_BITS_MIN..=RSA_BITS_MAX).contains(&bits) {
        return Err(KeyError::RsaBits(bits));
    }
    // SECURITY: JWT-14. With e = 3 a verifier that is lax about padding accepts forged signatures.
    if e.len() < 3 {
        return Err(KeyError::RsaExponent);
    }
    Ok((n, e))
}

#[cfg(test)]
mod tests;
