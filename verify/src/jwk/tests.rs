//! Thumbprints against the vectors of the RFCs; what a set takes and what it leaves out.

use serde_json::json;

use super::*;
use crate::keys::KeySet;
use crate::testing::Pair;

#[test]
fn thumbprints_are_those_of_the_rfcs() {
    // RFC 7638, 3.1.
    let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_\
             BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_F\
             DW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4v\
             MQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
    let rsa = json!({ "kty": "RSA", "n": n, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29" });
    let rsa = Jwk::from_value(&rsa).unwrap();
    assert_eq!(rsa.key().thumbprint(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    assert_eq!(rsa.kid(), "2011-04-29");
    // RFC 8037, A.3.
    let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
    let ed = json!({ "kty": "OKP", "crv": "Ed25519", "x": x, "alg": "EdDSA", "kid": "k" });
    let ed = Jwk::from_value(&ed).unwrap();
    assert_eq!(ed.key().thumbprint(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    assert_eq!(Jwk::new(ed.key().clone()).kid(), ed.key().thumbprint());
}

#[test]
fn jwt_11_a_set_is_written_in_the_plain_form() {
    for (algorithm, expected) in [
        (Algorithm::Es256, "alg crv kid kty use x y"),
        (Algorithm::EdDsa, "alg crv kid kty use x"),
        (Algorithm::Rs256, "alg e kid kty n use"),
    ] {
        let jwk = Pair::generate(algorithm).jwk();
        let set = serde_json::to_value(JwkSet { keys: vec![jwk.clone()] }).unwrap();
        let members = set["keys"][0].as_object().unwrap();
        let mut names: Vec<_> = members.keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names.join(" "), expected);
        assert_eq!(
            (members["use"].as_str(), members["kid"].as_str()),
            (Some("sig"), Some(jwk.kid()))
        );
        assert_eq!(serde_json::from_value::<JwkSet>(set).unwrap().keys, [jwk]);
    }
}

#[test]
fn jwt_11_what_cannot_be_used_is_left_out() {
    let good = serde_json::to_value(Pair::generate(Algorithm::Es256).jwk()).unwrap();
    let other = serde_json::to_value(Pair::generate(Algorithm::Es256).jwk()).unwrap();
    let with = |name: &str, value: Value| {
        let mut jwk = good.clone();
        jwk[name] = value;
        jwk
    };
    let table = [
        (json!(1), JwkFault::Malformed),
        (json!({}), JwkFault::Malformed),
        (json!({ "kty": "oct", "k": "AAAA", "kid": "h", "alg": "HS256" }), JwkFault::Private),
        (json!({ "kty": "oct", "kid": "h", "alg": "HS256" }), JwkFault::Unsupported),
        (with("d", json!("AAAA")), JwkFault::Private),
        (with("use", json!("enc")), JwkFault::Use),
        (with("use", json!(null)), JwkFault::Use),
        (with("key_ops", json!(["sign"])), JwkFault::Use),
        (with("alg", json!("HS256")), JwkFault::Unsupported),
        (with("alg", json!("ES384")), JwkFault::Unsupported),
        (with("alg", json!(null)), JwkFault::Unsupported),
        (with("crv", json!("P-384")), JwkFault::Unsupported),
        (with("crv", json!("secp256k1")), JwkFault::Unsupported),
        (with("kid", json!(7)), JwkFault::KeyId),
        (with("kid", json!("")), JwkFault::KeyId),
        (with("kid", json!("k".repeat(129))), JwkFault::KeyId),
        (with("x", json!("AAAA")), JwkFault::Malformed),
        (with("x", other["x"].clone()), JwkFault::Malformed),
        (with("x", json!(format!("{}=", good["x"].as_str().unwrap()))), JwkFault::Malformed),
    ];
    for (value, fault) in &table {
        assert_eq!(Jwk::from_value(value), Err(*fault), "{value}");
    }
    let mut keys: Vec<Value> = table.into_iter().map(|(value, _)| value).collect();
    keys.push(with("x5t", json!("ignored")));
    keys.push(with("key_ops", json!(["verify"])));
    let set: JwkSet = serde_json::from_value(json!({ "keys": keys, "more": 1 })).unwrap();
    assert_eq!(set.keys.len(), 2);
    assert_eq!(KeySet::new(&set).len(), 1);
    for not_a_set in [json!([]), json!({}), json!({ "keys": {} }), json!({ "keys": null })] {
        assert!(serde_json::from_value::<JwkSet>(not_a_set).is_err());
    }
}

#[test]
fn of_two_keys_under_one_kid_the_first_counts() {
    let (first, second) = (Pair::generate(Algorithm::Es256), Pair::generate(Algorithm::Es256));
    let kid = first.jwk().kid().to_owned();
    let set =
        JwkSet { keys: vec![first.jwk(), Jwk::with_kid(kid.clone(), second.public()).unwrap()] };
    let keys = KeySet::new(&set);
    assert_eq!(keys.len(), 1);
    let key = keys.get(&kid).unwrap();
    assert!(key.has_signed("x", &first.sign(b"x")));
    assert!(!key.has_signed("x", &second.sign(b"x")));
}

#[test]
fn rsa_keys_have_2048_to_8192_bits_and_an_odd_exponent() {
    let n = |bytes: usize| vec![0xff; bytes];
    assert!(PublicKey::rsa(&n(256), &[1, 0, 1]).is_ok());
    assert!(PublicKey::rsa(&n(1024), &[3]).is_ok());
    let mut even = n(256);
    even[255] = 2;
    let mut padded = n(256);
    padded[0] = 0;
    for (n, e) in [
        (n(255), vec![1, 0, 1]),
        (n(1025), vec![1, 0, 1]),
        (even, vec![1, 0, 1]),
        (padded, vec![1, 0, 1]),
        (n(256), vec![]),
        (n(256), vec![1]),
        (n(256), vec![2]),
        (n(256), vec![0, 3]),
        (n(256), vec![1, 0, 0, 0, 1]),
    ] {
        assert_eq!(PublicKey::rsa(&n, &e), Err(JwkFault::Malformed));
    }
}

#[test]
fn a_set_holds_64_keys_at_most() {
    let key = Pair::generate(Algorithm::EdDsa).public();
    let named = |index| Jwk::with_kid(format!("k{index}"), key.clone()).unwrap();
    let set = JwkSet { keys: (0..100).map(named).collect() };
    assert_eq!(KeySet::new(&set).len(), 64);
}
