//! A life with canaries: everything that people and operators do, done right and done wrong.

use std::fs;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use portcullis::crypto::keys::PrivateKey;
use portcullis::domain::keys::SigningAlgorithm;
use serde_json::json;

use super::haystack::Needles;
use crate::binary::{Tokens, refresh, sign_up};
use crate::support::database::TestDatabase;
use crate::support::process::{Client, Service};

const ANN: &str = "ann@example.org";
const GOOD: &str = "canary-Kiefer-rotiert-93";
const WRONG: &str = "canary-Wacholder-ruht-51";
const OF_THE_OPERATOR: &str = "canary-Holunder-eilt-77";
const BEARER: &str = "canary0bearer0canary0bearer0canary0";

/// An operator brings a key that the test knows.
pub(super) fn import_a_key(service: &Service, needles: &mut Needles) {
    let key = PrivateKey::generate(SigningAlgorithm::Es256).unwrap();
    let document = key.to_pkcs8().unwrap();
    let file = service.folder().join("key.pem");
    let body = STANDARD.encode(&*document);
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n");
    fs::write(&file, pem).unwrap();
    let done = service.run(&["keys", "import", "-", "--sign-now"], Some(&file));
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert!(done.stdout.contains(key.kid()), "{}", done.stdout);
    // RFC 5915: version 1, then the 32 bytes of the private number.
    let mark = [0x02, 0x01, 0x01, 0x04, 0x20];
    let at = document.windows(mark.len()).position(|window| window == mark).unwrap() + mark.len();
    needles.add("private key", &document[at..at + 32]);
    needles.add("private key", &document);
}

/// An operator creates a user.
pub(super) fn create_a_user(service: &Service, needles: &mut Needles) {
    let file = service.folder().join("password");
    fs::write(&file, format!("{OF_THE_OPERATOR}\n")).unwrap();
    let arguments = ["users", "create", "root@example.org", "--password-stdin", "--admin"];
    let done = service.run(&arguments, Some(&file));
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    needles.add("password of the operator", OF_THE_OPERATOR.as_bytes());
}

/// People come, do everything that there is to do, and mistype it too.
pub(super) async fn live(service: &Service, needles: &mut Needles) {
    let client = service.client();
    needles.add("password", GOOD.as_bytes());
    needles.add("wrong password", WRONG.as_bytes());
    needles.add("bearer", BEARER.as_bytes());
    let verification = sign_up_twice(service).await;
    needles.add_token("verification token", &verification);
    let wrong = json!({ "token": verification, "password": WRONG });
    status(&client, "/v1/email/verify", wrong, 401).await;
    let right = json!({ "token": verification, "password": GOOD });
    let first = client.post("/v1/email/verify", right.clone()).await.unwrap();
    let first = Tokens::of(&first);
    status(&client, "/v1/email/verify", right, 422).await;
    // The owner of an address that is signed up again gets a notice.
    status(&client, "/v1/signup", json!({ "email": ANN, "password": WRONG }), 202).await;

    status(&client, "/v1/login", json!({ "identifier": ANN, "password": WRONG }), 401).await;
    status(&client, "/v1/login", json!({ "identifier": WRONG, "password": GOOD }), 401).await;
    let login = json!({ "identifier": ANN, "password": GOOD });
    let login = Tokens::of(&client.post("/v1/login", login).await.unwrap());
    let second = Tokens::of(&refresh(&client, &first.refresh).await.unwrap());
    let third = Tokens::of(&refresh(&client, &second.refresh).await.unwrap());
    for tokens in [&first, &login, &second, &third] {
        needles.add_token("refresh token", &tokens.refresh);
        needles.add_access_token(&tokens.access);
        assert_eq!(client.get("/v1/me", Some(&tokens.access)).await.unwrap().status, 200);
    }
    client.get("/v1/sessions", Some(&third.access)).await.unwrap();
    assert_eq!(client.get("/v1/me", Some(BEARER)).await.unwrap().status, 401);
    // A token where it does not belong: in a path, a query, a body of another call.
    client.get(&format!("/v1/{}", login.refresh), None).await.unwrap();
    client.get(&format!("/v1/me?access_token={}", login.access), None).await.unwrap();
    status(&client, "/v1/email/verify", json!({ "token": login.refresh, "password": GOOD }), 422)
        .await;
    malformed(&client, &login).await;
    // Reuse ends one session, a logout the other.
    assert_eq!(
        refresh(&client, &first.refresh).await.unwrap().text("code"),
        "refresh_token_reused"
    );
    status(&client, "/v1/logout", json!({ "refresh_token": login.refresh }), 204).await;
    assert_eq!(client.get("/v1/me", Some(&login.access)).await.unwrap().status, 401);
}

/// Signs Ann up, sends the mail again; gives the token that counts.
async fn sign_up_twice(service: &Service) -> String {
    let client = service.client();
    status(&client, "/v1/signup", json!({ "email": ANN, "password": GOOD }), 202).await;
    let voided = service.token_mailed_to(ANN).await;
    status(&client, "/v1/email/resend", json!({ "email": ANN }), 202).await;
    for _ in 0..500 {
        let tokens = service.mails().into_iter().filter_map(|mail| mail.token);
        if let Some(token) = tokens.into_iter().find(|token| *token != voided) {
            return token;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("no second mail:\n{}", service.stderr());
}

async fn malformed(client: &Client, tokens: &Tokens) {
    let member =
        json!({ "email": "b@example.org", "password": GOOD, "refresh_token": tokens.refresh });
    status(client, "/v1/signup", member, 422).await;
    status(client, "/v1/login", json!({ "identifier": ANN, "password": [GOOD] }), 422).await;
    status(client, "/v1/login", json!({ GOOD: ANN, WRONG: tokens.access }), 422).await;
    status(client, "/v1/token/refresh", json!([tokens.refresh]), 422).await;
    status(client, "/v1/token/refresh", json!({ "refresh_token": tokens.access }), 401).await;
    let long = json!({ "identifier": ANN, "password": GOOD.repeat(20) });
    status(client, "/v1/login", long, 422).await;
}

/// Somebody signs up while no mail can be written.
pub(super) async fn sign_up_in_vain(service: &Service, database: &TestDatabase) {
    let answer = sign_up(&service.client(), "eve@example.org").await.unwrap();
    assert_eq!(answer.status, 202);
    let failed = "SELECT COUNT(*) FROM jobs WHERE payload IS NOT NULL AND last_error IS NOT NULL";
    for _ in 0..500 {
        if database.count(failed).await == 1 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("no mail has failed:\n{}", service.stderr());
}

async fn status(client: &Client, path: &str, body: serde_json::Value, expected: u16) {
    let answer = client.post(path, body).await.unwrap();
    assert_eq!(answer.status, expected, "{path}: {}", answer.text);
}
