//! The strict compact form of a JWS: three parts, one spelling (JWT-17), and its header.
//!
//! Answers what the bytes are. Which key and what claims are left to [`crate::verify()`].

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use crate::algorithm::Algorithm;
use crate::json;
use crate::jwk::KID_BYTES_MAX;
use crate::verify::{Refused, TOKEN_BYTES_MAX};

/// A token taken apart; nothing is proved yet.
pub(crate) struct Compact<'a> {
    pub(crate) kid: String,
    pub(crate) algorithm: Algorithm,
    pub(crate) payload: Vec<u8>,
    pub(crate) signature: Vec<u8>,
    /// What the signature is over: the first two parts as they came.
    pub(crate) signed: &'a str,
}

impl<'a> Compact<'a> {
    pub(crate) fn parse(token: &'a str) -> Result<Self, Refused> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Refused::Form);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(Refused::Form)?;
        let (header, payload) = signed.split_once('.').ok_or(Refused::Form)?;
        let (header, payload, signature) = (decode(header)?, decode(payload)?, decode(signature)?);
        let header = json::object(&header).ok_or(Refused::Form)?;
        let (kid, algorithm) = read_header(&header)?;
        Ok(Self { kid, algorithm, payload, signature, signed })
    }
}

/// One part: not empty, the URL-safe alphabet, no padding, idle bits zero (RFC 4648, 3.5). A fourth
/// part falls here too, as the dot is not in the alphabet.
fn decode(part: &str) -> Result<Vec<u8>, Refused> {
    let bytes = URL_SAFE_NO_PAD.decode(part).or(Err(Refused::Form))?;
    if bytes.is_empty() { Err(Refused::Form) } else { Ok(bytes) }
}

/// Members that are not named here are ignored (RFC 7515, 4).
fn read_header(header: &Map<String, Value>) -> Result<(String, Algorithm), Refused> {
    // SECURITY: JWT-05. No extension is understood, so that any `crit` is a refusal, also `[]`;
    // `b64` changes what is signed and counts even where `crit` does not list it.
    if header.contains_key("crit") || header.contains_key("b64") {
        return Err(Refused::Critical);
    }
    // SECURITY: JWT-04. A token does not bring its own key, and nothing is fetched for it.
    if ["jwk", "jku", "x5u", "x5c"].iter().any(|name| header.contains_key(*name)) {
        return Err(Refused::EmbeddedKey);
    }
    // SECURITY: JWT-08. The exact spelling that portcullis writes. RFC 9068, 4 also allows
    // `application/at+jwt`, and media types ignore case; no token of portcullis needs either.
    if header.get("typ").and_then(Value::as_str) != Some("at+jwt") {
        return Err(Refused::Type);
    }
    let algorithm = header.get("alg").and_then(Value::as_str).ok_or(Refused::Algorithm)?;
    let algorithm = algorithm.parse().or(Err(Refused::Algorithm))?;
    let kid = header.get("kid").and_then(Value::as_str).ok_or(Refused::KeyId)?;
    if kid.is_empty() || kid.len() > KID_BYTES_MAX {
        return Err(Refused::KeyId);
    }
    Ok((kid.into(), algorithm))
}
