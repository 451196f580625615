//! Mails: from a letter to a rendered message, and to the transport that takes it.
//!
//! A mail is a function of its job: a second attempt hands over the same bytes under the same Message-ID.
//! Links are built from the configuration only (EML-01). When and how often is tried is told by `jobs`.

mod catalogue;
mod language;
mod letters;
mod message;
mod outbox;
mod samples;
mod smtp;
mod texts;
mod words;

#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;

use lettre::Address;
use lettre::message::Mailbox;
use lettre::transport::smtp::extension::ClientId;

use crate::Fault;
use crate::domain::ids::JobId;
use crate::domain::job::Mail;
use crate::domain::time::Timestamp;
pub use language::Language;
use letters::{Content, Letters};
use message::Encoding;
pub use samples::letter_names;
use smtp::Server;
pub use smtp::{Failure, Security, SmtpSettings};
pub use texts::TemplateFault;

/// How mails leave.
#[derive(Clone, Debug)]
pub enum Transport {
    /// To a mail server.
    Smtp(SmtpSettings),
    /// As `.eml` files in this folder, which is made with the first.
    File {
        /// The folder.
        dir: PathBuf,
    },
    /// Not at all.
    Off,
}

/// What the operator decided about mails.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How mails leave.
    pub transport: Transport,
    /// The sender: an address, or a name and an address.
    pub from: String,
    /// What clients call this service, without a final slash.
    pub public_url: String,
    /// The site that links lead to, without a final slash.
    pub ui_url: String,
    /// A folder whose files stand in for the built-in texts.
    pub templates: Option<PathBuf>,
}

/// Why no mailer can be made of what an operator wrote.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The texts in the folder of templates.
    #[error("mail.templates: {}", list(.0))]
    Templates(Vec<TemplateFault>),
    /// The certificates that the mail server is verified with.
    #[error("mail.ca_file: {0}")]
    Certificates(String),
    /// A value that the configuration should not have let pass.
    #[error("{0}")]
    Fault(#[from] Fault),
}

fn list(faults: &[TemplateFault]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// The job that a mail is made by: what it is named after.
#[derive(Clone, Copy, Debug)]
pub struct Envelope {
    /// The job: the Message-ID, and the name of the file.
    pub id: JobId,
    /// The attempt, from 1.
    pub attempt: i64,
    /// When the job was made: the date of the mail.
    pub made_at: Timestamp,
}

/// Why a mail was not handed over. The text holds neither address nor token.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// No later attempt does better.
    #[error("the mail cannot be made: {0}")]
    Unsendable(#[source] Fault),
    /// The folder did not take it; perhaps it does later.
    #[error("the mail file cannot be written: {0}")]
    NotTaken(#[source] io::Error),
    /// The mail server did not take it.
    #[error("{0}")]
    NotSent(#[source] Failure),
}

impl MailError {
    /// Whether no later attempt does better.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Unsendable(_) => true,
            Self::NotTaken(_) => false,
            Self::NotSent(failure) => matches!(failure, Failure::Refused(_) | Failure::Fault(_)),
        }
    }
}

/// What became of a mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Handed {
    /// The mail server took it.
    Sent,
    /// It lies in this file.
    Written(PathBuf),
    /// Nothing: mails are off.
    Dropped,
}

/// What of a letter is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preview {
    /// The subject, an empty line, the text part.
    Text,
    /// The HTML part.
    Html,
    /// The message as it would be sent, to `ann@example.org`.
    Message,
}

/// The way out, ready to be used.
enum Way {
    Smtp(Box<Server>),
    File(PathBuf),
    Off,
}

/// Renders mails and hands them over.
pub struct Mailer {
    way: Way,
    from: Mailbox,
    /// The host of `public_url`, without port.
    host: String,
    letters: Letters,
}

impl Mailer {
    /// A mailer that is ready to send; nothing is written yet.
    pub fn new(settings: &Settings) -> Result<Self, SetupError> {
        let url = url::Url::parse(&settings.public_url).map_err(Fault::internal)?;
        let host = url.host_str().ok_or_else(|| Fault::internal("public_url names no host"))?;
        let urls = (settings.public_url.as_str(), settings.ui_url.as_str());
        let letters = Letters::load(settings.templates.as_deref(), host, urls);
        let letters = letters.map_err(SetupError::Templates)?;
        let way = match settings.transport.clone() {
            Transport::Smtp(smtp) => {
                let server = Server::new(smtp, hello(&url));
                Way::Smtp(Box::new(server.map_err(SetupError::Certificates)?))
            }
            Transport::File { dir } => Way::File(dir),
            Transport::Off => Way::Off,
        };
        Ok(Self { way, from: message::sender(&settings.from)?, host: host.to_owned(), letters })
    }

    /// Whether mails leave this host, or could.
    pub fn is_remote(&self) -> bool {
        matches!(self.way, Way::Smtp(_))
    }

    /// Hands one mail over. Safe to repeat: the same message under the same id.
    pub async fn send(
        &self,
        envelope: Envelope,
        language: Language,
        mail: &Mail,
    ) -> Result<Handed, MailError> {
        self.hand_over(envelope, (language, Content::Letter(&mail.letter)), &mail.to).await
    }

    /// Hands over a mail that says nothing but that mails work.
    pub async fn send_test(
        &self,
        envelope: Envelope,
        language: Language,
        to: &str,
    ) -> Result<Handed, MailError> {
        self.hand_over(envelope, (language, Content::Test), to).await
    }

    /// A letter with made-up values; `name` is one of [`letter_names`].
    pub fn preview(
        &self,
        envelope: Envelope,
        language: Language,
        name: &str,
        preview: Preview,
    ) -> Result<String, Fault> {
        let letter = samples::named(name);
        let content = letter.as_ref().map_or(Content::Test, Content::Letter);
        if preview == Preview::Message {
            let to = message::address("ann@example.org")?;
            let raw = self.compose(envelope, (language, content), (&to, Encoding::Plain))?;
            return String::from_utf8(raw).map_err(Fault::internal);
        }
        let rendered = self.letters.render(language, content);
        let rendered = rendered.map_err(|fault| Fault::internal(fault.to_string()))?;
        Ok(match preview {
            Preview::Html => rendered.html,
            Preview::Text | Preview::Message => {
                format!("Subject: {}\n\n{}", rendered.subject, rendered.text)
            }
        })
    }

    async fn hand_over(
        &self,
        envelope: Envelope,
        content: (Language, Content<'_>),
        to: &str,
    ) -> Result<Handed, MailError> {
        let to = message::address(to).map_err(MailError::Unsendable)?;
        let raw = |encoding| self.compose(envelope, content, (&to, encoding));
        let plain = raw(Encoding::Plain).map_err(MailError::Unsendable)?;
        match &self.way {
            Way::Off => {
                tracing::info!(job.id = %envelope.id, job.kind = "mail", "no mail: mail.transport is off");
                Ok(Handed::Dropped)
            }
            Way::File(dir) => {
                let dir = dir.clone();
                let writing =
                    tokio::task::spawn_blocking(move || outbox::put(&dir, envelope, &plain));
                let file = writing.await.map_err(io::Error::other).flatten();
                let file = file.map_err(MailError::NotTaken)?;
                // SECURITY: LOG-03. The name of the file, never the link.
                tracing::info!(job.id = %envelope.id, mail.file = %file.display(), "mail written");
                Ok(Handed::Written(file))
            }
            Way::Smtp(server) => {
                let raw = |takes_8bit| if takes_8bit { Ok(plain) } else { raw(Encoding::SevenBit) };
                told(envelope, server.send((&self.from.email, &to), raw).await)
            }
        }
    }

    /// The whole message.
    fn compose(
        &self,
        envelope: Envelope,
        (language, content): (Language, Content<'_>),
        (to, encoding): (&Address, Encoding),
    ) -> Result<Vec<u8>, Fault> {
        let rendered = self.letters.render(language, content);
        let rendered = rendered.map_err(|fault| Fault::internal(fault.to_string()))?;
        let message_id = format!("<{}@{}>", envelope.id, self.host);
        message::build(envelope, message_id, (&self.from, to.clone()), (rendered, encoding))
    }
}

/// Counts and logs what the mail server made of a mail.
fn told(envelope: Envelope, sent: Result<(), Failure>) -> Result<Handed, MailError> {
    let outcome = sent.as_ref().map_or_else(Failure::word, |()| "sent");
    metrics::counter!("portcullis_mail_attempts_total", "outcome" => outcome).increment(1);
    match sent {
        Ok(()) => {
            tracing::info!(job.id = %envelope.id, "mail sent");
            Ok(Handed::Sent)
        }
        Err(failure) => {
            // Nobody gets a mail until an operator has mended it.
            if matches!(failure, Failure::Tls(_) | Failure::Login(_)) {
                tracing::error!(error = %failure, "no mail leaves");
            }
            Err(MailError::NotSent(failure))
        }
    }
}

/// How we call ourselves at a mail server.
fn hello(public_url: &url::Url) -> ClientId {
    match public_url.host() {
        Some(url::Host::Domain(name)) => ClientId::Domain(name.to_owned()),
        Some(url::Host::Ipv4(address)) => ClientId::Ipv4(address),
        Some(url::Host::Ipv6(address)) => ClientId::Ipv6(address),
        None => ClientId::default(),
    }
}
