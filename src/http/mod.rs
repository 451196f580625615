//! What the wire looks like: problems, bodies, middleware, routes and their document.
//!
//! Parse, call a flow, shape the answer: a handler does no more. This room sees neither `sqlx` nor
//! `config`; what it needs from outside comes in a [`settings::Frame`].

#![warn(clippy::wildcard_enum_match_arm)]

mod accounts;
mod admin;
pub mod admin_api;
pub mod answer;
pub mod api;
pub mod bearer;
pub mod body;
pub mod context;
pub mod cursor;
mod deletion;
mod docs;
pub mod edge;
mod emails;
mod events;
mod export;
mod heads;
pub mod health;
mod idempotency;
pub mod if_match;
mod me;
mod metadata;
pub mod openapi;
mod paging;
mod passwords;
pub mod path;
pub mod problem;
pub mod query;
pub mod routes;
pub mod server;
pub mod settings;
mod sign_in;
mod signup;
pub mod views;
pub mod webhooks;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use actix_web::web;

use self::routes::{Row, Verb};

/// What every listener answers.
pub const ROWS_HEALTH: &[Row] = &[
    Row::new(Verb::Get, "/health/live", || web::route().to(health::live), &[]),
    Row::new(Verb::Get, "/health/ready", || web::route().to(health::ready), &[]),
];

/// The document and the pages for people.
pub const ROWS_DOCS: &[Row] = &[
    Row::page("/openapi.json", || web::route().to(docs::document)),
    Row::page("/docs", || web::route().to(docs::to_folder)),
    Row::page("/docs/{file:.*}", || web::route().to(docs::file)),
    Row::page("/problems/{code}", || web::route().to(docs::problem)),
];

/// What only the admin listener answers.
pub const ROWS_METRICS: &[Row] = &[Row::page("/metrics", || web::route().to(docs::metrics))];
