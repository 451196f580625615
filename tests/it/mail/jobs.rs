//! From a change to the mail that arrives, whatever happens to the mail server meanwhile (EML-17, ENU-06).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis::domain::job::backoff;
use portcullis::jobs::{WorkerSettings, Workers, run_due};
use portcullis::mail::SmtpSettings;
use serde_json::{Value, json};

use super::{mailer, mailer_of};
use crate::support::app::{Person, TestApp};
use crate::support::serve::Served;
use crate::support::smtp::{Certificate, Mode, Sink, Wish};

const TLS: Wish =
    Wish { mode: Mode::Tls, certificate: Certificate::Good, login: None, ascii: false };

async fn jobs(app: &TestApp, condition: &'static str) -> i64 {
    let text = format!("SELECT COUNT(*) FROM jobs WHERE {condition}");
    app.database.count(&*text.leak()).await
}

async fn last_errors(app: &TestApp) -> Vec<String> {
    app.database.raw().await.texts("SELECT last_error FROM jobs WHERE last_error IS NOT NULL").await
}

on_every_backend! {
    async fn eml_16_a_wrong_certificate_is_told_and_the_mail_arrives_when_it_is_mended(db: TestDatabase) {
        let wrong = Wish { certificate: Certificate::WrongName, ..TLS };
        let (Some(wrong), Some(good)) = (Sink::start_as(wrong), Sink::start_as(TLS)) else { return };
        let app = TestApp::start(db).await;
        let ann = Person::new("ann@example.org");
        app.sign_up(&ann).await.unwrap();
        assert_eq!(run_due(&app.app, &mailer(&wrong)).await.unwrap(), 1);
        assert_eq!(jobs(&app, "state = 'waiting' AND payload IS NOT NULL").await, 1);
        let errors = last_errors(&app).await;
        assert!(errors[0].starts_with("no verified TLS with the mail server: "), "{errors:?}");
        app.advance(backoff(1));
        assert_eq!(run_due(&app.app, &mailer(&good)).await.unwrap(), 1);
        assert!(wrong.mails().is_empty());
        let mail = good.mails_to("ann@example.org").pop().unwrap();
        app.verify(&ann, mail.token().unwrap()).await.unwrap();
    }

    async fn eml_17_a_refused_recipient_is_given_up_at_once_with_an_event(db: TestDatabase) {
        let Some(sink) = Sink::start(Mode::Plain) else { return };
        let (app, mailer) = (TestApp::start(db).await, mailer(&sink));
        sink.behave(&json!({
            "gone@example.org": { "rcpt": "550 5.1.1 <gone@example.org>: no such user" },
            "later@example.org": { "rcpt": "451 4.7.1 greylisted" },
        }));
        for name in ["gone", "later", "ann"] {
            app.sign_up(&Person::new(&format!("{name}@example.org"))).await.unwrap();
        }
        assert_eq!(run_due(&app.app, &mailer).await.unwrap(), 3);
        assert_eq!(jobs(&app, "state = 'given_up' AND payload IS NULL AND attempts = 1").await, 1);
        assert_eq!(jobs(&app, "state = 'waiting' AND payload IS NOT NULL").await, 1);
        let events = "SELECT COUNT(*) FROM events JOIN jobs ON events.subject_kind = 'job'
                      WHERE events.action = 'mail.given_up' AND jobs.state = 'given_up'";
        assert_eq!(app.database.count(events).await, 1);
        let errors = last_errors(&app).await;
        assert!(errors.contains(&"the mail server refuses it: the recipient, 550 5.1.1".to_owned()), "{errors:?}");
        assert!(errors.iter().all(|error| !error.contains('@')), "{errors:?}");
        sink.behave(&json!({}));
        app.advance(backoff(1));
        assert_eq!(run_due(&app.app, &mailer).await.unwrap(), 1);
        assert_eq!(sink.mails_to("later@example.org").len(), 1);
        assert_eq!(sink.mails().len(), 2);
    }

    async fn eml_17_a_mail_that_was_taken_before_the_line_broke_comes_again_under_its_id(db: TestDatabase) {
        let Some(sink) = Sink::start(Mode::Plain) else { return };
        let (app, mailer) = (TestApp::start(db).await, mailer(&sink));
        sink.behave(&json!({ "*": { "drop": "after" } }));
        app.sign_up(&Person::new("ann@example.org")).await.unwrap();
        run_due(&app.app, &mailer).await.unwrap();
        sink.behave(&json!({}));
        app.advance(backoff(1));
        run_due(&app.app, &mailer).await.unwrap();
        let mails = sink.mails_to("ann@example.org");
        assert_eq!(mails.len(), 2, "at least once");
        assert_eq!(mails[0].raw(), mails[1].raw());
    }

    async fn a_mail_is_written_in_the_language_of_the_profile(db: TestDatabase) {
        let Some(sink) = Sink::start(Mode::Plain) else { return };
        let (app, mailer) = (TestApp::start(db).await, mailer(&sink));
        for (n, (locale, subject)) in [
            (Some("de-AT"), "Bestätigen Sie Ihre E-Mail-Adresse für id.example.org"),
            (Some("es-419"), "Confirme su dirección de correo para id.example.org"),
            (Some("FR"), "Confirmez votre adresse e-mail pour id.example.org"),
            (Some("en-GB"), "Confirm your e-mail address for id.example.org"),
            (Some("ja"), "Confirm your e-mail address for id.example.org"),
            (None, "Confirm your e-mail address for id.example.org"),
        ]
        .into_iter()
        .enumerate()
        {
            let email = format!("user{n}@example.org");
            let mut person = Person::new(&email);
            person.profile.extend(locale.map(|locale| ("locale".to_owned(), Value::from(locale))));
            app.sign_up(&person).await.unwrap();
            run_due(&app.app, &mailer).await.unwrap();
            assert_eq!(sink.mails_to(&email)[0].subject(), subject, "{locale:?}");
        }
    }

    async fn enu_06_eml_17_no_answer_waits_for_the_mail_server_and_every_mail_arrives(db: TestDatabase) {
        let Some(sink) = Sink::start(Mode::Plain) else { return };
        let served = Served::start(db).await;
        let patience = Duration::from_secs(4);
        let mailer = mailer_of(SmtpSettings { patience, ..sink.settings() });
        // The clock is moved while jobs run, and their leases last.
        let settings = WorkerSettings {
            poll_interval: Duration::from_millis(10),
            lease: Duration::from_hours(1),
            ..WorkerSettings::default()
        };
        let workers = Workers::start(Arc::clone(&served.app.app), mailer, settings);
        let mut people = Vec::new();
        for (name, trouble) in [
            ("well", json!({})),
            ("hangs", json!({ "*": { "hang": true } })),
            ("slow", json!({ "*": { "delay_s": 3 } })),
            ("later", json!({ "*": { "rcpt": "451 4.7.1 later" } })),
            ("full", json!({ "*": { "data": "452 4.3.1 full" } })),
            ("drops", json!({ "*": { "drop": "data" } })),
            ("closed", json!({ "*": { "greeting": "421 4.3.2 closed" } })),
            ("down", Value::Null),
        ] {
            if trouble.is_null() { sink.down() } else { sink.behave(&trouble) }
            for n in 0..2 {
                let email = format!("{name}{n}@example.org");
                let body = json!({ "email": email, "password": "tulip-Rakete-94-vorhang" });
                let begun = Instant::now();
                let answer = served.anyone().post("/v1/signup", body).await;
                let known = served.anyone().post("/v1/email/resend", json!({ "email": email })).await;
                let unknown = json!({ "email": format!("nobody-{email}") });
                let unknown = served.anyone().post("/v1/email/resend", unknown).await;
                assert_eq!([answer.status, known.status, unknown.status], [202; 3], "{name}");
                assert_eq!(known.body, unknown.body, "ENU-06");
                let forgot = served.anyone().post("/v1/password/forgot", json!({ "email": email })).await;
                assert_eq!((forgot.status, &forgot.body), (202, &unknown.body), "{name}");
                assert!(begun.elapsed() < Duration::from_secs(2), "{name}: {:?}", begun.elapsed());
                people.push(email);
            }
        }
        // All mails of somebody who came while all was well: no later trouble holds them back.
        sink.up();
        sink.behave(&json!({}));
        assert_eq!(sink.wait_for("well0@example.org", 3).await.len(), 3);
        let begun = Instant::now();
        while jobs(&served.app, "state = 'waiting' OR state = 'running'").await > 0 {
            assert!(begun.elapsed() < Duration::from_secs(45), "{:?}", last_errors(&served.app).await);
            served.app.advance(Duration::from_secs(30));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        workers.stop(tokio::time::Instant::now() + Duration::from_secs(10)).await;
        let mails = sink.mails();
        for email in &people {
            assert!(mails.iter().any(|mail| mail.to() == email), "{email}");
        }
        let ids: BTreeSet<_> = mails.iter().map(|mail| mail.header("Message-ID").unwrap()).collect();
        assert_eq!(ids.len(), mails.len(), "once a job");
        assert!(!mails.iter().any(|mail| mail.to().starts_with("nobody")));
        assert_eq!(jobs(&served.app, "state <> 'done'").await, 0);
    }
}
