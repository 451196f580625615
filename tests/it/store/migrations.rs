//! Migrations: twins, safe for several at once, resumable after a kill, and closed to binaries that are too old.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use portcullis::flows::audit;
use portcullis::store::migrate::{self, State};
use sqlx::{Connection, PgConnection};
use tokio::task::JoinSet;

use crate::support::app::{Person, TestApp};
use crate::support::database::{Raw, TestDatabase};

const COLUMNS: (&str, &str) = (
    "SELECT t.name || '.' || c.name || CASE WHEN c.\"notnull\" = 1 THEN ' NOT NULL' ELSE '' END
     FROM sqlite_schema t JOIN pragma_table_info(t.name) c
     WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%' AND t.name <> '_sqlx_migrations'",
    "SELECT table_name || '.' || column_name || CASE WHEN is_nullable = 'NO' THEN ' NOT NULL' ELSE '' END
     FROM information_schema.columns
     WHERE table_schema = 'public' AND table_name <> '_sqlx_migrations'",
);

/// A table, the columns of a unique key in their order, and whether only some rows count.
const UNIQUE_KEYS: (&str, &str) = (
    "SELECT t.name || ' (' || (SELECT group_concat(name, ', ') FROM
              (SELECT name FROM pragma_index_info(i.name) ORDER BY seqno)) || ')'
            || CASE WHEN i.partial = 1 THEN ' WHERE' ELSE '' END
     FROM sqlite_schema t JOIN pragma_index_list(t.name) i
     WHERE t.type = 'table' AND i.\"unique\" = 1 AND t.name <> '_sqlx_migrations'
     UNION SELECT t.name || ' (' || c.name || ')' FROM sqlite_schema t JOIN pragma_table_info(t.name) c
     WHERE t.type = 'table' AND c.pk = 1 AND t.name <> '_sqlx_migrations'
       AND (SELECT COUNT(*) FROM pragma_table_info(t.name) WHERE pk > 0) = 1",
    "SELECT t.relname || ' (' || (SELECT string_agg(a.attname, ', ' ORDER BY k.n)
              FROM unnest(i.indkey) WITH ORDINALITY k (attnum, n)
              JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = k.attnum) || ')'
            || CASE WHEN i.indpred IS NOT NULL THEN ' WHERE' ELSE '' END
     FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid
     WHERE i.indisunique AND t.relnamespace = 'public'::regnamespace AND t.relname <> '_sqlx_migrations'",
);

/// Names of the indexes that were made by name.
const INDEXES: (&str, &str) = (
    "SELECT tbl_name || ' ' || name FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL",
    "SELECT tablename || ' ' || indexname FROM pg_indexes WHERE schemaname = 'public'
       AND indexname NOT LIKE '%\\_pkey' AND tablename <> '_sqlx_migrations'",
);

const FOREIGN_KEYS: (&str, &str) = (
    "SELECT t.name || '.' || f.\"from\" || ' -> ' || f.\"table\"
     FROM sqlite_schema t JOIN pragma_foreign_key_list(t.name) f WHERE t.type = 'table'",
    "SELECT t.relname || '.' || a.attname || ' -> ' || f.relname
     FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid JOIN pg_class f ON f.oid = c.confrelid
     JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = c.conkey[1] WHERE c.contype = 'f'",
);

fn names(folder: &str) -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(folder);
    let entries = fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn migrations() -> usize {
    names("sqlite").len()
}

async fn catalogue(db: &TestDatabase, query: (&'static str, &'static str)) -> BTreeSet<String> {
    db.raw().await.texts(query).await.into_iter().collect()
}

/// Takes every table and function away again, as if nothing had ever run.
async fn empty(db: &TestDatabase) -> TestDatabase {
    if db.is_sqlite() {
        TestDatabase::empty_sqlite()
    } else {
        TestDatabase::empty_postgres().await.unwrap()
    }
}

#[test]
fn migrations_have_twins_and_their_numbers_have_no_gap() {
    assert_eq!(names("sqlite"), names("postgres"));
    for (n, name) in names("sqlite").iter().enumerate() {
        assert!(name.starts_with(&format!("{:04}_", n + 1)), "{name}");
    }
}

#[tokio::test]
async fn the_catalogues_of_both_databases_are_the_same() {
    let Some(postgres) = TestDatabase::postgres().await else { return };
    let sqlite = TestDatabase::sqlite().await;
    for query in [COLUMNS, UNIQUE_KEYS, INDEXES, FOREIGN_KEYS] {
        let (one, other) = (catalogue(&sqlite, query).await, catalogue(&postgres, query).await);
        assert!(one.len() > 5, "{one:?}");
        let differing: Vec<_> = one.symmetric_difference(&other).collect();
        assert!(differing.is_empty(), "not on both: {differing:#?}");
    }
}

#[tokio::test]
async fn text_that_is_compared_is_compared_by_its_bytes() {
    let Some(postgres) = TestDatabase::postgres().await else { return };
    let mut raw = postgres.raw().await;
    let others = raw.texts(
        "SELECT t.relname || '.' || a.attname FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid
         JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = ANY (i.indkey)
         WHERE t.relnamespace = 'public'::regnamespace AND a.atttypid = 'text'::regtype
           AND a.attcollation <> (SELECT oid FROM pg_collation WHERE collname = 'C')",
    );
    assert_eq!(others.await, [""; 0]);
}

on_every_backend! {
    async fn the_state_of_a_schema_is_told_and_nothing_is_changed(db: TestDatabase) {
        let fresh = empty(&db).await;
        let before = migrate::state(&fresh.database()).await.unwrap();
        assert_eq!(before, State { applied: 0, pending: migrations(), oldest_binary: None });
        if fresh.is_sqlite() {
            assert!(!fresh.file().exists());
        }
        let after = migrate::run(&fresh.database()).await.unwrap();
        assert_eq!((after.pending, after.applied), (0, i64::try_from(migrations()).unwrap()));
        assert!(after.oldest_binary.is_some());
        assert_eq!(migrate::state(&fresh.database()).await.unwrap(), after);
        assert_eq!(migrate::run(&fresh.database()).await.unwrap(), after, "again is harmless");
        let store = fresh.store().await;
        let behind = migrate::state_of(&mut store.read().await.unwrap()).await.unwrap();
        assert_eq!(behind, after);
        assert_eq!(store.schema().await.unwrap(), after);
    }

    async fn cfg_09_five_at_once_migrate_one_empty_database(db: TestDatabase) {
        let fresh = empty(&db).await;
        let mut racers = JoinSet::new();
        for _ in 0..5 {
            let database = fresh.database();
            racers.spawn(async move { migrate::run(&database).await.map(|state| state.pending) });
        }
        for pending in racers.join_all().await {
            assert_eq!(pending.unwrap(), 0);
        }
        assert_eq!(fresh.count("SELECT COUNT(*) FROM roles").await, 1);
        assert_eq!(catalogue(&fresh, COLUMNS).await, catalogue(&db, COLUMNS).await);
    }

    async fn cfg_09_a_migration_that_was_broken_off_is_done_by_the_next_start(db: TestDatabase) {
        for micros in [0, 500, 2_000, 5_000, 10_000, 20_000, 40_000] {
            let fresh = empty(&db).await;
            let database = fresh.database();
            // A runtime that ends takes its connections with it, wherever they are.
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
                let run = runtime.block_on(async {
                    tokio::time::timeout(Duration::from_micros(micros), migrate::run(&database)).await
                });
                drop(run);
                runtime.shutdown_background();
            }).join().unwrap();
            let database = fresh.database();
            let resumed = tokio::time::timeout(Duration::from_secs(20), migrate::run(&database));
            assert_eq!(resumed.await.unwrap().unwrap().pending, 0, "after {micros} µs");
            assert_eq!(catalogue(&fresh, COLUMNS).await, catalogue(&db, COLUMNS).await);
        }
    }

    async fn cfg_10_a_newer_schema_is_tolerated_until_it_refuses_this_binary(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                     SELECT 9000, 'from the future', success, checksum, 0 FROM _sqlx_migrations WHERE version = 1";
        app.database.execute(newer).await;
        app.database.execute("INSERT INTO schema_compatibility (migration, oldest_binary) VALUES (9000, '0.1.0')").await;
        let state = migrate::state(&app.database.database()).await.unwrap();
        assert_eq!((state.applied, state.pending), (9000, 0));
        assert!(migrate::run(&app.database.database()).await.is_ok());
        assert!(app.try_another(&[]).await.is_ok());

        app.database.execute("UPDATE schema_compatibility SET oldest_binary = '99.0.0' WHERE migration = 9000").await;
        let state = migrate::state(&app.database.database()).await.unwrap();
        assert!(!state.allows(env!("CARGO_PKG_VERSION")));
        let refused = app.try_another(&[]).await.err().unwrap();
        assert!(refused.to_string().contains("99.0.0"), "{refused}");
    }

    async fn cfg_08_a_start_that_may_not_migrate_refuses_an_old_schema(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let never = [("STORE__MIGRATE", "never")];
        assert!(app.try_another(&never).await.is_ok());
        app.database.execute("DELETE FROM _sqlx_migrations").await;
        let refused = app.try_another(&never).await.err().unwrap();
        assert!(refused.to_string().contains("portcullis migrate"), "{refused}");
        assert_eq!(app.database.count("SELECT COUNT(*) FROM _sqlx_migrations").await, 0);
    }
}

/// The serving role may read and write rows, and change neither tables nor the trail (LOG-06).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cfg_08_a_role_without_ddl_serves() {
    let Some(db) = TestDatabase::postgres().await else { return };
    let (server, name) = db.server();
    let role =
        "DO $$ BEGIN CREATE ROLE server LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
                GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO server;
                REVOKE UPDATE, DELETE ON events, event_chain, event_chain_root FROM server;
                REVOKE UPDATE ON event_details FROM server";
    db.execute(role).await;
    let url = server.url(name).replace("postgres://postgres@", "postgres://server@");
    let (ddl, never) = (db.url(), ("STORE__MIGRATE", "never"));
    let written = [("STORE__URL", url.as_str()), ("STORE__MIGRATE_URL", &ddl), never];
    let app = TestApp::start_with(db, &written).await;
    app.register(&Person::new("ann@example.org")).await;
    app.assert_invariants().await;
    let verified = audit::verify(&app.app, None).await.unwrap();
    assert_eq!((verified.wrong, verified.entries > 0), (0, true), "it closes the chain");
    let mut raw = Raw::Postgres(PgConnection::connect(&url).await.unwrap());
    assert!(raw.execute("CREATE TABLE mine (id BIGINT)").await.is_err());
    assert!(raw.execute("DELETE FROM events").await.is_err());
    assert!(raw.execute("DELETE FROM event_chain").await.is_err());
    assert!(raw.execute("UPDATE event_chain_root SET seq = 9").await.is_err());
    assert!(raw.execute("ALTER TABLE events DISABLE TRIGGER ALL").await.is_err());
}
