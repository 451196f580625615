//! What the README promises a newcomer: one command, a signup, a mail in a folder, an account; on either database.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use super::{Tokens, sign_up, verify};
use crate::support::database::TestDatabase;
use crate::support::process::Service;

const ANN: &str = "ann@example.org";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_no_configuration_a_newcomer_gets_an_account_on_sqlite() {
    let service = Service::bare();
    newcomer(service, "SQLite").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_variable_puts_the_same_on_postgres() {
    let Some(database) = TestDatabase::empty_postgres().await else { return };
    let service = Service::bare().with("STORE__URL", &database.url());
    newcomer(service, "PostgreSQL").await;
}

async fn newcomer(mut service: Service, database: &str) {
    service.start().await;
    let client = service.client();
    let answer = sign_up(&client, ANN).await.unwrap();
    assert_eq!((answer.status, &*answer.text("status")), (202, "verification_required"));
    let token = service.token_mailed_to(ANN).await;
    let tokens = Tokens::of(&verify(&client, &token).await.unwrap());
    let me = client.get("/v1/me", Some(&tokens.access)).await.unwrap();
    assert_eq!((me.status, &*me.text("email"), &*me.text("status")), (200, ANN, "active"));
    assert_eq!(client.get("/v1/me", None).await.unwrap().status, 401);
    assert_eq!(client.get("/docs/", None).await.unwrap().status, 200);

    start_up_lines_tell_where_everything_is(&service, database);
    lies_in_private_folders(&service);
    assert_eq!(service.terminate().await.code(), Some(0));
    the_log_names_the_mail_and_not_the_token(&service, &token);
}

fn start_up_lines_tell_where_everything_is(service: &Service, database: &str) {
    let (said, folder) = (service.stdout(), service.folder().canonicalize().unwrap());
    let (url, data) = (service.url(), folder.join("data"));
    let lines = [
        url.clone(),
        format!("{url}/docs/"),
        data.display().to_string(),
        format!("{}/outbox/*.eml", data.display()),
        format!("curl {url}/v1/signup"),
        database.to_owned(),
    ];
    for line in lines {
        assert!(said.contains(&line), "no {line:?} in the start-up lines:\n{said}");
    }
}

/// CFG-12.
fn lies_in_private_folders(service: &Service) {
    let data = service.folder().join("data");
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let mut folders = vec![data];
    while let Some(folder) = folders.pop() {
        assert_eq!(mode(&folder), 0o700, "{}", folder.display());
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                assert_eq!(mode(&path), 0o600, "{}", path.display());
            }
        }
    }
}

fn the_log_names_the_mail_and_not_the_token(service: &Service, token: &str) {
    let [mail] = &service.mails()[..] else { panic!("one mail: {:?}", service.mails()) };
    let log = service.stderr();
    assert!(log.contains(&mail.file), "{} is not in the log:\n{log}", mail.file);
    assert!(!log.contains(&token[4..]), "the token is in the log");
    assert!(!service.stdout().contains("pcv_"));
    for line in log.lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"));
        assert!(line["time"].is_string() && line["level"].is_string(), "{line}");
    }
}
