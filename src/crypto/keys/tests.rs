//! Each kind of key: made, brought along, kept, and its signatures checked by a library of other hands.

use std::sync::LazyLock;

use aws_lc_rs::signature::ECDSA_P384_SHA384_FIXED_SIGNING;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::*;

const ALL: [SigningAlgorithm; 3] = SigningAlgorithm::ALL;

/// Made once: RSA takes its time.
static RSA: LazyLock<PrivateKey> =
    LazyLock::new(|| PrivateKey::generate(SigningAlgorithm::Rs256).unwrap());
static RSA_2048: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).unwrap().as_ref().to_vec()
});

fn copy_of(algorithm: SigningAlgorithm) -> PrivateKey {
    match algorithm {
        SigningAlgorithm::Rs256 => {
            PrivateKey::from_pkcs8(algorithm, &RSA.to_pkcs8().unwrap()).unwrap()
        }
        _ => PrivateKey::generate(algorithm).unwrap(),
    }
}

fn pem(document: &[u8]) -> String {
    let body = STANDARD.encode(document);
    let lines: Vec<&str> = body.as_bytes().chunks(64).map(|c| str::from_utf8(c).unwrap()).collect();
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"))
}

/// RFC 7517, appendix A.2.
fn ec_jwk() -> Value {
    json!({
        "kty": "EC", "crv": "P-256", "use": "sig", "kid": "the file's own",
        "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
        "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
        "d": "870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE",
    })
}

/// RFC 8037, appendix A.1.
fn okp_jwk() -> Value {
    json!({
        "kty": "OKP", "crv": "Ed25519", "kid": "the file's own",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
        "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
    })
}

/// The private JWK of an RSA key in PKCS#8.
fn rsa_jwk(document: &[u8]) -> Value {
    fn split(der: &[u8]) -> (&[u8], &[u8]) {
        let (start, length) = match der[1] {
            0x81 => (3, usize::from(der[2])),
            0x82 => (4, usize::from(der[2]) << 8 | usize::from(der[3])),
            short => (2, usize::from(short)),
        };
        der[start..].split_at(length)
    }
    let info = split(document).0;
    let octets = split(split(split(info).1).1).0;
    let mut rest = split(octets).0;
    let mut jwk = json!({ "kty": "RSA", "alg": "RS256" });
    for name in ["version", "n", "e", "d", "p", "q", "dp", "dq", "qi"] {
        let (number, after) = split(rest);
        let number = number.strip_prefix(&[0]).unwrap_or(number);
        if name != "version" {
            jwk[name] = URL_SAFE_NO_PAD.encode(number).into();
        }
        rest = after;
    }
    jwk
}

fn import(jwk: &Value) -> Result<PrivateKey, KeyError> {
    PrivateKey::import(&jwk.to_string())
}

fn without(mut jwk: Value, member: &str) -> Value {
    jwk.as_object_mut().unwrap().remove(member).unwrap();
    jwk
}

fn with(mut jwk: Value, member: &str, value: impl Into<Value>) -> Value {
    jwk[member] = value.into();
    jwk
}

#[expect(clippy::disallowed_methods, reason = "a library of other hands judges")]
fn accepted_by_jsonwebtoken(token: &str, jwk: &PublicJwk) -> bool {
    let foreign: jsonwebtoken::jwk::Jwk =
        serde_json::from_str(&serde_json::to_string(jwk).unwrap()).unwrap();
    let key = jsonwebtoken::DecodingKey::from_jwk(&foreign).unwrap();
    let mut rules = jsonwebtoken::Validation::new(jwk.algorithm().name().parse().unwrap());
    rules.required_spec_claims.clear();
    rules.validate_exp = false;
    rules.validate_aud = false;
    jsonwebtoken::decode::<Value>(token, &key, &rules).is_ok_and(|data| data.claims["n"] == 7)
}

#[test]
fn jwt_01_each_algorithm_signs_what_another_library_accepts() {
    for algorithm in ALL {
        let key = copy_of(algorithm);
        let token = key.sign(&json!({ "n": 7 })).unwrap();
        assert!(accepted_by_jsonwebtoken(&token, key.public_jwk()), "{algorithm}");

        let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
        let header: Value = serde_json::from_slice(&header).unwrap();
        let expected = json!({ "alg": algorithm.name(), "kid": key.kid(), "typ": "at+jwt" });
        assert_eq!(header, expected);

        let forged = token.replacen(".eyJuIjo3fQ.", ".eyJuIjo4fQ.", 1);
        assert_ne!(forged, token);
        assert!(!accepted_by_jsonwebtoken(&forged, key.public_jwk()), "{algorithm}");
    }
}

#[test]
fn a_kept_key_is_the_same_key_and_only_of_its_algorithm() {
    for algorithm in ALL {
        let key = copy_of(algorithm);
        let document = key.to_pkcs8().unwrap();
        let again = PrivateKey::from_pkcs8(algorithm, &document).unwrap();
        assert_eq!(again.public_jwk(), key.public_jwk());
        let token = again.sign(&json!({ "n": 7 })).unwrap();
        assert!(accepted_by_jsonwebtoken(&token, key.public_jwk()));
        for other in ALL.into_iter().filter(|other| *other != algorithm) {
            assert!(PrivateKey::from_pkcs8(other, &document).is_err());
        }
        let longer = [&document[..], &[0]].concat();
        assert!(PrivateKey::from_pkcs8(algorithm, &longer).is_err(), "bytes behind the document");
    }
}

#[test]
fn jwt_11_the_public_part_has_the_plain_members_in_order() {
    let members = |key: &PrivateKey| {
        let text = serde_json::to_string(key.public_jwk()).unwrap();
        let value: Value = serde_json::from_str(&text).unwrap();
        let mut names: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
        names.sort_by_key(|name| text.find(&format!("\"{name}\":")));
        names.join(" ")
    };
    assert_eq!(members(&copy_of(SigningAlgorithm::Es256)), "kty crv x y kid use alg");
    assert_eq!(members(&copy_of(SigningAlgorithm::EdDsa)), "kty crv x kid use alg");
    assert_eq!(members(&RSA), "kty n e kid use alg");
    assert_eq!(serde_json::to_value(RSA.public_jwk()).unwrap()["e"], "AQAB");
    assert_eq!(RSA.kid().len(), 43);
}

#[test]
fn the_kid_is_the_thumbprint_whatever_the_file_says() {
    // RFC 8037, appendix A.3.
    let key = import(&okp_jwk()).unwrap();
    assert_eq!(key.kid(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    for jwk in [ec_jwk(), okp_jwk(), rsa_jwk(&RSA.to_pkcs8().unwrap())] {
        let foreign: jsonwebtoken::jwk::Jwk = serde_json::from_value(jwk.clone()).unwrap();
        let theirs = foreign.thumbprint(jsonwebtoken::jwk::ThumbprintHash::SHA256).unwrap();
        assert_eq!(import(&jwk).unwrap().kid(), theirs);
    }
}

#[test]
fn each_kind_is_imported_from_pem_and_from_a_jwk() {
    for algorithm in ALL {
        let key = copy_of(algorithm);
        let text = pem(&key.to_pkcs8().unwrap());
        for text in [text.clone(), text.replace('\n', "\r\n"), format!("\n{text}\n\n")] {
            let imported = PrivateKey::import(&text).unwrap();
            assert_eq!(imported.public_jwk(), key.public_jwk(), "{algorithm}");
        }
    }
    for jwk in [ec_jwk(), okp_jwk(), rsa_jwk(&RSA.to_pkcs8().unwrap())] {
        let key = import(&jwk).unwrap();
        for member in ["x", "y", "n"] {
            let ours = serde_json::to_value(key.public_jwk()).unwrap();
            assert_eq!(ours.get(member), jwk.get(member));
        }
        let token = key.sign(&json!({ "n": 7 })).unwrap();
        assert!(accepted_by_jsonwebtoken(&token, key.public_jwk()));
    }
}

#[test]
fn an_ed25519_key_in_version_2_of_pkcs8_is_imported_and_kept_in_version_1() {
    let pair = Ed25519KeyPair::generate().unwrap();
    let key = PrivateKey::import(&pem(pair.to_pkcs8().unwrap().as_ref())).unwrap();
    assert_eq!(key.to_pkcs8().unwrap()[..], *pair.to_pkcs8v1().unwrap().as_ref());
}

#[test]
fn jwt_14_weak_rsa_keys_are_refused_in_both_forms() {
    assert_eq!(PrivateKey::import(&pem(&RSA_2048)).unwrap_err(), KeyError::RsaBits(2048));
    assert_eq!(import(&rsa_jwk(&RSA_2048)).unwrap_err(), KeyError::RsaBits(2048));
    let fault = PrivateKey::from_pkcs8(SigningAlgorithm::Rs256, &RSA_2048).unwrap_err();
    assert_eq!(fault.to_string(), "is an RSA key of 2048 bits: 3072 to 4096 are needed");

    let modulus = [0xff; 384];
    let small = [&[0x30, 0x82, 1, 0x88, 2, 0x82, 1, 0x81, 0][..], &modulus, &[2, 1, 3]].concat();
    assert_eq!(rsa_numbers(&small), Err(KeyError::RsaExponent));
    let longer = [&[0x30, 0x82, 2, 0x0a, 2, 0x82, 2, 1, 1][..], &[0; 512], &[2, 3, 1, 0, 1]];
    assert_eq!(rsa_numbers(&longer.concat()), Err(KeyError::RsaBits(4097)));
}

#[test]
fn jwt_14_other_kinds_and_curves_are_refused() {
    let p384 = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
    let text = pem(p384.to_pkcs8v1().unwrap().as_ref());
    assert_eq!(PrivateKey::import(&text).unwrap_err(), KeyError::Curve);
    for (jwk, reason) in [
        (with(ec_jwk(), "crv", "P-384"), KeyError::Curve),
        (with(ec_jwk(), "crv", "secp256k1"), KeyError::Curve),
        (with(okp_jwk(), "crv", "X25519"), KeyError::Curve),
        (without(ec_jwk(), "crv"), KeyError::Curve),
        (json!({ "kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0" }), KeyError::Kind),
        (without(ec_jwk(), "kty"), KeyError::NotAKey),
        (with(ec_jwk(), "use", "enc"), KeyError::Purpose),
        (with(ec_jwk(), "alg", "ECDH-ES"), KeyError::Purpose),
        (with(ec_jwk(), "alg", "none"), KeyError::Purpose),
        (with(okp_jwk(), "alg", "ES256"), KeyError::Purpose),
        (json!({ "keys": [ec_jwk()] }), KeyError::KeySet),
    ] {
        assert_eq!(import(&jwk).unwrap_err(), reason, "{jwk}");
    }
}

#[test]
fn public_and_broken_keys_are_refused() {
    let rsa = rsa_jwk(&RSA.to_pkcs8().unwrap());
    let (x, n) = (okp_jwk()["x"].clone(), rsa["p"].clone());
    for (jwk, reason) in [
        (without(ec_jwk(), "d"), KeyError::PublicOnly),
        (without(okp_jwk(), "d"), KeyError::PublicOnly),
        (without(rsa.clone(), "d"), KeyError::PublicOnly),
        (without(rsa.clone(), "qi"), KeyError::RsaRefused),
        (with(rsa.clone(), "oth", json!([])), KeyError::RsaRefused),
        (with(rsa, "q", n), KeyError::RsaRefused),
        (without(ec_jwk(), "y"), KeyError::Broken),
        (with(ec_jwk(), "x", x.clone()), KeyError::Broken),
        (with(ec_jwk(), "d", x.clone()), KeyError::Broken),
        (with(okp_jwk(), "d", x), KeyError::Broken),
        (with(okp_jwk(), "d", "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2AA"), KeyError::Broken),
        (with(ec_jwk(), "d", "870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE="), KeyError::Broken),
        (with(ec_jwk(), "d", 7), KeyError::NotAKey),
    ] {
        assert_eq!(import(&jwk).unwrap_err(), reason, "{jwk}");
    }
    let mut document = copy_of(SigningAlgorithm::Es256).to_pkcs8().unwrap();
    let last = document.len() - 1;
    document[last] ^= 1; // The public point, which belongs to the private number.
    assert_eq!(PrivateKey::import(&pem(&document)).unwrap_err(), KeyError::Broken);
}

#[test]
fn files_that_are_no_key_are_refused_without_showing_them() {
    let text = pem(&copy_of(SigningAlgorithm::EdDsa).to_pkcs8().unwrap());
    for (text, reason) in [
        (String::new(), KeyError::NotAKey),
        ("hunter2".into(), KeyError::NotAKey),
        ("{\"kty\":\"EC\"".into(), KeyError::NotAKey),
        ("{\"kty\":\"EC\",\"kty\":\"EC\"}".into(), KeyError::NotAKey),
        (format!("{text}{text}"), KeyError::NotAKey),
        (text.replace("-----END", "-----AND"), KeyError::NotAKey),
        (pem(b"garbage"), KeyError::NotAKey),
        (text.replace("BEGIN PRIVATE", "BEGIN ENCRYPTED PRIVATE"), KeyError::Encrypted),
        (text.replace("BEGIN PRIVATE", "BEGIN RSA PRIVATE"), KeyError::OldForm),
        (text.replace("BEGIN PRIVATE", "BEGIN EC PRIVATE"), KeyError::OldForm),
        (text.replace("BEGIN PRIVATE", "BEGIN PUBLIC"), KeyError::PublicOnly),
        (" ".repeat(100_000) + "x", KeyError::NotAKey),
        ("x".repeat(100_000), KeyError::NotAKey),
    ] {
        let error = PrivateKey::import(&text).unwrap_err();
        assert_eq!(error, reason);
        assert!(!error.to_string().contains("hunter2"));
    }
    assert_eq!(format!("{:?}", import(&okp_jwk()).unwrap()), "***");
}
