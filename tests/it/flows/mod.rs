//! The stories, each test on both databases, without the wire: what is answered and what is stored.

mod accounts;
mod audit;
mod keys;
mod races;
mod refresh;
