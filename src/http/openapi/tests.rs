//! The document: complete, agreeing with the table, and true about problems.

use serde_json::json;
use utoipa::ToSchema;

use super::*;
use crate::domain::fields::{FieldCode, FieldFault};
use crate::http::ROWS_HEALTH;
use crate::http::body::shape::Shape;
use crate::http::problem::{Kind, Next, Problem};
use crate::http::routes::Verb;

#[derive(ToSchema)]
#[expect(dead_code, reason = "a schema for a document of a test")]
struct Thing {
    name: String,
    profile: Profile,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "a schema for a document of a test")]
struct Profile {
    any: String,
}

/// Changes a thing.
#[utoipa::path(patch, path = "/v1/things/{id}", tag = "things", operation_id = "update_thing",
    security(("bearer" = [])), params(("id" = String, Path, description = "Its id.")),
    request_body = Thing, responses((status = 200, description = "The thing.", body = Thing)))]
#[expect(dead_code, reason = "an operation for a document of a test")]
fn update_thing() {}

#[derive(OpenApi)]
#[openapi(paths(update_thing))]
struct Api;

fn rows() -> Vec<Row> {
    let problems = &[Kind::IfMatchRequired, Kind::VersionConflict, Kind::UsernameTaken];
    let row = Row::new(Verb::Patch, "/v1/things/{id}", actix_web::web::route, problems);
    [ROWS_HEALTH, &[row]].concat()
}

fn whole() -> Value {
    let text = to_pretty_json(&document(Api::openapi(), &rows()), &json!({})).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn an_operation_says_every_status_that_can_come() {
    let document = whole();
    let responses = &document["paths"]["/v1/things/{id}"]["patch"]["responses"];
    let statuses: Vec<_> = responses.as_object().unwrap().keys().collect();
    assert_eq!(
        statuses,
        [
            "200", "400", "401", "404", "408", "409", "412", "413", "415", "421", "422", "428",
            "500", "503"
        ]
    );
    assert_eq!(
        responses["401"]["description"],
        "`authentication_required`: Authentication is required. \
         `access_token_invalid`: The access token is not valid."
    );
    assert_eq!(
        responses["401"]["content"]["application/problem+json"]["schema"]["$ref"],
        "#/components/schemas/Problem"
    );
    let reference = |name: &str| json!({ "$ref": format!("#/components/headers/{name}") });
    assert_eq!(responses["401"]["headers"]["WWW-Authenticate"], reference("WWW-Authenticate"));
    assert_eq!(responses["503"]["headers"]["Retry-After"], reference("Retry-After"));
    assert_eq!(responses["200"]["headers"]["X-Request-Id"], reference("X-Request-Id"));
    let scheme = &document["components"]["securitySchemes"]["bearer"];
    assert_eq!((&scheme["type"], &scheme["scheme"]), (&json!("http"), &json!("bearer")));
}

#[test]
fn every_operation_has_an_id_and_every_response_a_description() {
    let document = whole();
    assert_eq!(document["openapi"], "3.1.0");
    let mut count = 0;
    for item in document["paths"].as_object().unwrap().values() {
        for operation in item.as_object().unwrap().values() {
            count += 1;
            assert!(operation["operationId"].is_string(), "{operation}");
            for (status, response) in operation["responses"].as_object().unwrap() {
                let description = response["description"].as_str().unwrap_or_default();
                assert!(!description.is_empty(), "{status} of {operation}");
            }
        }
    }
    assert_eq!(count, rows().len());
}

#[test]
fn what_a_problem_writes_is_what_its_schema_says() {
    let mut schema = whole();
    schema["$ref"] = json!("#/components/schemas/Problem");
    let shape = Shape::compile(&schema).unwrap();
    let faults = vec![FieldFault::new("/a", FieldCode::TooLong, "x")];
    for problem in [
        Problem::new(Kind::NotFound),
        Problem::new(Kind::EmailNotVerified).with_next(Next::VerifyEmail),
        Problem::validation(faults.clone()).with_parameter_faults(faults),
    ] {
        let answer = problem.answer("https://id.example.org", "r", 1);
        let bytes = actix_web::body::MessageBody::try_into_bytes(answer.into_body()).unwrap();
        let body = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(shape.faults(&body), []);
    }
    assert_ne!(shape.faults(&json!({"type": "x", "title": "y"})), []);
}

#[test]
fn an_installation_serves_its_own_address_and_profile() {
    let document = document(Api::openapi(), &rows());
    let own = json!({"type": "object", "x-portcullis": {"unique": true}});
    let text = served(&document, "https://id.example.org", &own).unwrap();
    let value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["servers"], json!([{"url": "https://id.example.org"}]));
    assert_eq!(value["components"]["schemas"]["Profile"], own);
    assert!(!to_pretty_json(&document, &own).unwrap().contains("id.example.org"));
}

#[test]
fn references_inside_the_profile_schema_are_found_in_the_document() {
    let own = json!({"type": "object", "additionalProperties": false,
        "properties": {"home": {"$ref": "#/$defs/place"}, "work": {"$ref": "#/$defs/place"}},
        "$defs": {"place": {"type": "string", "maxLength": 3}}});
    let text = served(&document(Api::openapi(), &rows()), "https://id.example.org", &own).unwrap();
    let mut schema: Value = serde_json::from_str(&text).unwrap();
    schema["$ref"] = json!("#/components/schemas/Thing");
    let shape = Shape::compile(&schema).unwrap();
    let thing = |home: Value| json!({"name": "x", "profile": {"home": home}});
    assert_eq!(shape.faults(&thing("abc".into())), []);
    assert_ne!(shape.faults(&thing("abcd".into())), []);
    assert_ne!(shape.faults(&thing(7.into())), []);
}
