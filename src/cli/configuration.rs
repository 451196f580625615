//! `portcullis config`: what is effective and who wrote it, or everything that is wrong with it.
//!
//! Nothing is made here: no folder, no master key, no database.

use std::fs;

use clap::Subcommand;

use super::failure::{Exit, Failure};
use super::output;
use crate::app::work;
use crate::config::{self, Config, LoadOptions};
use crate::domain::profile::ProfileSchema;
use crate::mail::Mailer;

/// `config show|check`
#[derive(Clone, Copy, Subcommand)]
pub(super) enum Configuration {
    /// Print the effective values as TOML, each with its origin; secrets are masked
    Show,
    /// Print `ok`, or every fault; the profile schema and the texts of mails are looked at too
    Check,
}

/// Loads the configuration and tells about it.
pub(super) fn run(options: &LoadOptions, command: Configuration) -> Result<(), Failure> {
    let config = config::load(options)?;
    match command {
        // CFG-04: the configuration masks what is secret when it is read, not here.
        Configuration::Show => output::print(&config.show()),
        Configuration::Check => {
            let mut lines = schema_faults(&config);
            lines.extend(mail_faults(&config));
            if lines.is_empty() {
                output::print("ok\n")
            } else {
                Err(Failure { code: Exit::Config, lines })
            }
        }
    }
}

fn mail_faults(config: &Config) -> Vec<String> {
    let made = Mailer::new(&work::mail_settings(config));
    made.err().map_or_else(Vec::new, |error| Failure::from(error).lines)
}

fn schema_faults(config: &Config) -> Vec<String> {
    let Some(path) = &config.profile.schema else { return Vec::new() };
    let line = |error: &dyn std::fmt::Display| format!("profile.schema: {error}");
    match fs::read_to_string(path) {
        Err(error) => vec![line(&error)],
        Ok(text) => match ProfileSchema::from_json(&text) {
            Ok(_) => Vec::new(),
            Err(errors) => errors.iter().map(|error| line(error)).collect(),
        },
    }
}
