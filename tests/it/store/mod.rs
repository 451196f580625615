//! The store, each test on both databases: every statement, every function, the handles, the migrations.

mod statements;
