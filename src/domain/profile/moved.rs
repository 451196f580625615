//! A schema that stands inside another document: its references are told where it stands.

use serde_json::Value;

use super::build::{DATA, MAPS};

/// `schema` as it must be written at `place` (a fragment, `#/components/schemas/Profile`) of another document.
///
/// A pointer into the schema (`#`, `#/$defs/x`) becomes one into the document; a plain name (`#word`) is found
/// anywhere in it. What is data, as in `const`, is left alone.
pub fn moved(schema: &Value, place: &str) -> Value {
    match schema {
        Value::Array(items) => items.iter().map(|item| moved(item, place)).collect(),
        Value::Object(members) => {
            members.iter().map(|(name, value)| (name.clone(), member(name, value, place))).collect()
        }
        other => other.clone(),
    }
}

fn member(name: &str, value: &Value, place: &str) -> Value {
    match value {
        Value::String(uri) if matches!(name, "$ref" | "$dynamicRef") => match uri.strip_prefix('#')
        {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => {
                format!("{place}{rest}").into()
            }
            _ => value.clone(),
        },
        Value::Object(schemas) if MAPS.contains(&name) => {
            schemas.iter().map(|(name, schema)| (name.clone(), moved(schema, place))).collect()
        }
        _ if DATA.contains(&name) => value.clone(),
        _ => moved(value, place),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pointers_are_moved_and_data_and_names_are_not() {
        let schema = json!({
            "properties": {
                "home": { "$ref": "#/$defs/place" },
                "$ref": { "$ref": "#" },
                "kind": { "const": { "$ref": "#/$defs/place" }, "examples": [{ "$ref": "#" }] },
                "named": { "anyOf": [{ "$dynamicRef": "#word" }, { "$ref": "#/properties/home" }] },
            },
            "$defs": { "place": { "items": [{ "$ref": "#/$defs/place" }] } },
        });
        assert_eq!(
            moved(&schema, "#/a/B"),
            json!({
                "properties": {
                    "home": { "$ref": "#/a/B/$defs/place" },
                    "$ref": { "$ref": "#/a/B" },
                    "kind": { "const": { "$ref": "#/$defs/place" }, "examples": [{ "$ref": "#" }] },
                    "named": { "anyOf": [{ "$dynamicRef": "#word" }, { "$ref": "#/a/B/properties/home" }] },
                },
                "$defs": { "place": { "items": [{ "$ref": "#/a/B/$defs/place" }] } },
            })
        );
    }
}
