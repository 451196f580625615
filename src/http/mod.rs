//! What the wire looks like: problems, bodies, middleware, routes and their document.
//!
//! Parse, call a flow, shape the answer: a handler does no more. This room sees neither `sqlx` nor
//! `config`; what it needs from outside comes in a `Frame`.

pub mod problem;
