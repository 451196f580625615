//! What each letter is about: its name among the texts, what is filled in, and where its link leads.
//!
//! Links are built from the configuration and a token, never from what anybody sent (EML-01). The one text of
//! a stranger, what a device calls itself, is made inert before it is filled in (EML-15).

use std::net::IpAddr;
use std::path::Path;

use minijinja::{Value, context};
use time::OffsetDateTime;

use super::catalogue::Catalogue;
use super::language::Language;
use super::samples;
use super::texts::TemplateFault;
use super::words;
use crate::domain::job::Letter;
use crate::domain::time::Timestamp;

/// A mail as it is read.
pub(super) struct Rendered {
    /// One line.
    pub(super) subject: String,
    /// For every reader.
    pub(super) text: String,
    /// The same for those who prefer it.
    pub(super) html: String,
}

/// What can be said: a letter of the life of an account, or the test of an operator.
#[derive(Clone, Copy)]
pub(super) enum Content<'a> {
    Letter(&'a Letter),
    Test,
}

/// The texts, and the addresses that links are built from.
pub(super) struct Letters {
    catalogue: Catalogue,
    host: String,
    public_url: String,
    ui_url: String,
}

/// A one-time token, the page that its link leads to, and the call that takes it.
struct Action<'a> {
    token: &'a str,
    lifetime_s: u64,
    page: &'static str,
    call: &'static str,
}

impl Letters {
    /// Compiles the texts and renders each once: what is broken stops the start and no mail.
    pub(super) fn load(
        folder: Option<&Path>,
        host: &str,
        (public_url, ui_url): (&str, &str),
    ) -> Result<Self, Vec<TemplateFault>> {
        let letters = Self {
            catalogue: Catalogue::load(folder)?,
            host: host.to_owned(),
            public_url: public_url.to_owned(),
            ui_url: ui_url.to_owned(),
        };
        let mut faults = Vec::new();
        for language in Language::ALL {
            for letter in samples::each() {
                faults.extend(letters.render(language, Content::Letter(&letter)).err());
            }
            faults.extend(letters.render(language, Content::Test).err());
        }
        // A broken layout breaks every letter in the same line.
        faults.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
        faults.dedup();
        if faults.is_empty() { Ok(letters) } else { Err(faults) }
    }

    /// Fills a letter in.
    pub(super) fn render(
        &self,
        language: Language,
        content: Content<'_>,
    ) -> Result<Rendered, TemplateFault> {
        let name = match content {
            Content::Letter(letter) => samples::name(letter),
            Content::Test => samples::TEST,
        };
        let action = match content {
            Content::Letter(letter) => action(letter),
            Content::Test => None,
        };
        // SECURITY: SES-14. A fragment reaches no server, no log and no Referer.
        let link = action.as_ref().map_or_else(String::new, |action| {
            format!("{}/{}#token={}", self.ui_url, action.page, action.token)
        });
        let values = self.values(language, content, (&action, &link))?;
        let part = |part: &str| {
            let path = format!("{}/{name}/{part}", language.code());
            Ok(self.catalogue.fill(&path, &values)?.trim().to_owned())
        };
        let subject = one_line(&part("subject")?);
        let paragraphs = words::paragraphs(&part("body")?, &link);
        if action.is_some() && !paragraphs.iter().any(|paragraph| paragraph.is_link) {
            let path = format!("{}/{name}/body", language.code());
            let reason = "expected a paragraph that is {{ link }} alone";
            return Err(self.catalogue.fault_at(&path, reason));
        }
        let word = |word: &str| {
            self.catalogue.fill(&format!("{}/words/{word}", language.code()), &context! {})
        };
        let layout = context! {
            language => language.code(),
            heading => one_line(&part("heading")?),
            hello => word("hello")?,
            developers => word("developers")?,
            paragraphs => paragraphs.iter().map(words::Paragraph::value).collect::<Vec<_>>(),
            link,
            action => if action.is_some() { part("action")? } else { String::new() },
            call => action.map(|action| format!("POST {}/{}", self.public_url, action.call)),
            host => &self.host,
            public_url => &self.public_url,
        };
        Ok(Rendered {
            subject,
            text: self.catalogue.fill("layout.txt", &layout)?,
            html: self.catalogue.fill("layout.html", &layout)?,
        })
    }

    /// What the texts of a letter may name.
    fn values(
        &self,
        language: Language,
        content: Content<'_>,
        (action, link): (&Option<Action<'_>>, &str),
    ) -> Result<Value, TemplateFault> {
        let host = &self.host;
        if let Some(Action { lifetime_s, .. }) = action {
            let lifetime = self.span(language, *lifetime_s)?;
            return Ok(context! { host, link, lifetime });
        }
        Ok(match content {
            Content::Letter(Letter::NewDevice { at, address, user_agent }) => context! {
                host,
                at => self.date(language, *at)?,
                address => address.parse::<IpAddr>().map_or_else(|_| String::new(), |it| it.to_string()),
                device => words::inert(user_agent.as_deref().unwrap_or_default()),
            },
            Content::Letter(Letter::AccountDeleted { grace_s }) => context! {
                host,
                grace_s,
                grace => self.span(language, *grace_s)?,
            },
            Content::Letter(_) | Content::Test => context! { host },
        })
    }

    /// A span as people say it: "24 hours".
    pub(super) fn span(&self, language: Language, seconds: u64) -> Result<String, TemplateFault> {
        let (n, unit) = words::span(seconds);
        self.catalogue.fill(&format!("{}/words/{unit}", language.code()), &context! { n })
    }

    /// A moment as people say it: "18 November 2026, 11:06 UTC".
    pub(super) fn date(&self, language: Language, at: Timestamp) -> Result<String, TemplateFault> {
        let at = OffsetDateTime::from_unix_timestamp(at.seconds());
        let at = at.unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let values = context! {
            day => at.day(),
            month => u8::from(at.month()),
            year => at.year(),
            time => format!("{:02}:{:02}", at.hour(), at.minute()),
        };
        self.catalogue.fill(&format!("{}/words/date", language.code()), &values)
    }
}

fn action(letter: &Letter) -> Option<Action<'_>> {
    let (token, lifetime_s, page, call) = match letter {
        Letter::Verify { token, lifetime_s } => {
            let call = r#"v1/email/verify {"token": "...", "password": "..."}"#;
            (token, lifetime_s, "verify", call)
        }
        Letter::Reset { token, lifetime_s } => {
            let call = r#"v1/password/reset {"token": "...", "password": "..."}"#;
            (token, lifetime_s, "reset", call)
        }
        Letter::EmailChange { token, lifetime_s } => {
            let call = r#"v1/email/change/confirm {"token": "...", "password": "..."}"#;
            (token, lifetime_s, "email/confirm", call)
        }
        Letter::EmailChangeRequested { token, lifetime_s } => {
            (token, lifetime_s, "email/cancel", r#"v1/email/change/cancel {"token": "..."}"#)
        }
        Letter::Invitation { token, lifetime_s } => {
            let call = r#"v1/signup {"email": "...", "password": "...", "invitation": "..."}"#;
            (token, lifetime_s, "invitation", call)
        }
        Letter::AlreadyRegistered
        | Letter::AddressHeld
        | Letter::EmailChanged
        | Letter::PasswordChanged
        | Letter::PasswordSet
        | Letter::NewDevice { .. }
        | Letter::AccountDeleted { .. }
        | Letter::AccountRestored => return None,
    };
    Some(Action { token, lifetime_s: *lifetime_s, page, call })
}

/// SECURITY: EML-14. A subject and a title are one line, whatever an operator wrote.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
