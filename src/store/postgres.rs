//! PostgreSQL: a small pool with limits on every connection, and changes that run in a task of their own.
//!
//! The task outlives the request (REL-08): a dropped handler can leave neither an open transaction nor a
//! connection inside one (sqlx issue 4393). BEGIN and COMMIT are plain statements on a connection in hand.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{ConnectOptions, Connection, PgConnection};
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::task::TaskTracker;

use super::PoolStats;
use super::fault::{Noticed, fault, notice};
use super::handles::{Read, Reader, Writer};
use super::slots::{Kept, Lent, Opener, Slots};
use super::sql::Conn;
use super::write::{self, ATTEMPTS_MAX, Change, Jitter, Ran};
use crate::{Fault, deadline};

/// LIMIT: REL-12. What a connection may do before the server ends it.
const LIMITS: [(&str, &str); 3] = [
    ("statement_timeout", "5s"),
    ("lock_timeout", "2s"),
    ("idle_in_transaction_session_timeout", "10s"),
];

/// A connection that was idle this long is asked before it is used.
const FRESH_FOR: Duration = Duration::from_secs(30);

/// LIMIT: ours. Servers and what stands before them forget who is silent for long, and memory of a session grows.
const LIFE_MAX: Duration = Duration::from_mins(30);
/// LIMIT: ours. So long after a crowd its connections are kept.
const REST_MAX: Duration = Duration::from_mins(10);
/// LIMIT: ours. A connection that has not answered by then does not live.
const PING_MAX: Duration = Duration::from_millis(500);

pub(super) struct Postgres {
    slots: Arc<Slots<OpenConnection>>,
    jitter: Jitter,
    tasks: TaskTracker,
    runtime: Handle,
}

/// How a connection is opened, and asked where it is not trusted.
struct OpenConnection {
    // Boxed: large, and the whole store moves.
    options: Box<PgConnectOptions>,
    suspicion: Arc<Suspicion>,
}

impl Opener for OpenConnection {
    type Connection = PgConnection;

    async fn open(&self) -> Result<PgConnection, sqlx::Error> {
        self.options.connect().await
    }

    fn is_worn(&self, kept: &Kept<PgConnection>) -> bool {
        kept.opened_at.elapsed() > LIFE_MAX || kept.used_at.elapsed() > REST_MAX
    }

    async fn answers(&self, kept: &mut Kept<PgConnection>) -> bool {
        self.suspicion.trusts(kept.used_at.elapsed())
            || matches!(timeout(PING_MAX, kept.connection.ping()).await, Ok(Ok(())))
    }
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
        let options = Box::new(options(url).map_err(|error| fault(error))?.options(LIMITS));
        let opener = OpenConnection { options, suspicion: Arc::new(Suspicion::new()) };
        let slots = Arc::new(Slots::new(opener, pool_max));
        Ok(Self { slots, jitter, tasks, runtime: Handle::current() })
    }

    pub(super) async fn read(&self, until: Option<Instant>) -> Result<Reader, Fault> {
        let lent = acquire(&self.slots, until).await?;
        Ok(Reader::postgres(lent, Arc::clone(&self.slots.opener().suspicion)))
    }

    pub(super) async fn write<I, T, E>(&self, input: I, change: Change<I, T, E>) -> Result<T, E>
    where
        I: Send + Sync + 'static,
        T: Send + 'static,
        E: From<Fault> + Send + 'static,
    {
        let task = Task {
            slots: Arc::clone(&self.slots),
            jitter: self.jitter.clone(),
            until: deadline::current(),
        };
        let running = self.tasks.spawn_on(task.run(input, change), &self.runtime);
        running.await.unwrap_or_else(|error| Err(Fault::internal(error).into()))
    }

    pub(super) fn pool_stats(&self) -> PoolStats {
        self.slots.stats()
    }

    pub(super) async fn close(&self) {
        self.slots.close().await;
    }
}

async fn acquire(
    slots: &Slots<OpenConnection>,
    until: Option<Instant>,
) -> Result<Lent<PgConnection>, Fault> {
    match slots.acquire(until).await {
        Err(_) if until.is_some_and(|at| at <= Instant::now()) => Err(write::too_late()),
        Err(error) => Err(fault(error)),
        Ok(lent) => Ok(lent),
    }
}

/// Bounds a statement on this side too, by the deadline of the request that asks, if there is one (HTTP-13):
/// the server's own limits say nothing where the server is silent.
pub(super) async fn bounded<T>(
    statement: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    within(deadline::current(), statement).await
}

async fn within<T>(
    until: Option<Instant>,
    statement: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    let latest = Instant::now() + STATEMENT_WAIT_MAX;
    match timeout_at(until.map_or(latest, |until| until.min(latest)), statement).await {
        Ok(done) => done,
        Err(_elapsed) => Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())),
    }
}

/// One change on its way: it belongs to no request.
struct Task {
    slots: Arc<Slots<OpenConnection>>,
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
        // Whatever returns early here drops the writer, and with it the connection: the server then rolls back.
        let mut tx = match acquire(&self.slots, self.until).await {
            Ok(lent) => Writer::postgres(lent),
            Err(fault) => return Ran::Refused(fault.into()),
        };
        if let Err(error) = self.execute(&mut tx, "BEGIN").await {
            return self.lost(error);
        }
        let (ran, noticed) = write::run_once(&mut tx, input, change, self.until).await;
        if noticed == Some(Noticed::Dead) {
            self.slots.opener().suspicion.raise();
            return ran;
        }
        if !matches!(ran, Ran::Done(_)) {
            if self.execute(&mut tx, "ROLLBACK").await.is_ok() {
                tx.release();
            }
            return ran;
        }
        if self.is_late() {
            return Ran::Refused(write::too_late().into());
        }
        // SECURITY: REL-02. A COMMIT that was sent and not answered may have happened: 503, and the caller asks again.
        match self.execute(&mut tx, "COMMIT").await {
            Ok(()) => {
                tx.release();
                ran
            }
            Err(error) => self.lost(error),
        }
    }

    /// A transaction that could not begin or commit. Only a conflict is certain to have left nothing.
    fn lost<T, E: From<Fault>>(&self, error: sqlx::Error) -> Ran<T, E> {
        match notice(&error) {
            Noticed::Conflict => Ran::Again(fault(error).into()),
            Noticed::Dead => {
                self.slots.opener().suspicion.raise();
                Ran::Refused(fault(error).into())
            }
            Noticed::Failed => Ran::Refused(fault(error).into()),
        }
    }

    /// Runs a statement of the transaction itself, bounded like any other: a silent server must not hold a task.
    async fn execute(&self, tx: &mut Writer, sql: &'static str) -> Result<(), sqlx::Error> {
        let Conn::Postgres(connection) = tx.conn() else { return Err(sqlx::Error::PoolClosed) };
        within(self.until, sqlx::raw_sql(sql).execute(connection)).await.map(|_done| ())
    }
}

/// LIMIT: a second more than the server's own `statement_timeout`.
const STATEMENT_WAIT_MAX: Duration = Duration::from_secs(6);
