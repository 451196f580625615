//! That one event is one line whatever it is made of, that no level lets a library talk, and that a
//! broken sink stops nothing.

use std::io::{self, Write};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;

use super::{LogFormat, init, metrics, subscriber};

/// Everything that may forge or hide a line, by LOG-05.
const EVIL: &str =
    "a\r\nb\u{1b}[2Kc\u{9b}2Kd\u{202e}e\u{2028}f\u{2029}g\u{85}h\u{200b}i\u{e0041}\"\\j\u{7f}";

#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

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

/// What `log` writes at this level.
fn logged(format: LogFormat, level: LevelFilter, log: impl FnOnce()) -> String {
    let sink = Sink::default();
    tracing::subscriber::with_default(subscriber(format, level, sink.clone()), log);
    String::from_utf8(sink.0.lock().unwrap().clone()).unwrap()
}

fn json(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn log_01_an_event_is_one_object_with_the_fields_of_its_spans() {
    let text = logged(LogFormat::Json, LevelFilter::INFO, || {
        let request =
            tracing::info_span!("request", request_id = "r-1", user.id = tracing::field::Empty);
        request.record("user.id", 7);
        let _in_request = request.enter();
        let _in_flow = tracing::info_span!("flow", step = "hash").entered();
        tracing::warn!(
            outcome = "refused",
            share = 0.5,
            done = true,
            step = "insert",
            "login failed"
        );
        tracing::info!(level = "x", time = "y", target = "z", "a field cannot pass for the head");
    });
    let lines = json(&text);
    assert_eq!(lines.len(), 2, "{text}");
    assert!(text.starts_with("{\"time\":\"20"), "{text}");
    let first = &lines[0];
    assert_eq!(first["level"], "WARN");
    assert_eq!(first["target"], "portcullis::telemetry::tests");
    assert_eq!(first["message"], "login failed");
    assert_eq!(first["request_id"], "r-1");
    assert_eq!(first["user.id"], 7);
    assert_eq!(first["step"], "insert");
    assert_eq!(first["done"], true);
    assert!(first["time"].as_str().unwrap().ends_with('Z'), "{first}");
    assert_eq!((&lines[1]["level"], &lines[1]["field.level"]), (&"INFO".into(), &"x".into()));
    assert_eq!(text.matches("\"request_id\"").count(), 2, "no member twice: {text}");
}

#[test]
fn log_05_nothing_forges_or_hides_a_line() {
    let log = || {
        let _span = tracing::info_span!("request", agent = EVIL).entered();
        tracing::info!(name = EVIL, shown = %EVIL, debugged = ?EVIL, "{EVIL}");
    };
    for format in [LogFormat::Json, LogFormat::Text] {
        let text = logged(format, LevelFilter::INFO, log);
        assert_eq!(text.matches('\n').count(), 1, "{text:?}");
        let seen = text.trim_end_matches('\n').chars();
        let bad: Vec<_> = seen.filter(|c| c.is_control() || super::lines::deceives(*c)).collect();
        assert!(bad.is_empty(), "{bad:?} in {text:?}");
    }
    let line = &json(&logged(LogFormat::Json, LevelFilter::INFO, log))[0];
    assert_eq!([&line["name"], &line["agent"], &line["message"]], [EVIL; 3], "nothing is lost");
}

#[test]
fn log_03_libraries_stay_at_info_and_statements_are_never_logged() {
    let text = logged(LogFormat::Json, LevelFilter::TRACE, || {
        tracing::trace!("ours");
        tracing::trace!(target: "portcullis_verify::jwks", "ours too");
        tracing::info!(target: "actix_web", "theirs");
        tracing::info!(target: "actix_server", "about its threads");
        tracing::debug!(target: "hyper::proto", "canary");
        tracing::error!(target: "sqlx::query", "canary");
    });
    let messages: Vec<_> = json(&text).iter().map(|line| line["message"].clone()).collect();
    assert_eq!(messages, ["ours", "ours too", "theirs"]);
    let text = logged(LogFormat::Json, LevelFilter::WARN, || {
        tracing::info!(target: "actix_web", "theirs");
        tracing::info!(target: "actix_server", "about its threads");
    });
    assert_eq!(text, "");
}

#[test]
fn a_value_without_end_is_cut() {
    let long = "ä".repeat(100_000);
    let text = logged(LogFormat::Json, LevelFilter::INFO, || tracing::info!(long, "x"));
    assert!(text.len() < 9000, "{}", text.len());
    assert!(json(&text)[0]["long"].as_str().unwrap().ends_with('…'));
}

const CHILD: &str = "PORTCULLIS_TELEMETRY_CHILD";

/// Starts itself once more; the child logs, panics once and reports on stdout.
fn child(name: &str) -> Option<Command> {
    if std::env::var_os(CHILD).is_some() {
        init(LogFormat::Json, LevelFilter::INFO).unwrap();
        assert!(init(LogFormat::Json, LevelFilter::INFO).is_err(), "once a process");
        for at in 0..2000 {
            tracing::info!(at, "a line");
        }
        let secret = String::from("canary");
        let failing = std::thread::spawn(move || panic!("{secret}"));
        assert!(failing.join().is_err());
        writeln!(io::stdout(), "the child lives").unwrap();
        return None;
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "--nocapture", name]).env(CHILD, "1").stdout(Stdio::piped());
    Some(command)
}

#[test]
fn log_07_a_closed_stderr_stops_nothing() {
    let name = "telemetry::tests::log_07_a_closed_stderr_stops_nothing";
    let Some(mut command) = child(name) else { return };
    let mut running = command.stderr(Stdio::piped()).spawn().unwrap();
    drop(running.stderr.take());
    let out = running.wait_with_output().unwrap();
    assert!(out.status.success(), "{:?}", out.status);
    assert!(String::from_utf8_lossy(&out.stdout).contains("the child lives"));
}

#[test]
fn log_01_pwd_16_a_panic_is_a_line_without_what_was_worked_on() {
    let name = "telemetry::tests::log_01_pwd_16_a_panic_is_a_line_without_what_was_worked_on";
    let Some(mut command) = child(name) else { return };
    let out = command.stderr(Stdio::piped()).output().unwrap();
    let text = String::from_utf8(out.stderr).unwrap();
    let lines = json(&text);
    assert_eq!(lines.len(), 2001, "{text}");
    let last = &lines[2000];
    assert_eq!(last["message"], "panic");
    assert!(last["panic.at"].as_str().unwrap().contains("telemetry/tests.rs:"), "{last}");
    assert!(!text.contains("canary"), "{last}");
}

#[test]
fn metrics_are_installed_once_and_rendered_with_buckets() {
    metrics::install();
    metrics::install();
    ::metrics::counter!("portcullis_test_total", "route" => "/v1/me").increment(2);
    ::metrics::histogram!("portcullis_test_seconds").record(0.02);
    metrics::run_upkeep();
    let text = metrics::render();
    assert!(text.contains("portcullis_test_total{route=\"/v1/me\"} 2"), "{text}");
    assert!(text.contains("portcullis_test_seconds_bucket{le=\"0.025\"} 1"), "{text}");
}
