//! From a change to its mail, over both databases: what the worker makes of the rows, and what is left in them.

mod sweep;

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use portcullis::domain::email::CanonicalEmail;
use portcullis::domain::job::backoff;
use portcullis::domain::session::Origin;
use portcullis::flows::resend;
use portcullis::jobs::{WorkerSettings, Workers, run_due};
use portcullis::mail::{Mailer, Settings, Transport};
use portcullis::telemetry::{self, LogFormat};
use tempfile::TempDir;
use tokio::time::Instant;
use tracing::instrument::WithSubscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::support::app::{Person, TestApp};

/// A folder of mails, and a mailer that writes to it.
struct Outbox {
    dir: PathBuf,
    mailer: Arc<Mailer>,
    _folder: TempDir,
}

impl Outbox {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("outbox");
        let settings = Settings {
            transport: Transport::File { dir: dir.clone() },
            from: "no-reply@example.org".into(),
            public_url: "https://id.example.org".into(),
            ui_url: "https://app.example.org".into(),
            templates: None,
        };
        Self { dir, mailer: Arc::new(Mailer::new(&settings).unwrap()), _folder: folder }
    }

    /// The mails in the order of their jobs.
    fn mails(&self) -> Vec<String> {
        let Ok(files) = fs::read_dir(&self.dir) else { return Vec::new() };
        let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
        paths.retain(|path| path.extension().is_some_and(|ending| ending == "eml"));
        paths.sort();
        paths.iter().map(|path| fs::read_to_string(path).unwrap()).collect()
    }
}

/// What somebody clicks on: the token behind the link that stands on a line of its own.
fn token(mail: &str) -> Option<&str> {
    mail.lines().find_map(|line| line.strip_prefix("https://app.example.org/verify#token="))
}

async fn run(app: &TestApp, outbox: &Outbox) -> usize {
    run_due(&app.app, &outbox.mailer).await.unwrap()
}

async fn look_up(app: &TestApp, email: &str) {
    let email = CanonicalEmail::parse(email).unwrap();
    resend::resend(&app.app, email, Origin::default()).await.unwrap();
}

async fn jobs(app: &TestApp, condition: &'static str) -> i64 {
    let text = format!("SELECT COUNT(*) FROM jobs WHERE {condition}");
    app.database.count(&*text.leak()).await
}

on_every_backend! {
    async fn eml_17_the_mail_of_a_signup_arrives_once_and_its_payload_is_gone(db: TestDatabase) {
        let (app, outbox) = (TestApp::start(db).await, Outbox::new());
        let ann = Person::new("Ann@Example.org");
        app.sign_up(&ann).await.unwrap();
        assert_eq!(run(&app, &outbox).await, 1);
        assert_eq!(run(&app, &outbox).await, 0);
        let mails = outbox.mails();
        assert_eq!(mails.len(), 1);
        assert!(mails[0].contains("\r\nTo: Ann@Example.org\r\n"));
        assert_eq!(jobs(&app, "state = 'done' AND payload IS NULL AND attempts = 1").await, 1);
        app.verify(&ann, token(&mails[0]).unwrap()).await.unwrap();
        app.assert_invariants().await;
    }

    async fn eml_08_the_owner_of_an_address_is_told_without_a_token(db: TestDatabase) {
        let (app, outbox) = (TestApp::start(db).await, Outbox::new());
        app.register(&Person::new("Ann@Example.org")).await;
        app.sign_up(&Person::new("ann@EXAMPLE.org").with_password("stranger-Rakete-94")).await.unwrap();
        assert_eq!(run(&app, &outbox).await, 2);
        let mails = outbox.mails();
        let notice = mails.iter().find(|mail| mail.contains("You already have")).unwrap();
        assert!(notice.contains("\r\nTo: Ann@Example.org\r\n"), "the stored address");
        assert!(!notice.contains("pcv_"));
    }

    async fn enu_05_a_look_up_makes_the_one_token_that_is_good(db: TestDatabase) {
        let (app, outbox) = (TestApp::start(db).await, Outbox::new());
        let ann = Person::new("ann@example.org");
        app.sign_up(&ann).await.unwrap();
        run(&app, &outbox).await;
        look_up(&app, "ann@example.org").await;
        look_up(&app, "nobody@example.org").await;
        assert_eq!(run(&app, &outbox).await, 3, "two look-ups and a mail");
        let mails = outbox.mails();
        assert_eq!(mails.len(), 2, "none to nobody");
        assert!(app.verify(&ann, token(&mails[0]).unwrap()).await.is_err(), "EML-06");
        app.verify(&ann, token(&mails[1]).unwrap()).await.unwrap();
        look_up(&app, "ann@example.org").await;
        assert_eq!(run(&app, &outbox).await, 1, "verified by now: no mail");
        assert_eq!(jobs(&app, "payload IS NOT NULL OR state <> 'done'").await, 0);
        app.assert_invariants().await;
    }

    async fn eml_17_a_mail_is_tried_with_growing_pauses_and_given_up_visibly(db: TestDatabase) {
        let (app, outbox) = (TestApp::start(db).await, Outbox::new());
        fs::write(&outbox.dir, "no folder").unwrap();
        app.sign_up(&Person::new("ann@example.org")).await.unwrap();
        let attempts = i64::from(WorkerSettings::default().attempts_max);
        let mut pauses = Vec::new();
        for attempt in 1..attempts {
            let now = app.app.clock.now();
            assert_eq!(run(&app, &outbox).await, 1, "attempt {attempt}");
            assert_eq!(jobs(&app, "state = 'waiting' AND payload IS NOT NULL").await, 1);
            let due_at = app.database.count((
                "SELECT due_at FROM jobs",
                "SELECT CAST(EXTRACT(EPOCH FROM due_at) * 1000000 AS BIGINT) FROM jobs",
            ));
            let pause = u64::try_from(due_at.await - now.micros()).unwrap();
            assert!(Duration::from_micros(pause) <= backoff(attempt), "attempt {attempt}");
            pauses.push(Duration::from_micros(pause).as_secs_f64() / backoff(attempt).as_secs_f64());
            app.advance(backoff(attempt));
        }
        // Full jitter: neither all short nor all long.
        assert!(pauses.iter().any(|share| *share < 0.5) && pauses.iter().any(|share| *share > 0.5));
        assert_eq!(run(&app, &outbox).await, 1);
        assert_eq!(jobs(&app, "state = 'given_up' AND payload IS NULL AND attempts = 12").await, 1);
        let error = app.database.raw().await.texts("SELECT last_error FROM jobs").await;
        assert_eq!(error, ["the mail file cannot be written: File exists (os error 17)"]);
        let events = "SELECT COUNT(*) FROM events JOIN jobs ON events.subject_kind = 'job'
                      WHERE events.action = 'mail.given_up' AND events.actor_kind = 'system'";
        assert_eq!(app.database.count(events).await, 1);
        app.advance(Duration::from_hours(48));
        assert_eq!(run(&app, &outbox).await, 0);
    }

    async fn eml_17_a_mail_arrives_when_the_transport_is_back(db: TestDatabase) {
        let (app, outbox) = (TestApp::start(db).await, Outbox::new());
        fs::write(&outbox.dir, "no folder").unwrap();
        let ann = Person::new("ann@example.org");
        app.sign_up(&ann).await.unwrap();
        run(&app, &outbox).await;
        fs::remove_file(&outbox.dir).unwrap();
        app.advance(backoff(1));
        assert_eq!(run(&app, &outbox).await, 1);
        app.verify(&ann, token(&outbox.mails()[0]).unwrap()).await.unwrap();
    }

    async fn rel_14_two_pools_share_the_work_and_run_nothing_twice(db: TestDatabase) {
        let (app, outbox) = (TestApp::start(db).await, Outbox::new());
        let settings =
            WorkerSettings { poll_interval: Duration::from_millis(10), ..Default::default() };
        let other = app.another(&[]).await;
        let pools = [
            Workers::start(Arc::clone(&app.app), Arc::clone(&outbox.mailer), settings),
            Workers::start(other, Arc::clone(&outbox.mailer), settings),
        ];
        // Who claims first is anybody's luck: there is more work until both had some.
        let (begun, mut enqueued) = (Instant::now(), 0);
        let shares = "SELECT COUNT(DISTINCT lease_owner) FROM jobs WHERE state = 'done'";
        while enqueued < 40 || app.database.count(shares).await < 2 {
            for _ in 0..20 {
                look_up(&app, &format!("user{enqueued}@example.org")).await;
                enqueued += 1;
            }
            while jobs(&app, "state <> 'done'").await > 0 {
                assert!(begun.elapsed() < Duration::from_secs(30));
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        let deadline = Instant::now() + Duration::from_secs(10);
        for pool in pools {
            pool.stop(deadline).await;
        }
        assert_eq!(jobs(&app, "state = 'done' AND attempts = 1").await, enqueued);
    }

    async fn log_03_no_log_line_tells_a_token_or_an_address(db: TestDatabase) {
        let (app, outbox) = (TestApp::start(db).await, Outbox::new());
        let sink = Sink::default();
        app.sign_up(&Person::new("canary@example.org")).await.unwrap();
        look_up(&app, "canary@example.org").await;
        let work = async {
            run(&app, &outbox).await;
            fs::rename(&outbox.dir, outbox.dir.with_extension("away")).unwrap();
            fs::write(&outbox.dir, "no folder").unwrap();
            app.sign_up(&Person::new("canary2@example.org")).await.unwrap();
            run(&app, &outbox).await;
        };
        work.with_subscriber(telemetry::subscriber(LogFormat::Json, LevelFilter::TRACE, sink.clone()))
            .await;
        let log = sink.text();
        assert!(log.contains("mail written") && log.contains(".eml"), "{log}");
        assert!(log.contains("a job failed and is tried again"), "{log}");
        for secret in ["pcv_", "canary", "token="] {
            assert!(!log.contains(secret), "{secret}: {log}");
        }
    }
}

#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Sink {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Sink {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
