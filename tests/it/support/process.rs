//! The real binary as a process of its own: its folder, ports, environment, output, signals and death.
//!
//! Nothing is inherited but what a test writes. Output goes to files of the service's folder, one for all its starts. A
//! service dies with its value; should the test itself be killed, a watchdog ends the process and removes the folder.

mod client;

use std::fs::{self, File, OpenOptions};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

pub(crate) use self::client::{Answer, Client, Mail};
use super::database::TestDatabase;

/// 32 bytes in base64: the master key of all services that do not make their own.
pub(crate) const MASTER_KEY: &str = "q3VvY0pWbGd5c0xUa1F1eWJ3aXhOZHJmYmhzYWtqZ2U=";

/// LIMIT: a start takes a third of a second; two cores that build and test something else take longer.
const START_MAX: Duration = Duration::from_secs(10);

/// Waits while the process `$1` lives, then kills what the folder `$2` names and removes the folder.
const WATCHDOG: &str = r#"
while kill -0 "$1" 2>/dev/null; do [ -d "$2" ] || exit 0; sleep 0.5; done
if read -r child <"$2/pid"; then kill -KILL "$child" 2>/dev/null; fi
rm -rf "$2"
"#;

/// A service, running or not, with everything that survives its process.
pub(crate) struct Service {
    folder: TempDir,
    variables: Vec<(String, String)>,
    address: SocketAddr,
    child: Option<Child>,
}

/// How a process ended that was expected to end.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Its exit code; none after a signal.
    pub(crate) code: Option<i32>,
    /// What it said.
    pub(crate) stdout: String,
    /// What it complained about.
    pub(crate) stderr: String,
    /// How long it took.
    pub(crate) took: Duration,
}

impl Service {
    /// A service of which nothing is configured but its addresses: everything else lies in its folder.
    pub(crate) fn bare() -> Self {
        let folder = tempfile::Builder::new().prefix("pcbb-").tempdir().unwrap();
        let (address, admin) = (free_address(), free_address());
        watch(folder.path());
        let service = Self { folder, variables: Vec::new(), address, child: None };
        service.with("HTTP__LISTEN", &address.to_string()).with("ADMIN__LISTEN", &admin.to_string())
    }

    /// A service on `database`, with a master key that other services can share.
    pub(crate) fn on(database: &TestDatabase) -> Self {
        let service = Self::bare().with("STORE__URL", &database.url());
        service.with("MASTER_KEY", MASTER_KEY).with("PASSWORD__HASH_THREADS", "2")
    }

    /// Sets a key of the configuration, spelled as behind `PORTCULLIS__`.
    pub(crate) fn with(mut self, key: &str, value: &str) -> Self {
        self.set(key, value);
        self
    }

    /// The same for the next start.
    pub(crate) fn set(&mut self, key: &str, value: &str) {
        let name = format!("PORTCULLIS__{key}");
        self.variables.retain(|(known, _)| *known != name);
        self.variables.push((name, value.to_owned()));
    }

    /// Sets a variable that is not of the configuration.
    pub(crate) fn with_variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// What clients call it by.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The public listener.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The working directory of the process.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A client of the public listener.
    pub(crate) fn client(&self) -> Client {
        Client::new(self.url())
    }

    /// Starts the process and waits for its first answer; gives the time that this took.
    pub(crate) async fn start(&mut self) -> Duration {
        assert!(self.child.is_none(), "started twice");
        let began = Instant::now();
        let child = self.command(&["serve"], &self.log("stdout"), &self.log("stderr")).spawn();
        let child = self.child.insert(child.unwrap());
        fs::write(self.folder.path().join("pid"), format!("{}\n", child.id())).unwrap();
        let client = self.client();
        loop {
            if let Some(status) = self.child.as_mut().unwrap().try_wait().unwrap() {
                panic!("ended with {status}:\n{}", self.stderr());
            }
            if client.get("/health/live", None).await.is_ok_and(|answer| answer.status == 200) {
                return began.elapsed();
            }
            assert!(began.elapsed() < START_MAX, "does not answer:\n{}", self.stderr());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// The same, for a service that is made and started in one line.
    pub(crate) async fn started(mut self) -> Self {
        self.start().await;
        self
    }

    /// Kills the process: no goodbye, nothing flushed.
    pub(crate) fn kill9(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// The id of the process.
    pub(crate) fn id(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// Sends a signal by its name, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.id().to_string();
        let sent = Command::new("sh").args(["-c", r#"kill -s "$0" "$1""#, name, &id]).status();
        assert!(sent.unwrap().success(), "no SIG{name} for {id}");
    }

    /// Waits until the process has ended by itself.
    pub(crate) async fn ended(&mut self, within: Duration) -> ExitStatus {
        let mut child = self.child.take().unwrap();
        let began = Instant::now();
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return status;
            }
            if began.elapsed() >= within {
                child.kill().unwrap();
                child.wait().unwrap();
                panic!("still there after {within:?}:\n{}", self.stderr());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Tells it to stop and waits until it has.
    pub(crate) async fn terminate(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.ended(Duration::from_secs(30)).await
    }

    /// Stops it in order and starts it on what it left.
    pub(crate) async fn restart(&mut self) {
        assert!(self.terminate().await.success(), "a stop in order:\n{}", self.stderr());
        self.start().await;
    }

    /// Runs another command with the same configuration to its end, within ten seconds.
    pub(crate) fn run(&self, arguments: &[&str], stdin: Option<&Path>) -> Ended {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let (out, err) = (self.log(&format!("run-{n}.out")), self.log(&format!("run-{n}.err")));
        let mut command = self.command(arguments, &out, &err);
        if let Some(file) = stdin {
            command.stdin(File::open(file).unwrap());
        }
        let began = Instant::now();
        let mut child = command.spawn().unwrap();
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if began.elapsed() > Duration::from_secs(10) {
                child.kill().unwrap();
                child.wait().unwrap();
                panic!("{arguments:?} does not end:\n{}", read(&err));
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let (stdout, stderr) = (read(&out), read(&err));
        Ended { code: status.code(), stdout, stderr, took: began.elapsed() }
    }

    /// Everything that all starts wrote to stdout.
    pub(crate) fn stdout(&self) -> String {
        read(&self.log("stdout"))
    }

    /// Everything that all starts wrote to stderr.
    pub(crate) fn stderr(&self) -> String {
        read(&self.log("stderr"))
    }

    /// The mails that were written to the folder of its own.
    pub(crate) fn mails(&self) -> Vec<Mail> {
        Mail::all_in(&self.outbox())
    }

    /// The folder of its mails.
    pub(crate) fn outbox(&self) -> PathBuf {
        self.folder.path().join("data/outbox")
    }

    /// Waits for the verification token that is mailed to `address`.
    pub(crate) async fn token_mailed_to(&self, address: &str) -> String {
        let began = Instant::now();
        loop {
            let found = self.mails().into_iter().find(|mail| mail.to == address);
            if let Some(token) = found.and_then(|mail| mail.token) {
                return token;
            }
            assert!(began.elapsed() < START_MAX, "no mail to {address}:\n{}", self.stderr());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn log(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, arguments: &[&str], out: &Path, err: &Path) -> Command {
        let append = |path| OpenOptions::new().create(true).append(true).open(path).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        command.args(arguments).current_dir(self.folder.path()).env_clear();
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(append(out)).stderr(append(err));
        command
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            drop((child.kill(), child.wait()));
        }
    }
}

/// Another program that a test runs beside a service; it ends with its value.
pub(crate) struct Companion {
    child: Child,
    _folder: TempDir,
}

impl Companion {
    /// Starts it.
    pub(crate) fn start(command: &mut Command) -> Self {
        let folder = tempfile::Builder::new().prefix("pcbb-").tempdir().unwrap();
        watch(folder.path());
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        fs::write(folder.path().join("pid"), format!("{}\n", child.id())).unwrap();
        Self { child, _folder: folder }
    }
}

impl Drop for Companion {
    fn drop(&mut self) {
        drop((self.child.kill(), self.child.wait()));
    }
}

/// An address that nobody listens on.
///
/// LIMIT: below the range from which the system gives ports to outgoing connections; each process looks in another
/// place, because a port that was found free is held by nobody until the service binds it.
pub(crate) fn free_address() -> SocketAddr {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    const FIRST: u16 = 12_000;
    const COUNT_MAX: u32 = 20_000;
    loop {
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let offset = std::process::id().wrapping_mul(97).wrapping_add(n) % COUNT_MAX;
        let port = FIRST + u16::try_from(offset).unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

fn watch(folder: &Path) {
    let mut watchdog = Command::new("sh");
    watchdog.args(["-c", WATCHDOG, "watchdog"]).arg(std::process::id().to_string()).arg(folder);
    watchdog.current_dir("/").process_group(0);
    watchdog.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // Not waited for: it outlives this process.
    drop(watchdog.spawn().unwrap());
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}
