//! The life of an account by HTTP alone, with every token taken out of a mail that a real mail server has.

use std::sync::Arc;
use std::time::Duration;

use portcullis::domain::email::EmailAddress;
use portcullis::domain::event::Actor;
use portcullis::flows::create_user::NewAccount;
use portcullis::flows::invite::invite;
use portcullis::jobs::run_due;
use portcullis::mail::Mailer;
use serde_json::{Map, Value, json};

use super::mailer;
use crate::support::clients::Answer;
use crate::support::serve::Served;
use crate::support::smtp::{Mode, Received, Sink};

const ANN: &str = "ann@example.org";
const NEW: &str = "ann@elsewhere.example";
const FIRST: &str = "tulip-Rakete-94-vorhang";
const SECOND: &str = "Kupfer-otter-71-lantern";
const THIRD: &str = "walnut-Fenster-28-orbit";

/// A service, the mail server, and what brings mails from one to the other.
struct Stage {
    served: Served,
    mailer: Arc<Mailer>,
    sink: Sink,
}

impl Stage {
    async fn post(&self, path: &str, body: Value) -> Answer {
        self.served.anyone().post(path, body).await
    }

    async fn log_in(&self, password: &str) -> Answer {
        self.post("/v1/login", json!({ "identifier": ANN, "password": password })).await
    }

    /// The newest mail to this address, which has this subject.
    async fn mail(&self, to: &str, subject: &str) -> Received {
        run_due(&self.served.app.app, &self.mailer).await.unwrap();
        let mails = self.sink.mails_to(to);
        let found = mails.iter().rfind(|mail| mail.subject().starts_with(subject));
        let subjects: Vec<_> = mails.iter().map(Received::subject).collect();
        found.unwrap_or_else(|| panic!("no {subject:?} to {to}: {subjects:?}")).clone()
    }

    async fn token(&self, to: &str, subject: &str) -> String {
        self.mail(to, subject).await.token().unwrap().to_owned()
    }

    async fn signs_up_and_resets(&self) {
        let signup = json!({ "email": ANN, "password": FIRST });
        assert_eq!(self.post("/v1/signup", signup).await.status, 202);
        let token = self.token(ANN, "Confirm your e-mail address").await;
        let proof = json!({ "token": token, "password": FIRST });
        assert_eq!(self.post("/v1/email/verify", proof).await.status, 200);
        assert_eq!(self.post("/v1/password/forgot", json!({ "email": ANN })).await.status, 202);
        let token = self.token(ANN, "Set a new password").await;
        let reset = json!({ "token": token, "password": SECOND });
        assert_eq!(self.post("/v1/password/reset", reset).await.status, 204);
        let notice = self.mail(ANN, "Your password").await;
        assert!(notice.token().is_none(), "EML-11: no secret in it");
        assert_eq!(self.log_in(FIRST).await.outcome(), (401, "invalid_credentials"));
    }

    /// Changes the password and signs in from elsewhere; the access token of the session that is left.
    async fn changes_the_password(&self) -> String {
        let access = self.log_in(SECOND).await.text_of("access_token");
        let change = json!({ "current_password": SECOND, "new_password": THIRD });
        let changed = self.served.bearer(&access).post("/v1/me/password", change).await;
        assert_eq!(self.served.bearer(&access).get("/v1/me").await.status, 401);
        assert!(self.mail(ANN, "Your password").await.text().contains("chang"));
        let elsewhere =
            self.served.anyone().ask("POST", "/v1/login").header("user-agent", "Other/2");
        let login = json!({ "identifier": ANN, "password": THIRD });
        assert_eq!(elsewhere.json(&login).send().await.status, 200);
        let notice = self.mail(ANN, "A new sign-in").await;
        assert!(notice.text().contains("Other") && notice.token().is_none());
        changed.text_of("access_token")
    }

    async fn moves(&self, access: &str) {
        let ann = self.served.bearer(access);
        let wish = json!({ "email": NEW, "password": THIRD });
        assert_eq!(ann.post("/v1/me/email", wish.clone()).await.status, 202);
        let confirm = self.token(NEW, "Confirm your new").await;
        let cancel = self.token(ANN, "Your e-mail address").await;
        assert_eq!(
            self.post("/v1/email/change/cancel", json!({ "token": cancel })).await.status,
            204
        );
        let proof = json!({ "token": confirm, "password": THIRD });
        let late = self.post("/v1/email/change/confirm", proof).await;
        assert_eq!(late.outcome(), (422, "token_invalid"));
        self.served.app.advance(Duration::from_mins(2));
        assert_eq!(ann.post("/v1/me/email", wish).await.status, 202);
        let confirm = self.token(NEW, "Confirm your new").await;
        let proof = json!({ "token": confirm, "password": THIRD });
        assert_eq!(self.post("/v1/email/change/confirm", proof).await.status, 204);
        assert_eq!(ann.get("/v1/me").await.body["email"], NEW);
        assert!(self.mail(ANN, "Your e-mail address").await.subject().contains("was changed"));
    }

    async fn leaves(&self, access: &str) {
        let signup = json!({ "email": NEW, "password": FIRST });
        assert_eq!(self.post("/v1/signup", signup.clone()).await.status, 202);
        assert!(self.mail(NEW, "You already have an account").await.token().is_none());
        let ann = self.served.bearer(access);
        let gone = ann.post("/v1/me/delete", json!({ "password": THIRD })).await;
        assert_eq!(gone.status, 204);
        assert!(self.mail(NEW, "Your account").await.subject().contains("was deleted"));
        self.served.app.advance(Duration::from_hours(1));
        assert_eq!(self.post("/v1/signup", signup).await.status, 202);
        self.mail(NEW, "Your deleted account").await;
    }

    async fn invites_somebody(&self) {
        let account = NewAccount {
            email: EmailAddress::parse("bob@example.org").unwrap(),
            username: None,
            password: None,
            profile: Map::from_iter([("locale".into(), json!("de"))]),
            is_verified: false,
            is_admin: false,
        };
        invite(&self.served.app.app, account, Actor::System).await.unwrap();
        let token = self.token("bob@example.org", "Ihre Einladung").await;
        let body = json!({ "email": "bob@example.org", "password": FIRST, "invitation": token });
        assert_eq!(self.post("/v1/signup", body).await.status, 201);
    }
}

on_every_backend! {
    async fn a_person_does_everything_with_the_mails_that_arrive(db: TestDatabase) {
        let Some(sink) = Sink::start(Mode::Plain) else { return };
        let stage = Stage { served: Served::start(db).await, mailer: mailer(&sink), sink };
        stage.signs_up_and_resets().await;
        let access = stage.changes_the_password().await;
        stage.moves(&access).await;
        stage.leaves(&access).await;
        stage.invites_somebody().await;
        let mails = stage.sink.mails();
        assert!(mails.iter().all(|mail| !mail.raw().contains("pcr_")), "no session in a mail");
        stage.served.app.assert_invariants().await;
    }
}
