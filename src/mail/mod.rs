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
mod texts;
mod words;

#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;

use lettre::message::Mailbox;

use crate::Fault;
use crate::domain::ids::JobId;
use crate::domain::job::Mail;
use crate::domain::time::Timestamp;
pub use language::Language;
use letters::{Content, Letters};
pub use texts::TemplateFault;

/// How mails leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transport {
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
    /// The transport did not take it; perhaps it does later.
    #[error("the mail file cannot be written: {0}")]
    NotTaken(#[source] io::Error),
}

/// Renders mails and hands them over.
pub struct Mailer {
    transport: Transport,
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
        Ok(Self {
            transport: settings.transport.clone(),
            from: settings.from.parse().map_err(Fault::internal)?,
            host: host.to_owned(),
            letters,
        })
    }

    /// Hands one mail over. Safe to repeat: the same file is replaced with the same content.
    pub async fn send(
        &self,
        envelope: Envelope,
        language: Language,
        mail: &Mail,
    ) -> Result<(), MailError> {
        let raw = self.compose(envelope, language, mail).map_err(MailError::Unsendable)?;
        match &self.transport {
            Transport::Off => {
                tracing::info!(job.id = %envelope.id, job.kind = "mail", "no mail: mail.transport is off");
            }
            Transport::File { dir } => {
                let dir = dir.clone();
                let writing =
                    tokio::task::spawn_blocking(move || outbox::put(&dir, envelope, &raw));
                let file = writing.await.map_err(io::Error::other).flatten();
                let file = file.map_err(MailError::NotTaken)?;
                // SECURITY: LOG-03. The name of the file, never the link.
                tracing::info!(job.id = %envelope.id, mail.file = %file.display(), "mail written");
            }
        }
        Ok(())
    }

    /// The whole message.
    fn compose(
        &self,
        envelope: Envelope,
        language: Language,
        mail: &Mail,
    ) -> Result<Vec<u8>, Fault> {
        let rendered = self.letters.render(language, Content::Letter(&mail.letter));
        let rendered = rendered.map_err(|fault| Fault::internal(fault.to_string()))?;
        let message_id = format!("<{}@{}>", envelope.id, self.host);
        message::build(envelope, message_id, (&self.from, &mail.to), rendered)
    }
}
