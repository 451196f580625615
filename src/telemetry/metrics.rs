//! The Prometheus recorder: one a process, asked by the admin listener.
//!
//! Who counts uses the macros of the crate `metrics` and needs nothing from here. Labels are bounded and
//! name nobody (LOG-09): route patterns, never paths.

use std::sync::OnceLock;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();

/// LIMIT: 1 ms is a lookup, 50 ms a hash, 15 s the deadline of a request.
const SECONDS: [f64; 13] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0];

/// Installs the recorder; later calls, by another app in the same process, change nothing.
pub fn install() {
    handle();
}

/// All series as text, format version 0.0.4.
pub fn render() -> String {
    handle().render()
}

/// Sorts what the histograms took in. To be called every few seconds, or they grow for ever.
pub fn run_upkeep() {
    handle().run_upkeep();
}

fn handle() -> &'static PrometheusHandle {
    HANDLE.get_or_init(|| {
        let recorder = builder().build_recorder();
        let handle = recorder.handle();
        if metrics::set_global_recorder(recorder).is_err() {
            tracing::error!("another metrics recorder is installed; /metrics stays empty");
        }
        handle
    })
}

fn builder() -> PrometheusBuilder {
    let seconds = Matcher::Suffix("_seconds".to_owned());
    // It refuses an empty list of buckets only; summaries are what is left then.
    PrometheusBuilder::new().set_buckets_for_metric(seconds, &SECONDS).unwrap_or_default()
}
