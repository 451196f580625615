//! What a dump or a log gives away: nothing (LOG-03, LOG-05, EML-03, I14). A service works at `trace` with canaries;
//! then every value of every table and every line that was written is searched for them.

mod haystack;
mod load;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use self::haystack::{Needles, logs};
use super::{log_in, register};
use crate::support::database::TestDatabase;
use crate::support::dump::database_dump;
use crate::support::invariants::assert_invariants;
use crate::support::process::{Client, Service};

on_every_backend! {
    async fn log_03_no_secret_is_in_the_database_or_in_a_log_at_trace(db: TestDatabase) {
        let mut service = Service::on(&db)
            .with("TELEMETRY__LOG_LEVEL", "trace")
            .with("JOBS__POLL_INTERVAL", "50ms");
        let mut needles = Needles::of_the_configuration();
        load::import_a_key(&service, &mut needles);
        load::create_a_user(&service, &mut needles);
        service.start().await;
        load::live(&service, &mut needles).await;
        // Mails that cannot be written leave sealed payloads and error texts behind.
        std::fs::write(service.folder().join("file"), "").unwrap();
        service.set("MAIL__DIR", "file/outbox");
        service.restart().await;
        load::sign_up_in_vain(&service, &db).await;
        assert!(service.terminate().await.success());
        assert_invariants(&db).await;

        let (dump, log) = (database_dump(&db).await, logs(service.folder()));
        for (what, found) in [("the database", needles.find(&dump)), ("a log", needles.find(&log))] {
            assert!(found.is_empty(), "in {what}: {found:?}");
        }
        // The search can find what is there.
        assert!(dump.contains("ann@example.org") && dump.contains("$argon2id$"));
        assert!(log.contains("\"answered\"") && log.contains("\"mail written\""), "{log}");
        each_line_is_an_object(&service.stderr());
    }
}

/// LOG-05, LOG-01.
fn each_line_is_an_object(log: &str) {
    for line in log.lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"));
        for member in ["time", "level", "message"] {
            assert!(line[member].is_string(), "no {member}: {line}");
        }
        assert_ne!(line["message"], "forged", "{line}");
    }
    let raw = ['\r', '\u{1b}', '\u{85}', '\u{9b}', '\u{2028}', '\u{2029}', '\u{202e}'];
    let found: Vec<char> = raw.into_iter().filter(|c| log.contains(*c)).collect();
    assert!(found.is_empty(), "raw {found:?}");
}

const FORGED: &str = r#"{"time":"2026-01-01T00:00:00Z","level":"ERROR","message":"forged"}"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_05_nothing_in_a_request_makes_or_hides_a_line() {
    let database = TestDatabase::sqlite().await;
    let mut service = Service::on(&database).started().await;
    let tokens = register(&service, "ann@example.org").await;
    let client = service.client();
    log_in(&client, "ann@example.org").await.unwrap();
    // What was told about the start, the mail and the login is written by now.
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;

    let separators =
        ["\r\n", "\n", "\r", "\u{1b}[2J", "\u{2028}", "\u{85}", "\u{202e}", "\u{9b}31m"];
    let percent = |text: &str| {
        let bytes: Vec<String> = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
        bytes.concat()
    };
    let mut hostile = Vec::new();
    for separator in separators {
        let text = format!("x{separator}{FORGED}{separator}");
        hostile.push(("/v1/me", "User-Agent", text.clone()));
        hostile.push(("/v1/me", "X-Request-Id", text.clone()));
        hostile.push(("/v1/me", "Authorization", format!("Bearer {text}")));
    }
    for (path, header, text) in &hostile {
        let before = lines(&service);
        let status = raw(&service, path, (header, text), &tokens.access).await;
        // A head that the parser refuses reaches no layer that tells lines.
        let expected = before + usize::from(status != 400);
        let now = lines_settled(&service, expected).await;
        assert_eq!(now, expected, "{status} for {header}: {text:?}\n{}", service.stderr());
    }
    for separator in separators {
        let text = percent(&format!("{separator}{FORGED}{separator}"));
        for path in
            [format!("/v1/{text}"), format!("/v1/me?{text}={text}"), format!("/problems/{text}")]
        {
            let before = lines(&service);
            client.get(&path, None).await.unwrap();
            assert_eq!(lines_settled(&service, before + 1).await, before + 1, "{path}");
        }
        let before = lines(&service);
        in_bodies(&client, &format!("x{separator}{FORGED}")).await;
        assert_eq!(
            lines_settled(&service, before + 2).await,
            before + 2,
            "{separator:?} in a body"
        );
    }
    assert!(service.terminate().await.success());
    each_line_is_an_object(&service.stderr());
}

async fn in_bodies(client: &Client, text: &str) {
    let login = serde_json::json!({ "identifier": text, "password": text });
    client.post("/v1/login", login).await.unwrap();
    let signup = serde_json::json!({ "email": format!("{text}@example.org"), "password": text });
    client.post("/v1/signup", signup).await.unwrap();
}

/// Sends a head as it is; the status of the answer.
async fn raw(service: &Service, path: &str, (name, value): (&str, &str), access: &str) -> u16 {
    let mut stream = TcpStream::connect(service.address()).await.unwrap();
    let own = if name == "Authorization" {
        String::new()
    } else {
        format!("Authorization: Bearer {access}\r\n")
    };
    let head = format!(
        "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{own}{name}: {value}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let status = answer.get(9..12).and_then(|status| std::str::from_utf8(status).ok());
    status.and_then(|status| status.parse().ok()).unwrap()
}

fn lines(service: &Service) -> usize {
    service.stderr().lines().count()
}

/// The number of lines once there are `expected`, and a moment later: more than that may be on its way.
async fn lines_settled(service: &Service, expected: usize) -> usize {
    for _ in 0..100 {
        if lines(service) >= expected {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    lines(service)
}
