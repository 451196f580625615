//! Health: alive (never asks anybody) and ready (asks all dependencies at once, api.md, section 6).
//!
//! The probes come from outside. One run serves everybody for a second (HTTP-18), and tells states
//! and numbers: no address, no error text.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use futures_util::future::join_all;
use serde::Serialize;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use utoipa::ToSchema;

use super::answer::{Json, json};
use super::problem::Problem;
use super::query;
use super::settings::Frame;

/// LIMIT: what a balancer waits for at least; a probe that is slower is out.
const PROBE_TIME_MAX: Duration = Duration::from_secs(1);

/// LIMIT: HTTP-18: one run a second however often it is asked.
const KEPT_FOR: Duration = Duration::from_secs(1);

/// How a part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// As it should be.
    Ok,
    /// Works, and not as it should.
    Degraded,
    /// Out.
    Unavailable,
}

/// What a probe found.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Check {
    /// How the part is.
    pub status: Health,
    /// Numbers that tell more, such as a lag or a backlog.
    #[serde(flatten)]
    pub numbers: BTreeMap<&'static str, i64>,
}

impl Check {
    /// A part in this state, without numbers.
    pub fn new(status: Health) -> Self {
        Self { status, numbers: BTreeMap::new() }
    }

    /// Adds a number.
    #[must_use]
    pub fn with(mut self, name: &'static str, number: i64) -> Self {
        self.numbers.insert(name, number);
        self
    }
}

/// How the instance is, and each of its parts.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Report {
    /// The instance: `unavailable` answers 503.
    pub status: Health,
    /// The parts that are configured.
    pub checks: BTreeMap<&'static str, Check>,
}

/// An answer to "is the process there?".
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct Alive {
    /// Always `ok`.
    pub status: Health,
}

/// What a probe gives.
pub type Probing = Pin<Box<dyn Future<Output = Check> + Send>>;

/// Asks one part how it is.
#[derive(Clone)]
pub struct Probe {
    /// The name under `checks`.
    pub name: &'static str,
    /// Whether nothing goes without it: `store` and `keys`.
    pub is_critical: bool,
    /// Asks. What it started is dropped after a second.
    pub ask: Arc<dyn Fn() -> Probing + Send + Sync>,
}

impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Probe").field("name", &self.name).finish_non_exhaustive()
    }
}

/// All probes of an instance, and what they said last.
#[derive(Debug, Default)]
pub struct Readiness {
    probes: Vec<Probe>,
    is_stopping: AtomicBool,
    last: Mutex<Option<(Instant, Report)>>,
}

impl Readiness {
    /// The readiness of what these probes ask.
    pub fn new(probes: Vec<Probe>) -> Self {
        Self { probes, ..Self::default() }
    }

    /// From now on the instance is not ready: it is about to stop.
    pub fn stop(&self) {
        self.is_stopping.store(true, Ordering::SeqCst);
    }

    /// How the instance is, at most a second old.
    pub async fn report(&self) -> Report {
        // Whoever comes while the probes run waits for them: one run, not one a caller.
        let mut last = self.last.lock().await;
        let mut report = match last.as_ref() {
            Some((at, report)) if at.elapsed() < KEPT_FOR => report.clone(),
            _ => self.ask().await,
        };
        if last.as_ref().is_none_or(|(at, _)| at.elapsed() >= KEPT_FOR) {
            *last = Some((Instant::now(), report.clone()));
        }
        if self.is_stopping.load(Ordering::SeqCst) {
            report.status = Health::Unavailable;
        }
        report
    }

    async fn ask(&self) -> Report {
        let asked = self.probes.iter().map(|probe| async move {
            let found = timeout(PROBE_TIME_MAX, (probe.ask)()).await;
            (probe, found.unwrap_or_else(|_| Check::new(Health::Unavailable)))
        });
        let mut report = Report { status: Health::Ok, checks: BTreeMap::new() };
        for (probe, check) in join_all(asked).await {
            let weight =
                if probe.is_critical { check.status } else { check.status.min(Health::Degraded) };
            report.status = report.status.max(weight);
            report.checks.insert(probe.name, check);
        }
        report
    }
}

/// Tells that the process is there.
///
/// It touches no dependency: whoever restarts on it must not do so because a database is out.
#[utoipa::path(get, path = "/health/live", tag = "health", operation_id = "get_liveness",
    security(()), responses((status = 200, description = "The process is there.", body = Alive)))]
pub(crate) async fn live(request: HttpRequest) -> Result<Json<Alive>, Problem> {
    query::nothing(&request)?;
    Ok(Json(Alive { status: Health::Ok }))
}

/// Tells whether the instance can do its work, and how each part of it is.
#[utoipa::path(get, path = "/health/ready", tag = "health", operation_id = "get_readiness",
    security(()), responses(
        (status = 200, description = "It can, be it with parts degraded.", body = Report),
        (status = 503, description = "It cannot, or it is about to stop.", body = Report)))]
pub(crate) async fn ready(
    request: HttpRequest,
    frame: Data<Frame>,
) -> Result<HttpResponse, Problem> {
    query::nothing(&request)?;
    let report = frame.readiness.report().await;
    let status = match report.status {
        Health::Ok | Health::Degraded => StatusCode::OK,
        Health::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
    };
    Ok(json(status, &report))
}

#[cfg(test)]
mod tests;
