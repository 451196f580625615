//! What an access token says, claim by claim, and how long it can get (api.md, section 3).

use std::time::Duration;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use portcullis::crypto::keys::PrivateKey;
use portcullis::domain::event::Actor;
use portcullis::flows::keys;
use serde_json::{Value, json};

use super::{PASSWORD, part, register};
use crate::support::app::Person;
use crate::support::database::TestDatabase;
use crate::support::rows::{NOW, object};
use crate::support::schemas::SchemaFile;
use crate::support::serve::Served;

/// The ids in a published key set.
async fn kids(served: &Served) -> Vec<Value> {
    let jwks = served.anyone().get("/.well-known/jwks.json").await;
    jwks.body["keys"].as_array().unwrap().iter().map(|key| key["kid"].clone()).collect()
}

on_every_backend! {
    async fn jwt_16_an_access_token_has_the_documented_claims_and_no_other(db: TestDatabase) {
        let served = Served::start(db).await;
        let first = register(&served, "Ann@Example.org").await;
        served.app.database.execute("INSERT INTO roles (name, description) VALUES ('b', ''), ('A', '')").await;
        served.app.database.execute(
            "INSERT INTO user_roles (user_id, role, granted_at) SELECT id, name, created_at FROM users, roles",
        ).await;
        served.app.advance(Duration::from_secs(10));
        let login = json!({ "identifier": "ann@example.org", "password": PASSWORD });
        let answer = served.anyone().post("/v1/login", login).await;
        let (token, refresh) = (answer.text_of("access_token"), answer.body["refresh_token"].clone());

        let header = part(&token, 0);
        assert!(kids(&served).await.contains(&header["kid"]));
        assert_eq!(header, json!({ "alg": "ES256", "kid": header["kid"], "typ": "at+jwt" }));
        let now = NOW.seconds() + 10;
        let me = served.bearer(&token).get("/v1/me").await;
        let mut claims = json!({
            "iss": served.public_url,
            "sub": me.body["id"],
            "aud": ["portcullis"],
            "exp": now + 900,
            "iat": now - 5,
            "nbf": now - 5,
            "jti": part(&token, 1)["jti"],
            "sid": answer.body["session_id"],
            "client_id": "portcullis",
            "scope": "account",
            "roles": ["A", "admin", "b"],
            "auth_time": now - 5,
            "amr": ["pwd"],
            "email": "ann@example.org",
            "email_verified": true,
        });
        assert_eq!(part(&token, 1), claims);
        assert_eq!(part(&first.access_token, 1)["roles"], json!([]));

        // A refresh renews the token; it does not renew the moment of the password.
        served.app.advance(Duration::from_mins(1));
        let body = json!({ "refresh_token": refresh });
        let next = served.anyone().post("/v1/token/refresh", body).await.text_of("access_token");
        let jti = part(&next, 1)["jti"].clone();
        assert_ne!(jti, claims["jti"]);
        for (name, value) in [
            ("exp", json!(now + 960)),
            ("iat", json!(now + 55)),
            ("nbf", json!(now + 55)),
            ("auth_time", json!(now)),
            ("jti", jti),
        ] {
            claims[name] = value;
        }
        assert_eq!(part(&next, 1), claims);
        assert_eq!(part(&next, 0), header);
    }
}

#[tokio::test]
async fn each_algorithm_signs_tokens_that_are_taken() {
    for (algorithm, kind) in [("ES256", "EC"), ("EdDSA", "OKP"), ("RS256", "RSA")] {
        let db = TestDatabase::sqlite().await;
        let served = Served::start_with(db, &[("TOKEN__ALGORITHM", algorithm)]).await;
        let tokens = register(&served, "ann@example.org").await;
        assert_eq!(part(&tokens.access_token, 0)["alg"], algorithm);
        assert_eq!(served.user(&tokens).get("/v1/me").await.status, 200);
        let jwks = served.anyone().get("/.well-known/jwks.json").await;
        let keys = jwks.body["keys"].as_array().unwrap();
        assert_eq!(keys.len(), 2);
        assert!(keys.iter().all(|key| key["kty"] == kind && key["alg"] == algorithm));
        let metadata = served.anyone().get("/.well-known/openid-configuration").await;
        assert_eq!(metadata.body["id_token_signing_alg_values_supported"], json!([algorithm]));
    }
}

/// The largest key that is taken.
fn rsa_4096() -> PrivateKey {
    let pair = KeyPair::generate(KeySize::Rsa4096).unwrap();
    let der = AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&pair).unwrap();
    let lines = BASE64_STANDARD.encode(der.as_ref());
    PrivateKey::import(&format!(
        "-----BEGIN PRIVATE KEY-----\n{lines}\n-----END PRIVATE KEY-----\n"
    ))
    .unwrap()
}

#[tokio::test]
async fn jwt_16_the_token_of_the_largest_possible_user_is_below_3500_bytes() {
    let url = format!("http://{}.{}.test", "a".repeat(63), "b".repeat(24));
    assert_eq!(url.len(), 100);
    let (audience, scope) = ("c".repeat(64), "d".repeat(64));
    // 512 bytes of profile claims are the most that a schema may declare.
    let field = json!({ "type": "string", "maxLength": 84, "x-portcullis": { "claim": "x" } });
    let file = SchemaFile::of(json!({ "x": field }));
    let schema = file.text();
    let written = [
        ("PUBLIC_URL", url.as_str()),
        ("ENVIRONMENT", "development"),
        ("HTTP__ALLOWED_HOSTS", "127.0.0.1"),
        ("TOKEN__AUDIENCES", &audience),
        ("TOKEN__USER_SCOPE", &scope),
        ("TOKEN__ALGORITHM", "RS256"),
        ("PROFILE__SCHEMA", &schema),
    ];
    let served = Served::start_with(TestDatabase::sqlite().await, &written).await;
    keys::import(&served.app.app, Actor::System, rsa_4096(), true).await.unwrap();
    let label = "e".repeat(61);
    let email = format!("{}@{label}.{label}.{label}.ef", "l".repeat(64));
    let email = format!("{email}{}", "f".repeat(254 - email.len()));
    let longest = "\u{7}".repeat(84);
    let person = Person { profile: object(json!({ "x": longest })), ..Person::new(&email) };
    let tokens = served.app.register(&person).await;
    served
        .app
        .database
        .execute(
            "WITH RECURSIVE n (i) AS (SELECT 10 UNION ALL SELECT i + 1 FROM n WHERE i < 25)
             INSERT INTO roles (name, description)
             SELECT 'role-with-a-name-of-32-letter-' || i, '' FROM n",
        )
        .await;
    let granted = served.app.database.execute(
        "INSERT INTO user_roles (user_id, role, granted_at)
         SELECT id, name, created_at FROM users, roles WHERE length(name) = 32",
    );
    assert_eq!(granted.await, 16);
    let body = json!({ "refresh_token": tokens.refresh_token.expose() });
    let token = served.anyone().post("/v1/token/refresh", body).await.text_of("access_token");
    let claims = part(&token, 1);
    assert_eq!(claims["roles"].as_array().unwrap().len(), 16);
    assert_eq!((claims["iss"].as_str(), claims["email"].as_str()), (Some(&*url), Some(&*email)));
    assert_eq!(claims["x"], longest);
    assert!((2500..3500).contains(&token.len()), "{}", token.len());
    assert_eq!(served.bearer(&token).get("/v1/me").await.status, 200);
}
