//! What an operator may write, what is refused, and that no secret comes out again.

mod manual;
mod master_key;
mod rules;

use std::fs;
use std::path::{Path, PathBuf};

use super::{Config, LoadOptions, Report, load};

const CANARY: &str = "canary-5f1e-hunter2";
const KEY: &str = "yhGpPW5zVLDMCvJ+YkE1rN3qQ0bSx7fTuAi2hRmZdOw=";

/// Loads these variables alone.
fn with<const N: usize>(variables: [(&str, &str); N]) -> Result<Config, Report> {
    load(&LoadOptions::only(variables))
}

/// The faults of these variables, as lines.
fn faults<const N: usize>(variables: [(&str, &str); N]) -> Vec<String> {
    match with(variables) {
        Ok(_) => Vec::new(),
        Err(report) => report.faults().iter().map(ToString::to_string).collect(),
    }
}

/// Loads a file with this text, and these variables.
fn with_file<const N: usize>(text: &str, variables: [(&str, &str); N]) -> Result<Config, Report> {
    let dir = tempfile::tempdir().unwrap();
    let file = write(dir.path(), "my.toml", text);
    load(&LoadOptions { file: Some(file), ..LoadOptions::only(variables) })
}

fn write(dir: &Path, name: &str, text: &str) -> PathBuf {
    let path = dir.join(name);
    fs::write(&path, text).unwrap();
    path
}

#[test]
fn nothing_written_is_a_development_start_on_loopback() {
    let config = with([]).unwrap();
    assert_eq!(config.environment, super::Environment::Development);
    assert_eq!(config.public_url, "http://127.0.0.1:8080");
    assert_eq!(config.ui_url, config.public_url);
    assert_eq!(config.http.allowed_hosts, ["127.0.0.1", "localhost", "[::1]"]);
    assert_eq!(config.http.drain_delay.as_secs(), 0);
    assert_eq!(config.mail.dir, Path::new("./data/outbox"));
    assert_eq!(config.token.session_max.as_secs(), 180 * 86_400);
    assert!(matches!(&config.store.url, super::StoreUrl::Sqlite(path)
        if path == Path::new("./data/portcullis.db")));
    assert!(config.password.hash_threads >= 1);
}

#[test]
fn the_environment_goes_before_the_file_and_the_file_before_the_default() {
    let text = "[token]\naccess_lifetime = \"2m\"\nsession_idle = \"3d\"\n";
    let config = with_file(text, [("PORTCULLIS__TOKEN__ACCESS_LIFETIME", "2s")]).unwrap();
    assert_eq!(config.token.access_lifetime.as_secs(), 2);
    assert_eq!(config.token.session_idle.as_secs(), 3 * 86_400);
    assert_eq!(config.token.session_max.as_secs(), 180 * 86_400);
}

#[test]
fn an_empty_variable_is_as_good_as_none() {
    let text = "[token]\naccess_lifetime = \"2m\"\n";
    let config = with_file(text, [("PORTCULLIS__TOKEN__ACCESS_LIFETIME", "")]).unwrap();
    assert_eq!(config.token.access_lifetime.as_secs(), 120);
}

#[test]
fn a_list_in_a_variable_is_split_at_commas() {
    let config = with([("PORTCULLIS__TOKEN__AUDIENCES", "orders, billing,")]).unwrap();
    assert_eq!(config.token.audiences, ["orders", "billing"]);
}

#[test]
fn variables_of_other_programs_are_passed_over() {
    let kubernetes = ("PORTCULLIS_SERVICE_HOST", "10.0.0.1");
    assert!(with([kubernetes, ("PORTCULLIS_PORT", "tcp://10.0.0.1:80"), ("HOME", "/")]).is_ok());
}

#[test]
fn cfg_02_an_unknown_key_in_the_file_names_the_nearest_and_its_line() {
    let report = with_file("\n[htttp]\nlistn = \"127.0.0.1:1\"\n", []).unwrap_err();
    let [fault] = report.faults() else { panic!("{report}") };
    assert_eq!(fault.key, "htttp.listn");
    assert!(fault.origin.ends_with("my.toml:3"), "{}", fault.origin);
    assert_eq!(fault.expected, "no such key; the nearest is http.listen");
}

#[test]
fn cfg_02_an_unknown_variable_names_the_nearest() {
    let lines = faults([("PORTCULLIS__TOKEN__ACCES_LIFETIME", "15m")]);
    let expected = "token.acces_lifetime (PORTCULLIS__TOKEN__ACCES_LIFETIME): no such key; \
                    the nearest is token.access_lifetime";
    assert_eq!(lines, [expected]);
}

#[test]
fn cfg_02_a_variable_with_one_underscore_too_few_is_not_passed_over() {
    let lines = faults([("PORTCULLIS_HTTP__LISTEN", "127.0.0.1:1")]);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("did you mean PORTCULLIS__HTTP__LISTEN?"), "{lines:?}");
}

#[test]
fn cfg_02_keys_of_later_features_and_empty_unknown_sections_are_refused() {
    for text in ["[cache]\nurl = \"redis://x\"\n", "[cache]\n", "[mail]\nhost = \"x\"\n"] {
        assert_eq!(with_file(text, []).unwrap_err().faults().len(), 1, "{text}");
    }
    assert!(with_file("[http]\n", []).is_ok(), "a section whose keys are commented out");
}

#[test]
fn cfg_02_all_faults_are_told_at_once_with_their_origins() {
    let text =
        "[http]\nlisten = \"nowhere\"\n[password]\nmin_length = 7\n[signup]\nmode = \"secret\"\n";
    let report = with_file(text, [("PORTCULLIS__JOBS__WORKERS", "none")]).unwrap_err();
    let keys: Vec<_> = report.faults().iter().map(|fault| fault.key.as_str()).collect();
    assert_eq!(keys, ["http.listen", "password.min_length", "signup.mode", "jobs.workers"]);
    assert_eq!(report.to_string().lines().count(), 4);
    assert_eq!(report.faults()[3].origin, "PORTCULLIS__JOBS__WORKERS");
}

/// Fails for a key of `default.toml` that nothing reads.
#[test]
fn every_known_key_is_checked() {
    let mut report = Report::default();
    let known: Vec<String> = super::raw::Raw::defaults(&mut report).settings.into_keys().collect();
    assert!(report.is_empty() && known.len() > 40, "{report}");
    for key in known {
        let report = with_file(&format!("{key} = 0.5\n"), []).unwrap_err();
        assert_eq!(report.faults().len(), 1, "{key}: {report}");
        assert_eq!(report.faults()[0].key, key);
    }
}

#[test]
fn every_secret_can_come_from_a_file() {
    let raw = super::raw::Raw::defaults(&mut Report::default());
    for secret in super::raw::SECRETS {
        assert!(raw.settings.contains_key(secret), "{secret}");
        assert!(raw.settings.contains_key(&format!("{secret}_file")), "{secret}");
    }
}

#[test]
fn a_secret_comes_from_a_file_without_its_line_break() {
    let dir = tempfile::tempdir().unwrap();
    let url = write(dir.path(), "url", "postgres://p:0123@db.example.org/portcullis\r\n");
    let url = url.to_str().unwrap();
    let config = with([("PORTCULLIS__STORE__URL_FILE", url)]).unwrap();
    let super::StoreUrl::Postgres(url) = config.store.url else { panic!("not PostgreSQL") };
    let text = secrecy::ExposeSecret::expose_secret(&url);
    assert_eq!(text, "postgres://p:0123@db.example.org/portcullis");
}

#[test]
fn a_secret_by_value_and_by_file_is_a_fault() {
    let dir = tempfile::tempdir().unwrap();
    let file = write(dir.path(), "key", KEY);
    let file = file.to_str().unwrap();
    let lines = faults([("PORTCULLIS__MASTER_KEY", KEY), ("PORTCULLIS__MASTER_KEY_FILE", file)]);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("given twice"), "{lines:?}");
}

#[test]
fn log_03_no_fault_tells_a_value() {
    let written = [
        format!("master_key = \"{CANARY}\"\n"),
        format!("previous_master_keys = [\"{CANARY}\"]\n"),
        format!("[store]\nurl = \"mysql://root:{CANARY}@host/db\"\n"),
        format!("[store]\nmigrate_url = \"{CANARY}\"\n"),
        format!("[http]\nlisten = \"{CANARY}\"\n[mail]\nfrom = \"{CANARY}\"\n"),
        format!("unknown = \"{CANARY}\"\n"),
        format!("master_key = \"{CANARY}\nmaster = {CANARY}\n"),
        format!("[store]\nurl = {CANARY}\n"),
        format!("{CANARY_KEY} = \"{CANARY}\" {CANARY}\n", CANARY_KEY = "master_key"),
    ];
    for text in written {
        let report = with_file(&text, []).unwrap_err();
        assert!(!format!("{report} {report:?}").contains(CANARY), "{text}: {report}");
    }
}

#[test]
fn cfg_04_what_is_shown_masks_every_secret_and_names_the_origins() {
    let url = format!("postgres://p:{CANARY}@db.example.org/portcullis?password={CANARY}");
    let config = with([
        ("PORTCULLIS__MASTER_KEY", KEY),
        ("PORTCULLIS__PREVIOUS_MASTER_KEYS", KEY),
        ("PORTCULLIS__STORE__URL", &url),
        ("PORTCULLIS__STORE__MIGRATE_URL", &url),
    ])
    .unwrap();
    let shown = config.show();
    for secret in [CANARY, KEY, "yhGp"] {
        assert!(!format!("{shown} {config:?}").contains(secret), "{shown}");
    }
    assert!(shown.contains("master_key = \"***\" # PORTCULLIS__MASTER_KEY\n"), "{shown}");
    assert!(shown.contains("environment = \"development\" # from public_url"), "{shown}");
    assert!(shown.contains("[http]\n"), "{shown}");
    assert!(toml::de::DeTable::parse(&shown).is_ok(), "{shown}");
}

#[test]
fn a_named_file_must_exist_and_the_fallback_need_not() {
    let missing = Some(PathBuf::from("/nonexistent/portcullis.toml"));
    assert!(load(&LoadOptions { fallback: missing.clone(), ..LoadOptions::default() }).is_ok());
    assert!(load(&LoadOptions { file: missing, ..LoadOptions::default() }).is_err());
    let lines = faults([("PORTCULLIS_CONFIG", "/nonexistent/portcullis.toml")]);
    assert_eq!(lines.len(), 1, "{lines:?}");
}

#[test]
fn a_key_cannot_forge_a_line_of_the_report() {
    let report = with_file("\"a\\nhttp.listen\" = 1\n", []).unwrap_err();
    assert_eq!(report.to_string().lines().count(), 1);
}
