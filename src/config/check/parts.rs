//! The sections that need little from each other: store, token, password, signup and what follows.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::thread;

use secrecy::{ExposeSecret, SecretString};
use tracing::level_filters::LevelFilter;

use super::outbound;
use crate::config::reader::Reader;
use crate::config::sections::{
    Audit, Jobs, Migrate, Password, Profile, Store, StoreUrl, Telemetry, Token,
};
use crate::config::values;
use crate::domain::keys::SigningAlgorithm;
use crate::telemetry::LogFormat;

const STORE_URL: &str = "expected sqlite://PATH or postgres://USER:PASSWORD@HOST/DATABASE";

pub(super) fn store(reader: &mut Reader, data_dir: Option<&Path>) -> Option<Store> {
    let url = reader.secret("store.url");
    let migrate_url = reader.secret("store.migrate_url");
    let pool_max = reader.number("store.pool_max", 2..=200);
    let readers = reader.number("store.readers", 1..=32);
    let migrate =
        reader.choice("store.migrate", &[("auto", Migrate::Auto), ("never", Migrate::Never)]);
    let url = match url.ok()? {
        Some(url) => store_url(reader, "store.url", &url),
        None => data_dir.map(|dir| {
            let path = dir.join("portcullis.db");
            reader.derive("store.url", format!("sqlite://{}", path.display()), "data_dir");
            StoreUrl::Sqlite(path)
        }),
    };
    let migrate_url = match migrate_url.ok()? {
        Some(url) => Some(store_url(reader, "store.migrate_url", &url)?),
        None => None,
    };
    let is_sqlite = |url: &StoreUrl| matches!(url, StoreUrl::Sqlite(_));
    if migrate_url.as_ref().is_some_and(|it| is_sqlite(it) || url.as_ref().is_some_and(is_sqlite)) {
        let expected = "only for PostgreSQL, as another role on the database of store.url";
        return reader.fault("store.migrate_url", expected);
    }
    Some(Store {
        url: url?,
        pool_max: pool_max?,
        readers: readers?,
        migrate: migrate?,
        migrate_url,
    })
}

fn store_url(reader: &mut Reader, key: &str, url: &SecretString) -> Option<StoreUrl> {
    values::store_url(url.expose_secret()).or_else(|| reader.fault(key, STORE_URL))
}

pub(super) fn token(reader: &mut Reader) -> Option<Token> {
    let algorithms = SigningAlgorithm::ALL.map(|known| (known.name(), known));
    let algorithm = reader.choice("token.algorithm", &algorithms);
    let audiences = audiences(reader);
    let access_lifetime = reader.duration("token.access_lifetime", "1s", "1d");
    let session_idle = reader.duration("token.session_idle", "1s", "3650d");
    let session_max = reader.duration("token.session_max", "1s", "3650d");
    let refresh_reuse_window = reader.duration("token.refresh_reuse_window", "0s", "5m");
    let key_announce = reader.duration("token.key_announce", "0s", "30d");
    let key_max_age = reader.duration("token.key_max_age", "1h", "3650d");
    let expected = "expected words of visible ASCII joined by one blank, at most 64 bytes";
    let fresh_auth = reader.duration("token.fresh_auth", "1s", "1d");
    let user_scope = reader.parsed("token.user_scope", expected, |text| {
        values::is_scope(text).then(|| text.to_owned())
    });
    if session_idle.zip(session_max).is_some_and(|(idle, max)| idle > max) {
        return reader.fault("token.session_idle", "expected at most token.session_max");
    }
    if access_lifetime.is_some_and(|life| life.subsec_nanos() != 0) {
        return reader.fault("token.access_lifetime", "expected whole seconds");
    }
    Some(Token {
        algorithm: algorithm?,
        audiences: audiences?,
        access_lifetime: access_lifetime?,
        session_idle: session_idle?,
        session_max: session_max?,
        refresh_reuse_window: refresh_reuse_window?,
        key_announce: key_announce?,
        key_max_age: key_max_age?,
        fresh_auth: fresh_auth?,
        user_scope: user_scope?,
    })
}

fn audiences(reader: &mut Reader) -> Option<Vec<String>> {
    let names = reader.list("token.audiences")?;
    // LIMIT: 16 names fit into one problem text; a service that has more is several services.
    let are_good = (1..=16).contains(&names.len()) && names.iter().all(|n| values::is_audience(n));
    let expected = "expected 1 to 16 names of visible ASCII, each at most 64 bytes";
    are_good.then_some(names).or_else(|| reader.fault("token.audiences", expected))
}

pub(super) fn password(reader: &mut Reader, store: Option<&Store>) -> Option<Password> {
    let min_length = reader.number("password.min_length", 8..=64);
    // SECURITY: PWD-05. 64 code points always pass.
    let max_length = reader.number("password.max_length", 64..=4096);
    // SECURITY: PWD-09. A lower floor does not start.
    let strength_min = reader.number("password.strength_min", 6..=16);
    let breach_check = reader.choice("password.breach_check", &[("off", false), ("on", true)]);
    let breach_url = outbound::breach_url(reader);
    let memory_kib = reader.number("password.memory_kib", 8..=1_048_576);
    let iterations = reader.number("password.iterations", 1..=10);
    let parallelism = reader.number("password.parallelism", 1..=8);
    let hash_threads = hash_threads(reader, store);
    let queue_wait_max = reader.duration("password.queue_wait_max", "10ms", "1m");
    // SECURITY: EML-03. A mailed reset is good for an hour at most.
    let reset_lifetime = reader.duration("password.reset_lifetime", "1s", "1h");
    let (memory_kib, iterations) = (memory_kib?, iterations?);
    if !values::is_strong(memory_kib, iterations) {
        return reader.fault(
            "password.memory_kib",
            "too weak; expected, with password.iterations, at least 47104 and 1, 19456 and 2, \
             12288 and 3, 9216 and 4, or 7168 and 5",
        );
    }
    Some(Password {
        min_length: min_length?,
        max_length: max_length?,
        strength_min: strength_min?,
        breach_check: breach_check?,
        breach_url: breach_url?,
        memory_kib,
        iterations,
        parallelism: parallelism?,
        hash_threads: hash_threads?,
        queue_wait_max: queue_wait_max?,
        reset_lifetime: reset_lifetime?,
    })
}

fn hash_threads(reader: &mut Reader, store: Option<&Store>) -> Option<usize> {
    let named: usize = reader.number("password.hash_threads", 0..=256)?;
    if named > 0 {
        return Some(named);
    }
    let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let threads = match &store?.url {
        // A server beside us needs a core to answer what the other threads ask.
        StoreUrl::Postgres(url) if values::is_local_postgres(url.expose_secret()) => {
            cores.saturating_sub(1).max(1)
        }
        StoreUrl::Postgres(_) | StoreUrl::Sqlite(_) => cores,
    };
    let threads = threads.min(256);
    reader.derive_number("password.hash_threads", i64::try_from(threads).ok()?, "the cores");
    Some(threads)
}

pub(super) fn profile(reader: &mut Reader) -> Option<Profile> {
    let path = reader.text("profile.schema")?;
    if path.is_empty() {
        return Some(Profile { schema: None });
    }
    let is_file = File::open(&path).and_then(|file| file.metadata()).is_ok_and(|it| it.is_file());
    if !is_file {
        return reader.fault("profile.schema", "expected a file that can be read");
    }
    Some(Profile { schema: Some(PathBuf::from(path)) })
}

pub(super) fn jobs(reader: &mut Reader) -> Option<Jobs> {
    let workers = reader.number("jobs.workers", 1..=64);
    let poll_interval = reader.duration("jobs.poll_interval", "10ms", "1m");
    let lease = reader.duration("jobs.lease", "1s", "1h");
    let attempts_max = reader.number("jobs.attempts_max", 1..=100);
    Some(Jobs {
        workers: workers?,
        poll_interval: poll_interval?,
        lease: lease?,
        attempts_max: attempts_max?,
    })
}

pub(super) fn audit(reader: &mut Reader) -> Option<Audit> {
    if reader.text("audit.retention")?.is_empty() {
        return Some(Audit { retention: None });
    }
    let retention = reader.duration("audit.retention", "30d", "36500d")?;
    Some(Audit { retention: Some(retention) })
}

pub(super) fn telemetry(reader: &mut Reader) -> Option<Telemetry> {
    let formats = [("json", LogFormat::Json), ("text", LogFormat::Text)];
    let log_format = reader.choice("telemetry.log_format", &formats);
    let levels = [
        ("off", LevelFilter::OFF),
        ("error", LevelFilter::ERROR),
        ("warn", LevelFilter::WARN),
        ("info", LevelFilter::INFO),
        ("debug", LevelFilter::DEBUG),
        ("trace", LevelFilter::TRACE),
    ];
    let log_level = reader.choice("telemetry.log_level", &levels);
    Some(Telemetry { log_format: log_format?, log_level: log_level? })
}
