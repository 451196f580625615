//! Holds answers against the OpenAPI document: status, media type, headers, body (INP-17).
//!
//! What the document has no operation for (an unknown path, a wrong method) must be a problem.

use serde_json::{Value, json};

/// An answer as a test saw it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen<'a> {
    /// The method that was asked, in capitals.
    pub(crate) method: &'a str,
    /// The path that was asked, without its query.
    pub(crate) path: &'a str,
    /// The status that came.
    pub(crate) status: u16,
    /// The headers that came, their names in lower case.
    pub(crate) headers: &'a [(String, String)],
    /// The body that came.
    pub(crate) body: &'a [u8],
}

/// Tells what about an answer the document does not say; nothing if it is true.
pub(crate) fn untruths(document: &Value, seen: Seen<'_>) -> Vec<String> {
    let mut found = Vec::new();
    let Some(response) = response_of(document, seen) else {
        let is_refusal = matches!(seen.status, 400 | 404 | 405 | 421);
        if !is_refusal {
            found.push(format!("status {} is not documented", seen.status));
        }
        let problem = json!({ "$ref": "#/components/schemas/Problem" });
        found.extend(against(document, &problem, seen));
        return found;
    };
    let has_more = serde_json::from_slice::<Value>(seen.body)
        .is_ok_and(|body| body.get("next_cursor").is_some_and(Value::is_string));
    for name in response["headers"].as_object().into_iter().flat_map(|all| all.keys()) {
        // `Link` is there exactly where another page is.
        let is_due = name != "Link" || has_more;
        let is_there = header(seen, &name.to_lowercase()).is_some();
        // Nobody sees from an answer alone whether it was given before.
        let is_unknown =
            (name == "Link" && seen.method == "HEAD") || name == "Idempotency-Replayed";
        if is_due != is_there && !is_unknown {
            found.push(format!("the header {name} is there: {is_there}"));
        }
    }
    let content = response.get("content").and_then(Value::as_object);
    let media = header(seen, "content-type").map(|it| it.split(';').next().unwrap_or(it).trim());
    match (content, media) {
        (None, _) if seen.body.is_empty() => {}
        (None, _) => found.push("a body came and none is documented".to_owned()),
        (Some(_), _) if seen.method == "HEAD" => {}
        (Some(content), media) => match content.get(media.unwrap_or_default()) {
            Some(one) => found.extend(against(document, &one["schema"], seen)),
            None => found.push(format!("the media type {media:?} is not documented")),
        },
    }
    found
}

/// The response object of the operation that answers, with references followed.
pub(crate) fn response_of<'a>(document: &'a Value, seen: Seen<'_>) -> Option<&'a Value> {
    let paths = document["paths"].as_object()?;
    let literal_first = |pattern: &&String| pattern.matches('{').count();
    let pattern = paths.keys().filter(|one| fits(one, seen.path)).min_by_key(literal_first)?;
    let method = if seen.method == "HEAD" { "get".to_owned() } else { seen.method.to_lowercase() };
    let response = paths[pattern].get(method)?["responses"].get(seen.status.to_string())?;
    match response.get("$ref").and_then(Value::as_str) {
        Some(reference) => document.pointer(reference.strip_prefix('#')?),
        None => Some(response),
    }
}

fn fits(pattern: &str, path: &str) -> bool {
    let (mut left, mut right) = (pattern.split('/'), path.split('/'));
    loop {
        match (left.next(), right.next()) {
            (None, None) => return true,
            (Some(part), Some(real)) if part == real => {}
            (Some(part), Some(real)) if part.starts_with('{') && !real.is_empty() => {}
            _ => return false,
        }
    }
}

/// The faults of the body by a schema of the document.
fn against(document: &Value, schema: &Value, seen: Seen<'_>) -> Vec<String> {
    if seen.method == "HEAD" {
        return Vec::new();
    }
    let Ok(body) = serde_json::from_slice::<Value>(seen.body) else {
        return vec!["the body is not JSON".to_owned()];
    };
    let mut root = schema.clone();
    root["components"] = document["components"].clone();
    let options = jsonschema::draft202012::options().should_validate_formats(true).offline();
    match options.build(&root) {
        Ok(validator) => validator
            .iter_errors(&body)
            .map(|error| format!("{}: {}", error.instance_path(), error.masked()))
            .collect(),
        Err(error) => vec![format!("the schema is broken: {error}")],
    }
}

fn header<'a>(seen: Seen<'a>, name: &str) -> Option<&'a str> {
    let mut all = seen.headers.iter();
    all.find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}
