//! Receivers that are slow, broken or no receivers at all: none harms us, none delays another, none leads inside.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use portcullis::app::App;
use portcullis::app::open::Means;
use portcullis::flows::me::Expected;
use portcullis::flows::webhooks::{self as flow, New, Patch, WebhookError};
use portcullis::jobs::webhooks::{Deliveries, DeliverySettings, deliver_due};
use portcullis::outbound::{Found, Lookup};
use tokio::time::Instant;

use super::{attempts, by, create, deliver, settings, start};
use crate::support::app::{Person, TestApp};
use crate::support::database::other_random;
use crate::support::receiver::{Mode, Receiver};

/// Addresses that nobody may be called at, each spelled so that somebody would miss it.
const BAD: [&str; 30] = [
    "https://127.0.0.1/",
    "https://0/",
    "https://0.0.0.0/",
    "https://0x7f000001/",
    "https://0x7f.1/",
    "https://2130706433/",
    "https://017700000001/",
    "https://127.1/",
    "https://localhost/",
    "https://LOCALHOST./",
    "https://a.localhost/",
    "https://[::1]/",
    "https://[::]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:7f00:1]/",
    "https://[64:ff9b::7f00:1]/",
    "https://[2002:7f00:1::]/",
    "https://[fd00::1]/",
    "https://[fe80::1]/",
    "https://[ff02::1]/",
    "https://10.0.0.1/",
    "https://172.16.0.1/",
    "https://192.168.0.1/",
    "https://169.254.169.254/latest/meta-data/",
    "https://100.64.0.1/",
    "https://198.18.0.1/",
    "https://240.0.0.1/",
    "https://user:secret@example.org/",
    "https://example.org:22/",
    "file:///etc/passwd",
];

/// Answers every name with an address inside, and counts how often it is asked.
struct Rebound(Arc<AtomicUsize>);

impl Lookup for Rebound {
    fn lookup(&self, _name: &str) -> Found {
        self.0.fetch_add(1, Ordering::SeqCst);
        Box::pin(async { Ok(vec![IpAddr::from([127, 0, 0, 1])]) })
    }
}

async fn refused(app: &TestApp, url: &str) -> Vec<String> {
    let new = New { url: url.to_owned(), events: vec!["*".into()], description: None };
    match flow::create(&app.app, by(), new).await {
        Err(WebhookError::Invalid(faults)) => faults.into_iter().map(|it| it.pointer).collect(),
        Err(other) => panic!("{url}: {other}"),
        Ok(_) => panic!("{url} was taken"),
    }
}

on_every_backend! {
    async fn whk_08_a_bad_url_is_refused_when_it_is_made_changed_tried_and_sent_to(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let listener = Receiver::start(Mode::good()).await;
        let inside = listener.url();
        for url in BAD.iter().copied().chain([inside.as_str(), "http://example.org/", "", "nonsense"]) {
            assert_eq!(refused(&app, url).await, ["/url"], "{url}");
        }
        let (endpoint, _) = create(&app, "https://example.org/hook", &["*"]).await;
        for url in BAD {
            let patch = Patch { url: Some(url.to_owned()), ..Patch::default() };
            let refused = flow::update(&app.app, by(), endpoint.id, (patch, Expected::Any)).await.unwrap_err();
            assert!(matches!(refused, WebhookError::Invalid(_)), "{url}: {refused}");
        }
        // As if the networks that may be called had been other ones when it was stored.
        let text = format!("UPDATE webhooks SET url = 'https://127.0.0.1:{}/'", listener.port());
        app.database.execute(&*text.leak()).await;
        let refused = flow::test(&app.app, endpoint.id).await.unwrap_err();
        assert!(matches!(refused, WebhookError::Invalid(_)), "{refused}");
        app.sign_up(&Person::new("ann@example.org")).await.unwrap();
        assert_eq!(deliver(&app).await, 1);
        assert_eq!(attempts(&app, endpoint.id).await, [(None, Some("address".into()), Some("waiting".into()))]);
        assert_eq!(listener.connections(), 0, "WHK-05: the listener saw something");
    }

    async fn whk_05_a_name_that_leads_inside_when_it_is_called_leads_nowhere(db: TestDatabase) {
        let app = TestApp::start_with(db, &[("WEBHOOKS__ALLOW_HTTP", "true")]).await;
        let asked = Arc::new(AtomicUsize::new(0));
        let lookup = Arc::new(Rebound(Arc::clone(&asked)));
        let means = Means { clock: app.app.clock.clone(), random: other_random(), lookup };
        let instance = App::open(&app.configured(&[("WEBHOOKS__ALLOW_HTTP", "true")]), means).await.unwrap();
        // The name is good when the endpoint is made: nobody is asked then.
        let (endpoint, _) = create(&app, "http://hooks.example.org:8080/", &["user.created"]).await;
        assert_eq!(asked.load(Ordering::SeqCst), 0);
        app.sign_up(&Person::new("ann@example.org")).await.unwrap();
        assert_eq!(deliver_due(&instance, settings()).await.unwrap(), 1);
        assert_eq!(attempts(&app, endpoint.id).await, [(None, Some("address".into()), Some("waiting".into()))]);
        assert_eq!(asked.load(Ordering::SeqCst), 1, "no second look-up");
    }

    async fn whk_06_a_redirect_is_a_failure_and_not_followed(db: TestDatabase) {
        let app = start(db).await;
        let inside = Receiver::start(Mode::good()).await;
        let receiver = Receiver::start(Mode::Status(302, format!("location: {}\r\n", inside.url()))).await;
        let (endpoint, _) = create(&app, &receiver.url(), &["user.created"]).await;
        app.sign_up(&Person::new("ann@example.org")).await.unwrap();
        for status in [302, 307, 308] {
            receiver.answer(Mode::Status(status, format!("location: {}\r\n", inside.url())));
            assert_eq!(deliver(&app).await, 1);
            app.advance(Duration::from_hours(1));
        }
        for (_, error, state) in attempts(&app, endpoint.id).await {
            assert_eq!((error.as_deref(), state.as_deref()), (Some("redirect"), Some("waiting")));
        }
        assert_eq!(inside.connections(), 0);
    }

    async fn whk_07_no_receiver_keeps_us_longer_or_feeds_us_more_than_it_may(db: TestDatabase) {
        let app = start(db).await;
        let modes = [(Mode::Tarpit, Some("timeout")), (Mode::EndlessHead, Some("connection")), (Mode::EndlessBody, None)];
        let mut expected = Vec::new();
        for (mode, error) in modes {
            let receiver = Receiver::start(mode).await;
            let (endpoint, _) = create(&app, &receiver.url(), &["user.created"]).await;
            expected.push((receiver, endpoint.id, error));
        }
        app.sign_up(&Person::new("ann@example.org")).await.unwrap();
        let began = Instant::now();
        let short = DeliverySettings { timeout: Duration::from_secs(1), ..settings() };
        assert_eq!(deliver_due(&app.app, short).await.unwrap(), 3);
        assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
        for (receiver, id, error) in expected {
            assert_eq!(receiver.seen().len(), 1);
            assert_eq!(attempts(&app, id).await[0].1.as_deref(), error);
        }
    }

    async fn whk_07_an_endpoint_gets_no_more_at_once_than_it_has_places(db: TestDatabase) {
        let app = start(db).await;
        let receiver = Receiver::start(Mode::Tarpit).await;
        create(&app, &receiver.url(), &["user.created"]).await;
        for n in 0..5 {
            app.sign_up(&Person::new(&format!("user{n}@example.org"))).await.unwrap();
        }
        let pool = Deliveries::start(Arc::clone(&app.app), settings());
        receiver.wait_for(2).await;
        // Some more looks of the pool.
        tokio::time::sleep(settings().poll_interval * 10).await;
        assert_eq!(receiver.seen().len(), 2);
        pool.stop(Instant::now() + Duration::from_secs(2)).await;
    }
}
