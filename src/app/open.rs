//! From a configuration to an [`App`]: opens the database, brings its schema up to date, starts the hash pool.

use std::sync::Arc;

use portcullis_verify::Policy;
use secrecy::ExposeSecret;
use tokio_util::task::TaskTracker;

use super::{App, Keys};
use crate::config::{CallRate, Config, Migrate, Report, StoreUrl};
use crate::crypto::hasher::{Hasher, HasherSettings};
use crate::crypto::random::Random;
use crate::crypto::seal::{MasterKey, MasterKeyError, Sealer};
use crate::domain::password::PasswordPolicy;
use crate::domain::profile::{ProfileSchema, SchemaError};
use crate::domain::username::Reserved;
use crate::flows::{Settings, keys, tokens};
use crate::outbound::{self, Lookup, Outbound, Rate, SystemLookup, UrlFault};
use crate::store::migrate::{self, State};
use crate::store::{self, Database, Store};
use crate::{Clock, Fault, FaultKind};

/// The version of this binary.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Why the service does not start. The command line turns the kind into an exit code.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Exit 78: what an operator wrote.
    #[error("{0}")]
    Config(#[from] Report),
    /// Exit 78: the master key is none.
    #[error("master_key: {0}")]
    MasterKey(#[from] MasterKeyError),
    /// Exit 78: the master key is not the one that the stored keys are sealed with (CFG-13).
    #[error("master_key: the signing keys of this database were sealed with another one")]
    OtherMasterKey(#[source] Fault),
    /// Exit 78: the file of the profile schema cannot be read.
    #[error("profile.schema: {0}")]
    SchemaFile(#[source] std::io::Error),
    /// Exit 78: the file of the profile schema.
    #[error("profile.schema: {}", list(.0))]
    Schema(Vec<SchemaError>),
    /// Exit 78: the schema of the database is not up to date, and `store.migrate` is `never`.
    #[error("{0} migrations are pending: run `portcullis migrate` (store.migrate is \"never\")")]
    Pending(usize),
    /// Exit 78: the schema of the database was made for newer binaries (CFG-10).
    #[error("the database needs portcullis {0} or newer; this is {VERSION}")]
    TooOld(String),
    /// Exit 78: the list of breached passwords is where nobody may call.
    #[error("password.breach_url: {0} (outbound.allow_networks lets networks through)")]
    BreachUrl(#[from] UrlFault),
    /// Exit 69 when a dependency is out, else 1.
    #[error("{0}")]
    Fault(#[from] Fault),
}

fn list(errors: &[SchemaError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// What tests put in place of the system's: the clock and the randomness.
#[derive(Clone)]
pub struct Means {
    /// The one clock.
    pub clock: Clock,
    /// The one source of randomness.
    pub random: Random,
    /// What finds the addresses of names that are called.
    pub lookup: Arc<dyn Lookup>,
}

impl Means {
    /// The system's own.
    pub fn system() -> Self {
        Self { clock: Clock::system(), random: Random::system(), lookup: Arc::new(SystemLookup) }
    }
}

/// The database that a URL names.
pub fn database(url: &StoreUrl) -> Database {
    match url {
        StoreUrl::Sqlite(path) => Database::Sqlite(path.clone()),
        StoreUrl::Postgres(url) => Database::Postgres(url.expose_secret().to_owned()),
    }
}

/// The database as migrations reach it.
pub fn migrations_database(config: &Config) -> Database {
    database(config.store.migrate_url.as_ref().unwrap_or(&config.store.url))
}

/// Migrates, or refuses to run on a schema that is not this binary's.
async fn prepare(config: &Config) -> Result<(), OpenError> {
    let found = match config.store.migrate {
        Migrate::Never => migrate::state(&database(&config.store.url)).await?,
        Migrate::Auto => {
            let found = migrate::state(&migrations_database(config)).await?;
            refuse_old(&found)?;
            if found.pending > 0 {
                migrate::run(&migrations_database(config)).await?
            } else {
                found
            }
        }
    };
    refuse_old(&found)?;
    if found.pending > 0 { Err(OpenError::Pending(found.pending)) } else { Ok(()) }
}

fn refuse_old(state: &State) -> Result<(), OpenError> {
    match &state.oldest_binary {
        Some(oldest) if !state.allows(VERSION) => Err(OpenError::TooOld(oldest.clone())),
        _ => Ok(()),
    }
}

impl App {
    /// Opens everything that `config` names, and reads the signing keys. Nothing is sent or served yet.
    pub async fn open(config: &Config, means: Means) -> Result<Arc<Self>, OpenError> {
        let Means { clock, random, lookup } = means;
        let sealer = sealer(config, &random)?;
        let schema = profile_schema(config)?;
        prepare(config).await?;
        let tasks = TaskTracker::new();
        let pool_max = match config.store.url {
            StoreUrl::Sqlite(_) => config.store.readers,
            StoreUrl::Postgres(_) => config.store.pool_max,
        };
        let settings = store::Settings { database: database(&config.store.url), pool_max };
        let drawn = random.clone();
        let jitter: store::Jitter = Arc::new(move |max| drawn.jitter(max));
        let store = Store::open(&settings, Arc::clone(&jitter), tasks.clone()).await?;
        let settings = settings_of(config);
        let policy = Policy::new(settings.issuer.clone(), settings.own_audience().to_owned())
            .with_exp_leeway_s(0)
            .and_then(|policy| policy.with_nbf_leeway_s(tokens::BACKDATED_S))
            .map_err(Fault::internal)?;
        let outbound = outbound(config, &jitter, &clock, lookup);
        let password = &config.password;
        let breach_url = password.breach_check.then_some(&password.breach_url);
        let breach_url = breach_url.map(|url| outbound.breach_list.check_url(url)).transpose()?;
        let app = Arc::new(Self {
            outbound,
            breach_url,
            hasher: Hasher::start(hasher_settings(config), random.clone())?,
            keys: Keys::empty(),
            passwords: password_policy(config),
            reserved: Reserved::with(&config.accounts.reserved_usernames),
            schema: Arc::new(schema),
            store,
            sealer,
            clock,
            random,
            policy,
            settings,
            tasks,
        });
        match keys::read(&app).await {
            Ok(()) => Ok(app),
            Err(fault) if fault.kind() == FaultKind::Internal => {
                Err(OpenError::OtherMasterKey(fault))
            }
            Err(fault) => Err(fault.into()),
        }
    }
}

fn sealer(config: &Config, random: &Random) -> Result<Sealer, OpenError> {
    let current = MasterKey::from_base64(config.master_key()?.expose_secret())?;
    let previous = config.previous_master_keys.iter();
    let previous: Vec<MasterKey> = previous
        .map(|key| MasterKey::from_base64(key.expose_secret()))
        .collect::<Result<_, _>>()?;
    Ok(Sealer::new(&current, &previous, random.clone())?)
}

/// The profile schema that `config` names, or the built-in one.
pub fn profile_schema(config: &Config) -> Result<ProfileSchema, OpenError> {
    let Some(path) = &config.profile.schema else {
        return ProfileSchema::default_schema().map_err(OpenError::Schema);
    };
    let text = std::fs::read_to_string(path).map_err(OpenError::SchemaFile)?;
    ProfileSchema::from_json(&text).map_err(OpenError::Schema)
}

fn hasher_settings(config: &Config) -> HasherSettings {
    let password = &config.password;
    HasherSettings {
        memory_kib: password.memory_kib,
        iterations: password.iterations,
        parallelism: password.parallelism,
        threads: password.hash_threads,
        queue_wait_max: password.queue_wait_max,
    }
}

fn password_policy(config: &Config) -> PasswordPolicy {
    let host =
        url::Url::parse(&config.public_url).ok().and_then(|url| url.host_str().map(Into::into));
    PasswordPolicy {
        min_length: config.password.min_length,
        max_length: config.password.max_length,
        strength_min: config.password.strength_min,
        product: "portcullis".into(),
        host: host.unwrap_or_default(),
    }
}

fn outbound(
    config: &Config,
    jitter: &outbound::Jitter,
    clock: &Clock,
    lookup: Arc<dyn Lookup>,
) -> Outbound {
    let rate = |rate: CallRate| Rate { per_minute: rate.per_minute, burst: rate.burst };
    let written = &config.outbound;
    let settings = outbound::Settings {
        allow_networks: written.allow_networks.clone(),
        webhooks_allow_http: config.webhooks.allow_http,
        mail_server: rate(written.mail_server),
        breach_list: rate(written.breach_list),
        webhooks_per_host: rate(written.webhooks),
    };
    let (jitter, clock) = (Arc::clone(jitter), clock.clone());
    Outbound::new(&settings, &outbound::Means { clock, jitter, lookup })
}

fn settings_of(config: &Config) -> Settings {
    let token = &config.token;
    Settings {
        issuer: config.public_url.clone(),
        ui_url: config.ui_url.clone(),
        audiences: token.audiences.clone(),
        user_scope: token.user_scope.clone(),
        algorithm: token.algorithm,
        access_lifetime: token.access_lifetime,
        session_idle: token.session_idle,
        session_max: token.session_max,
        refresh_reuse_window: token.refresh_reuse_window,
        key_announce: token.key_announce,
        verify_lifetime: config.signup.verify_lifetime,
        fresh_auth: token.fresh_auth,
        signup_mode: config.signup.mode,
        email_verification: config.signup.email_verification,
        invitation_lifetime: config.signup.invitation_lifetime,
        reset_lifetime: config.password.reset_lifetime,
        email_change_lifetime: config.accounts.email_change_lifetime,
        deletion_grace: config.accounts.deletion_grace,
        unverified_lifetime: config.accounts.unverified_lifetime,
        audit_retention: config.audit.retention,
        mail_limits: config.limits.enabled.then_some(config.limits.mails),
    }
}
