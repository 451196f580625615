//! A service in process: a real database, a clock that stands still until it is moved, randomness from a seed.
//!
//! People sign up, verify and log in through the flows; mailed tokens are read out of the sealed jobs, so no worker has
//! to run.

use std::sync::Arc;
use std::time::Duration;

use portcullis::app::App;
use portcullis::app::open::{Means, OpenError};
use portcullis::clock::Clock;
use portcullis::config::{self, Config, LoadOptions};
use portcullis::crypto::seal::Place;
use portcullis::domain::email::{CanonicalEmail, EmailAddress};
use portcullis::domain::event::Actor;
use portcullis::domain::identifier::LoginIdentifier;
use portcullis::domain::job::{Letter, Mail, Task};
use portcullis::domain::session::{Origin, SignedIn};
use portcullis::domain::user::User;
use portcullis::domain::username::Username;
use portcullis::flows::authenticate::{self, AuthenticateError};
use portcullis::flows::forgot;
use portcullis::flows::keys;
use portcullis::flows::login::{self, Attempt, LoginError};
use portcullis::flows::refresh::{self, RefreshError};
use portcullis::flows::signup::{self, Signup, SignupError};
use portcullis::flows::tokens::Tokens;
use portcullis::flows::verify_email::{self, Proof, Verified, VerifyError};
use portcullis::jobs;
use portcullis::mail::{self, Mailer};
use portcullis::store::users;
use serde_json::{Map, Value};
use tempfile::TempDir;

use super::database::{Raw, TestDatabase, other_random};
use super::invariants::assert_invariants;
use super::rows::NOW;

/// 32 bytes in base64: the master key of all tests.
const MASTER_KEY: &str = "yhGpPW5zVLDMCvJ+YkE1rN3qQ0bSx7fTuAi2hRmZdOw=";

/// A service on a database of its own.
pub(crate) struct TestApp {
    /// The service.
    pub(crate) app: Arc<App>,
    /// Its database.
    pub(crate) database: TestDatabase,
    folder: TempDir,
}

/// Somebody who has an account, or wants one.
#[derive(Clone)]
pub(crate) struct Person {
    /// The address as typed.
    pub(crate) email: String,
    /// The password.
    pub(crate) password: String,
    /// The username that is wished for.
    pub(crate) username: Option<String>,
    /// The profile.
    pub(crate) profile: Map<String, Value>,
}

impl Person {
    /// Somebody with this address and a good password.
    pub(crate) fn new(email: &str) -> Self {
        Self {
            email: email.to_owned(),
            password: "tulip-Rakete-94-vorhang".to_owned(),
            username: None,
            profile: Map::new(),
        }
    }

    /// The same with another password.
    pub(crate) fn with_password(&self, password: &str) -> Self {
        Self { password: password.to_owned(), ..self.clone() }
    }

    /// The same with a username.
    pub(crate) fn named(&self, username: &str) -> Self {
        Self { username: Some(username.to_owned()), ..self.clone() }
    }
}

impl TestApp {
    /// A service with signing keys.
    pub(crate) async fn start(database: TestDatabase) -> Self {
        Self::start_with(database, &[]).await
    }

    /// The same with these keys of the configuration, spelled as in `PORTCULLIS__…`.
    pub(crate) async fn start_with(database: TestDatabase, written: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = configured(&database, &folder, written);
        Self::start_as(database, folder, &config).await
    }

    /// The same with a configuration that [`configured`] made of this database and folder.
    pub(crate) async fn start_as(database: TestDatabase, folder: TempDir, config: &Config) -> Self {
        let means = Means { clock: Clock::fixed(NOW), random: other_random(), ..Means::system() };
        let app = App::open(config, means).await.unwrap();
        keys::care(&app, Actor::System).await.unwrap();
        Self { app, database, folder }
    }

    /// What `written` makes of the configuration of this service.
    pub(crate) fn configured(&self, written: &[(&str, &str)]) -> Config {
        configured(&self.database, &self.folder, written)
    }

    /// Another instance on the same database, by the same clock.
    pub(crate) async fn another(&self, written: &[(&str, &str)]) -> Arc<App> {
        self.try_another(written).await.unwrap()
    }

    /// Another instance, or why it does not start.
    pub(crate) async fn try_another(
        &self,
        written: &[(&str, &str)],
    ) -> Result<Arc<App>, OpenError> {
        let means =
            Means { clock: self.app.clock.clone(), random: other_random(), ..Means::system() };
        App::open(&self.configured(written), means).await
    }

    /// Moves the clock.
    pub(crate) fn advance(&self, span: Duration) {
        self.app.clock.advance_micros(i64::try_from(span.as_micros()).unwrap());
    }

    /// Signs somebody up.
    pub(crate) async fn sign_up(&self, person: &Person) -> Result<(), SignupError> {
        sign_up(&self.app, person).await
    }

    /// Proves the mailbox of `person` with a token.
    pub(crate) async fn verify(
        &self,
        person: &Person,
        token: &str,
    ) -> Result<Verified, VerifyError> {
        verify(&self.app, person, token).await
    }

    /// Signs somebody up and verifies them with the newest token that was mailed.
    pub(crate) async fn register(&self, person: &Person) -> Tokens {
        self.sign_up(person).await.unwrap();
        let token = self.tokens_mailed_to(&person.email).await.pop().unwrap();
        self.verify(person, &token).await.unwrap().tokens
    }

    /// Logs somebody in by their address.
    pub(crate) async fn log_in(&self, person: &Person) -> Result<Tokens, LoginError> {
        log_in(&self.app, &person.email, &person.password).await
    }

    /// Replaces a refresh token.
    pub(crate) async fn refresh(&self, token: &str) -> Result<Tokens, RefreshError> {
        refresh::refresh(&self.app, token, Origin::default()).await
    }

    /// Tells who an access token is.
    pub(crate) async fn authenticate(&self, token: &str) -> Result<SignedIn, AuthenticateError> {
        authenticate::authenticate(&self.app, token).await
    }

    /// The account with this address.
    pub(crate) async fn user(&self, email: &str) -> User {
        let mut db = self.app.store.read().await.unwrap();
        users::find_by_email(&mut db, email).await.unwrap().unwrap()
    }

    /// The mails that wait for this address, oldest first: what the worker would find in the sealed payloads.
    pub(crate) async fn mails_to(&self, email: &str) -> Vec<Letter> {
        let payloads = match self.database.raw().await {
            Raw::Sqlite(mut c) => sqlx::query_as(PAYLOADS).fetch_all(&mut c).await.unwrap(),
            Raw::Postgres(mut c) => sqlx::query_as(PAYLOADS).fetch_all(&mut c).await.unwrap(),
        };
        let mails = payloads.into_iter().map(|(id, payload): (uuid::Uuid, Vec<u8>)| {
            let place = Place::new("jobs.payload", id.as_bytes());
            let plain = self.app.sealer.open(place, &payload).unwrap();
            match serde_json::from_slice(&plain).unwrap() {
                Task::Mail(mail) => mail,
                _ => panic!("a look-up is no mail"),
            }
        });
        let to_them = |mail: Mail| (mail.to == email).then_some(mail.letter);
        mails.filter_map(to_them).collect()
    }

    /// The verification tokens that were mailed to this address, oldest first.
    pub(crate) async fn tokens_mailed_to(&self, email: &str) -> Vec<String> {
        let letters = self.mails_to(email).await.into_iter();
        let tokens = letters.filter_map(|letter| match letter {
            Letter::Verify { token, .. } => Some(token),
            _ => None,
        });
        tokens.collect()
    }

    /// Works off the look-ups that wait; a mail that they make is not delivered, and stays to be read.
    pub(crate) async fn run_look_ups(&self) {
        let blocker = self.folder.path().join("no-folder");
        std::fs::write(&blocker, "").unwrap();
        let settings = mail::Settings {
            transport: mail::Transport::File { dir: blocker.join("outbox") },
            from: "no-reply@example.org".into(),
            public_url: "https://id.example.org".into(),
            ui_url: "https://app.example.org".into(),
            templates: None,
        };
        let mailer = Arc::new(Mailer::new(&settings).unwrap());
        Box::pin(jobs::run_due(&self.app, &mailer)).await.unwrap();
    }

    /// The tokens of the mails to this address whose letters are of this form, oldest first.
    pub(crate) async fn tokens_of(
        &self,
        email: &str,
        form: fn(Letter) -> Option<String>,
    ) -> Vec<String> {
        self.mails_to(email).await.into_iter().filter_map(form).collect()
    }

    /// The newest reset token that was mailed to this address, after somebody asked for one.
    pub(crate) async fn forgotten(&self, email: &str) -> Option<String> {
        let asked = CanonicalEmail::parse(email).unwrap();
        forgot::forgot(&self.app, asked, Origin::default()).await.unwrap();
        self.run_look_ups().await;
        self.tokens_of(email, reset_token).await.pop()
    }

    /// Asserts what is always true of the database.
    pub(crate) async fn assert_invariants(&self) {
        assert_invariants(&self.database).await;
    }
}

/// The token of a letter that resets a password.
pub(crate) fn reset_token(letter: Letter) -> Option<String> {
    match letter {
        Letter::Reset { token, .. } => Some(token),
        _ => None,
    }
}

/// The token of a letter that confirms a change of the address.
pub(crate) fn change_token(letter: Letter) -> Option<String> {
    match letter {
        Letter::EmailChange { token, .. } => Some(token),
        _ => None,
    }
}

/// The token of a letter that cancels a change of the address.
pub(crate) fn cancel_token(letter: Letter) -> Option<String> {
    match letter {
        Letter::EmailChangeRequested { token, .. } => Some(token),
        _ => None,
    }
}

const PAYLOADS: &str = "SELECT id, payload FROM jobs
                        WHERE kind = 'mail' AND payload IS NOT NULL ORDER BY id";

/// The configuration of a service on `database` with these keys, spelled as in `PORTCULLIS__…`.
pub(crate) fn configured(
    database: &TestDatabase,
    folder: &TempDir,
    written: &[(&str, &str)],
) -> Config {
    let (data_dir, url) = (folder.path().display().to_string(), database.url());
    let own = [
        ("DATA_DIR", data_dir.as_str()),
        ("MASTER_KEY", MASTER_KEY),
        ("STORE__URL", &url),
        ("PASSWORD__HASH_THREADS", "2"),
        // Races queue more hashes than a service should; the costs are the real ones.
        ("PASSWORD__QUEUE_WAIT_MAX", "60s"),
    ];
    let variables = own.iter().chain(written);
    let environment = variables.map(|(key, value)| (format!("PORTCULLIS__{key}"), (*value).into()));
    let options = LoadOptions { environment: environment.collect(), ..LoadOptions::default() };
    config::load(&options).unwrap()
}

/// Signs somebody up at an instance.
pub(crate) async fn sign_up(app: &App, person: &Person) -> Result<(), SignupError> {
    let username = person.username.as_deref();
    let signup = Signup {
        email: EmailAddress::parse(&person.email).unwrap(),
        password: app.passwords.for_setting(&person.password, &[]).unwrap(),
        username: username.map(|name| Username::parse(name, &app.reserved).unwrap()),
        profile: person.profile.clone(),
        origin: Origin { address: "192.0.2.1".into(), ..Origin::default() },
    };
    signup::signup(app, signup, None).await.map(|_signed_up| ())
}

/// Proves the mailbox of `person` at an instance.
pub(crate) async fn verify(
    app: &App,
    person: &Person,
    token: &str,
) -> Result<Verified, VerifyError> {
    let proof = Proof {
        token: token.to_owned(),
        password: app.passwords.for_trying(&person.password).unwrap(),
        origin: Origin::default(),
    };
    verify_email::verify_email(app, proof).await
}

/// Logs somebody in at an instance.
pub(crate) async fn log_in(
    app: &App,
    identifier: &str,
    password: &str,
) -> Result<Tokens, LoginError> {
    let attempt = Attempt {
        identifier: LoginIdentifier::parse(identifier).unwrap(),
        password: app.passwords.for_trying(password).unwrap(),
        audience: app.settings.own_audience().to_owned(),
        origin: Origin { user_agent: Some("test".into()), ..Origin::default() },
    };
    login::login(app, attempt).await
}
