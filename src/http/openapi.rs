//! The OpenAPI document: what the handlers say of themselves, and what is true of all of them.
//!
//! A handler documents its own success. The problems come from its [`Row`] and from what it takes: a
//! body, a token, an id in the path. So no attribute repeats them, and none can forget one.

mod common;

use serde_json::Value;
use utoipa::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, InfoBuilder, LicenseBuilder, OpenApi as Document, Server,
};

use super::health;
use super::routes::Row;
use crate::domain::profile;
use crate::fault::Fault;

/// The name of the scheme that secured operations refer to: `security(("bearer" = []))`.
pub const BEARER: &str = "bearer";

/// The name of the schema that the operator's profile schema takes the place of.
pub const PROFILE_SCHEMA: &str = "Profile";

/// The server in the generated file, which belongs to no installation.
const SERVER_PLACEHOLDER: &str = "http://127.0.0.1:8080";

#[derive(OpenApi)]
#[openapi(paths(health::live, health::ready))]
struct OfFrame;

/// The document of `api`, completed by its rows, as the generated file has it.
pub fn document(api: Document, rows: &[Row]) -> Document {
    let mut document = OfFrame::openapi().merge_from(api);
    document.info = InfoBuilder::new()
        .title("portcullis")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(DESCRIPTION))
        .license(Some(
            LicenseBuilder::new()
                .name("MIT OR Apache-2.0")
                .identifier(Some("MIT OR Apache-2.0"))
                .build(),
        ))
        .build();
    document.servers = Some(vec![Server::new(SERVER_PLACEHOLDER)]);
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("JWT")
        .description(Some("The access token of a token answer."))
        .build();
    let components = document.components.get_or_insert_with(|| ComponentsBuilder::new().build());
    components.security_schemes.insert(BEARER.to_owned(), SecurityScheme::Http(bearer).into());
    common::add_components(components);
    for row in rows.iter().filter(|row| row.in_document) {
        if let Some(operation) = common::operation(&mut document.paths, row) {
            common::complete(operation, row);
        }
    }
    document
}

const DESCRIPTION: &str = "Accounts, sessions and tokens. Every answer that is not a yes is \
    `application/problem+json`; clients compare its `code`.";

/// The text of the generated file: two blanks a level and a line feed at the end.
pub fn to_pretty_json(document: &Document, profile: &Value) -> Result<String, Fault> {
    let value = with_profile(document, SERVER_PLACEHOLDER, profile)?;
    let mut text = serde_json::to_string_pretty(&value).map_err(Fault::internal)?;
    text.push('\n');
    Ok(text)
}

/// The text that an installation serves: its own address, and its own profile schema.
pub fn served(document: &Document, public_url: &str, profile: &Value) -> Result<String, Fault> {
    let value = with_profile(document, public_url, profile)?;
    serde_json::to_string(&value).map_err(Fault::internal)
}

fn with_profile(document: &Document, url: &str, profile: &Value) -> Result<Value, Fault> {
    let mut document = document.clone();
    document.servers = Some(vec![Server::new(url)]);
    let mut value = serde_json::to_value(&document).map_err(Fault::internal)?;
    let slot = value.pointer_mut(&format!("/components/schemas/{PROFILE_SCHEMA}"));
    if let Some(slot) = slot {
        *slot = profile::moved(profile, &format!("#/components/schemas/{PROFILE_SCHEMA}"));
        // The dialect is the document's; a schema inside it that names its own is a document of its own.
        slot.as_object_mut().and_then(|members| members.remove("$schema"));
    }
    Ok(value)
}

#[cfg(test)]
mod tests;
