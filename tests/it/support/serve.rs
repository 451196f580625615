//! A service on real sockets, put together as `serve` does it: both listeners, bound before the service opens.
//!
//! The sockets belong to threads of their own, so that whatever a test does, the end of its [`Served`] stops them.

use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;

use portcullis::app::App;
use portcullis::app::front::{self, Bound};
use portcullis::config::Config;
use portcullis::flows::tokens::Tokens;
use portcullis::http::server::Stopper;
use serde_json::Value;

use super::app::{TestApp, configured};
use super::clients::{Client, Raw};
use super::database::TestDatabase;
use super::pg::blocking;

/// A service that answers on TCP.
pub(crate) struct Served {
    // The sockets go first: nothing is asked of a database that is gone.
    listening: Listening,
    /// The service behind the sockets.
    pub(crate) app: TestApp,
}

/// The two listeners of an instance.
pub(crate) struct Listening {
    /// The address that tokens and answers name.
    pub(crate) public_url: String,
    /// What the clients hold answers against.
    pub(crate) document: Arc<Value>,
    public: SocketAddr,
    admin: SocketAddr,
    stoppers: [Stopper; 2],
    thread: Option<JoinHandle<()>>,
}

const ANY_PORT: [(&str, &str); 2] =
    [("HTTP__LISTEN", "127.0.0.1:0"), ("ADMIN__LISTEN", "127.0.0.1:0")];

impl Served {
    /// A service on `database`.
    pub(crate) async fn start(database: TestDatabase) -> Self {
        Self::start_with(database, &[]).await
    }

    /// A service on an embedded database.
    pub(crate) async fn sqlite() -> Self {
        Self::start(TestDatabase::sqlite().await).await
    }

    /// A service with these keys of the configuration, spelled as in `PORTCULLIS__…`.
    pub(crate) async fn start_with(database: TestDatabase, written: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let bound = front::bind(&configured(&database, &folder, &ANY_PORT)).unwrap();
        let url = format!("http://{}", bound.public.local_addr().unwrap());
        let named = [("PUBLIC_URL", url.as_str())];
        let written = [&ANY_PORT, &named[..], written].concat();
        let config = configured(&database, &folder, &written);
        let app = TestApp::start_as(database, folder, &config).await;
        let listening = Listening::start(bound, config, &app.app);
        Self { listening, app }
    }

    /// Another instance on the same database, by the same clock and under the same name.
    pub(crate) async fn another(&self) -> Listening {
        self.another_with(&[]).await
    }

    /// The same with these keys of the configuration.
    pub(crate) async fn another_with(&self, written: &[(&str, &str)]) -> Listening {
        let named = [("PUBLIC_URL", self.public_url.as_str())];
        let written = [&ANY_PORT, &named[..], written].concat();
        let config = self.app.configured(&written);
        let app = self.app.another(&written).await;
        Listening::start(front::bind(&config).unwrap(), config, &app)
    }
}

impl Deref for Served {
    type Target = Listening;

    fn deref(&self) -> &Listening {
        &self.listening
    }
}

impl Listening {
    fn start(bound: Bound, config: Config, app: &Arc<App>) -> Self {
        let (public, admin) =
            (bound.public.local_addr().unwrap(), bound.admin.local_addr().unwrap());
        let document =
            portcullis::http::api::served_document(&config.public_url, &app.schema).unwrap();
        let document = Arc::new(serde_json::from_str(&document).unwrap());
        let public_url = config.public_url.clone();
        let (tell, told) = mpsc::channel();
        let app = Arc::clone(app);
        let serve = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async move {
                let front = bound.start(&config, &app).unwrap();
                tell.send([front.public.stopper(), front.admin.stopper()]).unwrap();
                let (public, admin) = tokio::join!(front.public.serve(), front.admin.serve());
                public.and(admin).unwrap();
            });
        };
        let thread = Some(std::thread::spawn(serve));
        let stoppers = told.recv().unwrap();
        Self { public_url, document, public, admin, stoppers, thread }
    }

    /// Somebody without a token.
    pub(crate) fn anyone(&self) -> Client {
        Client::new(self.public, &self.public_url, &self.document)
    }

    /// Somebody who signed in.
    pub(crate) fn user(&self, tokens: &Tokens) -> Client {
        self.bearer(&tokens.access_token)
    }

    /// Somebody with this access token.
    pub(crate) fn bearer(&self, token: &str) -> Client {
        self.anyone().with_token(token)
    }

    /// An operator: asks the listener for operators.
    pub(crate) fn admin(&self) -> Client {
        Client::new(self.admin, &self.public_url, &self.document)
    }

    /// Somebody who writes bytes as they like.
    pub(crate) fn raw(&self) -> Raw {
        Raw::new(self.public, &self.public_url, &self.document)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let [public, admin] = &self.stoppers;
        blocking(async { tokio::join!(public.abort(), admin.abort()) });
        let ended = self.thread.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            ended.unwrap().unwrap();
        }
    }
}
