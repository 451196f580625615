//! The stories, each test on both databases, without the wire: what is answered and what is stored.

mod accounts;
mod keys;
mod mails;
mod races;
mod refresh;
mod settle;
mod unique;
