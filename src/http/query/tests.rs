//! Queries: names, doubles, types.

use actix_web::test::TestRequest;
use serde::{Deserialize, Serialize};

use super::*;

#[derive(Debug, PartialEq, Serialize, Deserialize, IntoParams, Validate)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Page {
    #[param(minimum = 1, maximum = 100, nullable = false)]
    limit: Option<u8>,
    #[param(max_length = 5)]
    cursor: Option<String>,
    #[param(nullable = false)]
    count: Option<bool>,
    #[serde(rename = "filter[status]")]
    status: Option<String>,
}

fn read(query: &str) -> Result<Page, (Kind, String)> {
    let request = TestRequest::with_uri(&format!("/list?{query}")).to_http_request();
    let query = Query::<Page> { request, becomes: PhantomData };
    query.read().map_err(|problem| {
        let answer = problem.answer("", "", 1);
        let body = actix_web::body::MessageBody::try_into_bytes(answer.into_body()).unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        let first = body.pointer("/errors/0").cloned().unwrap_or_default();
        let text = |name: &str| first.get(name).and_then(Value::as_str).unwrap_or("-").to_owned();
        (problem.kind(), format!("{} {}", text("parameter"), text("code")))
    })
}

#[test]
fn good_parameters_are_read() {
    let page = Page {
        limit: Some(25),
        cursor: Some("a b+".to_owned()),
        count: Some(true),
        status: Some("active".to_owned()),
    };
    assert_eq!(read("limit=25&cursor=a+b%2B&count=true&filter%5Bstatus%5D=active").unwrap(), page);
    let empty = Page { limit: None, cursor: None, count: None, status: None };
    assert_eq!(read("").unwrap(), empty);
    assert_eq!(read("cursor=123").unwrap().cursor.unwrap(), "123");
    assert_eq!(read("cursor=true").unwrap().cursor.unwrap(), "true");
}

#[test]
fn inp_13_inp_14_bad_parameters_are_refused_by_name() {
    for (query, fault) in [
        ("limit=0", "limit out_of_range"),
        ("limit=101", "limit out_of_range"),
        ("limit=-1", "limit out_of_range"),
        ("limit=9223372036854775807", "limit out_of_range"),
        ("limit=99999999999999999999", "limit out_of_range"),
        ("limit=1e999", "limit out_of_range"),
        ("limit=NaN", "limit wrong_type"),
        ("limit=", "limit wrong_type"),
        ("limit=1.5", "limit wrong_type"),
        ("limit=many", "limit wrong_type"),
        ("count=1", "count wrong_type"),
        ("count", "count wrong_type"),
        ("cursor=123456", "cursor too_long"),
        ("cursor=%00", "cursor invalid_format"),
        ("page=1", "page unknown_member"),
        ("Limit=1", "Limit unknown_member"),
        ("a%2Fb~=1", "a/b~ unknown_member"),
    ] {
        assert_eq!(read(query).unwrap_err(), (Kind::ValidationFailed, fault.to_owned()), "{query}");
    }
}

#[test]
fn inp_14_a_name_that_stands_twice_is_malformed() {
    for query in
        ["limit=1&limit=1", "limit=1&l%69mit=2", "x=1&x=1", "limit=%", "limit=%zz", "cursor=%ff"]
    {
        assert_eq!(read(query).unwrap_err().0, Kind::MalformedRequest, "{query}");
    }
}
