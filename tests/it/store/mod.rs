//! The store, each test on both databases: every statement, every function, the handles, the migrations.

mod credentials;
mod jobs;
mod sessions;
mod statements;
mod tokens;
mod trail;
mod users;
