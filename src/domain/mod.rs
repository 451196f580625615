//! The words of the trade: values that are valid once they are in hand. No I/O, no async, no actix.

pub mod email;
pub mod event;
pub mod fields;
pub mod identifier;
pub mod ids;
pub mod job;
pub mod json;
pub mod keys;
pub mod master_key;
pub mod password;
pub mod password_hash;
pub mod profile;
pub mod session;
pub mod signup;
pub mod time;
pub mod token;
pub mod trail;
pub mod user;
pub mod username;
