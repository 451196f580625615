//! A service in process, as it is shipped: default settings, the system's clock and randomness, the log at `info`.
//!
//! Only the log's end differs: lines go to `/dev/null`, each by a write of its own like on stderr.

use std::fs::File;
use std::sync::Arc;

use futures_util::future::join_all;
use portcullis::app::App;
use portcullis::app::open::Means;
use portcullis::config::{self, Config, LoadOptions};
use portcullis::domain::email::EmailAddress;
use portcullis::domain::event::Actor;
use portcullis::domain::identifier::LoginIdentifier;
use portcullis::domain::session::Origin;
use portcullis::flows::create_user::{NewAccount, create_user};
use portcullis::flows::keys;
use portcullis::flows::login::{Attempt, LoginError, login};
use portcullis::flows::tokens::Tokens;
use portcullis::telemetry::{self, LogFormat};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tracing::level_filters::LevelFilter;

use crate::pg::Server;

/// Clients at once, each on a connection and in a session of its own.
pub(crate) const CLIENTS: usize = 64;

/// 32 bytes in base64: the master key of all benches.
const MASTER_KEY: &str = "yhGpPW5zVLDMCvJ+YkE1rN3qQ0bSx7fTuAi2hRmZdOw=";

const PASSWORD: &str = "tulip-Rakete-94-vorhang";

/// A service on a database of its own, with [`CLIENTS`] users.
pub(crate) struct Rig {
    /// The service.
    pub(crate) app: Arc<App>,
    /// What it was opened with.
    pub(crate) config: Config,
    /// Where it runs.
    pub(crate) runtime: Arc<Runtime>,
    /// Ends after the service that uses it.
    pub(crate) place: Place,
}

/// Where the rows are.
pub(crate) enum Place {
    /// In this folder, on the disk that has the build.
    Sqlite { _folder: TempDir },
    /// On a server of this process' own.
    Postgres(Server),
}

/// The runtime as `serve` makes it.
pub(crate) fn runtime() -> Arc<Runtime> {
    Arc::new(tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap())
}

/// Sends the log of this process nowhere, but writes it.
pub(crate) fn log_to_nowhere() {
    let nowhere = Arc::new(File::create("/dev/null").unwrap());
    let log = telemetry::subscriber(LogFormat::Json, LevelFilter::INFO, nowhere);
    tracing::subscriber::set_global_default(log).unwrap();
}

/// A folder on the disk that has the build: `/tmp` may be memory, where a commit costs nothing.
pub(crate) fn folder() -> TempDir {
    TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

impl Rig {
    /// A service on the embedded database.
    pub(crate) fn sqlite(runtime: &Arc<Runtime>) -> Self {
        let folder = folder();
        let url = format!("sqlite://{}", folder.path().join("bench.db").display());
        Self::start(runtime, &url, Place::Sqlite { _folder: folder })
    }

    /// A service on a durable PostgreSQL server; `None`, and a line that says so, where there is none to start.
    pub(crate) fn postgres(runtime: &Arc<Runtime>) -> Option<Self> {
        let server = Server::own()?;
        let url = server.url("postgres");
        Some(Self::start(runtime, &url, Place::Postgres(server)))
    }

    fn start(runtime: &Arc<Runtime>, url: &str, place: Place) -> Self {
        let data = env!("CARGO_TARGET_TMPDIR");
        let written = [
            ("DATA_DIR", data),
            ("MASTER_KEY", MASTER_KEY),
            ("PUBLIC_URL", "http://localhost:8080"),
            ("STORE__URL", url),
            // A slow machine must be measured as well, not refused.
            ("PASSWORD__QUEUE_WAIT_MAX", "30s"),
        ];
        let written = written.map(|(key, value)| (format!("PORTCULLIS__{key}"), value.to_owned()));
        let options = LoadOptions { environment: written.into(), ..LoadOptions::default() };
        let config = config::load(&options).unwrap();
        let app = runtime.block_on(async {
            let app = App::open(&config, Means::system()).await.unwrap();
            keys::care(&app, Actor::System).await.unwrap();
            join_all((0..CLIENTS).map(|n| create(&app, n))).await;
            app
        });
        Self { app, config, runtime: Arc::clone(runtime), place }
    }

    /// A session for each user.
    pub(crate) fn sign_all_in(&self) -> Vec<Tokens> {
        let logins = join_all((0..CLIENTS).map(|n| log_in(&self.app, n)));
        self.runtime.block_on(logins).into_iter().map(Result::unwrap).collect()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.runtime.block_on(self.app.store.close());
    }
}

async fn create(app: &App, n: usize) {
    let account = NewAccount {
        email: EmailAddress::parse(&address(n)).unwrap(),
        username: None,
        password: Some(app.passwords.for_setting(PASSWORD, &[]).unwrap()),
        profile: serde_json::Map::new(),
        is_verified: true,
        is_admin: false,
    };
    create_user(app, account, Actor::System).await.unwrap();
}

/// Logs the user `n` in.
pub(crate) async fn log_in(app: &App, n: usize) -> Result<Tokens, LoginError> {
    let attempt = Attempt {
        identifier: LoginIdentifier::parse(&address(n)).unwrap(),
        password: app.passwords.for_trying(PASSWORD).unwrap(),
        audience: app.settings.own_audience().to_owned(),
        origin: origin(),
    };
    login(app, attempt).await
}

/// Where somebody comes from.
pub(crate) fn origin() -> Origin {
    Origin {
        address: "192.0.2.1".to_owned(),
        user_agent: Some("bench/1".to_owned()),
        request_id: Some("0199c0de-0000-7000-8000-000000000000".to_owned()),
    }
}

fn address(n: usize) -> String {
    format!("user-{n}@example.org")
}
