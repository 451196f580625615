//! Reads private keys that an operator brings along: PKCS#8 PEM (RFC 7468) or a private JWK (RFC 7517).
//!
//! Everything that does not become a key of one of the three algorithms is refused with a reason that
//! shows nothing of the file. A `kid` in the file does not count: the thumbprint names a key.

use aws_lc_rs::rsa::{KeyPairComponents, PublicKeyComponents};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::crypto::der::{self, KeyKind};
use crate::crypto::keys::{KeyError, Pair};
use crate::domain::keys::SigningAlgorithm;

/// LIMIT: a JWK of an RSA key of 4096 bits has 3.3 KB, its PEM as much.
const FILE_BYTES_MAX: usize = 16 * 1024;

const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";

/// Reads the one key in `text`.
pub(super) fn read(text: &str) -> Result<Pair, KeyError> {
    let text = text.trim();
    if text.len() > FILE_BYTES_MAX {
        Err(KeyError::NotAKey)
    } else if text.starts_with('{') {
        jwk(text)
    } else {
        pkcs8(&pem(text)?)
    }
}

/// Parses a PKCS#8 document, version 1 or 2.
pub(super) fn pkcs8(document: &[u8]) -> Result<Pair, KeyError> {
    // aws-lc would ignore what follows the document; `pkcs8_kind` does not.
    Ok(match der::pkcs8_kind(document).ok_or(KeyError::NotAKey)? {
        KeyKind::Ed25519 => {
            Pair::Ed(Ed25519KeyPair::from_pkcs8(document).or(Err(KeyError::Broken))?)
        }
        KeyKind::P256 => Pair::Ec(
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document)
                .or(Err(KeyError::Broken))?,
        ),
        KeyKind::Rsa => {
            Pair::Rsa(Box::new(RsaKeyPair::from_pkcs8(document).or(Err(KeyError::RsaRefused))?))
        }
        KeyKind::OtherCurve => return Err(KeyError::Curve),
        KeyKind::Other => return Err(KeyError::Kind),
    })
}

fn pem(text: &str) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let label = text.lines().next().unwrap_or_default().trim_end();
    match label {
        BEGIN => {}
        "-----BEGIN ENCRYPTED PRIVATE KEY-----" => return Err(KeyError::Encrypted),
        "-----BEGIN RSA PRIVATE KEY-----"
        | "-----BEGIN EC PRIVATE KEY-----"
        | "-----BEGIN EC PARAMETERS-----"
        | "-----BEGIN OPENSSH PRIVATE KEY-----" => return Err(KeyError::OldForm),
        "-----BEGIN PUBLIC KEY-----"
        | "-----BEGIN RSA PUBLIC KEY-----"
        | "-----BEGIN CERTIFICATE-----" => return Err(KeyError::PublicOnly),
        _ => return Err(KeyError::NotAKey),
    }
    let body = text
        .strip_prefix(BEGIN)
        .and_then(|rest| rest.strip_suffix(END))
        .ok_or(KeyError::NotAKey)?;
    // A second key in the file leaves its dashes in the body, which is no base64 then.
    let joined: Zeroizing<String> = Zeroizing::new(body.split_ascii_whitespace().collect());
    Ok(Zeroizing::new(STANDARD.decode(joined.as_bytes()).or(Err(KeyError::NotAKey))?))
}

/// The members of a private JWK that matter; all others are ignored, as RFC 7517 demands.
#[derive(Deserialize)]
struct RawJwk {
    kty: Option<String>,
    crv: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    keys: Option<serde::de::IgnoredAny>,
    oth: Option<serde::de::IgnoredAny>,
    x: Option<String>,
    y: Option<String>,
    n: Option<String>,
    e: Option<String>,
    d: Option<SecretString>,
    p: Option<SecretString>,
    q: Option<SecretString>,
    dp: Option<SecretString>,
    dq: Option<SecretString>,
    qi: Option<SecretString>,
}

fn jwk(text: &str) -> Result<Pair, KeyError> {
    // SECURITY: PWD-16's rule for keys. serde's message quotes values, so it stays here.
    let raw: RawJwk = serde_json::from_str(text).or(Err(KeyError::NotAKey))?;
    if raw.keys.is_some() {
        return Err(KeyError::KeySet);
    }
    let pair = match raw.kty.as_deref() {
        Some("EC") => ec(&raw)?,
        Some("OKP") => okp(&raw)?,
        Some("RSA") => rsa(&raw)?,
        Some(_) => return Err(KeyError::Kind),
        None => return Err(KeyError::NotAKey),
    };
    // SECURITY: JWT-01. A key that says what it is for is for nothing else.
    let other_alg =
        raw.alg.is_some_and(|alg| alg.parse::<SigningAlgorithm>().ok() != Some(pair.algorithm()));
    if other_alg || raw.usage.is_some_and(|usage| usage != "sig") {
        return Err(KeyError::Purpose);
    }
    Ok(pair)
}

fn ec(raw: &RawJwk) -> Result<Pair, KeyError> {
    if raw.crv.as_deref() != Some("P-256") {
        return Err(KeyError::Curve);
    }
    let d = secret(raw.d.as_ref(), KeyError::PublicOnly)?;
    let (x, y) = (public(raw.x.as_ref())?, public(raw.y.as_ref())?);
    if [d.len(), x.len(), y.len()] != [32; 3] {
        return Err(KeyError::Broken);
    }
    let point = [&[0x04], &x[..], &y].concat();
    let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
    EcdsaKeyPair::from_private_key_and_public_key(algorithm, &d, &point)
        .map(Pair::Ec)
        .or(Err(KeyError::Broken))
}

fn okp(raw: &RawJwk) -> Result<Pair, KeyError> {
    if raw.crv.as_deref() != Some("Ed25519") {
        return Err(KeyError::Curve);
    }
    let d = secret(raw.d.as_ref(), KeyError::PublicOnly)?;
    let x = public(raw.x.as_ref())?;
    // aws-lc reads a seed that is too long as one that is not.
    if [d.len(), x.len()] != [32; 2] {
        return Err(KeyError::Broken);
    }
    Ed25519KeyPair::from_seed_and_public_key(&d, &x).map(Pair::Ed).or(Err(KeyError::Broken))
}

fn rsa(raw: &RawJwk) -> Result<Pair, KeyError> {
    if raw.oth.is_some() {
        return Err(KeyError::RsaRefused);
    }
    let part = |member: Option<&SecretString>| secret(member, KeyError::RsaRefused);
    let components = KeyPairComponents {
        public_key: PublicKeyComponents { n: public(raw.n.as_ref())?, e: public(raw.e.as_ref())? },
        d: secret(raw.d.as_ref(), KeyError::PublicOnly)?,
        p: part(raw.p.as_ref())?,
        q: part(raw.q.as_ref())?,
        dP: part(raw.dp.as_ref())?,
        dQ: part(raw.dq.as_ref())?,
        qInv: part(raw.qi.as_ref())?,
    };
    RsaKeyPair::from_components(&components)
        .map(|pair| Pair::Rsa(Box::new(pair)))
        .or(Err(KeyError::RsaRefused))
}

/// Bytes that are wiped, in the shape that aws-lc asks for.
struct Wiped(Zeroizing<Vec<u8>>);

impl AsRef<[u8]> for Wiped {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl std::ops::Deref for Wiped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

fn secret(member: Option<&SecretString>, missing: KeyError) -> Result<Wiped, KeyError> {
    let text = member.ok_or(missing)?.expose_secret();
    URL_SAFE_NO_PAD.decode(text).map(|bytes| Wiped(Zeroizing::new(bytes))).or(Err(KeyError::Broken))
}

fn public(member: Option<&String>) -> Result<Vec<u8>, KeyError> {
    URL_SAFE_NO_PAD.decode(member.ok_or(KeyError::Broken)?).or(Err(KeyError::Broken))
}
