//! What happened: log lines on stderr and metrics for Prometheus.
//!
//! One event is one line, whatever its values are made of (`lines`); a broken sink stops nothing.
//! Results and start-up lines for people are `cli`'s and go to stdout.

mod lines;
pub mod metrics;

#[cfg(test)]
mod tests;

use std::io;
use std::panic::{self, PanicHookInfo};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::Registry;
use tracing_subscriber::util::SubscriberInitExt;

use crate::clock::Clock;
use crate::fault::Fault;
use lines::Lines;

pub(crate) use lines::{visible, visible_json};

/// The shape of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// Sends the log of this process to stderr, panics too; once a process.
pub fn init(format: LogFormat, level: LevelFilter) -> Result<(), Fault> {
    subscriber(format, level, io::stderr).try_init().map_err(Fault::internal)?;
    panic::set_hook(Box::new(log_panic));
    Ok(())
}

/// The same log, written elsewhere: for tests that search what was logged.
pub fn subscriber<W>(
    format: LogFormat,
    level: LevelFilter,
    writer: W,
) -> impl tracing::Subscriber + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let lines = Lines::new(format, Clock::system(), writer);
    Registry::default().with(lines.with_filter(targets(level)))
}

/// SECURITY: LOG-03. Libraries log what is in their buffers at debug and trace, and sqlx logs
/// statements: no level of ours turns that on.
fn targets(level: LevelFilter) -> Targets {
    Targets::new()
        .with_default(level.min(LevelFilter::INFO))
        .with_target("portcullis", level)
        .with_target("sqlx::query", LevelFilter::OFF)
        // A dozen lines about threads that start and stop, between those that tell a newcomer the address.
        .with_target("actix_server", level.min(LevelFilter::WARN))
        // SECURITY: LOG-05. It calls each head that cannot be parsed an error: anybody could fill the log with them.
        .with_target("actix_http::h1", LevelFilter::OFF)
}

/// SECURITY: PWD-16. The text of a panic may quote what was worked on (slicing a text does), so only
/// the place is told, and the text where it is a literal of the source.
fn log_panic(info: &PanicHookInfo<'_>) {
    let at = info.location().map(ToString::to_string).unwrap_or_default();
    let text = info.payload().downcast_ref::<&'static str>().copied().unwrap_or("(not told)");
    let thread = std::thread::current();
    let thread = thread.name().unwrap_or_default();
    tracing::error!(panic.at = at, panic.text = text, panic.thread = thread, "panic");
}
