//! What the tests stand on: a private PostgreSQL server, a database a test, an [`app::TestApp`] in process, and the
//! binary as a process of its own.
//!
//! Nothing has to run beforehand and nothing is left behind. What can be started is never mocked.

pub(crate) mod app;
pub(crate) mod clients;
pub(crate) mod database;
pub(crate) mod dump;
pub(crate) mod invariants;
pub(crate) mod openapi;
pub(crate) mod pg;
pub(crate) mod process;
pub(crate) mod proxy;
pub(crate) mod rows;
pub(crate) mod schemas;
pub(crate) mod serve;
pub(crate) mod smtp;
pub(crate) mod stranger;

/// Makes `name::sqlite` and `name::postgres` of one body that is handed a migrated [`database::TestDatabase`].
///
/// Without PostgreSQL on the machine the second one says so and passes, unless `REQUIRE_BACKENDS=1` or
/// `CI=true` is set.
macro_rules! on_every_backend {
    ($($(#[$doc:meta])* async fn $name:ident($db:ident: TestDatabase) $body:block)+) => {$(
        $(#[$doc])*
        async fn $name($db: $crate::support::database::TestDatabase) $body

        mod $name {
            use $crate::support::database::TestDatabase;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                Box::pin(super::$name(TestDatabase::sqlite().await)).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                if let Some(database) = TestDatabase::postgres().await {
                    Box::pin(super::$name(database)).await;
                }
            }
        }
    )+};
}
