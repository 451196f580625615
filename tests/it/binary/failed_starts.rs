//! Starts that must fail: within ten seconds, with one clear line and the exit code that scripts look at (CFG-10,
//! CFG-13, api.md §7).

use std::fs;
use std::net::TcpListener;
use std::time::Duration;

use super::{Tokens, log_in, register};
use crate::support::database::TestDatabase;
use crate::support::process::{Ended, Service, free_address};

const CONFIGURATION: i32 = 78;
const DEPENDENCY: i32 = 69;

/// Asserts that a start fails with this code and one line in which each of `words` stands.
fn fails(service: &Service, code: i32, words: &[&str]) {
    let Ended { code: ended, stdout, stderr, took } = service.run(&["serve"], None);
    // What was logged on the way are JSON lines; the reason is a line for people.
    let lines: Vec<&str> = stderr.lines().filter(|line| !line.starts_with('{')).collect();
    assert_eq!((ended, lines.len()), (Some(code), 1), "{stderr}");
    for word in words {
        assert!(lines[0].contains(word), "no {word:?} in {:?}", lines[0]);
    }
    assert!(!stderr.contains("panic"), "{stderr}");
    assert!(stdout.is_empty(), "it said that it serves: {stdout}");
    assert!(took < Duration::from_secs(10));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_taken_port_is_named() {
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = holder.local_addr().unwrap().to_string();
    fails(&Service::bare().with("HTTP__LISTEN", &taken), CONFIGURATION, &["http.listen", &taken]);
    fails(&Service::bare().with("ADMIN__LISTEN", &taken), CONFIGURATION, &["admin.listen", &taken]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgres_that_is_not_there_is_a_dependency_that_is_out() {
    let nobody = free_address();
    let url = format!("postgres://ann:canary-pass@{nobody}/portcullis?sslmode=disable");
    let service = Service::bare().with("STORE__URL", &url);
    fails(&service, DEPENDENCY, &[]);
    let said = service.run(&["serve"], None).stderr;
    assert!(!said.contains("canary-pass"), "the password of the connection: {said}");
    let service = Service::bare().with("STORE__URL", "postgres:///portcullis?host=/nowhere/at/all");
    fails(&service, DEPENDENCY, &[]);
}

on_every_backend! {
    async fn cfg_13_a_wrong_master_key_is_noticed_and_harms_nothing(db: TestDatabase) {
        let mut service = Service::on(&db).started().await;
        register(&service, "ann@example.org").await;
        assert!(service.terminate().await.success());
        let other = Service::on(&db).with("MASTER_KEY", "yhGpPW5zVLDMCvJ+YkE1rN3qQ0bSx7fTuAi2hRmZdOw=");
        fails(&other, CONFIGURATION, &["master_key"]);
        service.start().await;
        Tokens::of(&log_in(&service.client(), "ann@example.org").await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_master_key_is_refused() {
    let service = Service::bare().with("MASTER_KEY", "bm90IDMyIGJ5dGVz");
    fails(&service, CONFIGURATION, &["master_key"]);
    assert!(!service.run(&["serve"], None).stderr.contains("bm90IDMyIGJ5dGVz"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_database_that_may_not_be_migrated_is_refused_on_sqlite() {
    may_not_be_migrated(&TestDatabase::empty_sqlite()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_database_that_may_not_be_migrated_is_refused_on_postgres() {
    if let Some(database) = TestDatabase::empty_postgres().await {
        may_not_be_migrated(&database).await;
    }
}

async fn may_not_be_migrated(database: &TestDatabase) {
    let mut service = Service::on(database).with("STORE__MIGRATE", "never");
    fails(&service, CONFIGURATION, &["portcullis migrate"]);
    let migrated = service.run(&["migrate"], None);
    assert_eq!(migrated.code, Some(0), "{}", migrated.stderr);
    service.start().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_data_folder_that_cannot_be_made_is_named() {
    let service = Service::bare();
    // Not even root makes a folder below a file.
    fs::write(service.folder().join("file"), "").unwrap();
    let service = service.with("DATA_DIR", "file/data");
    fails(&service, CONFIGURATION, &["file/data"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_profile_schema_is_told_with_its_pointer() {
    let service = Service::bare().with("PROFILE__SCHEMA", "profile.json");
    fails(&service, CONFIGURATION, &["profile.schema"]);
    let schema = r#"{"type": "object", "additionalProperties": false, "properties": {"age": {"type": "whole"}}}"#;
    fs::write(service.folder().join("profile.json"), schema).unwrap();
    fails(&service, CONFIGURATION, &["profile.schema", "/properties/age"]);
    fs::write(service.folder().join("profile.json"), "{").unwrap();
    fails(&service, CONFIGURATION, &["profile.schema"]);
}
