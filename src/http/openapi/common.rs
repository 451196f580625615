//! What every operation shares: problems by what it takes, and the headers of its answers.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Operation, ParameterIn, PathItem};
use utoipa::openapi::request_body::RequestBody;
use utoipa::openapi::response::Response;
use utoipa::openapi::schema::{Object, ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{
    Components, ContentBuilder, Header, Paths, Ref, RefOr, Required, ResponseBuilder, Schema,
};
use utoipa::{PartialSchema, ToSchema};

use crate::http::problem::{Kind, MEDIA_TYPE};
use crate::http::routes::{Row, Verb};

/// Why the service did not do it (RFC 9457).
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct ProblemBody {
    /// A page that says what it means and what to do.
    #[schema(format = "uri")]
    r#type: String,
    /// The same text for each occurrence.
    title: String,
    /// The status of the answer.
    status: u16,
    /// The stable word that clients compare; more may come.
    code: String,
    /// One sentence about this occurrence.
    detail: String,
    /// Also in `X-Request-Id`; it finds the log line.
    request_id: String,
    /// All faults, where the body or the query has any.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    errors: Option<Vec<ProblemFault>>,
    /// What to do first.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next: Option<Vec<String>>,
}

/// What is wrong with one field.
#[derive(Serialize, ToSchema)]
struct ProblemFault {
    /// RFC 6901 pointer into the body; empty for the whole of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pointer: Option<String>,
    /// The name of a query parameter, in place of a pointer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    parameter: Option<String>,
    /// The stable word that clients compare.
    code: String,
    /// One sentence; it never quotes the value.
    detail: String,
}

const REQUEST_ID: &str = "X-Request-Id";
const CHALLENGE: &str = "WWW-Authenticate";
const PAUSE: &str = "Retry-After";

/// Adds the schema of problems and the headers that responses refer to.
pub(super) fn add_components(components: &mut Components) {
    let mut parts = Vec::new();
    <ProblemBody as ToSchema>::schemas(&mut parts);
    components.schemas.extend(parts);
    components.schemas.insert("Problem".to_owned(), ProblemBody::schema());
    for (name, kind, description) in [
        (REQUEST_ID, Type::String, "The id of the request, as it came or as it was made."),
        (CHALLENGE, Type::String, "`error=\"invalid_token\"` for a bad access token only."),
        (PAUSE, Type::Integer, "When to come back, in whole seconds."),
    ] {
        components.headers.insert(name.to_owned(), header(kind, description).into());
    }
}

/// The operation of a row.
pub(super) fn operation<'a>(paths: &'a mut Paths, row: &Row) -> Option<&'a mut Operation> {
    let item: &mut PathItem = paths.paths.get_mut(row.path)?;
    match row.verb {
        Verb::Get => item.get.as_mut(),
        Verb::Post => item.post.as_mut(),
        Verb::Put => item.put.as_mut(),
        Verb::Patch => item.patch.as_mut(),
        Verb::Delete => item.delete.as_mut(),
    }
}

/// Adds the problems that the operation can answer with, and documents the headers of all answers.
pub(super) fn complete(operation: &mut Operation, row: &Row) {
    let mut by_status: BTreeMap<u16, BTreeSet<Kind>> = BTreeMap::new();
    for kind in row.problems.iter().copied().chain(implied(operation, row)) {
        by_status.entry(kind.row().status).or_default().insert(kind);
    }
    if let Some(RefOr::T(body)) = operation.request_body.as_mut() {
        leave_out_null(body);
    }
    let responses = &mut operation.responses.responses;
    for (status, kinds) in by_status {
        let said = RefOr::T(response(&kinds));
        responses.entry(status.to_string()).or_insert(said);
    }
    for (status, response) in responses.iter_mut() {
        if let RefOr::T(response) = response {
            add_headers(status, response);
        }
    }
}

/// A body of type `Option<T>` may be left out, which is no JSON `null`.
fn leave_out_null(body: &mut RequestBody) {
    for content in body.content.values_mut() {
        let RefOr::T(content) = content else { continue };
        let Some(RefOr::T(Schema::OneOf(choice))) = &content.schema else { continue };
        let reference = choice.items.iter().find_map(|item| match item {
            RefOr::Ref(reference) => Some(reference.clone()),
            RefOr::T(_) => None,
        });
        if let Some(reference) = reference {
            content.schema = Some(RefOr::Ref(reference));
            body.required = Some(Required::False);
        }
    }
}

fn implied(operation: &Operation, row: &Row) -> Vec<Kind> {
    let mut kinds = vec![Kind::MalformedRequest, Kind::ValidationFailed, Kind::Internal];
    if row.path.starts_with("/health/") {
        return kinds;
    }
    kinds.extend([Kind::HostUnknown, Kind::Unavailable]);
    if operation.request_body.is_some() {
        let of_body = [Kind::RequestTimeout, Kind::BodyTooLarge, Kind::MediaTypeUnsupported];
        kinds.extend(of_body);
    }
    // An empty alternative says that the call works without a token.
    let is_secured = operation.security.as_ref().is_some_and(|needs| {
        let names_a_scheme = |need| serde_json::to_value(need).is_ok_and(|it| it != empty());
        !needs.is_empty() && needs.iter().all(names_a_scheme)
    });
    if is_secured {
        kinds.extend([Kind::AuthenticationRequired, Kind::AccessTokenInvalid]);
    }
    let in_path = |parameter: &RefOr<utoipa::openapi::path::Parameter>| match parameter {
        RefOr::T(parameter) => parameter.parameter_in == ParameterIn::Path,
        RefOr::Ref(_) => false,
    };
    if operation.parameters.as_ref().is_some_and(|all| all.iter().any(in_path)) {
        kinds.push(Kind::NotFound);
    }
    kinds
}

fn empty() -> serde_json::Value {
    serde_json::Value::Object(serde_json::Map::new())
}

fn response(kinds: &BTreeSet<Kind>) -> Response {
    let told = kinds.iter().map(|kind| format!("`{}`: {}.", kind.code(), kind.row().title));
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    ResponseBuilder::new()
        .description(told.collect::<Vec<_>>().join(" "))
        .content(MEDIA_TYPE, content)
        .build()
}

fn add_headers(status: &str, response: &mut Response) {
    let mut names = vec![REQUEST_ID];
    let is_problem = response.content.contains_key(MEDIA_TYPE);
    match status {
        "401" => names.push(CHALLENGE),
        "429" | "503" if is_problem => names.push(PAUSE),
        _ => {}
    }
    for name in names {
        let header = RefOr::Ref(Ref::new(format!("#/components/headers/{name}")));
        response.headers.entry(name.to_owned()).or_insert(header);
    }
}

fn header(kind: Type, description: &str) -> Header {
    let schema: Object = ObjectBuilder::new().schema_type(SchemaType::Type(kind)).build();
    HeaderBuilder::new().schema(Some(Schema::Object(schema))).description(Some(description)).build()
}
