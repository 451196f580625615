//! The threads that hash: a fixed number, a queue bounded by time, logins before signups.
//!
//! A job whose caller has gone, or whose deadline has passed, costs nothing (PWD-14). A job that panics
//! ends alone. The answer of a full queue is a fault; how late it is sent is the edge's business.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::Fault;
use crate::crypto::hasher::argon::Workbench;
use crate::crypto::hasher::settings::HasherSettings;

/// LIMIT: the first guess, until hashes are measured: nanoseconds a KiB of a hash, from 60 hashes a
/// second of 19456 KiB and two passes on one thread (performance.md).
const NANOS_PER_KIB: u64 = 430;

/// Which jobs go first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Urgency {
    /// Somebody proves a password.
    Login,
    /// Somebody sets one.
    Signup,
}

/// A piece of work, and the one who waits for it.
pub(super) struct Job {
    task: Box<dyn Task>,
    deadline: Option<Instant>,
    since: Instant,
}

trait Task: Send {
    fn is_gone(&self) -> bool;
    fn run(self: Box<Self>, bench: &mut Workbench, done: &dyn Fn(&mut Workbench));
    fn refuse(self: Box<Self>, fault: Fault);
}

struct Waiting<T, W> {
    work: W,
    answer: oneshot::Sender<Result<T, Fault>>,
}

impl<T, W> Task for Waiting<T, W>
where
    T: Send,
    W: FnOnce(&mut Workbench) -> Result<T, Fault> + Send,
{
    fn is_gone(&self) -> bool {
        self.answer.is_closed()
    }

    fn run(self: Box<Self>, bench: &mut Workbench, done: &dyn Fn(&mut Workbench)) {
        let outcome = (self.work)(bench);
        // Counted first: who has the answer finds the work in the statistics.
        done(bench);
        // Who has gone meanwhile is not told.
        drop(self.answer.send(outcome));
    }

    fn refuse(self: Box<Self>, fault: Fault) {
        drop(self.answer.send(Err(fault)));
    }
}

impl Job {
    /// A job for `work`, and where its answer comes out; dropping that end calls the job off.
    pub(super) fn new<T: Send + 'static>(
        deadline: Option<Instant>,
        work: impl FnOnce(&mut Workbench) -> Result<T, Fault> + Send + 'static,
    ) -> (Self, oneshot::Receiver<Result<T, Fault>>) {
        let (answer, wait) = oneshot::channel();
        let task = Box::new(Waiting { work, answer });
        (Self { task, deadline, since: Instant::now() }, wait)
    }

    fn is_late(&self) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= Instant::now())
    }

    fn is_wanted(&self) -> bool {
        !self.task.is_gone() && !self.is_late()
    }

    fn refuse(self, fault: Fault) {
        self.task.refuse(fault);
    }
}

/// The threads and their queue. Dropped, it lets them end; `close` also waits for them.
pub(super) struct Pool {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

pub(super) struct Shared {
    settings: HasherSettings,
    queue: Mutex<Queue>,
    wake: Condvar,
    pub(super) hashed: AtomicU64,
    pub(super) work_kib: AtomicU64,
    pub(super) dropped: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) running: AtomicUsize,
    average_nanos: AtomicU64,
}

#[derive(Default)]
struct Queue {
    logins: VecDeque<Job>,
    signups: VecDeque<Job>,
    is_closed: bool,
}

impl Pool {
    /// Starts the threads; each touches its memory by itself, so this does not wait for it.
    pub(super) fn start(settings: HasherSettings) -> io::Result<Self> {
        let guess = settings.cost().work().saturating_mul(NANOS_PER_KIB);
        let shared = Arc::new(Shared {
            settings,
            queue: Mutex::default(),
            wake: Condvar::new(),
            hashed: AtomicU64::new(0),
            work_kib: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            running: AtomicUsize::new(0),
            average_nanos: AtomicU64::new(guess.max(1)),
        });
        let pool = Self { shared: Arc::clone(&shared), threads: Mutex::default() };
        for number in 0..settings.threads {
            let shared = Arc::clone(&shared);
            let thread = thread::Builder::new().name(format!("hash-{number}"));
            let handle = thread.spawn(move || shared.work())?;
            pool.threads.lock().unwrap_or_else(PoisonError::into_inner).push(handle);
        }
        Ok(pool)
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Refuses what waits, lets what runs end, and waits for the threads. Blocks for one hash.
    pub(super) fn close(&self) {
        self.shared.close();
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        for thread in threads.drain(..) {
            // A panic was caught and answered where it happened.
            drop(thread.join());
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.close();
    }
}

impl Shared {
    /// How many jobs may wait: those that are hashed within `queue_wait_max`, at least one a thread.
    pub(super) fn queue_max(&self) -> usize {
        let threads = self.settings.threads;
        let average = u128::from(self.average_nanos.load(Ordering::Relaxed).max(1));
        let rounds = self.settings.queue_wait_max.as_nanos() / average;
        usize::try_from(rounds).unwrap_or(usize::MAX).saturating_mul(threads).max(threads)
    }

    pub(super) fn threads(&self) -> usize {
        self.settings.threads
    }

    /// The measured time of one hash.
    pub(super) fn average(&self) -> Duration {
        Duration::from_nanos(self.average_nanos.load(Ordering::Relaxed))
    }

    /// Jobs that wait.
    pub(super) fn queued(&self) -> usize {
        self.lock().len()
    }

    /// Queues `job`, or tells that the queue is full or closed.
    pub(super) fn push(&self, urgency: Urgency, job: Job) -> Result<(), Fault> {
        if job.is_late() {
            self.count_dropped(1);
            return Err(late());
        }
        let max = self.queue_max();
        let (mut unwanted, mut displaced) = (Vec::new(), None);
        let mut queue = self.lock();
        if queue.is_closed {
            return Err(closed());
        }
        if queue.len() >= max {
            // SECURITY: PWD-14. Clients that hang up must not keep others out.
            unwanted = queue.take_unwanted();
        }
        if queue.len() >= max && urgency == Urgency::Login {
            // SECURITY: T-04. A flood of signups does not lock out those who have an account.
            displaced = queue.signups.pop_back();
        }
        let is_full = queue.len() >= max;
        if !is_full {
            queue.of(urgency).push_back(job);
            self.wake.notify_one();
        }
        let length = queue.len();
        drop(queue);

        show_length(length);
        self.count_dropped(unwanted.len());
        for job in unwanted {
            job.refuse(late());
        }
        if let Some(job) = displaced {
            self.count_refused();
            job.refuse(full());
        }
        if is_full {
            self.count_refused();
            return Err(full());
        }
        Ok(())
    }

    fn close(&self) {
        let mut queue = self.lock();
        queue.is_closed = true;
        let (logins, signups) =
            (std::mem::take(&mut queue.logins), std::mem::take(&mut queue.signups));
        drop(queue);
        self.wake.notify_all();
        for job in logins.into_iter().chain(signups) {
            job.refuse(closed());
        }
    }

    /// The life of one thread.
    fn work(&self) {
        let mut bench = Workbench::new(self.settings.cost());
        while let Some(job) = self.next() {
            if !job.is_wanted() {
                self.count_dropped(1);
                job.refuse(late());
                continue;
            }
            metrics::histogram!("portcullis_hash_wait_seconds").record(job.since.elapsed());
            self.running.fetch_add(1, Ordering::Relaxed);
            let begun = Instant::now();
            let done = |bench: &mut Workbench| {
                self.running.fetch_sub(1, Ordering::Relaxed);
                self.count_hashed(bench.take_spent(), begun.elapsed());
            };
            if catch_unwind(AssertUnwindSafe(|| job.task.run(&mut bench, &done))).is_err() {
                tracing::error!("a hash job panicked");
                done(&mut bench);
            }
        }
    }

    /// The next job; none once the pool is closed.
    fn next(&self) -> Option<Job> {
        let mut queue = self.lock();
        loop {
            if let Some(job) = queue.logins.pop_front().or_else(|| queue.signups.pop_front()) {
                let length = queue.len();
                drop(queue);
                show_length(length);
                return Some(job);
            }
            if queue.is_closed {
                return None;
            }
            queue = self.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count_hashed(&self, work_kib: u64, took: Duration) {
        if work_kib == 0 {
            return;
        }
        metrics::histogram!("portcullis_hash_run_seconds").record(took);
        self.hashed.fetch_add(1, Ordering::Relaxed);
        self.work_kib.fetch_add(work_kib, Ordering::Relaxed);
        // A moving average over about eight hashes; a lost update between threads does no harm.
        let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let average = self.average_nanos.load(Ordering::Relaxed);
        let moved = (average / 8).saturating_mul(7).saturating_add(took / 8);
        self.average_nanos.store(moved.max(1), Ordering::Relaxed);
    }

    fn count_dropped(&self, jobs: usize) {
        let jobs = u64::try_from(jobs).unwrap_or(u64::MAX);
        self.dropped.fetch_add(jobs, Ordering::Relaxed);
        metrics::counter!("portcullis_hash_dropped_total").increment(jobs);
    }

    fn count_refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        metrics::counter!("portcullis_hash_refused_total").increment(1);
    }
}

impl Queue {
    fn len(&self) -> usize {
        self.logins.len() + self.signups.len()
    }

    fn of(&mut self, urgency: Urgency) -> &mut VecDeque<Job> {
        match urgency {
            Urgency::Login => &mut self.logins,
            Urgency::Signup => &mut self.signups,
        }
    }

    fn take_unwanted(&mut self) -> Vec<Job> {
        let mut unwanted = Vec::new();
        for jobs in [&mut self.logins, &mut self.signups] {
            let (wanted, rest) = std::mem::take(jobs).into_iter().partition(Job::is_wanted);
            *jobs = wanted;
            unwanted.extend::<VecDeque<Job>>(rest);
        }
        unwanted
    }
}

fn show_length(length: usize) {
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    metrics::gauge!("portcullis_hash_queue_length").set(f64::from(length));
}

fn late() -> Fault {
    Fault::unavailable("the deadline passed before the hash")
}

fn full() -> Fault {
    Fault::overloaded("the hash queue is full")
}

fn closed() -> Fault {
    Fault::unavailable("the hash pool is closed")
}
