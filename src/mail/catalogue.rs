//! The texts of all mails, compiled (ADR 0014).
//!
//! Every value of a language's file is a template of its own, named `de/verify/body`; the two layouts put them together.
//! A value that is filled in is no template, an undefined name is a fault, and `.html` is escaped (EML-15).

use std::collections::BTreeMap;
use std::path::Path;

use minijinja::{Environment, UndefinedBehavior, Value};

use super::texts::{TemplateFault, Text, Texts};
use super::words;

/// LIMIT: REL-17. No template of ours nests.
const RECURSION_MAX: usize = 32;

/// Compiled texts.
pub(super) struct Catalogue {
    templates: Environment<'static>,
    /// Name of a template → its file, and the line where it begins.
    places: BTreeMap<String, (String, usize)>,
}

impl Catalogue {
    /// Compiles the built-in texts, and over them, value by value, those of `folder`. Tells all faults at once.
    pub(super) fn load(folder: Option<&Path>) -> Result<Self, Vec<TemplateFault>> {
        let Texts { found, mut faults, .. } = Texts::read(folder);
        let mut templates = Environment::new();
        templates.set_undefined_behavior(UndefinedBehavior::Strict);
        templates.set_recursion_limit(RECURSION_MAX);
        templates.add_filter("fill", |line: String| words::fill(&line));
        let mut catalogue = Self { templates, places: BTreeMap::new() };
        for (name, Text { file, line, source }) in found {
            catalogue.places.insert(name.clone(), (file, line));
            if let Err(error) = catalogue.templates.add_template_owned(name, source) {
                faults.push(catalogue.fault(&error));
            }
        }
        if faults.is_empty() { Ok(catalogue) } else { Err(faults) }
    }

    /// Fills a template in.
    pub(super) fn fill(&self, name: &str, values: &Value) -> Result<String, TemplateFault> {
        let filled = self.templates.get_template(name).and_then(|it| it.render(values));
        filled.map_err(|error| self.fault(&error))
    }

    /// Says that a whole text is not right.
    pub(super) fn fault_at(&self, name: &str, reason: &str) -> TemplateFault {
        let (file, line) = self.places.get(name).cloned().unwrap_or_default();
        TemplateFault { file, line: Some(line), reason: reason.to_owned() }
    }

    fn fault(&self, error: &minijinja::Error) -> TemplateFault {
        let name = error.name().unwrap_or_default();
        let (file, first) = self.places.get(name).cloned().unwrap_or_default();
        let line = error.line().map(|line| first + line.saturating_sub(1));
        let reason = match error.detail() {
            Some(detail) => format!("{}: {detail}", error.kind()),
            None => error.kind().to_string(),
        };
        TemplateFault { file, line, reason }
    }

    #[cfg(test)]
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.places.keys().map(String::as_str)
    }
}
