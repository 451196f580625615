//! PostgreSQL: a small pool with limits on every connection, and changes that run in a task of their own.
//!
//! The task outlives the request (REL-08): a dropped handler can leave neither an open transaction nor a
//! connection inside one (sqlx issue 4393). BEGIN and COMMIT are plain statements on a connection in hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions, PgSslMode};
use sqlx::{ConnectOptions, Connection, PgPool};
use tokio::runtime::Handle;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::fault::{Noticed, fault, notice};
use super::handles::{Read, Reader, Writer};
use super::sql::Conn;
use super::write::{self, ATTEMPTS_MAX, Change, Jitter, Ran};
use super::{POOL_WAIT_MAX, PoolStats};
use crate::{Fault, deadline};

/// LIMIT: REL-12. What a connection may do before the server ends it.
const LIMITS: [(&str, &str); 3] = [
    ("statement_timeout", "5s"),
    ("lock_timeout", "2s"),
    ("idle_in_transaction_session_timeout", "10s"),
];

/// A connection that was idle this long is asked before it is used.
const FRESH_FOR: Duration = Duration::from_secs(30);

pub(super) struct Postgres {
    pool: PgPool,
    pool_max: u32,
    suspicion: Arc<Suspicion>,
    jitter: Jitter,
    tasks: TaskTracker,
    runtime: Handle,
}

/// When a connection was last found dead: those that were idle by then are asked before they are used (F11).
pub(super) struct Suspicion {
    start: Instant,
    raised_ms: AtomicI64,
}

impl Suspicion {
    fn new() -> Self {
        Self { start: Instant::now(), raised_ms: AtomicI64::new(-1) }
    }

    pub(super) fn raise(&self) {
        let at = i64::try_from(self.start.elapsed().as_millis()).unwrap_or(i64::MAX);
        self.raised_ms.fetch_max(at, Ordering::Relaxed);
    }

    fn trusts(&self, idle_for: Duration) -> bool {
        let now = i64::try_from(self.start.elapsed().as_millis()).unwrap_or(i64::MAX);
        let idle_ms = i64::try_from(idle_for.as_millis()).unwrap_or(i64::MAX);
        idle_for < FRESH_FOR && now.saturating_sub(idle_ms) > self.raised_ms.load(Ordering::Relaxed)
    }
}

/// Reads a URL. CFG-07: beyond this host TLS is verified, unless the URL itself says otherwise.
pub(super) fn options(url: &str) -> Result<PgConnectOptions, sqlx::Error> {
    let options: PgConnectOptions = url.parse()?;
    let host = options.get_host();
    let is_local = options.get_socket().is_some()
        || host.starts_with('/')
        || matches!(host, "localhost" | "127.0.0.1" | "::1" | "[::1]");
    let says_mode = url.split_once('?').is_some_and(|(_, query)| {
        query.split('&').any(|p| p.starts_with("sslmode=") || p.starts_with("ssl-mode="))
    });
    // sqlx's own default, `prefer`, falls back to clear text in silence.
    let options =
        if is_local || says_mode { options } else { options.ssl_mode(PgSslMode::VerifyFull) };
    Ok(options
        .application_name("portcullis")
        .statement_cache_capacity(256)
        .disable_statement_logging())
}

impl Postgres {
    pub(super) fn open(
        url: &str,
        pool_max: u32,
        jitter: Jitter,
        tasks: TaskTracker,
    ) -> Result<Self, Fault> {
        let suspicion = Arc::new(Suspicion::new());
        let asked = Arc::clone(&suspicion);
        let pool = PgPoolOptions::new()
            .max_connections(pool_max)
            .acquire_timeout(POOL_WAIT_MAX)
            .test_before_acquire(false)
            .before_acquire(move |connection, meta| {
                let trusted = asked.trusts(meta.idle_for);
                Box::pin(async move {
                    let answers = async {
                        let pong =
                            tokio::time::timeout(Duration::from_millis(500), connection.ping());
                        matches!(pong.await, Ok(Ok(())))
                    };
                    Ok(trusted || answers.await)
                })
            })
            .connect_lazy_with(options(url).map_err(fault)?.options(LIMITS));
        Ok(Self { pool, pool_max, suspicion, jitter, tasks, runtime: Handle::current() })
    }

    pub(super) async fn read(&self, until: Option<Instant>) -> Result<Reader, Fault> {
        let connection = acquire(&self.pool, until).await?;
        Ok(Reader::postgres(connection, Arc::clone(&self.suspicion)))
    }

    pub(super) async fn write<I, T, E>(&self, input: I, change: Change<I, T, E>) -> Result<T, E>
    where
        I: Send + Sync + 'static,
        T: Send + 'static,
        E: From<Fault> + Send + 'static,
    {
        let task = Task {
            pool: self.pool.clone(),
            suspicion: Arc::clone(&self.suspicion),
            jitter: self.jitter.clone(),
            until: deadline::current(),
        };
        let running = self.tasks.spawn_on(task.run(input, change), &self.runtime);
        running.await.unwrap_or_else(|error| Err(Fault::internal(error).into()))
    }

    pub(super) fn pool_stats(&self) -> PoolStats {
        PoolStats {
            connections: self.pool.size(),
            idle: u32::try_from(self.pool.num_idle()).unwrap_or(u32::MAX),
            max: self.pool_max,
        }
    }

    pub(super) async fn close(&self) {
        self.pool.close().await;
    }
}

async fn acquire(
    pool: &PgPool,
    until: Option<Instant>,
) -> Result<PoolConnection<sqlx::Postgres>, Fault> {
    let acquired = match until {
        None => pool.acquire().await,
        Some(until) => {
            tokio::time::timeout_at(until, pool.acquire()).await.or(Err(write::too_late()))?
        }
    };
    acquired.map_err(fault)
}

/// One change on its way: it belongs to no request.
struct Task {
    pool: PgPool,
    suspicion: Arc<Suspicion>,
    jitter: Jitter,
    until: Option<Instant>,
}

impl Task {
    async fn run<I, T, E: From<Fault>>(self, input: I, change: Change<I, T, E>) -> Result<T, E> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            match self.attempt(&input, change).await {
                Ran::Done(done) => return Ok(done),
                Ran::Refused(error) => return Err(error),
                Ran::Again(error) if attempt >= ATTEMPTS_MAX || self.is_late() => {
                    return Err(error);
                }
                Ran::Again(_) => tokio::time::sleep(write::pause(&self.jitter, attempt)).await,
            }
        }
    }

    fn is_late(&self) -> bool {
        self.until.is_some_and(|until| until <= Instant::now())
    }

    async fn attempt<I, T, E: From<Fault>>(&self, input: &I, change: Change<I, T, E>) -> Ran<T, E> {
        let connection = match acquire(&self.pool, self.until).await {
            Ok(connection) => connection,
            Err(fault) => return Ran::Refused(fault.into()),
        };
        let mut tx = Writer::postgres(connection);
        if let Err(error) = self.execute(&mut tx, "BEGIN").await {
            tx.give_up();
            return self.lost(error);
        }
        let (ran, noticed) = write::run_once(&mut tx, input, change, self.until).await;
        if noticed == Some(Noticed::Dead) {
            self.suspicion.raise();
            tx.give_up();
            return ran;
        }
        let end = if matches!(ran, Ran::Done(_)) { "COMMIT" } else { "ROLLBACK" };
        match (self.execute(&mut tx, end).await, ran) {
            (Ok(()), ran) => ran,
            (Err(error), Ran::Done(_)) => {
                tx.give_up();
                self.lost(error)
            }
            (Err(_), ran) => {
                tx.give_up();
                ran
            }
        }
    }

    /// A transaction that could not begin or commit. Only a conflict is certain to have left nothing.
    fn lost<T, E: From<Fault>>(&self, error: sqlx::Error) -> Ran<T, E> {
        match notice(&error) {
            Noticed::Conflict => Ran::Again(fault(error).into()),
            Noticed::Dead => {
                self.suspicion.raise();
                Ran::Refused(fault(error).into())
            }
            Noticed::Failed => Ran::Refused(fault(error).into()),
        }
    }

    /// Runs a statement of the transaction itself, bounded like any other: a silent server must not hold a task.
    async fn execute(&self, tx: &mut Writer, sql: &'static str) -> Result<(), sqlx::Error> {
        let Conn::Postgres(connection) = tx.conn() else { return Err(sqlx::Error::PoolClosed) };
        let done = sqlx::raw_sql(sql).execute(connection);
        match tokio::time::timeout(STATEMENT_WAIT_MAX, done).await {
            Ok(done) => done.map(|_done| ()),
            Err(_elapsed) => Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())),
        }
    }
}

/// LIMIT: a second more than the server's own `statement_timeout`.
const STATEMENT_WAIT_MAX: Duration = Duration::from_secs(6);
