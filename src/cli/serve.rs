//! `portcullis serve`: listeners, workers and the watch over keys, from the first line to a clean stop.
//!
//! The stop (REL-04): not ready, drain delay, no more connections, requests and jobs finish inside the deadline,
//! exit 0. A second signal ends it at once, with exit 1.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::failure::{Exit, Failure};
use super::output;
use crate::Fault;
use crate::app::open::{Means, VERSION};
use crate::app::{App, front, watch, work};
use crate::config::{Config, Environment, MailTransport, StoreUrl};
use crate::domain::event::Actor;
use crate::flows::keys;
use crate::jobs::upkeep::Upkeep;
use crate::jobs::{Workers, tasks};
use crate::mail::Mailer;

/// Serves until a signal comes, then stops in order.
pub(super) async fn serve(config: &Config) -> Result<(), Failure> {
    let mut signals = Signals::listen()?;
    let bound = front::bind(config)?;
    let mailer = Arc::new(Mailer::new(&work::mail_settings(config))?);
    let app = tokio::select! {
        app = open(config) => app?,
        // Nothing is served yet: a start that waits for a database or a lock ends at the first signal.
        name = signals.next() => return Err(failed(format!("stopped by {name} while starting"))),
    };
    let front = bound.start(config, &app)?;
    let (public, admin) = (front.public.stopper(), front.admin.stopper());
    let addresses = (front.public.address(), front.admin.address());
    let readiness = front.readiness;
    let public_server = app.tasks.spawn(front.public.serve());
    let admin_server = app.tasks.spawn(front.admin.serve());
    let workers = Workers::start(Arc::clone(&app), mailer, work::worker_settings(config));
    let upkeep = Upkeep::start(&app, tasks::ALL);
    let watching = CancellationToken::new();
    app.tasks.spawn(watch::watch(Arc::clone(&app), watching.clone()));
    app.tasks.spawn(watch::settle(Arc::clone(&app), watching.clone()));
    output::print(&greeting(config, addresses))?;

    tokio::select! {
        name = signals.next() => tracing::info!(signal = name, "stopping"),
        ended = public_server => return Err(server_ended(ended)),
        ended = admin_server => return Err(server_ended(ended)),
    }
    readiness.stop();
    let in_order = async {
        tokio::time::sleep(config.http.drain_delay).await;
        let deadline = Instant::now() + config.http.shutdown_timeout;
        tokio::join!(public.finish(), admin.finish(), workers.stop(deadline));
        upkeep.stop(deadline).await;
        watching.cancel();
        close(&app, deadline).await;
    };
    tokio::select! {
        () = in_order => {}
        name = signals.next() => {
            tracing::warn!(signal = name, "stopping at once");
            return Err(failed("stopped at once by a second signal"));
        }
    }
    tracing::info!("stopped");
    Ok(())
}

async fn open(config: &Config) -> Result<Arc<App>, Failure> {
    let app = App::open(config, Means::system()).await?;
    keys::care(&app, Actor::System).await?;
    Ok(app)
}

/// Lets what runs beside the requests end, and closes the store.
async fn close(app: &Arc<App>, deadline: Instant) {
    let ended = async {
        app.store.close().await;
        app.tasks.close();
        app.tasks.wait().await;
    };
    if tokio::time::timeout_at(deadline, ended).await.is_err() {
        tracing::warn!("some tasks did not end in time");
    }
    app.hasher.shutdown();
}

fn failed(line: impl Into<String>) -> Failure {
    Failure::new(Exit::Failed, line)
}

fn server_ended(ended: Result<std::io::Result<()>, tokio::task::JoinError>) -> Failure {
    match ended {
        Ok(Ok(())) => failed("a listener ended by itself"),
        Ok(Err(error)) => Fault::internal(error).into(),
        Err(error) => Fault::internal(error).into(),
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> Result<Self, Fault> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).map_err(Fault::internal)?,
            interrupt: signal(SignalKind::interrupt()).map_err(Fault::internal)?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// The start-up lines: where everything is, and for a newcomer what to do next.
fn greeting(
    config: &Config,
    (public, admin): (std::net::SocketAddr, std::net::SocketAddr),
) -> String {
    let url = &config.public_url;
    let is_development = config.environment == Environment::Development;
    let environment = if is_development { "development" } else { "production" };
    let mut text = format!("portcullis {VERSION} ({environment})\n");
    let mut say = |name: &str, what: &str| writeln!(text, "  {name:<9}{what}").is_ok();
    say("serves", &format!("{url} (on {public})"));
    say("docs", &format!("{url}/docs/"));
    say("admin", &format!("http://{admin}/metrics"));
    say("data", &absolute(&config.data_dir));
    match &config.store.url {
        StoreUrl::Sqlite(path) => say("database", &format!("SQLite, {}", absolute(path))),
        StoreUrl::Postgres(_) => say("database", "PostgreSQL"),
    };
    match &config.mail.transport {
        MailTransport::Smtp(server) => {
            say("mails", &format!("to {}, port {}", server.host, server.port))
        }
        MailTransport::File => say("mails", &format!("{}/*.eml", absolute(&config.mail.dir))),
        MailTransport::Off => say("mails", "are not sent (mail.transport is \"off\")"),
    };
    if is_development {
        text.push_str(&next_step(url));
    }
    text
}

fn next_step(url: &str) -> String {
    format!(
        "\nNext: sign somebody up, then look into the mails for the token.\n\n  \
         curl {url}/v1/signup -H 'Content-Type: application/json' \\\n    \
         -d '{{\"email\": \"ann@example.org\", \"password\": \"violet otter picnic\"}}'\n"
    )
}

fn absolute(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string()
}
