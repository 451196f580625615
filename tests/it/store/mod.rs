//! The store, each test on both databases: every statement, every function, the handles, the migrations.

mod chain;
mod conflicts;
mod credentials;
mod handles;
mod idempotency_keys;
mod jobs;
mod leases;
mod mail_allowances;
mod migrations;
mod postgres;
mod sessions;
mod sqlite;
mod statements;
mod tokens;
mod trail;
mod user_life;
mod users;
