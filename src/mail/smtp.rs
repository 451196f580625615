//! The transport of production: one mail server, whose name is verified, over connections that are kept for a while.
//!
//! There is no fall-back to clear text (EML-16). A failure tells the stage and the status codes, never what the server
//! wrote: its text repeats addresses (LOG-03).

use std::error::Error as _;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lettre::Address;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailBodyParameter, MailParameter};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::{Instant, timeout};

use crate::Fault;

/// LIMIT: one address of a server that does not answer, so that its other addresses get their turn.
const DIAL_MAX: Duration = Duration::from_secs(5);

/// LIMIT: a connection that is not used is closed; RFC 5321, 4.5.3.2.7 lets servers do it after 5 min.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// LIMIT: connections that wait for the next mail.
const IDLE_CONNECTIONS_MAX: usize = 8;

/// LIMIT: mails of one connection; servers close it at some number of theirs, often 100.
const MAILS_PER_CONNECTION_MAX: u32 = 50;

/// How the mail server is reached.
#[derive(Clone, Debug)]
pub struct SmtpSettings {
    /// Its name or address, without brackets; the certificate must have it.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is kept from others.
    pub security: Security,
    /// User and password; the password is never printed.
    pub login: Option<(String, SecretString)>,
    /// PEM certificates of authorities that are trusted besides the platform's.
    pub ca_file: Option<PathBuf>,
    /// How long a connection and its login may take, and again how long the mail may.
    pub patience: Duration,
}

impl SmtpSettings {
    /// LIMIT: a job has three quarters of its lease, 45 s: a turn of 10 s and both stages fit in.
    pub const PATIENCE: Duration = Duration::from_secs(17);
}

/// How a connection to the mail server is kept from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// TLS from the first byte (RFC 8314).
    Tls,
    /// TLS before anything is said; a server that does not offer it gets no mail.
    StartTls,
    /// None: the server must be at a loopback address.
    Loopback,
}

/// Why a mail server did not take a mail. No text holds what the server wrote.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// No connection, or it ended before its time.
    #[error("the mail server cannot be reached: {0}")]
    Unreachable(String),
    /// No verified TLS; the operator's to mend.
    #[error("no verified TLS with the mail server: {0}")]
    Tls(String),
    /// The server does not let us in; the operator's to mend.
    #[error("the mail server refuses the login: {0}")]
    Login(String),
    /// The server wants to be asked again.
    #[error("the mail server takes it later: {0}")]
    Later(String),
    /// The server refuses this mail for good.
    #[error("the mail server refuses it: {0}")]
    Refused(String),
    /// The mail cannot be made.
    #[error("{0}")]
    Fault(#[source] Fault),
}

impl Failure {
    /// The kind, as a label.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::Tls(_) => "tls",
            Self::Login(_) => "login",
            Self::Later(_) => "later",
            Self::Refused(_) => "refused",
            Self::Fault(_) => "unsendable",
        }
    }
}

/// The mail server, and the connections to it.
pub(super) struct Server {
    settings: SmtpSettings,
    tls: Option<TlsParameters>,
    hello: ClientId,
    idle: Mutex<Vec<Connection>>,
}

struct Connection {
    smtp: AsyncSmtpConnection,
    mails: u32,
    since: Instant,
}

impl Server {
    /// Reads the certificates; nothing is connected yet. The error is a text for the operator.
    pub(super) fn new(settings: SmtpSettings, hello: ClientId) -> Result<Self, String> {
        let tls = match settings.security {
            Security::Loopback => None,
            Security::Tls | Security::StartTls => Some(tls(&settings)?),
        };
        Ok(Self { settings, tls, hello, idle: Mutex::new(Vec::new()) })
    }

    /// Hands one message over. `raw` is asked once, and told whether the server takes bytes beyond ASCII.
    pub(super) async fn send(
        &self,
        (from, to): (&Address, &Address),
        raw: impl FnOnce(bool) -> Result<Vec<u8>, Fault>,
    ) -> Result<(), Failure> {
        let connecting = timeout(self.settings.patience, self.connection()).await;
        let mut connection = connecting.map_err(|_elapsed| slow("a connection"))??;
        let takes_8bit = connection.smtp.server_info().supports_feature(Extension::EightBitMime);
        let raw = raw(takes_8bit).map_err(Failure::Fault)?;
        // A connection that failed or was left in the middle is dropped, and with it what the server has of the mail.
        let sending =
            timeout(self.settings.patience, deliver(&mut connection.smtp, (from, to), &raw)).await;
        sending.map_err(|_elapsed| slow("the mail to be taken"))??;
        connection.mails += 1;
        connection.since = Instant::now();
        self.keep(connection);
        Ok(())
    }

    /// A connection that is ready for MAIL.
    async fn connection(&self) -> Result<Connection, Failure> {
        while let Some(mut kept) = self.take() {
            // The server may have closed it meanwhile; a mail must not fail of that.
            if timeout(DIAL_MAX, kept.smtp.test_connected()).await.is_ok_and(|is_alive| is_alive) {
                return Ok(kept);
            }
        }
        Ok(Connection { smtp: self.connect().await?, mails: 0, since: Instant::now() })
    }

    fn take(&self) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|kept| kept.since.elapsed() < IDLE_MAX);
        idle.pop()
    }

    fn keep(&self, connection: Connection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if connection.mails < MAILS_PER_CONNECTION_MAX && idle.len() < IDLE_CONNECTIONS_MAX {
            idle.push(connection);
        }
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, Failure> {
        let addresses = self.addresses().await?;
        let wrapped = match self.settings.security {
            Security::Tls => self.tls.clone(),
            Security::StartTls | Security::Loopback => None,
        };
        let dialled = AsyncSmtpConnection::connect_tokio1(
            addresses.as_slice(),
            Some(DIAL_MAX),
            &self.hello,
            wrapped,
            None,
        );
        // What a server says before MAIL is about us, not about a recipient: never a reason to give a mail up.
        let mut smtp = dialled.await.map_err(|error| before_mail("the greeting", &error))?;
        if let (Security::StartTls, Some(tls)) = (self.settings.security, &self.tls) {
            // SECURITY: EML-16. Whoever sits between could strike STARTTLS out of the answer.
            if !smtp.can_starttls() {
                return Err(Failure::Tls("it does not offer STARTTLS".into()));
            }
            let upgraded = smtp.starttls(tls.clone(), &self.hello).await;
            upgraded.map_err(|error| before_mail("STARTTLS", &error))?;
        }
        if let Some((user, password)) = &self.settings.login {
            let password = password.expose_secret().to_owned();
            let credentials = Credentials::new(user.clone(), password);
            let mechanisms = [Mechanism::Plain, Mechanism::Login];
            smtp.auth(&mechanisms, &credentials).await.map_err(|error| at_login(&error))?;
        }
        Ok(smtp)
    }

    async fn addresses(&self) -> Result<Vec<SocketAddr>, Failure> {
        let SmtpSettings { host, port, security, .. } = &self.settings;
        let found = tokio::net::lookup_host((host.as_str(), *port)).await;
        let found = found.map_err(|error| Failure::Unreachable(error.to_string()))?;
        // SECURITY: EML-16. A name such as `localhost` is only as good as who answers for it.
        let may_be = |it: &SocketAddr| *security != Security::Loopback || it.ip().is_loopback();
        let addresses: Vec<_> = found.filter(may_be).collect();
        if addresses.is_empty() {
            return Err(Failure::Unreachable("its name has no address that may be used".into()));
        }
        Ok(addresses)
    }
}

fn tls(settings: &SmtpSettings) -> Result<TlsParameters, String> {
    let mut builder = TlsParameters::builder(settings.host.clone());
    if let Some(path) = &settings.ca_file {
        let pem = std::fs::read(path).map_err(|error| error.to_string())?;
        // A file without any is no fault to the library, and would only show when mails wait.
        let begin = b"-----BEGIN CERTIFICATE-----";
        let is_pem = pem.windows(begin.len()).any(|it| it == begin);
        let certificate = is_pem.then(|| Certificate::from_pem(&pem).ok()).flatten();
        let certificate = certificate.ok_or("expected PEM certificates")?;
        builder = builder.add_root_certificate(certificate);
    }
    builder.build_rustls().map_err(|error| source_of(&error))
}

/// MAIL, RCPT, DATA and the message: what is refused here is refused for this mail.
async fn deliver(
    smtp: &mut AsyncSmtpConnection,
    (from, to): (&Address, &Address),
    raw: &[u8],
) -> Result<(), Failure> {
    let mut parameters = Vec::new();
    if !raw.is_ascii() {
        parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
    }
    let said = smtp.command(Mail::new(Some(from.clone()), parameters)).await;
    said.map_err(|error| of_mail("the sender", &error))?;
    let said = smtp.command(Rcpt::new(to.clone(), Vec::new())).await;
    said.map_err(|error| of_mail("the recipient", &error))?;
    let said = smtp.command(Data).await;
    said.map_err(|error| of_mail("DATA", &error))?;
    let said = smtp.message(raw).await;
    said.map_err(|error| of_mail("the message", &error))?;
    Ok(())
}

fn slow(what: &str) -> Failure {
    Failure::Unreachable(format!("it took too long to wait for {what}"))
}

fn before_mail(stage: &str, error: &Error) -> Failure {
    match io_error(error) {
        // That is how a rejected certificate looks from here.
        Some(cause) if cause.kind() == io::ErrorKind::InvalidData => {
            Failure::Tls(cause.to_string())
        }
        _ if error.status().is_some() => Failure::Later(answer(stage, error)),
        _ => Failure::Unreachable(source_of(error)),
    }
}

fn at_login(error: &Error) -> Failure {
    if error.is_permanent() {
        Failure::Login(answer("AUTH", error))
    } else if error.is_client() {
        Failure::Login("it offers no way to log in that is known here".into())
    } else {
        before_mail("AUTH", error)
    }
}

fn of_mail(stage: &str, error: &Error) -> Failure {
    /// RFC 4954, 6, and RFC 5248: a login is missing, too weak or wrong, and TLS is missing.
    const ABOUT_US: [&str; 4] = ["530", "534", "535", "538"];
    match error.status() {
        Some(code) if ABOUT_US.contains(&code.to_string().as_str()) => {
            Failure::Login(answer(stage, error))
        }
        Some(_) if error.is_permanent() => Failure::Refused(answer(stage, error)),
        Some(_) => Failure::Later(answer(stage, error)),
        None => Failure::Unreachable(source_of(error)),
    }
}

/// The stage, the status and the enhanced status (RFC 3463): `the recipient, 550 5.1.1`.
///
/// SECURITY: LOG-03. Nothing else of the answer: servers repeat addresses in it.
fn answer(stage: &str, error: &Error) -> String {
    let status = error.status().map_or_else(String::new, |code| code.to_string());
    let text = error.source().map(ToString::to_string).unwrap_or_default();
    let word = text.split_whitespace().next().unwrap_or_default();
    let numbers: Vec<_> = word.split('.').collect();
    let is_number =
        |it: &&str| (1..=3).contains(&it.len()) && it.bytes().all(|b| b.is_ascii_digit());
    if numbers.len() == 3 && numbers.iter().all(is_number) {
        format!("{stage}, {status} {word}")
    } else {
        format!("{stage}, {status}")
    }
}

/// The cause of a failure that no answer of the server made.
fn source_of(error: &Error) -> String {
    match (io_error(error), error.source()) {
        (Some(cause), _) => cause.to_string(),
        // The library's own words about an answer that is none.
        (None, Some(_)) if error.is_response() => "its answer cannot be read".to_owned(),
        (None, Some(cause)) => cause.to_string(),
        (None, None) => error.to_string(),
    }
}

fn io_error(error: &Error) -> Option<&io::Error> {
    let mut cause = error.source();
    while let Some(at) = cause {
        if let Some(found) = at.downcast_ref::<io::Error>() {
            return Some(found);
        }
        cause = at.source();
    }
    None
}
