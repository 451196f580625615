//! Forged access tokens: one answer for all of them, whatever is wrong (JWT-01 … JWT-10, JWT-17, JWT-19).
//!
//! The insider here even has the real key for what only a key's holder could write.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};

use super::{part, register};
use crate::support::clients::Answer;
use crate::support::rows::NOW;
use crate::support::serve::Served;

fn encode(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// Somebody with a token, and with a key.
struct Forger {
    token: String,
    key: EcdsaKeyPair,
    header: Value,
    claims: Value,
}

impl Forger {
    /// One with the service's own key.
    async fn insider(served: &Served) -> Self {
        let token = register(served, "ann@example.org").await.access_token;
        let key = served.app.app.keys.ring.signing(NOW).unwrap();
        let key = key.to_pkcs8().unwrap();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &key).unwrap();
        let (header, claims) = (part(&token, 0), part(&token, 1));
        Self { token, key, header, claims }
    }

    fn sign(&self, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", encode(header), encode(claims));
        let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", encode(signature.as_ref()))
    }

    /// A token with the real key whose header differs in one member; without it for `null`.
    fn header(&self, name: &str, value: Value) -> String {
        self.sign(&with(&self.header, name, value).to_string(), &self.claims.to_string())
    }

    /// A token with the real key whose claims differ in one; without it for `null`.
    fn claim(&self, name: &str, value: Value) -> String {
        self.sign(&self.header.to_string(), &with(&self.claims, name, value).to_string())
    }

    /// The signed parts with this `alg`.
    fn parts(&self, algorithm: &str) -> String {
        let header = with(&self.header, "alg", json!(algorithm)).to_string();
        format!("{}.{}", encode(header), encode(self.claims.to_string()))
    }

    fn hmac(&self, algorithm: &str, secret: &[u8]) -> String {
        let kind = match algorithm {
            "HS384" => hmac::HMAC_SHA384,
            "HS512" => hmac::HMAC_SHA512,
            _ => hmac::HMAC_SHA256,
        };
        let signed = self.parts(algorithm);
        let tag = hmac::sign(&hmac::Key::new(kind, secret), signed.as_bytes());
        format!("{signed}.{}", encode(tag.as_ref()))
    }
}

fn with(object: &Value, name: &str, value: Value) -> Value {
    let mut changed = object.clone();
    let members = changed.as_object_mut().unwrap();
    members.remove(name);
    if !value.is_null() {
        members.insert(name.to_owned(), value);
    }
    changed
}

async fn ask(served: &Served, token: &str) -> Answer {
    served.bearer(token).ask("GET", "/v1/me").header("x-request-id", "the-same").send().await
}

/// Every one of these is refused, and nobody can tell why.
async fn assert_refused(served: &Served, forged: Vec<String>) {
    let mut answers = BTreeSet::new();
    for token in forged.into_iter().collect::<BTreeSet<_>>() {
        let answer = ask(served, &token).await;
        let short: String = token.chars().take(400).collect();
        assert_eq!(answer.outcome(), (401, "access_token_invalid"), "{short}");
        let challenge = r#"Bearer realm="portcullis", error="invalid_token""#;
        assert_eq!(answer.header("www-authenticate"), Some(challenge));
        answers.insert(answer.lasting());
        // Nor does it end anything, or open another door.
        let patch = served.bearer(&token).patch("/v1/me", "*", json!({ "username": "mine" })).await;
        assert_eq!(patch.outcome(), (401, "access_token_invalid"));
    }
    assert_eq!(answers.len(), 1);
}

#[tokio::test]
async fn jwt_01_jwt_02_jwt_03_no_other_algorithm_is_believed() {
    let served = Served::sqlite().await;
    let insider = Forger::insider(&served).await;
    // The insider's craft is good: unchanged parts are taken.
    let (header, claims) = (insider.header.to_string(), insider.claims.to_string());
    assert_eq!(ask(&served, &insider.sign(&header, &claims)).await.status, 200);
    let point = insider.key.public_key();
    let der: PublicKeyX509Der<'_> = point.as_der().unwrap();
    let body = BASE64_STANDARD.encode(der.as_ref());
    let pem = format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n{}\n-----END PUBLIC KEY-----\n",
        &body[..64],
        &body[64..]
    );
    let jwks = served.anyone().get("/.well-known/jwks.json").await;
    let keys = jwks.body["keys"].as_array().unwrap();
    let jwk = keys.iter().find(|key| key["kid"] == insider.header["kid"]).unwrap().to_string();
    let signature = insider.token.rsplit_once('.').unwrap().1;
    let mut forged = Vec::new();
    for algorithm in ["none", "None", "NONE", "nOnE"] {
        for end in ["", signature, "AA"] {
            forged.push(format!("{}.{end}", insider.parts(algorithm)));
        }
        forged.push(insider.parts(algorithm));
    }
    for secret in [
        pem.as_bytes(),
        pem.trim().as_bytes(),
        der.as_ref(),
        point.as_ref(),
        &point.as_ref()[1..],
        jwk.as_bytes(),
        b"",
    ] {
        for algorithm in ["HS256", "HS384", "HS512"] {
            forged.push(insider.hmac(algorithm, secret));
        }
    }
    for algorithm in ["ES384", "ES256K", "EdDSA", "RS256", "PS256", "es256", "ES256 ", "", "HS256"]
    {
        forged.push(insider.header("alg", json!(algorithm)));
    }
    for algorithm in [Value::Null, json!(["ES256"]), json!({ "ES256": 1 }), json!(256), json!(true)]
    {
        forged.push(insider.header("alg", algorithm));
    }
    assert_refused(&served, forged).await;
}

#[tokio::test]
async fn jwt_04_jwt_05_jwt_06_jwt_08_no_header_leads_elsewhere() {
    let served = Served::sqlite().await;
    let insider = Forger::insider(&served).await;
    let canary = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    canary.set_nonblocking(true).unwrap();
    let url = format!("http://{}/keys", canary.local_addr().unwrap());
    // A key of the insider's own, named by its own thumbprint, by the real one and by none.
    let own = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let point = own.public_key().as_ref();
    let jwk = json!({ "kty": "EC", "crv": "P-256", "x": encode(&point[1..33]), "y": encode(&point[33..]) });
    let own = Forger {
        key: own,
        token: String::new(),
        header: insider.header.clone(),
        claims: insider.claims.clone(),
    };
    let mut forged = vec![own.sign(&insider.header.to_string(), &insider.claims.to_string())];
    for maker in [&own, &insider] {
        for (name, value) in [
            ("jwk", jwk.clone()),
            ("jku", json!(url)),
            ("x5u", json!(url)),
            ("x5c", json!(["MIIB"])),
            ("crit", json!(["exp"])),
            ("crit", json!([])),
            ("crit", json!(["b64"])),
            ("crit", json!("exp")),
            ("b64", json!(false)),
        ] {
            forged.push(maker.header(name, value));
        }
    }
    let unkeyed = with(&insider.header, "kid", Value::Null);
    forged.push(own.sign(&with(&unkeyed, "jwk", jwk).to_string(), &insider.claims.to_string()));
    for kid in [
        Value::Null,
        json!(""),
        json!("unknown"),
        json!("../../etc/passwd"),
        json!("' OR 1=1 --"),
        json!("/dev/null"),
        json!(url),
        json!(["a"]),
        json!({}),
        json!(1),
        json!(true),
        json!("\u{0}"),
        json!("ü"),
        json!("a".repeat(128)),
        json!("a".repeat(129)),
        json!("a".repeat(6000)),
        json!(insider.header["kid"].as_str().unwrap().to_lowercase()),
        json!(format!("{} ", insider.header["kid"].as_str().unwrap())),
    ] {
        forged.push(insider.header("kid", kid));
    }
    for typ in [
        Value::Null,
        json!("JWT"),
        json!("at+JWT"),
        json!("application/at+jwt"),
        json!(" at+jwt"),
        json!(1),
        json!(["at+jwt"]),
    ] {
        forged.push(insider.header("typ", typ));
    }
    assert_refused(&served, forged).await;
    assert!(canary.accept().is_err(), "the address in the token was asked");
}

#[tokio::test]
async fn jwt_07_jwt_09_jwt_10_every_claim_is_needed_typed_and_exact() {
    let served = Served::sqlite().await;
    let insider = Forger::insider(&served).await;
    let (now, url) = (NOW.seconds(), served.public_url.clone());
    let mut forged = Vec::new();
    for name in ["iss", "sub", "aud", "exp", "iat", "nbf", "jti", "client_id", "scope"] {
        forged.push(insider.claim(name, Value::Null));
        for wrong in [json!({}), json!(true), json!("")] {
            forged.push(insider.claim(name, wrong));
        }
        let null = with(&insider.claims, name, json!("@")).to_string().replace("\"@\"", "null");
        forged.push(insider.sign(&insider.header.to_string(), &null));
    }
    for name in ["exp", "iat", "nbf"] {
        for wrong in
            ["\"1795000000\"", "1e400", "-1", "1795000000.5", "99999999999999999999", "[1]"]
        {
            let claims =
                with(&insider.claims, name, json!("@")).to_string().replace("\"@\"", wrong);
            forged.push(insider.sign(&insider.header.to_string(), &claims));
        }
    }
    for (name, values) in [
        (
            "iss",
            vec![
                json!(format!("{url}/")),
                json!(format!("{url}0")),
                json!(url.replace("http", "https")),
                json!(url.to_uppercase()),
                json!(&url[..url.len() - 1]),
                json!([url]),
            ],
        ),
        (
            "aud",
            vec![
                json!([]),
                json!(["orders"]),
                json!(["Portcullis"]),
                json!(["portcullis "]),
                json!(["portcullis", 1]),
                json!([["portcullis"]]),
                json!("orders"),
                json!(["port", "cullis"]),
            ],
        ),
        ("sub", vec![json!("x"), json!("018f4f5e-7b1c-7cc3-9f3a-0123456789ab"), json!(1)]),
        (
            "sid",
            vec![json!("x"), json!("018f4f5e-7b1c-7cc3-9f3a-0123456789ab"), json!(1), Value::Null],
        ),
        ("exp", vec![json!(now), json!(now - 1), json!(0)]),
        ("nbf", vec![json!(now + 6), json!(now + 9000)]),
        ("iat", vec![json!(now + 6), json!(now + 9000)]),
        ("roles", vec![json!("admin"), json!([1])]),
    ] {
        forged.extend(values.into_iter().map(|value| insider.claim(name, value)));
    }
    assert_refused(&served, forged).await;
    for (name, edge) in [("exp", now + 1), ("nbf", now + 5), ("iat", now + 5)] {
        assert_eq!(ask(&served, &insider.claim(name, json!(edge))).await.status, 200, "{name}");
    }
    // Somebody else's session with one's own name.
    let bob = register(&served, "bob@example.org").await;
    assert_refused(&served, vec![insider.claim("sid", json!(bob.session_id.to_string()))]).await;
    // JWT-20: a role in the token opens nothing and shows nowhere.
    let admin = ask(&served, &insider.claim("roles", json!(["admin"]))).await;
    assert_eq!((admin.status, &admin.body["roles"]), (200, &json!([])));
    served.app.advance(Duration::from_mins(15));
    assert_refused(&served, vec![insider.token.clone()]).await;
}

#[tokio::test]
async fn jwt_17_only_the_strict_compact_form_is_read() {
    let served = Served::sqlite().await;
    let insider = Forger::insider(&served).await;
    let token = &insider.token;
    let parts: Vec<&str> = token.split('.').collect();
    let (header, claims) = (insider.header.to_string(), insider.claims.to_string());
    let mut forged: Vec<String> =
        (1..token.len()).step_by(41).map(|end| token[..end].to_owned()).collect();
    let flipped = |at: usize| {
        let mut bytes = token.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        String::from_utf8(bytes).unwrap()
    };
    let dots = [parts[0].len(), parts[0].len() + parts[1].len() + 1];
    forged.extend((0..token.len()).step_by(29).filter(|at| !dots.contains(at)).map(flipped));
    let double = header.replacen('{', "{\"alg\":\"none\",", 1);
    let wide = json!({ "protected": parts[0], "payload": parts[1], "signature": parts[2] });
    let long = Map::from_iter([("x".to_owned(), json!("x".repeat(8000)))]);
    let mut padded = insider.claims.as_object().unwrap().clone();
    padded.extend(long);
    forged.extend([
        format!("{token}."),
        format!(".{token}"),
        format!("{token}.{}", parts[2]),
        format!("{token}="),
        format!("{}=.{}.{}", parts[0], parts[1], parts[2]),
        format!("{}..{}", parts[0], parts[2]),
        format!("{}.{}.", parts[0], parts[1]),
        "..".into(),
        "a.b.c".into(),
        encode(token),
        encode(wide.to_string()),
        insider.sign(&double, &claims),
        insider.sign(&header, &claims.replacen('{', "{\"exp\":1,", 1)),
        insider.sign(&header, &format!("[{claims}]")),
        insider.sign(&header, "null"),
        insider.sign(&format!("[{header}]"), &claims),
        insider.sign(&header, &format!("{claims}x")),
        insider.sign(&header, &Value::Object(padded).to_string()),
    ]);
    assert_refused(&served, forged).await;
    // HTTP-14: what stands in the header and is no token.
    for value in ["Bearer  x", "Bearer x y", "Bearer a,b", "Bearer {}", "Bearer ü"] {
        let ask = served.anyone().ask("GET", "/v1/me").header("authorization", value).send().await;
        assert_eq!(ask.outcome(), (401, "access_token_invalid"), "{value}");
    }
    for value in ["", "Bearer", "Bearer ", "Basic YTpi", "Token x", token] {
        let ask = served.anyone().ask("GET", "/v1/me").header("authorization", value).send().await;
        assert_eq!(ask.outcome(), (401, "authentication_required"), "{value}");
        assert_eq!(ask.header("www-authenticate"), Some(r#"Bearer realm="portcullis""#));
    }
    let lower =
        served.anyone().ask("GET", "/v1/me").header("authorization", &format!("bearer {token}"));
    assert_eq!(lower.send().await.status, 200);
}
