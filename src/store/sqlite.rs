//! The embedded database: one writer that puts waiting changes under one durable commit, and a pool of readers.
//!
//! Each change of a batch runs in a savepoint of its own, so that one that fails leaves the others alone; all are
//! answered after the one COMMIT (group commit: an fsync costs more than a change).

use std::path::Path;
use std::time::Duration;

use futures_util::future::BoxFuture;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::PoolStats;
use super::fault::{Noticed, fault, notice};
use super::handles::{Read, Reader, Writer};
use super::slots::{Kept, Opener, Slots};
use super::sql::Conn;
use super::write::{self, ATTEMPTS_MAX, Change, Jitter, Ran};
use crate::{Fault, deadline};

/// LIMIT: changes that wait for the writer; beyond it a caller is told that the store is overloaded.
const QUEUE_MAX: usize = 1024;
/// LIMIT: changes under one commit, so that the first of them does not wait for a crowd.
const BATCH_MAX: usize = 128;
/// How long a statement waits for another process (the CLI) that writes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) struct Sqlite {
    readers: Slots<OpenReader>,
    queue: mpsc::Sender<Box<dyn Waiting>>,
    closing: CancellationToken,
    ended: CancellationToken,
    path: std::path::PathBuf,
}

/// How the file is opened for writing. REL-01: an acknowledged commit survives a power loss.
pub(super) fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
        // SECURITY: AUZ-12. What is erased is overwritten, not only unlinked; the log goes when it is written over.
        .pragma("secure_delete", "ON")
        .statement_cache_capacity(256)
        .disable_statement_logging()
}

impl Sqlite {
    pub(super) async fn open(
        path: &Path,
        pool_max: u32,
        jitter: Jitter,
        tasks: &TaskTracker,
    ) -> Result<Self, Fault> {
        let writer = connect(path).await.map_err(|error| fault(error))?;
        // The journal mode is the file's; a read-only connection may not set it.
        let options = SqliteConnectOptions::new()
            .filename(path)
            .read_only(true)
            .busy_timeout(BUSY_TIMEOUT)
            .statement_cache_capacity(256)
            .disable_statement_logging();
        let readers = Slots::new(OpenReader(Box::new(options)), pool_max);
        let (queue, waiting) = mpsc::channel(QUEUE_MAX);
        let (closing, ended) = (CancellationToken::new(), CancellationToken::new());
        let batches = Batches { tx: Writer::sqlite(writer), path: path.to_owned(), jitter };
        let serving = batches.serve(waiting, closing.clone());
        let ending = ended.clone().drop_guard();
        tasks.spawn(async move {
            serving.await;
            drop(ending);
        });
        Ok(Self { readers, queue, closing, ended, path: path.to_owned() })
    }

    pub(super) async fn read(&self, until: Option<Instant>) -> Result<Reader, Fault> {
        match self.readers.acquire(until).await {
            Err(_) if until.is_some_and(|at| at <= Instant::now()) => Err(write::too_late()),
            acquired => acquired.map(Reader::sqlite).map_err(|error| fault(error)),
        }
    }

    pub(super) async fn write<I, T, E>(&self, input: I, change: Change<I, T, E>) -> Result<T, E>
    where
        I: Send + Sync + 'static,
        T: Send + 'static,
        E: From<Fault> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let until = deadline::current();
        let waiting = Asked { input, change, until, attempts: 0, ran: None, answer };
        match self.queue.try_send(Box::new(waiting)) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(_)) => {
                return Err(Fault::overloaded("too many changes wait for the writer").into());
            }
            Err(mpsc::error::TrySendError::Closed(_)) => {
                return Err(Fault::unavailable("the store is closed").into());
            }
        }
        answered.await.unwrap_or_else(|gone| Err(Fault::internal(gone).into()))
    }

    pub(super) fn pool_stats(&self) -> PoolStats {
        self.readers.stats()
    }

    pub(super) async fn close(&self) {
        self.closing.cancel();
        // The writer finishes what waits; also if its task was ended from outside.
        self.ended.cancelled().await;
        self.readers.close().await;
        // SECURITY: AUZ-12. The last to leave folds the write-ahead log, with all that was erased, into the file; a
        // reader may not. Beside another process this one is not the last, and nothing happens.
        let last = async { connect(&self.path).await?.close().await };
        if let Err(error) = last.await {
            tracing::debug!(error = %fault(error), "the write-ahead log stays");
        }
    }
}

/// How a reader is opened. An embedded database answers as long as its file is open.
// Boxed: large, and the whole store moves.
struct OpenReader(Box<SqliteConnectOptions>);

impl Opener for OpenReader {
    type Connection = SqliteConnection;

    async fn open(&self) -> Result<SqliteConnection, sqlx::Error> {
        self.0.connect().await
    }

    fn is_worn(&self, _kept: &Kept<SqliteConnection>) -> bool {
        false
    }

    async fn answers(&self, _kept: &mut Kept<SqliteConnection>) -> bool {
        true
    }
}

async fn connect(path: &Path) -> Result<SqliteConnection, sqlx::Error> {
    SqliteConnection::connect_with(&options(path)).await
}

/// What a change has to say to its batch.
enum Step {
    Keep,
    Undo,
    Again,
}

/// A change in the queue, whatever its types.
trait Waiting: Send {
    /// Tells whether nobody waits for it any more, so that it need not begin.
    fn is_abandoned(&self) -> bool;
    fn run<'a>(&'a mut self, tx: &'a mut Writer) -> BoxFuture<'a, Step>;
    /// Answers the caller; `lost` tells why the batch did not commit.
    fn answer(self: Box<Self>, lost: Option<&str>);
}

struct Asked<I, T, E> {
    input: I,
    change: Change<I, T, E>,
    until: Option<Instant>,
    attempts: u32,
    ran: Option<Result<T, E>>,
    answer: oneshot::Sender<Result<T, E>>,
}

impl<I, T, E> Waiting for Asked<I, T, E>
where
    I: Send + Sync,
    T: Send,
    E: From<Fault> + Send,
{
    fn is_abandoned(&self) -> bool {
        self.answer.is_closed()
    }

    fn run<'a>(&'a mut self, tx: &'a mut Writer) -> BoxFuture<'a, Step> {
        Box::pin(async move {
            if self.until.is_some_and(|until| until <= Instant::now()) {
                self.ran = Some(Err(write::too_late().into()));
                return Step::Undo;
            }
            self.attempts += 1;
            let (ran, _noticed) = write::run_once(tx, &self.input, self.change, self.until).await;
            let (step, ran) = match ran {
                Ran::Done(done) => (Step::Keep, Ok(done)),
                Ran::Refused(error) => (Step::Undo, Err(error)),
                Ran::Again(error) if self.attempts >= ATTEMPTS_MAX => (Step::Undo, Err(error)),
                Ran::Again(error) => (Step::Again, Err(error)),
            };
            self.ran = Some(ran);
            step
        })
    }

    fn answer(self: Box<Self>, lost: Option<&str>) {
        let ran = match (lost, self.ran) {
            (None, Some(ran)) | (Some(_), Some(ran @ Err(_))) => ran,
            (lost, _) => Err(Fault::unavailable(lost.unwrap_or("not run").to_owned()).into()),
        };
        // A caller that has gone does not want its answer; the rows are committed all the same.
        drop(self.answer.send(ran));
    }
}

struct Batches {
    tx: Writer,
    path: std::path::PathBuf,
    jitter: Jitter,
}

impl Batches {
    /// Runs batch after batch until every sender is gone, or until what waits at the close is done.
    async fn serve(
        mut self,
        mut queue: mpsc::Receiver<Box<dyn Waiting>>,
        closing: CancellationToken,
    ) {
        let mut again: Vec<Box<dyn Waiting>> = Vec::new();
        loop {
            let mut batch = std::mem::take(&mut again);
            if batch.is_empty() {
                let first = tokio::select! {
                    first = queue.recv() => first,
                    () = closing.cancelled(), if !queue.is_closed() => {
                        queue.close();
                        continue;
                    }
                };
                match first {
                    Some(first) => batch.push(first),
                    None => return,
                }
            } else {
                tokio::time::sleep(write::pause(&self.jitter, 1)).await;
            }
            while batch.len() < BATCH_MAX
                && let Ok(next) = queue.try_recv()
            {
                batch.push(next);
            }
            batch.retain(|waiting| !waiting.is_abandoned());
            if !batch.is_empty() {
                again = self.run(batch).await;
            }
        }
    }

    /// Runs `batch` under one commit and answers it; returns what is to be run again.
    async fn run(&mut self, batch: Vec<Box<dyn Waiting>>) -> Vec<Box<dyn Waiting>> {
        let (mut ended, mut again, mut waiting) = (Vec::new(), Vec::new(), batch.into_iter());
        let mut lost = self.begin().await.err();
        while lost.is_none()
            && let Some(mut change) = waiting.next()
        {
            match self.step(&mut *change).await {
                Ok(Step::Again) => again.push(change),
                Ok(Step::Keep | Step::Undo) => ended.push(change),
                Err(error) => {
                    ended.push(change);
                    lost = Some(error);
                }
            }
        }
        if lost.is_none() {
            lost = self.execute("COMMIT").await.err();
        }
        let why = lost.as_ref().map(fault_text);
        if let Some(error) = lost {
            self.abandon(&error).await;
        }
        for change in ended.into_iter().chain(waiting) {
            change.answer(why.as_deref());
        }
        again
    }

    async fn step(&mut self, change: &mut dyn Waiting) -> Result<Step, sqlx::Error> {
        self.execute("SAVEPOINT change").await?;
        let step = change.run(&mut self.tx).await;
        if !matches!(step, Step::Keep) {
            // A full disk may have ended the whole transaction: then this fails, and so does the batch.
            self.execute("ROLLBACK TO change").await?;
        }
        self.execute("RELEASE change").await?;
        Ok(step)
    }

    /// REL-09: the lock is taken at once; a transaction that upgrades later fails whatever it waits.
    async fn begin(&mut self) -> Result<(), sqlx::Error> {
        for attempt in 1.. {
            match self.execute("BEGIN IMMEDIATE").await {
                Err(error) if attempt < ATTEMPTS_MAX && notice(&error) == Noticed::Conflict => {
                    tokio::time::sleep(write::pause(&self.jitter, attempt)).await;
                }
                other => return other,
            }
        }
        Ok(())
    }

    /// Leaves nothing of a batch behind, and a connection that works.
    async fn abandon(&mut self, error: &sqlx::Error) {
        tracing::error!(error = %fault_text(error), "a batch of changes was lost");
        let rolled_back = self.execute("ROLLBACK").await;
        let broken = notice(error) == Noticed::Dead
            || rolled_back.is_err_and(|error| notice(&error) == Noticed::Dead);
        if broken && let Ok(connection) = connect(&self.path).await {
            self.tx = Writer::sqlite(connection);
        }
    }

    async fn execute(&mut self, sql: &'static str) -> Result<(), sqlx::Error> {
        match self.tx.conn() {
            Conn::Sqlite(connection) => sqlx::query(sql).execute(connection).await.map(|_done| ()),
            Conn::Postgres(_) => Err(sqlx::Error::PoolClosed),
        }
    }
}

fn fault_text(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(database) => {
            format!("database: {} {}", database.code().unwrap_or_default(), database.message())
        }
        other => format!("database: {other}"),
    }
}
