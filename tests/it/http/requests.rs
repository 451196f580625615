//! Everything about a request but its body: methods, paths, hosts, queries, ids, and who may ask (AUZ-01, AUZ-04,
//! AUZ-11, HTTP-07, HTTP-08, INP-13, INP-14).

use std::collections::BTreeMap;

use portcullis::http::api::{admin_rows, public_rows};
use portcullis::http::routes::Row;
use serde_json::json;

use super::register;
use crate::support::clients::Client;
use crate::support::serve::Served;

const ID: &str = "018f4f5e-7b1c-7cc3-9f3a-0123456789ab";

/// A path that the pattern of a row matches.
fn path_of(row: &Row) -> String {
    row.path.replace("{id}", ID).replace("{code}", "not_found").replace("{file:.*}", "index.css")
}

/// Each path of a table, with its methods in the order of the table.
fn paths(rows: Vec<Row>) -> BTreeMap<String, Vec<String>> {
    let mut paths: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in rows {
        let methods = paths.entry(path_of(&row)).or_default();
        methods.push(row.verb.method().to_string());
        if methods.last().is_some_and(|method| method == "GET") {
            methods.push("HEAD".into());
        }
    }
    paths
}

async fn assert_other_methods_are_refused(client: &Client, rows: Vec<Row>) {
    let all = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW", "get"];
    for (path, taken) in paths(rows) {
        for method in all.iter().filter(|method| !taken.contains(&(**method).to_owned())) {
            for asked in [client.clone(), client.with_token("x")] {
                let answer = asked.ask(method, &path).send().await;
                assert_eq!(answer.status, 405, "{method} {path}");
                assert_eq!(answer.header("allow"), Some(taken.join(", ").as_str()), "{path}");
                if *method != "HEAD" {
                    assert_eq!(answer.outcome().1, "method_not_allowed", "{method} {path}");
                }
            }
        }
    }
}

#[tokio::test]
async fn http_07_every_other_method_is_405_on_every_path_of_both_listeners() {
    let served = Served::sqlite().await;
    assert_other_methods_are_refused(&served.anyone(), public_rows()).await;
    assert_other_methods_are_refused(&served.admin(), admin_rows()).await;
    for method in ["TRACE", "CONNECT"] {
        let raw = served.raw();
        let host = raw.host();
        let got = raw.send(format!("{method} /nowhere HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
        assert_eq!(got.answer.outcome(), (405, "method_not_allowed"));
        assert_eq!(got.answer.header("allow"), Some(""));
    }
    let overridden = served.anyone().ask("POST", "/v1/me").header("x-http-method-override", "GET");
    assert_eq!(overridden.send().await.status, 405);
}

#[tokio::test]
async fn auz_11_no_other_spelling_of_a_path_leads_to_it() {
    let served = Served::sqlite().await;
    let tokens = register(&served, "ann@example.org").await;
    let ann = served.user(&tokens);
    for row in public_rows() {
        let path = path_of(&row);
        let method = row.verb.method().to_string();
        for other in [
            format!("{path}/"),
            format!("{path}//"),
            format!("/{path}"),
            format!("{path};x=1"),
            format!("{path}%2f"),
            format!("{path}%00"),
            format!("{path}%20"),
            format!("{path}.json"),
            path.replacen("/v1/", "/V1/", 1).replacen("/health/", "/Health/", 1),
            path.replacen('/', "/x/%2e%2e/", 1),
            path.replacen('/', "/x/../", 1),
            path.replacen('/', "/./", 1),
            path.replacen('/', "/admin/", 1),
        ] {
            // The folder of the page for people, and the files in it, are paths of their own.
            if other == path || other.starts_with("/docs/") || other == "/problems/not_found" {
                continue;
            }
            let raw = served.raw();
            let request = format!(
                "{method} {other} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\r\n",
                raw.host(),
                tokens.access_token
            );
            let answer = raw.send(request).await.answer;
            assert_eq!(answer.outcome(), (404, "not_found"), "{method} {other}");
        }
    }
    // An encoded letter may be the letter, and opens nothing that the letter does not.
    for spelled in ["/v1/%6de", "/%761/me", "/v1/me%3f"] {
        let answer = served.anyone().get(spelled).await;
        assert!(matches!(answer.status, 401 | 404), "{spelled}: {answer:?}");
    }
    assert_eq!(ann.get("/v1/me").await.status, 200);
    for path in [
        "/admin/v1/users",
        "/v1/users",
        "/metrics",
        "/verify",
        "/.env",
        "/v1",
        "/",
        "/v1/me/",
        "/oauth2/token",
    ] {
        assert_eq!(ann.get(path).await.outcome(), (404, "not_found"), "{path}");
    }
}

#[tokio::test]
async fn auz_01_every_secured_operation_is_401_without_a_token() {
    let served = Served::sqlite().await;
    let mut secured = Vec::new();
    let (mut open, document) = (Vec::new(), served.document.clone());
    for row in public_rows().into_iter().filter(|row| row.in_document) {
        let method = row.verb.method().to_string();
        let operation = &document["paths"][row.path][method.to_lowercase()];
        let needs = operation["security"].as_array().unwrap();
        let is_secured = !needs.is_empty() && needs.iter().all(|one| one.get("bearer").is_some());
        if !is_secured {
            open.push(format!("{method} {}", row.path));
            continue;
        }
        secured.push(format!("{method} {}", row.path));
        for client in [served.anyone(), served.anyone().with_token("")] {
            let answer = client.ask(&method, &path_of(&row)).send().await;
            assert_eq!(answer.outcome(), (401, "authentication_required"), "{}", row.path);
            assert_eq!(answer.header("www-authenticate"), Some(r#"Bearer realm="portcullis""#));
        }
        let answer = served.bearer("x").ask(&method, &path_of(&row)).send().await;
        assert_eq!(answer.outcome(), (401, "access_token_invalid"), "{}", row.path);
    }
    assert_eq!(
        secured,
        [
            "GET /v1/me",
            "PATCH /v1/me",
            "GET /v1/me/sessions",
            "DELETE /v1/me/sessions",
            "DELETE /v1/me/sessions/{id}",
            "POST /v1/me/delete",
            "GET /v1/me/events",
            "GET /v1/me/export",
        ]
    );
    assert_eq!(
        open,
        [
            "POST /v1/signup",
            "POST /v1/email/verify",
            "POST /v1/email/resend",
            "POST /v1/login",
            "POST /v1/token/refresh",
            "POST /v1/logout",
            "GET /.well-known/jwks.json",
            "GET /.well-known/openid-configuration",
            "GET /.well-known/oauth-authorization-server",
            "GET /health/live",
            "GET /health/ready",
        ]
    );
}

#[tokio::test]
async fn auz_04_what_is_no_id_is_404_with_and_without_a_token() {
    let served = Served::sqlite().await;
    let tokens = register(&served, "ann@example.org").await;
    let own = tokens.session_id.to_string();
    let raw = served.raw();
    for id in [
        "0",
        "-1",
        "*",
        "null",
        "..",
        "%2e%2e%2f",
        "..%2f..%2fme",
        "%00",
        "a%0ab",
        "%ff",
        "{id}",
        &own.to_uppercase().replace('-', ""),
        &own.replace('-', ""),
        &own[1..],
        &format!("{own}x"),
        &format!("{own}%20"),
        &format!("{{{own}}}"),
        &format!("urn:uuid:{own}"),
        &"a".repeat(10_000),
        "'%20OR%201=1",
        "%F0%9F%98%80",
    ] {
        for token in ["", tokens.access_token.as_str()] {
            let request = format!(
                "DELETE /v1/me/sessions/{id} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {token}\r\n\r\n",
                raw.host()
            );
            let answer = raw.send(request).await.answer;
            let shown: String = id.chars().take(50).collect();
            assert_eq!(answer.outcome(), (404, "not_found"), "{shown}");
        }
    }
    assert_eq!(served.user(&tokens).get("/v1/me").await.status, 200);
}

#[tokio::test]
async fn http_08_one_host_and_it_is_ours() {
    let served = Served::sqlite().await;
    let long = "a".repeat(300);
    for host in [
        "evil.test",
        "10.0.0.1",
        "127.0.0.1.evil.test",
        "[::2]",
        "localhost.",
        "a@127.0.0.1",
        "127.0.0.1:1:2",
        &long,
    ] {
        for path in ["/v1/me", "/v1/nothing", "/.well-known/jwks.json", "/docs/", "/openapi.json"] {
            let answer = served.anyone().ask("GET", path).header("host", host).send().await;
            assert_eq!(answer.outcome(), (421, "host_unknown"), "{host} {path}");
            assert!(!answer.text.contains("evil"));
        }
        for client in [served.anyone(), served.admin()] {
            let live = client.ask("GET", "/health/live").header("host", host).send().await;
            assert_eq!(live.status, 200, "{host}");
        }
        let metrics = served.admin().ask("GET", "/metrics").header("host", host).send().await;
        assert_eq!(metrics.status, 421, "{host}");
    }
    for host in ["localhost", "LOCALHOST:1", "127.0.0.1", "[::1]:9"] {
        let answer = served.anyone().ask("GET", "/.well-known/jwks.json").header("host", host);
        assert_eq!(answer.send().await.status, 200, "{host}");
    }
    let raw = served.raw();
    let host = raw.host();
    let absolute = format!("GET http://evil.test/v1/me HTTP/1.1\r\nHost: {host}\r\n\r\n");
    assert_eq!(raw.send(absolute).await.answer.status, 421);
    let none = raw.send("GET /v1/me HTTP/1.0\r\n\r\n").await.answer;
    assert_eq!(none.outcome(), (400, "malformed_request"));
    let two = format!("GET /v1/me HTTP/1.1\r\nHost: {host}\r\nHost: {host}\r\n\r\n");
    assert_eq!(raw.send(two).await.answer.status, 400);
}

#[tokio::test]
async fn inp_13_inp_14_queries_are_read_exactly() {
    let served = Served::sqlite().await;
    let ann = served.user(&register(&served, "ann@example.org").await);
    for (query, status, told) in [
        ("limit=0", 422, "limit out_of_range"),
        ("limit=-1", 422, "limit out_of_range"),
        ("limit=101", 422, "limit out_of_range"),
        ("limit=9223372036854775808", 422, "limit out_of_range"),
        ("limit=-9223372036854775809", 422, "limit out_of_range"),
        ("limit=x", 422, "limit wrong_type"),
        ("limit=", 422, "limit wrong_type"),
        ("limit", 422, "limit wrong_type"),
        ("limit=1.5", 422, "limit wrong_type"),
        ("limit=true", 422, "limit wrong_type"),
        ("limit=1%00", 422, "limit wrong_type"),
        ("count=1", 422, "count wrong_type"),
        ("count=TRUE", 422, "count wrong_type"),
        ("cursor=%00", 422, "cursor invalid_format"),
        ("x=1", 422, "x unknown_member"),
        ("LIMIT=1", 422, "LIMIT unknown_member"),
        ("limit[]=1", 422, "limit[] unknown_member"),
        ("%00=1", 422, "\u{0} unknown_member"),
        ("limit=1&limit=1", 400, ""),
        ("limit=1&%6cimit=2", 400, ""),
        ("x=1&x=2", 400, ""),
        ("limit=%", 400, ""),
        ("limit=%zz", 400, ""),
        ("limit=%ff", 400, ""),
    ] {
        let answer = ann.get(&format!("/v1/me/sessions?{query}")).await;
        let code = if status == 422 { "validation_failed" } else { "malformed_request" };
        assert_eq!(answer.outcome(), (status, code), "{query}");
        assert_eq!(answer.faults().join(","), told, "{query}");
    }
    let all = ann.get("/v1/me/sessions?limit=0&count=x&y=1").await;
    assert_eq!(all.faults(), ["count wrong_type", "limit out_of_range", "y unknown_member"]);
    for good in ["", "limit=1", "limit=100&count=true", "&&limit=5&", "limit=%31"] {
        assert_eq!(ann.get(&format!("/v1/me/sessions?{good}")).await.status, 200, "{good}");
    }
    // Every other call takes none.
    for row in
        public_rows().into_iter().filter(|row| row.in_document && row.path != "/v1/me/sessions")
    {
        let path = format!("{}?x=1", path_of(&row));
        let ask = ann.ask(row.verb.method().as_ref(), &path).header("if-match", "*");
        let answer = if row.verb.method() == "GET"
            || row.path.contains("{id}")
            || row.path == "/v1/logout"
        {
            ask.send().await
        } else {
            ask.json(&json!({})).send().await
        };
        assert_eq!(answer.status, 422, "{path}");
        assert!(answer.faults().contains(&"x unknown_member".to_owned()), "{path} {answer:?}");
        let twice =
            ann.ask(row.verb.method().as_ref(), &format!("{path}&x=1")).header("if-match", "*");
        assert_eq!(
            twice.json(&json!({})).send().await.outcome(),
            (400, "malformed_request"),
            "{path}"
        );
    }
    let two = ann.ask("GET", "/v1/me").header("authorization", "Bearer x").send().await;
    assert_eq!(two.outcome(), (400, "malformed_request"));
}
