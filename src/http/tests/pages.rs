//! Pages for people: nothing that they load lies elsewhere.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::http::testing::{Answer, Served, frame, serve};
use crate::http::{ROWS_DOCS, ROWS_HEALTH};

async fn served() -> Served {
    let mut frame = frame();
    frame.document = r#"{"openapi":"3.1.0"}"#.into();
    serve(frame, &[ROWS_DOCS, ROWS_HEALTH]).await
}

#[tokio::test]
async fn a_problem_has_a_page() {
    let served = served().await;
    let page = served.get("/problems/invalid_credentials").await;
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert!(String::from_utf8(page.body.clone()).unwrap().contains("invalid_credentials"));
    assert!(page.header("content-security-policy").unwrap().contains("default-src 'none'"));
    for unknown in ["/problems/nothing", "/problems/", "/problems", "/problems/Internal"] {
        assert_eq!(served.get(unknown).await.problem().0, 404, "{unknown}");
    }
}

#[tokio::test]
async fn the_docs_are_a_folder_with_a_policy_and_ask_nobody() {
    let served = served().await;
    let redirect = served.get("/docs").await;
    assert_eq!((redirect.status, redirect.header("location")), (308, Some("/docs/")));
    for (file, kind) in [
        ("", "text/html"),
        ("swagger-ui.css", "text/css"),
        ("swagger-ui-bundle.js", "text/javascript"),
        ("swagger-initializer.js", "text/javascript"),
    ] {
        let answer = served.get(&format!("/docs/{file}")).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, Some(kind)), "{file}");
        assert_eq!(answer.header("cache-control"), Some("public, max-age=3600"));
        let policy = answer.header("content-security-policy").unwrap();
        for part in [
            "script-src 'self'",
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data:",
            "connect-src 'self'",
        ] {
            assert!(policy.split("; ").any(|one| one == part), "{part} in {policy}");
        }
    }
    let page = plain(&served.get("/docs/").await);
    assert!(page.contains("swagger-ui-bundle.js"));
    assert!(!page.contains("://"), "{page}");
    let start = plain(&served.get("/docs/swagger-initializer.js").await);
    assert!(
        start.contains(r#""validatorUrl": "none""#) && start.contains("/openapi.json"),
        "{start}"
    );
    assert_eq!(served.ask("HEAD", "/docs/", "").await.status, 200);
    for outside in ["/docs/../Cargo.toml", "/docs/%2e%2e/Cargo.toml", "/docs/index.htm"] {
        assert_eq!(served.get(outside).await.problem().0, 404, "{outside}");
    }
}

#[tokio::test]
async fn the_document_is_served_as_it_is() {
    let answer = served().await.get("/openapi.json").await;
    assert_eq!(answer.json(), serde_json::json!({"openapi": "3.1.0"}));
    assert_eq!(answer.header("content-type"), Some("application/json"));
}

/// The text of a file that may be sent compressed.
fn plain(answer: &Answer) -> String {
    if answer.header("content-encoding").is_none() {
        return String::from_utf8(answer.body.clone()).unwrap();
    }
    let mut child = Command::new("gzip")
        .arg("-dc")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(&answer.body).unwrap();
    drop(input);
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
}
