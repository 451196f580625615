//! What verifiers read: the key set and the two metadata documents (JWT-11, JWT-12, JWT-23).

use std::time::Duration;

use portcullis::domain::event::Actor;
use portcullis::flows::keys;
use serde_json::{Value, json};

use super::{part, register};
use crate::support::serve::Served;

const JWKS: &str = "/.well-known/jwks.json";
const DOCUMENTS: [&str; 3] =
    [JWKS, "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"];

/// The members of an EC key in the plain form; no `d p q dp dq qi k` among them.
const MEMBERS: [&str; 7] = ["alg", "crv", "kid", "kty", "use", "x", "y"];

fn members(object: &Value) -> Vec<&str> {
    let mut names: Vec<&str> = object.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

on_every_backend! {
    async fn jwt_11_the_key_set_has_the_signing_key_and_its_successor_in_the_plain_form(db: TestDatabase) {
        let served = Served::start(db).await;
        let tokens = register(&served, "ann@example.org").await;
        let answer = served.anyone().get(JWKS).await;
        assert_eq!(answer.members(), ["keys"]);
        let keys = answer.body["keys"].as_array().unwrap();
        assert_eq!(keys.len(), 2);
        for key in keys {
            assert_eq!(members(key), MEMBERS);
            let fixed = ["alg", "crv", "kty", "use"].map(|name| key[name].as_str().unwrap());
            assert_eq!(fixed, ["ES256", "P-256", "EC", "sig"]);
            let sizes = ["kid", "x", "y"].map(|name| key[name].as_str().unwrap().len());
            assert_eq!(sizes, [43, 43, 43]);
        }
        assert_ne!(keys[0]["kid"], keys[1]["kid"]);
        let signs = part(&tokens.access_token, 0)["kid"].clone();
        assert!(keys.iter().any(|key| key["kid"] == signs));
    }

    async fn jwt_12_the_announced_successor_signs_after_a_rotation(db: TestDatabase) {
        let served = Served::start(db).await;
        let second = served.another().await;
        let old = register(&served, "ann@example.org").await;
        let published = kids(&served.anyone().get(JWKS).await.body);
        served.app.advance(Duration::from_hours(1));
        keys::rotate(&served.app.app, Actor::System).await.unwrap();
        let new = served.app.refresh(old.refresh_token.expose()).await.unwrap();
        let (was, is) = (part(&old.access_token, 0), part(&new.access_token, 0));
        assert_ne!(was["kid"], is["kid"]);
        assert!(published.contains(&is["kid"].as_str().unwrap().to_owned()));
        let now = kids(&served.anyone().get(JWKS).await.body);
        assert_eq!(now.len(), 3);
        assert!(published.iter().all(|kid| now.contains(kid)));
        // An instance that has not read the keys again takes the token all the same.
        assert_eq!(second.user(&new).get("/v1/me").await.status, 200);
        assert_eq!(served.user(&new).get("/v1/me").await.status, 200);
    }
}

fn kids(jwks: &Value) -> Vec<String> {
    let keys = jwks["keys"].as_array().unwrap().iter();
    keys.map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn jwt_23_both_documents_offer_what_exists() {
    let served = Served::sqlite().await;
    let url = &served.public_url;
    let expected = json!({
        "issuer": url,
        "jwks_uri": format!("{url}/.well-known/jwks.json"),
        "response_types_supported": [],
        "grant_types_supported": [],
        "scopes_supported": ["account"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
        "service_documentation": format!("{url}/docs/"),
    });
    for path in &DOCUMENTS[1..] {
        assert_eq!(served.anyone().get(path).await.body, expected, "{path}");
    }
    let docs = served.anyone().get("/docs/").await;
    assert_eq!(docs.status, 200);
    let tokens = register(&served, "ann@example.org").await;
    assert_eq!(part(&tokens.access_token, 1)["iss"], url.as_str());
}

#[tokio::test]
async fn verifiers_of_any_manners_get_the_documents() {
    let served = Served::sqlite().await;
    for path in DOCUMENTS {
        let plain = served.anyone().get(path).await;
        assert_eq!(plain.status, 200);
        assert_eq!(plain.header("content-type"), Some("application/json"), "{path}");
        assert_eq!(plain.header("cache-control"), Some("public, max-age=300"), "{path}");
        for accept in ["text/html", "application/jwk-set+json", "image/png", ""] {
            let asked = served.anyone().ask("GET", path).header("accept", accept).send().await;
            assert_eq!((asked.status, &asked.body), (200, &plain.body), "{path} {accept}");
        }
        let head = served.anyone().head(path).await;
        assert_eq!((head.status, head.text.as_str()), (200, ""));
        for name in ["content-type", "content-length", "cache-control"] {
            assert_eq!(head.header(name), plain.header(name), "{path}");
        }
        // Without an `Accept`, and by HTTP/1.0.
        let raw = served.raw();
        let host = raw.host();
        for version in ["1.1", "1.0"] {
            let request = format!("GET {path} HTTP/{version}\r\nHost: {host}\r\n\r\n");
            let got = raw.send(request).await;
            assert_eq!((got.answer.status, &got.answer.body), (200, &plain.body), "{path}");
        }
        // A token is not asked for, and a bad one does not matter.
        assert_eq!(served.bearer("x").get(path).await.status, 200);
        let query = served.anyone().get(&format!("{path}?v=1")).await;
        assert_eq!((query.status, query.faults()), (422, vec!["v unknown_member".to_owned()]));
    }
}
