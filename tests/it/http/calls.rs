//! The calls that take JSON, each with a body that is right: what the tables of bad input start from.

use portcullis::flows::tokens::Tokens;
use serde_json::{Value, json};

use super::{PASSWORD, register};
use crate::support::clients::Ask;
use crate::support::serve::Served;

/// A call that takes JSON.
pub(super) struct Call {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    /// A body that is right.
    pub(super) body: Value,
    /// The members that must be there.
    pub(super) required: &'static [&'static str],
    /// The members that may be null.
    pub(super) nullable: &'static [&'static str],
}

pub(super) fn calls() -> [Call; 14] {
    let post = |path, body, required| Call { method: "POST", path, body, required, nullable: &[] };
    let email = "new@example.org";
    let wide = json!({
        "email": email, "password": PASSWORD, "username": "wished",
        "profile": { "display_name": "x" },
    });
    let login = json!({ "identifier": email, "password": PASSWORD, "audience": "portcullis" });
    let patch = json!({ "username": "wished", "profile": { "display_name": "x" } });
    [
        post("/v1/signup", wide, &["email", "password"]),
        post("/v1/email/verify", json!({ "token": "x", "password": "x" }), &["token", "password"]),
        post("/v1/email/resend", json!({ "email": email }), &["email"]),
        post("/v1/password/forgot", json!({ "email": email }), &["email"]),
        post(
            "/v1/password/reset",
            json!({ "token": "x", "password": PASSWORD }),
            &["token", "password"],
        ),
        post(
            "/v1/email/change/confirm",
            json!({ "token": "x", "password": "x" }),
            &["token", "password"],
        ),
        post("/v1/email/change/cancel", json!({ "token": "x" }), &["token"]),
        post(
            "/v1/me/password",
            json!({ "current_password": "x", "new_password": PASSWORD }),
            &["current_password", "new_password"],
        ),
        post("/v1/me/email", json!({ "email": email, "password": "x" }), &["email", "password"]),
        post("/v1/me/reauthenticate", json!({ "password": "x" }), &["password"]),
        post("/v1/me/delete", json!({ "password": "x" }), &["password"]),
        post("/v1/login", login, &["identifier", "password"]),
        post("/v1/token/refresh", json!({ "refresh_token": "x" }), &["refresh_token"]),
        Call {
            method: "PATCH",
            path: "/v1/me",
            body: patch,
            required: &[],
            nullable: &["username"],
        },
    ]
}

/// A service and somebody who has signed in there.
pub(super) struct Stage {
    pub(super) served: Served,
    pub(super) tokens: Tokens,
    before: (Vec<String>, u64),
}

impl Stage {
    pub(super) async fn new() -> Self {
        let served = Served::sqlite().await;
        let tokens = register(&served, "ann@example.org").await;
        let mut stage = Self { served, tokens, before: Default::default() };
        stage.before = stage.state().await;
        stage
    }

    /// A request to `call`, allowed to do what it asks for, without a body.
    pub(super) fn ask(&self, call: &Call) -> Ask {
        let client = self.served.user(&self.tokens);
        let ask = client.ask(call.method, call.path);
        if call.method == "PATCH" { ask.header("if-match", "*") } else { ask }
    }

    async fn state(&self) -> (Vec<String>, u64) {
        let rows = "SELECT json_group_array(json_array(hex(id), email, username, profile, version,
                        email_verified_at, suspended_at, created_at)) FROM users
                    UNION ALL SELECT json_group_array(json_array(name, description)) FROM roles
                    UNION ALL SELECT json_group_array(hash) FROM password_credentials
                    UNION ALL SELECT json_group_array(hex(id)) FROM sessions
                    UNION ALL SELECT json_group_array(hex(id)) FROM jobs
                    UNION ALL SELECT json_group_array(hex(id)) FROM events
                    UNION ALL SELECT json_group_array(role) FROM user_roles";
        let texts = self.served.app.database.raw().await.texts(rows).await;
        (texts, self.served.app.app.hasher.stats().hashed_total)
    }

    /// Nothing was stored, and nothing hashed, since the stage was set.
    pub(super) async fn assert_untouched(&self) {
        assert_eq!(self.state().await, self.before);
    }
}
