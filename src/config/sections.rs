//! The typed sections of a configuration: true once they are in hand, and nothing validates them again.
//!
//! What each key means, its unit and its bounds stand in `default.toml`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use secrecy::SecretString;
use tracing::level_filters::LevelFilter;

use crate::domain::keys::SigningAlgorithm;
use crate::domain::signup::{EmailVerification, MailPolicy, SignupMode};
use crate::telemetry::LogFormat;

/// Whether comforts for a newcomer are in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Environment {
    /// On loopback, or told so: a master key may be made at start.
    Development,
    /// Everything else.
    Production,
}

/// Where the master key comes from.
#[derive(Clone, Debug)]
pub enum MasterKeySource {
    /// By value: base64 of 32 bytes.
    Given(SecretString),
    /// In this file, which was there and whole at the time of the check.
    File(PathBuf),
    /// In this file, which is made where it is missing; development only.
    Generate(PathBuf),
}

/// `[http]`: the public listener.
#[derive(Clone, Debug)]
pub struct Http {
    /// Address and port; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Deadline of a request.
    pub request_timeout: Duration,
    /// Time for the head of a request.
    pub head_timeout: Duration,
    /// Time for the body of a request.
    pub body_timeout: Duration,
    /// Bytes of a body.
    pub body_bytes_max: usize,
    /// Time that an idle connection stays.
    pub keep_alive: Duration,
    /// Host names in lower case, without port, IPv6 in brackets; never empty.
    pub allowed_hosts: Vec<String>,
    /// Time between "not ready" and the end of listening.
    pub drain_delay: Duration,
    /// Time for what still runs after that.
    pub shutdown_timeout: Duration,
}

/// `[admin]`: the other listener.
#[derive(Clone, Debug)]
pub struct Admin {
    /// Address and port; port 0 takes a free one.
    pub listen: SocketAddr,
}

/// Which database, and where.
#[derive(Clone, Debug)]
pub enum StoreUrl {
    /// The file of an SQLite database.
    Sqlite(PathBuf),
    /// The whole URL of a PostgreSQL database, with its password.
    Postgres(SecretString),
}

/// Who brings the schema up to date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Migrate {
    /// `serve`, at start.
    Auto,
    /// An operator, by `portcullis migrate`.
    Never,
}

/// `[store]`: the database.
#[derive(Clone, Debug)]
pub struct Store {
    /// The database.
    pub url: StoreUrl,
    /// Connections to PostgreSQL.
    pub pool_max: u32,
    /// Read connections to SQLite.
    pub readers: u32,
    /// Who migrates.
    pub migrate: Migrate,
    /// The URL for migrations where it is another one; of the same kind as `url`.
    pub migrate_url: Option<StoreUrl>,
}

/// `[token]`: access and refresh tokens, their keys.
#[derive(Clone, Debug)]
pub struct Token {
    /// Algorithm of the key that is announced next.
    pub algorithm: SigningAlgorithm,
    /// `aud` values, never empty; the first is our own.
    pub audiences: Vec<String>,
    /// Life of an access token, in whole seconds.
    pub access_lifetime: Duration,
    /// Life of a session that is not refreshed; at most `session_max`.
    pub session_idle: Duration,
    /// Life of a session.
    pub session_max: Duration,
    /// Time in which a used refresh token gives its successor again.
    pub refresh_reuse_window: Duration,
    /// Time that a key is announced before it signs.
    pub key_announce: Duration,
    /// Age at which a key is reported.
    pub key_max_age: Duration,
    /// Time after the password was given in which a sign-in counts as fresh.
    pub fresh_auth: Duration,
    /// The claim `scope`.
    pub user_scope: String,
}

/// `[password]`: rules and costs.
#[derive(Clone, Debug)]
pub struct Password {
    /// Code points at least.
    pub min_length: usize,
    /// Code points at most.
    pub max_length: usize,
    /// Guesses at least, as a power of ten.
    pub strength_min: u32,
    /// Whether a new password is looked for among those that were stolen.
    pub breach_check: bool,
    /// Where their ranges are asked for; ends with a slash.
    pub breach_url: String,
    /// argon2id memory.
    pub memory_kib: u32,
    /// argon2id passes.
    pub iterations: u32,
    /// argon2id lanes.
    pub parallelism: u32,
    /// Hashing threads, at least one.
    pub hash_threads: usize,
    /// Time that a password may wait for a thread.
    pub queue_wait_max: Duration,
    /// Life of a token that resets a password.
    pub reset_lifetime: Duration,
}

/// `[signup]`
#[derive(Clone, Debug)]
pub struct Signup {
    /// Who may sign up.
    pub mode: SignupMode,
    /// What an account needs.
    pub email_verification: EmailVerification,
    /// Life of a verification token.
    pub verify_lifetime: Duration,
    /// Life of an invitation, and of the account that was made with it.
    pub invitation_lifetime: Duration,
}

/// `[accounts]`
#[derive(Clone, Debug)]
pub struct Accounts {
    /// User names that nobody may take, in lower case, besides the built-in ones.
    pub reserved_usernames: Vec<String>,
    /// Time in which a deleted account can be restored.
    pub deletion_grace: Duration,
    /// Time that a pending signup is kept.
    pub unverified_lifetime: Duration,
    /// Life of the tokens of a change of the address.
    pub email_change_lifetime: Duration,
}

/// `[limits]`
#[derive(Clone, Debug)]
pub struct Limits {
    /// Whether anything is limited at all.
    pub enabled: bool,
    /// Mails to one mailbox and kind.
    pub mails: MailPolicy,
}

/// `[profile]`
#[derive(Clone, Debug)]
pub struct Profile {
    /// A file with the schema, or the built-in one.
    pub schema: Option<PathBuf>,
}

/// How mails leave.
#[derive(Clone, Debug)]
pub enum MailTransport {
    /// To a mail server.
    Smtp(Smtp),
    /// As `.eml` files.
    File,
    /// Not at all.
    Off,
}

/// `[mail]`
#[derive(Clone, Debug)]
pub struct Mail {
    /// How mails leave.
    pub transport: MailTransport,
    /// Folder of the `.eml` files.
    pub dir: PathBuf,
    /// Sender, as `lettre::message::Mailbox` parses it.
    pub from: String,
    /// A folder of texts that stand in for the built-in ones.
    pub templates: Option<PathBuf>,
}

/// What keeps a connection to the mail server from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpTls {
    /// TLS from the first byte: `smtps://`.
    Implicit,
    /// STARTTLS, demanded: `smtp://`.
    StartTls,
    /// The way never leaves this host: `smtp://` and a loopback address.
    Loopback,
}

/// The mail server of `mail.url`.
#[derive(Clone, Debug)]
pub struct Smtp {
    /// Its name or address, without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// What keeps the connection from others.
    pub tls: SmtpTls,
    /// User and password.
    pub login: Option<(String, SecretString)>,
    /// PEM certificates of authorities besides the platform's.
    pub ca_file: Option<PathBuf>,
}

/// `[jobs]`
#[derive(Clone, Debug)]
pub struct Jobs {
    /// Jobs that run at once.
    pub workers: usize,
    /// Time between two looks.
    pub poll_interval: Duration,
    /// Time that a claim lasts.
    pub lease: Duration,
    /// Tries until a job is given up.
    pub attempts_max: u32,
}

/// `[audit]`
#[derive(Clone, Copy, Debug)]
pub struct Audit {
    /// Age at which an event leaves the trail; `None` keeps it for ever.
    pub retention: Option<Duration>,
}

/// How often something is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallRate {
    /// Calls a minute in the long run.
    pub per_minute: u32,
    /// Calls at once after a rest.
    pub burst: u32,
}

/// `[outbound]`
#[derive(Clone, Debug)]
pub struct Outbound {
    /// Networks that may be called besides public addresses.
    pub allow_networks: Vec<IpNet>,
    /// Mails that leave by SMTP.
    pub mail_server: CallRate,
    /// Ranges of breached passwords.
    pub breach_list: CallRate,
    /// Attempts at the webhooks of one host.
    pub webhooks: CallRate,
}

/// `[webhooks]`
#[derive(Clone, Debug)]
pub struct Webhooks {
    /// Whether they may be sent without TLS.
    pub allow_http: bool,
}

/// `[telemetry]`
#[derive(Clone, Debug)]
pub struct Telemetry {
    /// Shape of a line.
    pub log_format: LogFormat,
    /// What is logged at all.
    pub log_level: LevelFilter,
}
