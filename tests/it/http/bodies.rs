//! Bodies that are none: what is not JSON is 400, other media 415, too much 413, and nothing is done (INP-05 … INP-08).

use serde_json::json;

use super::calls::{Call, Stage, calls};
use crate::support::clients::Answer;

/// Puts a text that is no JSON string in place of the first one in a right body.
fn with_first_text(call: &Call, raw: &[u8]) -> Vec<u8> {
    let body = call.body.to_string();
    let (head, rest) = body.split_once(":\"").unwrap();
    let (_, tail) = rest.split_once('"').unwrap();
    [head.as_bytes(), b":\"", raw, b"\"", tail.as_bytes()].concat()
}

fn malformed(call: &Call) -> Vec<Vec<u8>> {
    let body = call.body.to_string();
    let name = body.split('"').nth(1).unwrap();
    let double = body.replacen('{', &format!("{{\"{name}\":\"x\","), 1);
    let escaped =
        body.replacen('{', &format!("{{\"\\u{:04x}{}\":\"x\",", name.as_bytes()[0], &name[1..]), 1);
    let deep =
        |depth: usize| format!("{{\"profile\":{}1{}}}", "[".repeat(depth), "]".repeat(depth));
    let mut all: Vec<Vec<u8>> = [
        "",
        " ",
        "\n",
        "x",
        "{",
        "}",
        "{}}",
        "{} {}",
        "nul",
        "NaN",
        "Infinity",
        "'a'",
        "{a:1}",
        "{\"a\":1,}",
        "[1,]",
        "{\"a\"}",
        "{\"a\":01}",
        "{\"a\":+1}",
        "{\"a\":1.}",
        "{\"a\":\"\t\"}",
        "{\"a\":\"\\x\"}",
        "{\"a\":\"\\ud800\"}",
        "{\"a\":\"\\udc00\\ud800\"}",
        "{\"\\ud800\":1}",
        "/**/{}",
        "a=b&c=d",
        "<a/>",
        "\u{feff}{}",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec();
    all.extend([
        double.into_bytes(),
        escaped.into_bytes(),
        format!("{body}x").into_bytes(),
        format!("{body}\u{0}").into_bytes(),
        body.as_bytes()[..body.len() - 1].to_vec(),
        deep(17).into_bytes(),
        deep(30_000).into_bytes(),
        b"{\"profile\":{\"a\":1,\"a\":2}}".to_vec(),
        with_first_text(call, b"\xff"),
        with_first_text(call, b"\xc0\x80"),
        with_first_text(call, b"\xed\xa0\x80"),
        with_first_text(call, b"a\x00b"),
        with_first_text(call, b"\\ud83d"),
        with_first_text(call, b"\\udc00x"),
        body.encode_utf16().flat_map(u16::to_be_bytes).collect(),
    ]);
    all
}

#[tokio::test]
async fn inp_05_inp_07_what_is_no_json_is_400_everywhere() {
    let stage = Stage::new().await;
    for call in calls() {
        for body in malformed(&call) {
            let answer = stage.ask(&call).json_text(body.clone()).send().await;
            let shown: String = String::from_utf8_lossy(&body).chars().take(100).collect();
            assert_eq!(answer.outcome(), (400, "malformed_request"), "{} {shown:?}", call.path);
            // HTTP-01: the detail says what is wrong and quotes nothing.
            assert!(
                !answer.text.contains("serde") && !answer.text.contains("Rakete"),
                "{answer:?}"
            );
        }
    }
    stage.assert_untouched().await;
}

#[tokio::test]
async fn inp_07_json_that_is_no_object_is_422_everywhere() {
    let stage = Stage::new().await;
    for call in calls() {
        for body in ["null", "true", "1", "\"x\"", "[]", "[{}]", "[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]"]
        {
            let answer = stage.ask(&call).json_text(body).send().await;
            assert_eq!(answer.outcome(), (422, "validation_failed"), "{} {body}", call.path);
            assert_eq!(answer.faults(), [" wrong_type"], "{} {body}", call.path);
        }
    }
    stage.assert_untouched().await;
}

#[tokio::test]
async fn inp_08_http_16_other_media_types_are_415_everywhere() {
    let stage = Stage::new().await;
    for call in calls() {
        let body = call.body.to_string();
        for media in [
            "text/plain",
            "text/json",
            "application/x-www-form-urlencoded",
            "multipart/form-data",
            "application/json; charset=utf-16",
            "application/json; charset=latin1",
            "*/*",
            "application/json;",
            "application/json; charset=utf-8; x=y",
            "application/problem+json",
            "application/json-patch+json",
            "application/ld+json",
            "json",
            "",
        ] {
            let answer =
                stage.ask(&call).header("content-type", media).bytes(body.clone()).send().await;
            assert_eq!(answer.outcome(), (415, "media_type_unsupported"), "{} {media}", call.path);
        }
        let none = stage.ask(&call).bytes(body.clone()).send().await;
        assert_eq!(none.outcome(), (415, "media_type_unsupported"), "{}", call.path);
        let two =
            stage.ask(&call).header("content-type", "application/json").json_text(body.clone());
        assert_eq!(two.send().await.outcome(), (415, "media_type_unsupported"), "{}", call.path);
        for coding in ["gzip", "br", "deflate", "identity, gzip", "x"] {
            let answer =
                stage.ask(&call).json_text(body.clone()).header("content-encoding", coding);
            let answer = answer.send().await;
            assert_eq!(answer.outcome(), (415, "media_type_unsupported"), "{} {coding}", call.path);
        }
        let merge =
            stage.ask(&call).header("content-type", "application/merge-patch+json").bytes("x");
        let expected = if call.method == "PATCH" { 400 } else { 415 };
        assert_eq!(merge.send().await.status, expected, "{}", call.path);
    }
    stage.assert_untouched().await;
    for media in ["application/json;charset=utf-8", "Application/JSON; Charset=\"UTF-8\""] {
        let body = json!({ "email": "ann@example.org" }).to_string();
        let ask = stage.served.anyone().ask("POST", "/v1/email/resend");
        assert_eq!(ask.header("content-type", media).bytes(body).send().await.status, 202);
    }
}

/// The head of a right request to `call`, without what says how long its body is.
fn head(stage: &Stage, call: &Call) -> String {
    format!(
        "{} {} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nIf-Match: *\r\n\
         Content-Type: application/json\r\n",
        call.method,
        call.path,
        stage.served.raw().host(),
        stage.tokens.access_token,
    )
}

#[track_caller]
fn assert_is_too_large(answer: &Answer, is_closed: bool) {
    assert_eq!(answer.outcome(), (413, "body_too_large"));
    assert!(is_closed, "{answer:?}");
}

#[tokio::test]
async fn inp_06_65_kib_are_too_much_declared_or_in_chunks() {
    let stage = Stage::new().await;
    let raw = stage.served.raw();
    for call in calls() {
        let head = head(&stage, &call);
        // Refused unread: the body never comes.
        let lengths = ["65537", "66560", "10737418240", "18446744073709551615"];
        let some = if call.path == "/v1/signup" { &lengths[..] } else { &lengths[..1] };
        for length in some {
            let got = raw.send(format!("{head}Content-Length: {length}\r\n\r\n")).await;
            assert_is_too_large(&got.answer, got.is_closed);
        }
        let chunk = format!("400\r\n{}\r\n", " ".repeat(1024));
        let chunks = format!("{head}Transfer-Encoding: chunked\r\n\r\n{}", chunk.repeat(65));
        let got = raw.send(chunks).await;
        assert_is_too_large(&got.answer, got.is_closed);
        // 64 KiB are not too much; these have a member too many.
        let body = call.body.to_string().replacen('{', "{\"x\":1,", 1);
        let full = format!("{body}{}", " ".repeat(64 * 1024 - body.len()));
        let answer = stage.ask(&call).json_text(full.clone()).send().await;
        assert_eq!(answer.faults(), ["/x unknown_member"], "{}", call.path);
        let chunked =
            format!("{head}Transfer-Encoding: chunked\r\n\r\n10000\r\n{full}\r\n0\r\n\r\n");
        assert_eq!(raw.send(chunked).await.answer.faults(), ["/x unknown_member"], "{}", call.path);
        let more = stage.ask(&call).json_text(format!("{full} "));
        assert_eq!(more.send().await.outcome(), (413, "body_too_large"));
    }
    stage.assert_untouched().await;
}

#[tokio::test]
async fn the_checks_come_in_the_order_of_the_contract() {
    let stage = Stage::new().await;
    let anyone = stage.served.anyone();
    let patch = |token: Option<&str>| {
        let client = token.map_or(anyone.clone(), |token| anyone.with_token(token));
        client.ask("PATCH", "/v1/me")
    };
    let good = Some(stage.tokens.access_token.as_str());
    let large = " ".repeat(70_000);
    // Host, route, method, token, size and media type, If-Match there, JSON, If-Match current, values.
    let wrong_host = patch(None).header("host", "evil.test").bytes(large.clone());
    assert_eq!(wrong_host.send().await.status, 421);
    let wrong_path = anyone.ask("PUT", "/v1/nobody").bytes(large.clone()).send().await;
    assert_eq!(wrong_path.status, 404);
    assert_eq!(anyone.ask("PUT", "/v1/me").bytes(large.clone()).send().await.status, 405);
    assert_eq!(patch(None).bytes(large.clone()).send().await.status, 401);
    assert_eq!(patch(Some("x")).bytes(large.clone()).send().await.status, 401);
    assert_eq!(patch(good).bytes(large).send().await.status, 413);
    assert_eq!(patch(good).bytes("{").send().await.status, 415);
    assert_eq!(patch(good).json_text("{").send().await.status, 428);
    assert_eq!(patch(good).json_text("{").header("if-match", "1").send().await.status, 400);
    let outdated =
        |body: &str| patch(good).header("if-match", "\"999\"").json_text(body.to_owned());
    assert_eq!(outdated("{").send().await.outcome(), (400, "malformed_request"));
    assert_eq!(outdated("[]").send().await.outcome(), (412, "version_conflict"));
    assert_eq!(outdated("{\"x\":1}").send().await.outcome(), (412, "version_conflict"));
    let valid = patch(good).header("if-match", "*").json_text("{\"x\":1}").send().await;
    assert_eq!(valid.outcome(), (422, "validation_failed"));
    stage.assert_untouched().await;
}
