//! Everything that touches a key, a hash or a random byte, on aws-lc-rs and argon2 alone.
//!
//! Knows no table and no request: what is stored comes and goes as values of `domain`.
//! The RSA private operation is aws-lc's; the crate `rsa` is not here (JWT-15).

pub mod chain;
pub mod hasher;
pub mod keyring;
pub mod keys;
pub mod random;
pub mod seal;
pub mod sha1;

mod der;
mod import;
