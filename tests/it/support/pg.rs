//! A private PostgreSQL server: one for all processes of a test run, or one of a test's own that may be crashed.
//!
//! cargo-nextest runs each test in a process of its own, and a server takes seconds to make: the first process that
//! takes the lock in the run's folder makes it, the others use it. A watchdog, a detached `sh`, waits until the run's
//! process is gone (nextest itself, else this binary), then stops the server and removes the folder: also after a
//! panic, a kill or Ctrl-C. The server listens on a Unix socket in that folder and nowhere else.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, parent_id};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, io};

use portcullis::store::{Database, migrate};
use sqlx::{Connection, PgConnection};

/// The database that is copied for each test.
pub(crate) const TEMPLATE: &str = "migrated_template";

/// LIMIT: a socket's path has 107 bytes at most; its name and our folder's take 70.
const TEMP_DIR_BYTES_MAX: usize = 37;

/// `nobody`: PostgreSQL refuses to run as root.
const NOBODY: u32 = 65534;

/// For the many: a crash may lose everything. Each database has few connections, but many tests run at once.
const FAST: &str = "-F -c synchronous_commit=off -c full_page_writes=off -c max_connections=400 \
                    -c shared_buffers=64MB -c max_wal_size=4GB";

/// As in production: what was acknowledged is there after a crash.
const SAFE: &str = "-c fsync=on -c synchronous_commit=on";

/// Waits for the process `$1`, then stops the server of the folder `$2` and removes the folder.
const WATCHDOG: &str = r#"
while kill -0 "$1" 2>/dev/null; do sleep 0.2; done
if read -r server <"$2/data/postmaster.pid"; then
    kill -QUIT "$server"
    tries=0
    while kill -0 "$server" && [ "$tries" -lt 100 ]; do sleep 0.1; tries=$((tries + 1)); done
fi
rm -rf "$2"
"#;

/// A running server.
pub(crate) struct Server {
    home: PathBuf,
    options: &'static str,
    is_own: bool,
}

/// The server of this run, or `None` if PostgreSQL is not installed and need not be.
pub(crate) fn shared() -> Option<&'static Server> {
    static SHARED: OnceLock<Option<Server>> = OnceLock::new();
    SHARED.get_or_init(|| is_installed().then(|| Server::join().unwrap())).as_ref()
}

/// Tells whether there is a PostgreSQL to start; says so if not. With `REQUIRE_BACKENDS=1` skipped is failed.
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn is_installed() -> bool {
    if Command::new(program("initdb")).arg("--version").stdout(Stdio::null()).status().is_ok() {
        return true;
    }
    let is = |name: &str, value: &str| env::var_os(name).is_some_and(|found| found == value);
    assert!(
        !is("REQUIRE_BACKENDS", "1") && !is("CI", "true"),
        "no initdb in /usr/lib/postgresql/*/bin or PATH, and REQUIRE_BACKENDS=1 or CI=true is set"
    );
    eprintln!("skipped: PostgreSQL is not installed (no initdb)");
    false
}

impl Server {
    /// Takes part in the server of this run; whoever comes first makes it.
    fn join() -> io::Result<Self> {
        let own = std::process::id();
        // Under nextest the parent is the run; its id is in the environment of all its tests.
        let (run, watched) = match env::var_os("NEXTEST_RUN_ID") {
            Some(id) => (id.to_string_lossy().into_owned(), parent_id()),
            None => (own.to_string(), own),
        };
        let home = temp_dir().join(format!("pcit-{run}"));
        make_folder(&home)?;
        let lock = File::create(home.join("lock"))?;
        lock.lock()?;
        let server = Self { home, options: FAST, is_own: false };
        if !server.home.join("ready").exists() || !server.answers() {
            watch(&server.home, watched)?;
            server.init()?;
            server.start()?;
            server.make_template();
            File::create(server.home.join("ready"))?;
        }
        Ok(server)
    }

    /// A server of the caller's own that keeps what it acknowledges; it ends when it is dropped.
    pub(crate) fn own() -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        if !is_installed() {
            return None;
        }
        let (own, n) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let home = temp_dir().join(format!("pcit-{own}-{n}"));
        make_folder(&home).unwrap();
        watch(&home, own).unwrap();
        let server = Self { home, options: SAFE, is_own: true };
        server.init().unwrap();
        server.start().unwrap();
        Some(server)
    }

    /// The URL of a database, through the socket.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://postgres@localhost/{database}?host={}", self.home.display())
    }

    /// The socket, for the proxy.
    pub(crate) fn socket(&self) -> PathBuf {
        self.home.join(".s.PGSQL.5432")
    }

    /// Starts the server and waits until it answers.
    pub(crate) fn start(&self) -> io::Result<()> {
        let home = self.home.display();
        let options = format!("-k {home} -h '' {}", self.options);
        self.run("pg_ctl", &["start", "-w", "-s", "-l", &format!("{home}/log"), "-o", &options])
    }

    /// Crashes the server: no checkpoint, no goodbye.
    pub(crate) fn crash(&self) {
        self.run("pg_ctl", &["stop", "-s", "-m", "immediate"]).unwrap();
    }

    fn answers(&self) -> bool {
        UnixStream::connect(self.socket()).is_ok()
    }

    fn init(&self) -> io::Result<()> {
        let data = self.home.join("data");
        if data.exists() {
            fs::remove_dir_all(&data)?;
        }
        self.run("initdb", &["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"])
    }

    /// Its collation is not that of bytes, so that a missing `COLLATE "C"` shows.
    fn make_template(&self) {
        let url = self.url(TEMPLATE);
        let create = "CREATE DATABASE migrated_template TEMPLATE template0";
        let icu = "CREATE DATABASE migrated_template TEMPLATE template0
                   LOCALE_PROVIDER icu ICU_LOCALE 'en-US'";
        blocking(async {
            let mut admin = PgConnection::connect(&self.url("postgres")).await.unwrap();
            if sqlx::raw_sql(icu).execute(&mut admin).await.is_err() {
                sqlx::raw_sql(create).execute(&mut admin).await.unwrap();
            }
            migrate::run(&Database::Postgres(url)).await.unwrap();
        });
    }

    fn run(&self, name: &str, args: &[&str]) -> io::Result<()> {
        let mut command = Command::new(program(name));
        command.args(args).current_dir("/").env("PGDATA", self.home.join("data"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        if command.status()?.success() {
            return Ok(());
        }
        let log = fs::read_to_string(self.home.join("log")).unwrap_or_default();
        Err(io::Error::other(format!("{name} failed\n{log}")))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.is_own {
            let stopped = self.run("pg_ctl", &["stop", "-s", "-m", "immediate"]);
            let removed = fs::remove_dir_all(&self.home);
            drop((stopped, removed));
        }
    }
}

/// Runs `work` on a runtime of its own, from wherever: `Drop` and `OnceLock` know no `await`.
pub(crate) fn blocking<T: Send>(work: impl Future<Output = T> + Send) -> T {
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.unwrap().block_on(work)
    };
    std::thread::scope(|scope| scope.spawn(run).join()).unwrap()
}

fn watch(home: &Path, pid: u32) -> io::Result<()> {
    let mut watchdog = Command::new("sh");
    watchdog.args(["-c", WATCHDOG, "watchdog"]).arg(pid.to_string()).arg(home);
    watchdog.current_dir("/").process_group(0);
    watchdog.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // Not waited for: it outlives this process.
    watchdog.spawn().map(drop)
}

fn temp_dir() -> PathBuf {
    let named = env::temp_dir();
    if named.as_os_str().len() <= TEMP_DIR_BYTES_MAX { named } else { PathBuf::from("/tmp") }
}

fn make_folder(home: &Path) -> io::Result<()> {
    fs::create_dir_all(home)?;
    fs::set_permissions(home, fs::Permissions::from_mode(0o700))?;
    if is_root() { chown(home, Some(NOBODY), Some(NOBODY)) } else { Ok(()) }
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// The newest of the packages' versions, else whatever `PATH` has.
fn program(name: &str) -> PathBuf {
    let version = |path: &PathBuf| {
        path.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok()).unwrap_or(0)
    };
    let folders = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut versions: Vec<PathBuf> = folders.map(|entry| entry.path()).collect();
    versions.sort_by_key(version);
    let programs = versions.into_iter().rev().map(|path| path.join("bin").join(name));
    programs.into_iter().find(|path| path.exists()).unwrap_or_else(|| name.into())
}
