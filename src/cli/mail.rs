//! `portcullis mail`: whether mails leave, and how they look. No database is opened.

use clap::builder::PossibleValuesParser;
use clap::{Subcommand, ValueEnum};

use super::failure::{Exit, Failure};
use super::output;
use crate::app::open::Means;
use crate::app::work;
use crate::config::{Config, MailTransport};
use crate::domain::email::EmailAddress;
use crate::domain::ids::JobId;
use crate::mail::{Envelope, Handed, Language, MailError, Mailer, Preview, letter_names};

/// `mail test|render`
#[derive(Subcommand)]
pub(super) enum Mail {
    /// Send one real mail by the configured transport and tell what became of it
    Test {
        /// To whom
        address: String,
        /// The language, as in a profile: `de`, `fr-CA`
        #[arg(long)]
        locale: Option<String>,
    },
    /// Print a letter with made-up values, as `mail.templates` and the built-in texts make it
    Render {
        /// Which one
        #[arg(value_parser = PossibleValuesParser::new(letter_names()))]
        letter: String,
        /// The language, as in a profile: `de`, `fr-CA`
        #[arg(long)]
        locale: Option<String>,
        /// What of it
        #[arg(long, value_enum, default_value_t = Part::Text)]
        format: Part,
    },
}

/// What of a letter is printed.
#[derive(Clone, Copy, ValueEnum)]
pub(super) enum Part {
    /// The subject and the text part
    Text,
    /// The HTML part
    Html,
    /// The whole message
    Eml,
}

/// Does what one of the verbs says.
pub(super) async fn run(config: &Config, command: Mail) -> Result<(), Failure> {
    let mailer = Mailer::new(&work::mail_settings(config))?;
    match command {
        Mail::Test { address, locale } => test(config, &mailer, &address, locale.as_deref()).await,
        Mail::Render { letter, locale, format } => {
            let preview = match format {
                Part::Text => Preview::Text,
                Part::Html => Preview::Html,
                Part::Eml => Preview::Message,
            };
            let language = Language::of(locale.as_deref());
            output::print(&mailer.preview(envelope(), language, &letter, preview)?)
        }
    }
}

async fn test(
    config: &Config,
    mailer: &Mailer,
    address: &str,
    locale: Option<&str>,
) -> Result<(), Failure> {
    let address = EmailAddress::parse(address)
        .map_err(|error| Failure::new(Exit::Data, error.to_string()))?;
    let language = Language::of(locale);
    match mailer.send_test(envelope(), language, address.typed()).await {
        Ok(Handed::Sent) => output::print(&format!("sent{}\n", by(config))),
        Ok(Handed::Written(file)) => output::print(&format!("written to {}\n", file.display())),
        Ok(Handed::Dropped) => {
            Err(Failure::new(Exit::Failed, "nothing is sent: mail.transport is \"off\""))
        }
        Err(MailError::NotSent(failure)) => {
            Err(Failure::new(Exit::Unavailable, format!("not sent{}: {failure}", by(config))))
        }
        Err(MailError::NotTaken(error)) => Err(Failure::new(Exit::Failed, error.to_string())),
        Err(MailError::Unsendable(fault)) => Err(fault.into()),
    }
}

/// By which server.
fn by(config: &Config) -> String {
    match &config.mail.transport {
        MailTransport::Smtp(server) => format!(" by {}, port {}", server.host, server.port),
        MailTransport::File | MailTransport::Off => String::new(),
    }
}

fn envelope() -> Envelope {
    let Means { clock, random, .. } = Means::system();
    let now = clock.now();
    Envelope { id: JobId(random.uuid(now)), attempt: 1, made_at: now }
}
