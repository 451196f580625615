//! The event catalogue in the document: each type that an endpoint can ask for, with what its messages hold.

use std::borrow::Cow;

use serde_json::{Map, Value, json};
use utoipa::openapi::path::Paths;
use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{OpenApi as Document, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::domain::webhook::{Facts, TEST_TYPE, catalogue};
use crate::fault::Fault;

/// A type of events, or `*` for all of them.
pub(crate) struct EventType;

impl PartialSchema for EventType {
    fn schema() -> RefOr<Schema> {
        let names = catalogue().map(|(action, _)| action.as_str()).chain(["*"]);
        let schema = ObjectBuilder::new().schema_type(SchemaType::Type(Type::String));
        schema
            .enum_values(Some(names))
            .description(Some("A type of events, or `*` for all."))
            .into()
    }
}

impl ToSchema for EventType {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("EventType")
    }
}

/// Puts the messages that receivers get into `document`.
pub(crate) fn add_to(document: &mut Document) -> Result<(), Fault> {
    let mut webhooks = Map::new();
    for (action, facts) in catalogue() {
        let operation = operation(action.as_str(), action.told(), &data(facts));
        webhooks.insert(action.as_str().to_owned(), json!({ "post": operation }));
    }
    let nothing = json!({ "type": "object", "additionalProperties": false });
    let test = operation(TEST_TYPE, "An operator tries the endpoint.", &nothing);
    webhooks.insert(TEST_TYPE.to_owned(), json!({ "post": test }));
    let webhooks: Paths =
        serde_json::from_value(Value::Object(webhooks)).map_err(Fault::internal)?;
    document.webhooks = Some(webhooks);
    Ok(())
}

fn operation(name: &str, told: &str, data: &Value) -> Value {
    let header = |name: &str, description: &str, schema: Value| json!({ "name": name, "in": "header", "required": true, "description": description, "schema": schema });
    let id = header(
        "webhook-id",
        "The event: the same on every attempt and for every endpoint. What came once under an id is not to be done again.",
        json!({ "type": "string", "format": "uuid" }),
    );
    let timestamp = header(
        "webhook-timestamp",
        "When this attempt was made, in seconds since 1970 UTC.",
        json!({ "type": "integer" }),
    );
    let signature = header(
        "webhook-signature",
        "`v1,` and base64 of HMAC-SHA256 over `id.timestamp.body`; two, joined by a blank, while the secret rotates.",
        json!({ "type": "string" }),
    );
    let body = json!({
        "type": "object",
        "required": ["type", "timestamp", "data"],
        "properties": {
            "type": { "type": "string", "enum": [name] },
            "timestamp": { "type": "string", "format": "date-time", "description": "When it happened." },
            "data": data,
        },
        "additionalProperties": false,
    });
    json!({
        "tags": ["events"],
        "summary": told,
        "operationId": format!("on_{}", name.replace('.', "_")),
        "parameters": [id, timestamp, signature],
        "requestBody": { "required": true, "content": { "application/json": { "schema": body } } },
        "responses": {
            "2XX": { "description": "Taken. Anything else, a redirect too, is a failure, and the message is sent again." },
            "410": { "description": "The endpoint wants no more, and is disabled." },
        },
    })
}

/// Every member is always there.
fn data(facts: Facts) -> Value {
    let uuid = |description: &str| json!({ "type": "string", "format": "uuid", "description": description });
    let mut members = Map::from_iter([("user_id".to_owned(), uuid("The user."))]);
    let mut add = |name: &str, schema: Value| members.insert(name.to_owned(), schema);
    match facts {
        Facts::User => None,
        Facts::Changed => add(
            "changed",
            json!({
                "type": "array", "items": { "type": "string" },
                "description": "The names of the fields that changed, such as `username` or `profile.bio`; none that only administrators see.",
            }),
        ),
        Facts::Session => add("session_id", uuid("The session.")),
        Facts::Role => {
            add("role", json!({ "type": "string", "description": "The name of the role." }))
        }
    };
    let required: Vec<&String> = members.keys().collect();
    json!({ "type": "object", "required": required, "properties": members, "additionalProperties": false })
}
