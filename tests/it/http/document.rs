//! The OpenAPI document is true and whole: it and the table of routes say the same, and so does the file (INP-17).

use std::collections::BTreeSet;
use std::path::Path;

use portcullis::http::api::{generated_document, public_rows};
use portcullis::http::problem::Kind;
use serde_json::{Value, json};

use crate::support::database::TestDatabase;
use crate::support::serve::Served;

fn document() -> Value {
    serde_json::from_str(&generated_document().unwrap()).unwrap()
}

/// All operations: method, path, operation.
fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    paths
        .flat_map(|(path, item)| {
            let operations = item.as_object().unwrap().iter();
            operations.map(move |(method, operation)| {
                (method.to_uppercase(), path.clone(), operation.clone())
            })
        })
        .collect()
}

#[test]
fn the_table_and_the_document_have_the_same_operations() {
    let rows = public_rows().into_iter().filter(|row| row.in_document);
    let table: BTreeSet<_> =
        rows.map(|row| (row.verb.method().to_string(), row.path.to_owned())).collect();
    let documented: BTreeSet<_> =
        operations(&document()).into_iter().map(|(method, path, _)| (method, path)).collect();
    assert_eq!(table, documented);
    assert_eq!(table.len(), 26);
}

#[test]
fn every_operation_has_an_id_of_its_own_a_tag_and_the_statuses_that_can_come() {
    let document = document();
    let mut ids = BTreeSet::new();
    for (method, path, operation) in operations(&document) {
        let id = operation["operationId"].as_str().unwrap().to_owned();
        assert!(id.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{id}");
        assert!(ids.insert(id), "{method} {path}");
        assert!(operation["summary"].is_string(), "{method} {path}");
        assert_eq!(operation["tags"].as_array().map(Vec::len), Some(1), "{method} {path}");
        let statuses: BTreeSet<&str> =
            operation["responses"].as_object().unwrap().keys().map(String::as_str).collect();
        let mut due = vec!["400", "422", "500"];
        if !path.starts_with("/health/") {
            due.extend(["421", "503"]);
        }
        if operation.get("requestBody").is_some() {
            due.extend(["408", "413", "415"]);
        }
        let needs = operation["security"].as_array().unwrap();
        if !needs.is_empty() && needs.iter().all(|one| one.get("bearer").is_some()) {
            due.push("401");
        }
        if method == "PATCH" {
            due.extend(["409", "412", "428"]);
        }
        for status in due {
            assert!(statuses.contains(status), "{method} {path} {status}");
        }
        // Whether a problem can be told at all is the table's business; who tells none, has none.
        for (status, response) in operation["responses"].as_object().unwrap() {
            let description = response["description"].as_str().unwrap();
            let codes = description.split('`').skip(1).step_by(2);
            for kind in codes.filter_map(Kind::by_code) {
                assert_eq!(kind.row().status.to_string(), *status, "{method} {path}");
            }
        }
    }
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["components"]["securitySchemes"]["bearer"]["scheme"], "bearer");
}

/// Every `$ref` of a document.
fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(members) => {
            found.extend(members.get("$ref").and_then(Value::as_str));
            members.values().for_each(|one| references(one, found));
        }
        Value::Array(items) => items.iter().for_each(|one| references(one, found)),
        _ => {}
    }
}

#[test]
fn every_reference_leads_somewhere_and_every_schema_is_used() {
    let document = document();
    let mut found = Vec::new();
    references(&document, &mut found);
    for reference in &found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
    for name in document["components"]["schemas"].as_object().unwrap().keys() {
        let reference = format!("#/components/schemas/{name}");
        assert!(found.contains(&reference.as_str()), "{name} is not used");
    }
}

/// `UPDATE=1 cargo test` writes it.
#[test]
#[expect(clippy::disallowed_methods, reason = "a switch of the tests, not of the service")]
fn the_file_is_what_is_generated() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi/openapi.json");
    let generated = generated_document().unwrap();
    if std::env::var("UPDATE").is_ok_and(|value| value == "1") {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &generated).unwrap();
    }
    let file = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        file == generated,
        "openapi/openapi.json is stale: UPDATE=1 cargo test --test it document"
    );
}

#[tokio::test]
async fn an_installation_serves_the_document_with_its_own_name_and_profile() {
    let folder = tempfile::tempdir().unwrap();
    let schema = folder.path().join("profile.json");
    let mut text = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "additionalProperties": false,
        "properties": { "nick": { "type": "string", "maxLength": 20 } },
    });
    std::fs::write(&schema, text.to_string()).unwrap();
    let db = TestDatabase::sqlite().await;
    let served = Served::start_with(db, &[("PROFILE__SCHEMA", schema.to_str().unwrap())]).await;
    let answer = served.anyone().get("/openapi.json").await;
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.body["servers"], json!([{ "url": served.public_url }]));
    // The dialect is the whole document's to say.
    text.as_object_mut().unwrap().remove("$schema");
    assert_eq!(answer.body["components"]["schemas"]["Profile"], text);
    let mut generated = document();
    generated["servers"] = answer.body["servers"].clone();
    generated["components"]["schemas"]["Profile"] = text;
    assert_eq!(answer.body, generated);
}

#[tokio::test]
async fn each_problem_has_its_page_and_the_docs_ask_nobody_else() {
    let served = Served::sqlite().await;
    for kind in Kind::ALL {
        let page = served.anyone().get(&format!("/problems/{}", kind.code())).await;
        assert_eq!(page.status, 200, "{kind:?}");
        assert!(page.header("content-type").unwrap().starts_with("text/html"), "{kind:?}");
        assert!(page.text.contains(kind.row().title), "{kind:?}");
    }
    let unknown = served.anyone().get("/problems/%3Cscript%3E").await;
    assert_eq!(unknown.outcome(), (404, "not_found"));
    let folder = served.anyone().get("/docs").await;
    assert_eq!((folder.status, folder.header("location")), (308, Some("/docs/")));
    let page = served.anyone().get("/docs/").await;
    assert_eq!(page.status, 200);
    let policy = page.header("content-security-policy").unwrap();
    for rule in ["script-src 'self'", "connect-src 'self'", "img-src 'self' data:"] {
        assert!(policy.contains(rule), "{policy}");
    }
    for place in page.text.split(['"', '\'']).filter(|text| text.contains("//")) {
        assert!(!place.starts_with("http") && !place.starts_with("//"), "{place}");
    }
}
