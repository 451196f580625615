//! The real binary, seen from outside: over HTTP, by its output and exit codes, with signals, kills and the verifiers
//! of other hands.
//!
//! Each service has a folder, ports and a database of its own; what is looked at behind its back is looked at in SQL.

mod audit;
mod failed_starts;
mod foreign;
mod hang_ups;
mod instances;
mod kills;
mod readme;
mod secrets;
mod stops;

use serde_json::{Value, json};

use crate::support::process::{Answer, Client, Service};

/// A password that nobody guesses.
const PASSWORD: &str = "tulip-Rakete-94-vorhang";

/// What somebody who is signed in holds.
#[derive(Clone, Debug)]
struct Tokens {
    access: String,
    refresh: String,
}

impl Tokens {
    fn of(answer: &Answer) -> Self {
        assert_eq!(answer.status, 200, "no tokens: {}", answer.text);
        Self { access: answer.text("access_token"), refresh: answer.text("refresh_token") }
    }
}

fn sign_up_body(email: &str) -> Value {
    json!({ "email": email, "password": PASSWORD })
}

async fn sign_up(client: &Client, email: &str) -> reqwest::Result<Answer> {
    client.post("/v1/signup", sign_up_body(email)).await
}

async fn verify(client: &Client, token: &str) -> reqwest::Result<Answer> {
    client.post("/v1/email/verify", json!({ "token": token, "password": PASSWORD })).await
}

async fn log_in(client: &Client, email: &str) -> reqwest::Result<Answer> {
    client.post("/v1/login", json!({ "identifier": email, "password": PASSWORD })).await
}

async fn refresh(client: &Client, token: &str) -> reqwest::Result<Answer> {
    client.post("/v1/token/refresh", json!({ "refresh_token": token })).await
}

/// Signs somebody up and in, with the token of the mail.
async fn register(service: &Service, email: &str) -> Tokens {
    let client = service.client();
    let answer = sign_up(&client, email).await.unwrap();
    assert_eq!(answer.status, 202, "{}", answer.text);
    let token = service.token_mailed_to(email).await;
    Tokens::of(&verify(&client, &token).await.unwrap())
}
