//! The two listeners: bound first, so that a taken port is told at once, then served by an [`App`].

use std::io;
use std::net::TcpListener;
use std::sync::Arc;

use super::{App, probes};
use crate::Fault;
use crate::config::Config;
use crate::http::health::Readiness;
use crate::http::server::{self, Running};
use crate::http::settings::{Frame, HttpSettings};
use crate::http::{admin_api, api};
use crate::telemetry::metrics;

/// LIMIT: connections that wait to be accepted; the system may hold fewer.
const BACKLOG: u32 = 1024;

/// Two sockets that nobody answers on yet.
pub struct Bound {
    /// The public one.
    pub public: TcpListener,
    /// The one for operators.
    pub admin: TcpListener,
}

/// Both listeners, ready to be served.
pub struct Front {
    /// The public one.
    pub public: Running,
    /// The one for operators.
    pub admin: Running,
    /// What a stop turns to "not ready".
    pub readiness: Arc<Readiness>,
}

/// A socket that could not be bound.
#[derive(Debug, thiserror::Error)]
#[error("{key} {address}: {source}")]
pub struct BindError {
    /// The key of the address.
    pub key: &'static str,
    /// The address.
    pub address: std::net::SocketAddr,
    /// Why.
    pub source: io::Error,
}

/// Binds both addresses of `config`.
pub fn bind(config: &Config) -> Result<Bound, BindError> {
    let one = |key, address| {
        server::bind(address, BACKLOG).map_err(|source| BindError { key, address, source })
    };
    Ok(Bound {
        public: one("http.listen", config.http.listen)?,
        admin: one("admin.listen", config.admin.listen)?,
    })
}

impl Bound {
    /// Mounts the API for `app`. Nothing is answered before both are awaited.
    pub fn start(self, config: &Config, app: &Arc<App>) -> Result<Front, Fault> {
        metrics::install();
        let readiness = Arc::new(Readiness::new(probes::all(app)));
        let document = api::served_document(&config.public_url, &app.schema)?;
        let mut frame = Frame::new(settings(config), new_id(app), random(app));
        frame.readiness = Arc::clone(&readiness);
        frame.document = document.into();
        let gauges = Arc::clone(app);
        frame.render_metrics = Arc::new(move || {
            probes::gauges(&gauges);
            metrics::render()
        });
        let mut admin = frame.clone();
        admin.settings.workers = 1;
        let rows = api::configure(Arc::clone(app), api::public_rows());
        let public = server::start(self.public, frame, rows).map_err(Fault::internal)?;
        admin.document = admin_api::served_document()?.into();
        let rows = api::configure(Arc::clone(app), admin_api::rows());
        let admin = server::start(self.admin, admin, rows).map_err(Fault::internal)?;
        Ok(Front { public, admin, readiness })
    }
}

fn settings(config: &Config) -> HttpSettings {
    let http = &config.http;
    let mut settings = HttpSettings::new(config.public_url.clone());
    settings.allowed_hosts.clone_from(&http.allowed_hosts);
    settings.request_timeout = http.request_timeout;
    settings.body_bytes_max = http.body_bytes_max;
    settings.body_timeout = http.body_timeout;
    settings.head_timeout = http.head_timeout;
    settings.keep_alive = http.keep_alive;
    settings.shutdown_timeout = http.shutdown_timeout;
    settings.workers = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    settings.backlog = BACKLOG;
    settings
}

fn new_id(app: &Arc<App>) -> crate::http::settings::NewId {
    let app = Arc::clone(app);
    Arc::new(move || app.random.uuid(app.clock.now()).to_string())
}

fn random(app: &Arc<App>) -> crate::http::settings::Random {
    let random = app.random.clone();
    Arc::new(move || u64::from_be_bytes(random.bytes()))
}
