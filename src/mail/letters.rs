//! What mails say: the compiled-in templates and what is filled in.
//!
//! No value comes from a user: there is nothing to inject (EML-15). An undefined name is a fault, and
//! `.html` is escaped.

use minijinja::{Environment, UndefinedBehavior, context};

use super::Settings;
use crate::Fault;
use crate::domain::job::Letter;

/// Name of a template → its text.
const TEMPLATES: [(&str, &str); 6] = [
    ("verify.subject.txt", include_str!("templates/verify.subject.txt")),
    ("verify.txt", include_str!("templates/verify.txt")),
    ("verify.html", include_str!("templates/verify.html")),
    ("already_registered.subject.txt", include_str!("templates/already_registered.subject.txt")),
    ("already_registered.txt", include_str!("templates/already_registered.txt")),
    ("already_registered.html", include_str!("templates/already_registered.html")),
];

/// LIMIT: REL-17. No template of ours nests.
const RECURSION_MAX: usize = 32;

/// A mail as it is read.
pub(super) struct Rendered {
    /// One line.
    pub(super) subject: String,
    /// For every reader.
    pub(super) text: String,
    /// The same for those who prefer it.
    pub(super) html: String,
}

/// The templates, and the addresses that links are built from.
pub(super) struct Letters {
    templates: Environment<'static>,
    host: String,
    public_url: String,
    ui_url: String,
}

impl Letters {
    /// Compiles the templates.
    pub(super) fn new(settings: &Settings, host: &str) -> Result<Self, Fault> {
        let mut templates = Environment::new();
        templates.set_undefined_behavior(UndefinedBehavior::Strict);
        templates.set_recursion_limit(RECURSION_MAX);
        for (name, text) in TEMPLATES {
            templates.add_template(name, text).map_err(Fault::internal)?;
        }
        Ok(Self {
            templates,
            host: host.to_owned(),
            public_url: settings.public_url.clone(),
            ui_url: settings.ui_url.clone(),
        })
    }

    /// Fills a letter in.
    pub(super) fn render(&self, letter: &Letter) -> Result<Rendered, Fault> {
        let host = &self.host;
        match letter {
            Letter::Verify { token, lifetime_s } => {
                // SECURITY: SES-14. A fragment reaches no server, no log and no Referer.
                let link = format!("{}/verify#token={token}", self.ui_url);
                let lifetime = in_words(*lifetime_s);
                let public_url = &self.public_url;
                self.fill("verify", &context! { host, link, lifetime, public_url })
            }
            Letter::AlreadyRegistered => self.fill("already_registered", &context! { host }),
            _ => Err(Fault::internal("this letter has no template")),
        }
    }

    fn fill(&self, name: &str, values: &minijinja::Value) -> Result<Rendered, Fault> {
        let part = |ending: &str| {
            let template = self.templates.get_template(&format!("{name}.{ending}"));
            template.and_then(|it| it.render(values)).map_err(Fault::internal)
        };
        Ok(Rendered { subject: part("subject.txt")?, text: part("txt")?, html: part("html")? })
    }
}

/// A span as people say it, rounded down: "24 hours", "90 minutes".
pub(super) fn in_words(seconds: u64) -> String {
    const UNITS: [(u64, u64, &str); 3] = [(86_400, 2, "day"), (3600, 1, "hour"), (60, 1, "minute")];
    let fits = |(unit, least, _): &&(u64, u64, &str)| {
        let count = seconds / unit;
        count >= *least && (seconds.is_multiple_of(*unit) || count >= 10)
    };
    let (unit, _, name) = UNITS.iter().find(fits).unwrap_or(&(1, 0, "second"));
    let count = seconds / unit;
    format!("{count} {name}{}", if count == 1 { "" } else { "s" })
}
