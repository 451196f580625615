//! What an operator writes: `default.toml`, a file, the environment.
//!
//! `load` lays them over each other (`raw`), checks them (`check`) and answers a [`Config`] that is
//! true, or a [`Report`] of everything that is wrong: exit code 78, never a panic. Only `main`, `app`
//! and `cli` see this room; everybody else is handed plain values.

mod check;
mod master_key;
mod raw;
mod reader;
mod report;
mod sections;
mod show;
mod values;

#[cfg(test)]
mod tests;

use std::fs;
use std::path::PathBuf;

use secrecy::SecretString;

pub use report::{ConfigFault, Report};
pub use sections::{
    Accounts, Admin, Audit, CallRate, Environment, Http, Jobs, Limits, Mail, MailTransport,
    MasterKeySource, Migrate, Outbound, Password, Profile, Signup, Smtp, SmtpTls, Store, StoreUrl,
    Telemetry, Token, Webhooks,
};

/// A configuration that holds.
#[derive(Clone, Debug)]
pub struct Config {
    /// Production or development.
    pub environment: Environment,
    /// Origin without a final slash; `iss` of the tokens.
    pub public_url: String,
    /// Where links in mails lead, without a final slash.
    pub ui_url: String,
    /// Folder of what the service writes by itself.
    pub data_dir: PathBuf,
    /// Where the master key is; [`Config::master_key`] gets it.
    pub master_key_source: MasterKeySource,
    /// Former master keys, base64 of 32 bytes each.
    pub previous_master_keys: Vec<SecretString>,
    /// The public listener.
    pub http: Http,
    /// The admin listener.
    pub admin: Admin,
    /// The database.
    pub store: Store,
    /// Tokens and their keys.
    pub token: Token,
    /// Rules and costs of passwords.
    pub password: Password,
    /// Who may sign up, and how.
    pub signup: Signup,
    /// User names, and how long accounts stay.
    pub accounts: Accounts,
    /// Limits of attempts and mails.
    pub limits: Limits,
    /// The profile schema.
    pub profile: Profile,
    /// How mails leave.
    pub mail: Mail,
    /// What is called by this service.
    pub outbound: Outbound,
    /// What others are told.
    pub webhooks: Webhooks,
    /// The worker pool.
    pub jobs: Jobs,
    /// The audit trail.
    pub audit: Audit,
    /// Logs.
    pub telemetry: Telemetry,
    shown: show::Shown,
}

impl Config {
    /// The master key, base64 of 32 bytes. Makes it, and its folder, where the source says so.
    pub fn master_key(&self) -> Result<SecretString, Report> {
        master_key::obtain(&self.master_key_source)
    }

    /// The effective values as TOML, each with a comment that says who wrote it; secrets are `***`.
    pub fn show(&self) -> String {
        self.shown.to_string()
    }
}

/// Where to look for what was written.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// The file of `--config`; it must exist.
    pub file: Option<PathBuf>,
    /// The file that is read if it exists and neither `file` nor `PORTCULLIS_CONFIG` names another.
    pub fallback: Option<PathBuf>,
    /// Variables; others than `PORTCULLIS_…` are passed over.
    pub environment: Vec<(String, String)>,
}

impl LoadOptions {
    /// What a process sees: its environment and `./portcullis.toml`.
    pub fn process(file: Option<PathBuf>) -> Self {
        // `vars` panics on what is not UTF-8; a replacement character is a fault of its own.
        let text = |os: std::ffi::OsString| os.to_string_lossy().into_owned();
        let environment = std::env::vars_os().map(|(name, value)| (text(name), text(value)));
        Self {
            file,
            fallback: Some(PathBuf::from("portcullis.toml")),
            environment: environment.collect(),
        }
    }

    /// Nothing but these variables: for tests.
    pub fn only<const N: usize>(variables: [(&str, &str); N]) -> Self {
        let owned = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self { environment: owned.into(), ..Self::default() }
    }

    fn config_file(&self) -> (Option<PathBuf>, &'static str) {
        let mut named = self.environment.iter().filter(|(name, _)| name == "PORTCULLIS_CONFIG");
        let named = named.find(|(_, path)| !path.is_empty()).map(|(_, path)| PathBuf::from(path));
        match (&self.file, named) {
            (Some(file), _) => (Some(file.clone()), "--config"),
            (None, Some(file)) => (Some(file), "PORTCULLIS_CONFIG"),
            (None, None) => (self.fallback.clone().filter(|file| file.exists()), "configuration"),
        }
    }
}

/// Reads all layers and checks them; the master key is not made yet.
pub fn load(options: &LoadOptions) -> Result<Config, Report> {
    let mut report = Report::default();
    let mut raw = raw::Raw::defaults(&mut report);
    if let (Some(path), key) = options.config_file() {
        match fs::read_to_string(&path) {
            Ok(text) => raw.lay_file(&path, &text, &mut report),
            Err(error) => {
                let expected = format!("cannot read the file: {}", error.kind());
                report.add(key, &path.display().to_string(), expected);
            }
        }
    }
    raw.lay_environment(&options.environment, &mut report);
    let mut reader = reader::Reader::new(raw, report);
    let built = check::config(&mut reader);
    let (config, shown) = reader.finish(built)?;
    Ok(Config { shown, ..config })
}
