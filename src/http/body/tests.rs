//! Bodies over a real socket, in the order of checks of the contract.

use actix_web::{HttpRequest, web};
use serde::{Deserialize, Serialize};
use serde_json::{Map, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::*;
use crate::http::answer::Json;
use crate::http::if_match::IfMatch;
use crate::http::routes::{Row, Verb};
use crate::http::testing::{Served, frame, read, serve};
use crate::http::{bearer, query};

#[derive(Serialize, Deserialize, ToSchema, Validate)]
#[serde(deny_unknown_fields)]
struct Order {
    #[schema(max_length = 8, min_length = 2)]
    name: String,
    #[schema(nullable = false, maximum = 9)]
    count: Option<u8>,
    note: Option<String>,
    #[schema(nullable = false)]
    size: Option<Size>,
    #[schema(nullable = false)]
    #[validate(nested)]
    place: Option<Place>,
    #[schema(nullable = false)]
    tags: Option<Vec<String>>,
    #[schema(nullable = false, additional_properties)]
    free: Option<Map<String, Value>>,
}

#[derive(Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Size {
    Small,
    Large,
}

#[derive(Serialize, Deserialize, ToSchema, Validate)]
#[serde(deny_unknown_fields)]
struct Place {
    #[validate(length(max = 3))]
    r#type: String,
    #[validate(range(min = 1))]
    row: u8,
}

async fn secured(request: HttpRequest, body: Body<Order>) -> Result<Json<Order>, Problem> {
    bearer::required(&request)?;
    Ok(Json(body.read().await?))
}

async fn patched(request: HttpRequest, body: Body<Order>) -> Result<Json<Order>, Problem> {
    bearer::required(&request)?;
    body.admit()?;
    let wanted = IfMatch::required(&request)?;
    let received = body.receive().await?;
    if !wanted.allows(7) {
        return Err(Kind::VersionConflict.into());
    }
    Ok(Json(received.check()?))
}

async fn ended(body: Body<Order>) -> Result<Json<bool>, Problem> {
    Ok(Json(body.read_if_any().await?.is_some()))
}

async fn nothing(request: HttpRequest) -> Result<Json<bool>, Problem> {
    query::nothing(&request).map(|()| Json(true))
}

const ROWS: &[Row] = &[
    Row::new(Verb::Post, "/order", || web::route().to(secured), &[]),
    Row::new(Verb::Patch, "/order", || web::route().to(patched), &[]),
    Row::new(Verb::Post, "/end", || web::route().to(ended), &[]),
    Row::new(Verb::Get, "/nothing", || web::route().to(nothing), &[]),
];

async fn served() -> Served {
    let mut frame = frame();
    frame.settings.body_timeout = Duration::from_millis(300);
    serve(frame, &[ROWS]).await
}

#[tokio::test]
async fn a_good_body_arrives() {
    let served = served().await;
    for body in [
        r#"{"name":"ann"}"#,
        r#" {"name":"ann","count":3,"note":null,"size":"small","tags":[]} "#,
        r#"{"name":"ann","place":{"type":"abc","row":1},"free":{"a":[null,1.5]}}"#,
    ] {
        let answer = served.post("/order", body).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    }
}

#[tokio::test]
async fn inp_05_inp_07_what_is_not_one_json_text_is_400() {
    let served = served().await;
    let deep = format!(r#"{{"name":"ann","free":{}1{}}}"#, r#"{"a":"#.repeat(16), "}".repeat(16));
    let bodies: [&[u8]; 12] = [
        b"",
        b" ",
        b"{",
        b"{\"name\":\"ann\"} x",
        b"{\"name\":\"ann\"}{\"name\":\"ann\"}",
        b"{\"name\":\"ann\",\"name\":\"ann\"}",
        b"{\"name\":\"ann\",\"free\":{\"a\":1,\"a\":1}}",
        b"{\"name\":\"\\ud800\"}",
        b"{\"name\":\"\xff\"}",
        b"{'name':'ann'}",
        b"{\"name\":NaN}",
        deep.as_bytes(),
    ];
    for body in bodies {
        let answer = served.post("/order", body).await;
        let text = String::from_utf8_lossy(body);
        assert_eq!(answer.problem(), (400, "malformed_request".to_owned()), "{text}");
    }
}

#[tokio::test]
async fn all_faults_of_shape_come_at_once_and_sorted() {
    let served = served().await;
    let wrong = json!({
        "count": "three", "size": "huge", "note": 5, "place": {"type": 1, "x": 2},
        "tags": ["a", 2], "stranger/~": 1,
    });
    let answer = served.post("/order", wrong.to_string()).await;
    assert_eq!(answer.problem(), (422, "validation_failed".to_owned()));
    assert_eq!(
        answer.faults(),
        [
            "/count wrong_type",
            "/name required",
            "/note wrong_type",
            "/place/row required",
            "/place/type wrong_type",
            "/place/x unknown_member",
            "/size not_allowed",
            "/stranger~1~0 unknown_member",
            "/tags/1 wrong_type",
        ]
    );
}

#[tokio::test]
async fn each_rule_has_its_code() {
    let served = served().await;
    for (body, faults) in [
        (r"[]", vec![" wrong_type"]),
        (r#""x""#, vec![" wrong_type"]),
        (r"null", vec![" wrong_type"]),
        (r#"{"name":null}"#, vec!["/name wrong_type"]),
        (r#"{"name":"ann","count":null}"#, vec!["/count wrong_type"]),
        (r#"{"name":"ann","place":null}"#, vec!["/place wrong_type"]),
        (r#"{"name":"ann","size":null}"#, vec!["/size wrong_type"]),
        (r#"{"name":"ann","size":1}"#, vec!["/size wrong_type"]),
        (r#"{"name":"123456789"}"#, vec!["/name too_long"]),
        (r#"{"name":"1"}"#, vec!["/name too_short"]),
        (r#"{"name":"ann","count":10}"#, vec!["/count out_of_range"]),
        (r#"{"name":"ann","count":-1}"#, vec!["/count out_of_range"]),
        (r#"{"name":"ann","count":1e999}"#, vec!["/count out_of_range"]),
        (r#"{"name":"ann","free":{"a":-1e999}}"#, vec!["/free/a out_of_range"]),
        (r#"{"name":"ann","count":1.5}"#, vec!["/count wrong_type"]),
        (r#"{"name":"a\u0000n"}"#, vec!["/name invalid_format"]),
        (
            r#"{"name":"ann","free":{"a\u0000":["\u0000"]}}"#,
            vec!["/free/a\0 invalid_format", "/free/a\0/0 invalid_format"],
        ),
        (
            r#"{"name":"ann","place":{"type":"abcd","row":0}}"#,
            vec!["/place/row out_of_range", "/place/type too_long"],
        ),
    ] {
        let answer = served.post("/order", body).await;
        assert_eq!(answer.problem(), (422, "validation_failed".to_owned()), "{body}");
        assert_eq!(answer.faults(), faults, "{body}");
    }
}

#[tokio::test]
async fn http_01_no_rejected_value_comes_back() {
    let served = served().await;
    let secret = "hunter2hunter2";
    for body in [
        json!({"name": secret}),
        json!({"name": "ann", "size": secret, "count": secret, "place": secret}),
        json!({"name": "ann", "place": {"type": secret, "row": 1}}),
        json!(secret),
    ] {
        let answer = served.post("/order", body.to_string()).await;
        assert_eq!(answer.status, 422);
        assert!(!String::from_utf8(answer.body).unwrap().contains(secret));
    }
}

#[tokio::test]
async fn inp_06_a_large_body_is_refused_and_the_connection_closes() {
    let served = served().await;
    let good = format!(r#"{{"name":"ann","note":"{}"}}"#, "x".repeat(64 * 1024 - 24));
    assert_eq!(good.len(), 64 * 1024);
    assert_eq!(served.post("/order", &good).await.status, 200);
    let head = "POST /order HTTP/1.1\r\nHost: id.example.org\r\nAuthorization: Bearer good\r\n\
                Content-Type: application/json\r\n";
    // Declared: refused before a byte of it was sent.
    let declared = served.send(format!("{head}Content-Length: 10000000000\r\n\r\n")).await;
    // Chunked: refused at the first byte too many.
    let chunk = format!("10001\r\n{}\r\n", "x".repeat(0x10001));
    let chunked = served.send(format!("{head}Transfer-Encoding: chunked\r\n\r\n{chunk}")).await;
    for answer in [declared, chunked, served.post("/order", format!("{good} ")).await] {
        assert_eq!(answer.problem(), (413, "body_too_large".to_owned()));
        assert_eq!(answer.header("connection"), Some("close"));
    }
}

#[tokio::test]
async fn http_12_a_slow_body_is_cut() {
    let served = served().await;
    let mut socket = TcpStream::connect(served.address).await.unwrap();
    let head = "POST /order HTTP/1.1\r\nHost: id.example.org\r\nAuthorization: Bearer good\r\n\
                Content-Type: application/json\r\nContent-Length: 20\r\n\r\n{";
    socket.write_all(head.as_bytes()).await.unwrap();
    let answer = read(&mut socket, false).await;
    assert_eq!(answer.problem(), (408, "request_timeout".to_owned()));
    assert_eq!(answer.header("connection"), Some("close"));
}

#[tokio::test]
async fn inp_08_http_16_other_media_types_and_compressed_bodies_are_415() {
    let served = served().await;
    for headers in [
        "",
        "Content-Type: text/plain\r\n",
        "Content-Type: application/json; charset=utf-16\r\n",
        "Content-Type: application/merge-patch+json\r\n",
        "Content-Type: application/json\r\nContent-Type: application/json\r\n",
        "Content-Type: application/json\r\nContent-Encoding: gzip\r\n",
        "Content-Type: application/json\r\nContent-Encoding: br\r\n",
    ] {
        let headers = format!("Authorization: Bearer good\r\n{headers}");
        let answer = served.with_body("POST", "/order", &headers, r#"{"name":"ann"}"#).await;
        assert_eq!(answer.problem(), (415, "media_type_unsupported".to_owned()), "{headers}");
    }
}

/// Each line mends what the one before was refused for.
#[tokio::test]
async fn the_checks_come_in_the_order_of_the_contract() {
    let served = served().await;
    let long = "x".repeat(64 * 1024 + 1);
    let json = "Content-Type: application/json\r\n";
    let stale = format!("{json}If-Match: \"1\"\r\n");
    let fresh = format!("{json}If-Match: \"7\"\r\n");
    let token = |rest: &str| format!("Authorization: Bearer good\r\n{rest}");
    let is_foreign = |status: u16| if status == 421 { "evil.test" } else { "id.example.org" };
    for (status, method, path, headers, body) in [
        (421, "PUT", "/orders", String::new(), long.as_str()),
        (404, "PUT", "/orders", String::new(), &long),
        (405, "PUT", "/order", String::new(), &long),
        (401, "PATCH", "/order", String::new(), &long),
        (413, "PATCH", "/order", token(""), &long),
        (415, "PATCH", "/order", token(""), "{"),
        (428, "PATCH", "/order", token(json), "{"),
        (400, "PATCH", "/order", token(&stale), "{"),
        (412, "PATCH", "/order", token(&stale), r#"{"name":1}"#),
        (412, "PATCH", "/order", token(&stale), r#"{"count":1e999}"#),
        (422, "PATCH", "/order", token(&fresh), r#"{"name":1}"#),
        (200, "PATCH", "/order", token(&fresh), r#"{"name":"ann"}"#),
    ] {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\n{headers}Content-Length: {}\r\n\r\n",
            is_foreign(status),
            body.len()
        );
        assert_eq!(served.send(head + body).await.status, status);
    }
}

#[tokio::test]
async fn where_no_body_is_needed_neither_is_its_media_type() {
    let served = served().await;
    assert_eq!(served.ask("POST", "/end", "").await.json(), json!(false));
    assert_eq!(served.ask("POST", "/end", "Content-Length: 0\r\n").await.json(), json!(false));
    assert_eq!(served.post("/end", r#"{"name":"ann"}"#).await.json(), json!(true));
    assert_eq!(served.with_body("POST", "/end", "", "{}").await.status, 415);
}

#[tokio::test]
async fn inp_14_a_call_without_parameters_takes_none() {
    let served = served().await;
    assert_eq!(served.get("/nothing?").await.status, 200);
    let answer = served.get("/nothing?b=1&a=2").await;
    assert_eq!(answer.problem(), (422, "validation_failed".to_owned()));
    assert_eq!(answer.faults(), ["a unknown_member", "b unknown_member"]);
    assert_eq!(served.get("/nothing?a=1&a=2").await.problem().0, 400);
    let both = served.post("/order?debug=1", "{}").await;
    assert_eq!(both.faults(), ["/name required", "debug unknown_member"]);
    assert_eq!(served.post("/order?a=1&a=1", "{}").await.status, 400);
}
