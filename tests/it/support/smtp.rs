//! A real mail server (aiosmtpd) of a test's own, that keeps what it takes and refuses what it is told to.
//!
//! `TEST_PYTHON` names a Python that has aiosmtpd; without it a test says so and passes, unless `REQUIRE_BACKENDS=1` or
//! `CI=true` is set. The server ends with its [`Sink`], and with the test's process.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use portcullis::mail::{Security, SmtpSettings};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};
use tempfile::TempDir;

/// How the server is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// In clear text.
    Plain,
    /// In clear text until STARTTLS, which it demands.
    StartTls,
    /// By TLS from the first byte.
    Tls,
}

/// What the certificate of the server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Certificate {
    /// Good for `localhost`, of the authority of [`Sink::ca_file`].
    Good,
    /// Of that authority, for another name.
    WrongName,
    /// Good for `localhost`, of nobody.
    SelfSigned,
    /// Of that authority, for `localhost`, and over.
    Expired,
}

/// What the server should be.
pub(crate) struct Wish {
    pub(crate) mode: Mode,
    pub(crate) certificate: Certificate,
    /// User and password that it asks for.
    pub(crate) login: Option<(&'static str, &'static str)>,
    /// Whether it takes nothing beyond ASCII.
    pub(crate) ascii: bool,
}

/// A mail that the server took.
#[derive(Clone, Debug)]
pub(crate) struct Received(Value);

impl Received {
    /// The sender of the envelope.
    pub(crate) fn from(&self) -> &str {
        self.0["from"].as_str().unwrap()
    }

    /// The recipient of the envelope.
    pub(crate) fn to(&self) -> &str {
        self.0["to"][0].as_str().unwrap()
    }

    /// Whether it came by TLS.
    pub(crate) fn is_encrypted(&self) -> bool {
        self.0["tls"].as_bool().unwrap()
    }

    /// The user who was logged in.
    pub(crate) fn login(&self) -> Option<&str> {
        self.0["login"].as_str()
    }

    /// How the client called itself.
    pub(crate) fn hello(&self) -> &str {
        self.0["hello"].as_str().unwrap()
    }

    /// The parameters of MAIL.
    pub(crate) fn options(&self) -> Vec<&str> {
        self.0["options"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect()
    }

    /// The message as it came, a byte a character (ISO 8859-1).
    pub(crate) fn raw(&self) -> &str {
        self.0["raw"].as_str().unwrap()
    }

    /// A header, decoded.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let headers = self.0["headers"].as_array().unwrap();
        let found = headers.iter().find(|it| it[0].as_str().unwrap().eq_ignore_ascii_case(name));
        found.map(|it| it[1].as_str().unwrap())
    }

    /// The names of all headers, in their order.
    pub(crate) fn header_names(&self) -> Vec<&str> {
        self.0["headers"].as_array().unwrap().iter().map(|it| it[0].as_str().unwrap()).collect()
    }

    /// The subject, decoded.
    pub(crate) fn subject(&self) -> &str {
        self.header("Subject").unwrap()
    }

    /// The text part, decoded.
    pub(crate) fn text(&self) -> &str {
        self.0["text"].as_str().unwrap()
    }

    /// The HTML part, decoded.
    pub(crate) fn html(&self) -> &str {
        self.0["html"].as_str().unwrap()
    }

    /// The line of the text that is a link and nothing else.
    pub(crate) fn link(&self) -> Option<&str> {
        self.text().lines().find(|line| line.starts_with("http") && line.contains("#token="))
    }

    /// The one-time token in it.
    pub(crate) fn token(&self) -> Option<&str> {
        self.link().and_then(|link| link.split_once("#token=")).map(|(_, token)| token)
    }
}

/// The mail server of a test.
pub(crate) struct Sink {
    /// Its port on 127.0.0.1, which stays the same while it is down.
    pub(crate) port: u16,
    wish: Wish,
    pipes: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
    process: Child,
    folder: TempDir,
}

impl Sink {
    /// A server that takes everything; `None` without aiosmtpd.
    pub(crate) fn start(mode: Mode) -> Option<Self> {
        let wish = Wish { mode, certificate: Certificate::Good, login: None, ascii: false };
        Self::start_as(wish)
    }

    /// A server as it is wished for.
    pub(crate) fn start_as(wish: Wish) -> Option<Self> {
        let python = python()?;
        let folder = tempfile::Builder::new().prefix("smtp").tempdir().unwrap();
        certify(folder.path(), wish.certificate);
        let tls = match wish.mode {
            Mode::Plain => "none",
            Mode::StartTls => "starttls",
            Mode::Tls => "implicit",
        };
        let options = json!({
            "tls": tls,
            "cert": folder.path().join("cert.pem"),
            "key": folder.path().join("key.pem"),
            "login": wish.login.map(|(user, password)| [user, password]),
            "ascii": wish.ascii,
        });
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/support/smtp.py");
        let mut program = Command::new(python);
        // The library warns of logins without TLS, which loopback needs none for.
        program.args(["-W", "ignore"]).arg(script).arg(options.to_string());
        let mut process = program.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (stdin, stdout) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        let mut stdout = BufReader::new(stdout);
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let port = line.trim().parse().expect("aiosmtpd starts");
        Some(Self { port, wish, pipes: Mutex::new((stdin, stdout)), process, folder })
    }

    /// What a `Mailer` needs to reach it.
    pub(crate) fn settings(&self) -> SmtpSettings {
        let (host, security) = match self.wish.mode {
            Mode::Plain => ("127.0.0.1", Security::Loopback),
            Mode::StartTls => ("localhost", Security::StartTls),
            Mode::Tls => ("localhost", Security::Tls),
        };
        let login = self.wish.login.map(|(user, password)| (user.to_owned(), password.into()));
        let ca_file = (self.wish.mode != Mode::Plain).then(|| self.ca_file());
        let patience = Duration::from_secs(5);
        SmtpSettings { host: host.into(), port: self.port, security, login, ca_file, patience }
    }

    /// The keys of the configuration that lead to it, spelled as behind `PORTCULLIS__`: plain and TLS only.
    pub(crate) fn configuration(&self) -> Vec<(&'static str, String)> {
        let url = match self.wish.mode {
            Mode::Plain => format!("smtp://127.0.0.1:{}", self.port),
            Mode::Tls => format!("smtps://localhost:{}", self.port),
            Mode::StartTls => panic!("the configuration takes a loopback address for plain"),
        };
        let ca_file = self.ca_file().display().to_string();
        vec![("MAIL__TRANSPORT", "smtp".to_owned()), ("MAIL__URL", url), ("MAIL__CA_FILE", ca_file)]
    }

    /// The certificate of the authority that signs for it.
    pub(crate) fn ca_file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// Makes it do something else than take everything: see `smtp.py`.
    pub(crate) fn behave(&self, behaviour: &Value) {
        self.ask(&json!({ "behave": behaviour }));
    }

    /// Ends its connections and its listener.
    pub(crate) fn down(&self) {
        self.ask(&json!({ "down": true }));
    }

    /// Listens again at the same port.
    pub(crate) fn up(&self) {
        self.ask(&json!({ "up": true }));
    }

    /// Every mail that it took, oldest first.
    pub(crate) fn mails(&self) -> Vec<Received> {
        let mails = self.ask(&json!({ "mails": true }));
        mails.as_array().unwrap().iter().cloned().map(Received).collect()
    }

    /// The mails to this address, oldest first.
    pub(crate) fn mails_to(&self, address: &str) -> Vec<Received> {
        self.mails().into_iter().filter(|mail| mail.to() == address).collect()
    }

    /// Waits for `count` mails to this address.
    pub(crate) async fn wait_for(&self, address: &str, count: usize) -> Vec<Received> {
        let begun = Instant::now();
        loop {
            let mails = self.mails_to(address);
            if mails.len() >= count {
                return mails;
            }
            assert!(begun.elapsed() < Duration::from_secs(30), "{address}: {} mails", mails.len());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// How many connections it was asked for.
    pub(crate) fn connections(&self) -> u64 {
        self.ask(&json!({ "connections": true })).as_u64().unwrap()
    }

    fn ask(&self, command: &Value) -> Value {
        let (stdin, stdout) = &mut *self.pipes.lock().unwrap();
        writeln!(stdin, "{command}").unwrap();
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        serde_json::from_str(&line).expect("the sink answers")
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn python() -> Option<PathBuf> {
    let found = env::var_os("TEST_PYTHON").map(PathBuf::from).filter(|path| path.exists());
    if found.is_none() {
        let is = |name: &str, value: &str| env::var_os(name).is_some_and(|found| found == value);
        let must = is("REQUIRE_BACKENDS", "1") || is("CI", "true");
        assert!(!must, "TEST_PYTHON names nothing, and REQUIRE_BACKENDS=1 or CI=true is set");
        eprintln!("skipped: aiosmtpd (TEST_PYTHON names nothing)");
    }
    found
}

/// Writes `ca.pem`, and a certificate with its key to `cert.pem` and `key.pem`.
fn certify(folder: &Path, certificate: Certificate) {
    let authority_key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_pem = authority.self_signed(&authority_key).unwrap().pem();
    let issuer = Issuer::new(authority, authority_key);

    let name = if certificate == Certificate::WrongName { "elsewhere.test" } else { "localhost" };
    let key = KeyPair::generate().unwrap();
    let mut own = CertificateParams::new(vec![name.to_owned()]).unwrap();
    if certificate == Certificate::Expired {
        own.not_before = rcgen::date_time_ymd(2020, 1, 1);
        own.not_after = rcgen::date_time_ymd(2021, 1, 1);
    }
    let own = match certificate {
        Certificate::SelfSigned => own.self_signed(&key).unwrap(),
        _ => own.signed_by(&key, &issuer).unwrap(),
    };
    fs::write(folder.join("ca.pem"), authority_pem).unwrap();
    fs::write(folder.join("cert.pem"), own.pem()).unwrap();
    fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
}
