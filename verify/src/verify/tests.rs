//! The table of forged and misused tokens (JWT-01 to JWT-10).

use aws_lc_rs::hmac;
use serde_json::{Value, json};

use super::*;
use crate::jwk::{Jwk, JwkSet};
use crate::testing::{
    AUDIENCE, ISSUER, NOW_S, Pair, b64, claims, claims_with, claims_without, policy,
};
use crate::{Algorithm, LEEWAY_S_MAX};

fn check(pair: &Pair, token: &str) -> Result<Claims, Refused> {
    verify(token, &pair.keys(), &policy(), NOW_S)
}

/// A token with good claims whose header has `name` set.
fn with_header(pair: &Pair, name: &str, value: Value) -> String {
    let mut header = pair.header();
    header[name] = value;
    pair.token_of(&header.to_string(), &claims().to_string())
}

/// A good signature over claims with `name` written as the raw JSON `value`.
fn with_raw_claim(pair: &Pair, name: &str, value: &str) -> String {
    let rest = claims_without(name).to_string();
    let payload = format!(r#"{{"{name}":{value},{}"#, &rest[1..]);
    pair.token_of(&pair.header().to_string(), &payload)
}

fn ec() -> Pair {
    Pair::generate(Algorithm::Es256)
}

#[test]
fn jwt_01_a_token_of_each_algorithm_passes_with_its_own_key_only() {
    let pairs = Algorithm::ALL.map(Pair::generate);
    let set = JwkSet { keys: pairs.iter().map(Pair::jwk).collect() };
    let keys = KeySet::new(&set);
    for (index, pair) in pairs.iter().enumerate() {
        let token = pair.token(&claims());
        let read = verify(&token, &keys, &policy(), NOW_S).unwrap();
        assert_eq!(read.sub, "01990000-0000-7000-8000-000000000001");
        assert_eq!(read.extra["locale"], "de");
        // The other keys under the same kid: the algorithm is the key's, not the header's.
        for other in pairs.iter().skip(index + 1).chain(&pairs[..index]) {
            let jwk = Jwk::with_kid(pair.jwk().kid(), other.public()).unwrap();
            let swapped = KeySet::new(&JwkSet { keys: vec![jwk] });
            assert_eq!(verify(&token, &swapped, &policy(), NOW_S), Err(Refused::Algorithm));
        }
        for alg in ["HS256", "ES384", "PS256", "RS512", "ES256K", "Ed25519", "es256", ""] {
            assert_eq!(check(pair, &with_header(pair, "alg", json!(alg))), Err(Refused::Algorithm));
        }
    }
}

#[test]
fn jwt_01_a_key_of_the_same_kind_under_the_same_kid_is_no_proof() {
    for algorithm in Algorithm::ALL {
        let (ours, theirs) = (Pair::generate(algorithm), Pair::generate(algorithm));
        let forged = theirs.token_of(&ours.header().to_string(), &claims().to_string());
        assert_eq!(check(&ours, &forged), Err(Refused::Signature));
    }
}

#[test]
fn jwt_02_none_in_any_spelling_is_refused() {
    let pair = ec();
    for alg in ["none", "None", "NONE", "nOnE"] {
        let mut header = pair.header();
        header["alg"] = json!(alg);
        let signed = format!("{}.{}", b64(header.to_string()), b64(claims().to_string()));
        let signature = pair.token(&claims()).rsplit_once('.').unwrap().1.to_owned();
        assert_eq!(check(&pair, &format!("{signed}.")), Err(Refused::Form));
        assert_eq!(check(&pair, &format!("{signed}.{signature}")), Err(Refused::Algorithm));
    }
    let token = pair.token(&claims());
    let unsigned = &token[..=token.rfind('.').unwrap()];
    assert_eq!(check(&pair, unsigned), Err(Refused::Form));
}

#[test]
fn jwt_03_an_hmac_made_with_the_public_key_is_refused() {
    // SubjectPublicKeyInfo of P-256 up to the point, RFC 5480.
    const SPKI: [u8; 26] = [
        0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08,
        0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
    ];
    use aws_lc_rs::signature::KeyPair as _;
    use base64::Engine as _;
    let pair = ec();
    let Pair::Ec(inner) = &pair else { panic!("an EC pair") };
    let raw = inner.public_key().as_ref().to_vec();
    let der = [&SPKI[..], &raw].concat();
    let pem = format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
        base64::engine::general_purpose::STANDARD.encode(&der)
    );
    let jwk = serde_json::to_vec(&pair.jwk()).unwrap();
    for secret in [pem.into_bytes(), der, raw, jwk] {
        for alg in ["HS256", "ES256"] {
            let mut header = pair.header();
            header["alg"] = json!(alg);
            let signed = format!("{}.{}", b64(header.to_string()), b64(claims().to_string()));
            let key = hmac::Key::new(hmac::HMAC_SHA256, &secret);
            let tag = b64(hmac::sign(&key, signed.as_bytes()));
            let refused = check(&pair, &format!("{signed}.{tag}")).unwrap_err();
            let expected = if alg == "HS256" { Refused::Algorithm } else { Refused::Signature };
            assert_eq!(refused, expected);
        }
    }
}

#[test]
fn jwt_04_a_token_does_not_bring_its_own_key() {
    let (ours, theirs) = (ec(), ec());
    let own_key = serde_json::to_value(theirs.jwk()).unwrap();
    for (name, value) in [
        ("jwk", own_key.clone()),
        ("jku", json!("http://127.0.0.1:1/jwks.json")),
        ("x5u", json!("http://127.0.0.1:1/cert.pem")),
        ("x5c", json!(["MIIB"])),
    ] {
        let mut header = ours.header();
        header[name] = value;
        for signer in [&ours, &theirs] {
            let token = signer.token_of(&header.to_string(), &claims().to_string());
            assert_eq!(check(&ours, &token), Err(Refused::EmbeddedKey), "{name}");
        }
    }
}

#[test]
fn jwt_05_any_crit_is_refused() {
    let pair = ec();
    for crit in [json!(["exp"]), json!([]), json!(["b64"]), json!(null), json!("exp"), json!({})] {
        assert_eq!(check(&pair, &with_header(&pair, "crit", crit)), Err(Refused::Critical));
    }
    for b64 in [json!(false), json!(true)] {
        assert_eq!(check(&pair, &with_header(&pair, "b64", b64)), Err(Refused::Critical));
    }
    // What is not critical is ignored, as RFC 7515, 4 demands.
    assert!(check(&pair, &with_header(&pair, "cty", json!("x"))).is_ok());
}

#[test]
fn jwt_06_a_bad_kid_is_refused() {
    let pair = ec();
    let malformed = [
        json!(null),
        json!(1),
        json!(true),
        json!([]),
        json!([pair.jwk().kid()]),
        json!({}),
        json!(""),
        json!("k".repeat(129)),
        json!("k".repeat(5_000)),
    ];
    for kid in malformed {
        assert_eq!(check(&pair, &with_header(&pair, "kid", kid)), Err(Refused::KeyId));
    }
    let long = with_header(&pair, "kid", json!("k".repeat(10_240)));
    assert_eq!(check(&pair, &long), Err(Refused::Form));
    let kid = pair.jwk().kid().to_owned();
    let unknown = [
        "unknown".into(),
        "../../../etc/passwd".into(),
        "/dev/null".into(),
        "' OR 1=1 --".into(),
        "\u{0}".into(),
        "http://127.0.0.1:1/".into(),
        "k".repeat(128),
        format!(" {kid}"),
        format!("{kid}="),
        kid.to_lowercase(),
    ];
    for kid in unknown {
        let refused = check(&pair, &with_header(&pair, "kid", json!(kid)));
        assert_eq!(refused, Err(Refused::UnknownKey), "{kid}");
    }
    let mut header = pair.header();
    header.as_object_mut().unwrap().remove("kid");
    let token = pair.token_of(&header.to_string(), &claims().to_string());
    assert_eq!(check(&pair, &token), Err(Refused::KeyId));
}

#[test]
fn jwt_07_a_claim_that_is_missing_or_of_the_wrong_type_is_invalid() {
    let pair = ec();
    for name in ["iss", "sub", "aud", "exp", "iat", "nbf", "jti", "client_id", "scope"] {
        let refused = check(&pair, &pair.token(&claims_without(name)));
        assert_eq!(refused, Err(InvalidClaim(name).into()));
        for wrong in ["null", "true", "{}", "[]", r#""""#, "[1]"] {
            let refused = check(&pair, &with_raw_claim(&pair, name, wrong));
            assert_eq!(refused, Err(InvalidClaim(name).into()), "{name}: {wrong}");
        }
    }
    for name in ["exp", "iat", "nbf", "auth_time"] {
        let wrong =
            ["-1", "-0", "1.5", "1800000900.0", "18e8", "9007199254740992", r#""1800000900""#];
        for wrong in wrong {
            let refused = check(&pair, &with_raw_claim(&pair, name, wrong));
            assert_eq!(refused, Err(InvalidClaim(name).into()), "{name}: {wrong}");
        }
        let refused = check(&pair, &with_raw_claim(&pair, name, "1e400"));
        assert_eq!(refused, Err(InvalidClaim("payload").into()));
    }
    for aud in [json!(AUDIENCE), json!([AUDIENCE, ""]), json!([AUDIENCE, 1]), json!({"0": "a"})] {
        let refused = check(&pair, &pair.token(&claims_with("aud", aud)));
        assert_eq!(refused, Err(InvalidClaim("aud").into()));
    }
    for payload in ["", "null", "[]", "\"x\"", "{", "{}x"] {
        let refused = check(&pair, &pair.token_of(&pair.header().to_string(), payload));
        let expected =
            if payload.is_empty() { Refused::Form } else { InvalidClaim("payload").into() };
        assert_eq!(refused, Err(expected));
    }
}

#[test]
fn jwt_08_only_the_exact_type_passes() {
    let pair = ec();
    for typ in
        [json!("JWT"), json!("AT+JWT"), json!("application/at+jwt"), json!("at+jwt "), json!(1)]
    {
        assert_eq!(check(&pair, &with_header(&pair, "typ", typ)), Err(Refused::Type));
    }
    let mut header = pair.header();
    header.as_object_mut().unwrap().remove("typ");
    let token = pair.token_of(&header.to_string(), &claims().to_string());
    assert_eq!(check(&pair, &token), Err(Refused::Type));
}

#[test]
fn jwt_09_issuer_and_audience_match_exactly() {
    let pair = ec();
    let near = [
        format!("{ISSUER}/"),
        format!("{ISSUER}:443"),
        format!("{ISSUER}/x"),
        format!("{ISSUER}.evil.example"),
        ISSUER.to_uppercase(),
        ISSUER.replace("https", "http"),
        ISSUER[..ISSUER.len() - 1].to_owned(),
        format!(" {ISSUER}"),
    ];
    for iss in near {
        let refused = check(&pair, &pair.token(&claims_with("iss", json!(iss))));
        assert_eq!(refused, Err(Refused::Issuer), "{iss}");
    }
    for aud in ["Portcullis", "portculli", "portcullis2", "portcullis ", "*", "orders"] {
        let refused = check(&pair, &pair.token(&claims_with("aud", json!([aud]))));
        assert_eq!(refused, Err(Refused::Audience), "{aud}");
    }
    assert!(check(&pair, &pair.token(&claims_with("aud", json!(["orders", AUDIENCE])))).is_ok());
}

#[test]
fn jwt_10_times_are_kept_to_the_second() {
    let pair = ec();
    let (keys, token) = (pair.keys(), pair.token(&claims()));
    let exp = NOW_S + 900;
    let at = |now_s, leeway_s| {
        let policy = policy().with_exp_leeway_s(leeway_s).unwrap();
        verify(&token, &keys, &policy, now_s)
    };
    for leeway_s in [0, 5, LEEWAY_S_MAX] {
        assert!(at(exp - 1, leeway_s).is_ok());
        assert!(at(exp + leeway_s - 1, leeway_s).is_ok());
        for late_s in [0, 1, 100_000] {
            let Err(Refused::Expired { claims, by_s }) = at(exp + leeway_s + late_s, leeway_s)
            else {
                panic!("not expired")
            };
            assert_eq!((claims.jti.as_str(), by_s), ("t-1", leeway_s + late_s));
        }
    }
    for name in ["nbf", "iat"] {
        for (ahead_s, passes) in [(0, true), (5, true), (6, false), (9_000, false)] {
            let token = pair.token(&claims_with(name, json!(NOW_S + ahead_s)));
            let refused = verify(&token, &keys, &policy(), NOW_S).err();
            assert_eq!(refused, (!passes).then_some(Refused::NotYetValid), "{name} +{ahead_s}");
        }
    }
    // A fresh token is dated 5 s back: a verifier that is 4 s (and up to 10 s) slow takes it.
    let strict = policy().with_nbf_leeway_s(0).unwrap();
    assert!(verify(&token, &keys, &strict, NOW_S - 4).is_ok());
    assert!(verify(&token, &keys, &policy(), NOW_S - 10).is_ok());
    assert_eq!(verify(&token, &keys, &policy(), NOW_S - 11), Err(Refused::NotYetValid));
    assert_eq!(verify(&token, &keys, &policy(), i64::MIN), Err(Refused::NotYetValid));
    assert!(matches!(at(i64::MAX, 60), Err(Refused::Expired { .. })));
}

#[test]
fn expiry_is_told_only_where_it_is_the_only_fault() {
    let (ours, theirs) = (ec(), ec());
    let mut old = claims_with("exp", json!(NOW_S - 100));
    assert!(matches!(check(&ours, &ours.token(&old)), Err(Refused::Expired { by_s: 100, .. })));
    let forged = theirs.token_of(&ours.header().to_string(), &old.to_string());
    assert_eq!(check(&ours, &forged), Err(Refused::Signature));
    old["aud"] = json!(["orders"]);
    assert_eq!(check(&ours, &ours.token(&old)), Err(Refused::Audience));
    let ahead = claims_with("exp", json!(0)).to_string().replace("t-1", "t-2");
    let mut ahead: Value = serde_json::from_str(&ahead).unwrap();
    ahead["nbf"] = json!(NOW_S + 100);
    assert_eq!(check(&ours, &ours.token(&ahead)), Err(Refused::NotYetValid));
}

#[test]
fn no_text_of_a_refusal_quotes_the_token() {
    let pair = ec();
    let bad = [
        with_header(&pair, "kid", json!("MARK")),
        with_header(&pair, "alg", json!("MARK")),
        with_header(&pair, "typ", json!("MARK")),
        pair.token(&claims_with("sub", json!(["MARK"]))),
        pair.token(&claims_with("iss", json!("MARK"))),
        pair.token(&claims_with("exp", json!(1))),
    ];
    for token in bad {
        let refused = check(&pair, &token).unwrap_err();
        assert!(!format!("{refused} {refused:?}").contains("MARK"));
        assert!(!format!("{refused} {refused:?}").contains("ann@example.org"));
    }
}

mod form;
