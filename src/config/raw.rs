//! What was written, layer over layer: the default, the file, the environment.
//!
//! Knows which keys there are (those of `default.toml`) and where each value was written. What a value
//! means, and whether it may be so, is `check`'s.

use std::collections::BTreeMap;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::report::Report;

/// The manual, the defaults and the list of known keys in one.
pub(super) const DEFAULTS: &str = include_str!("default.toml");

const PREFIX: &str = "PORTCULLIS_";

/// Keys whose value is never shown; each has a twin with `_file` behind it.
pub(super) const SECRETS: [&str; 5] =
    ["mail.password", "master_key", "previous_master_keys", "store.url", "store.migrate_url"];

/// A value as it was written.
pub(super) enum Value {
    Text(String),
    Integer(i64),
    Flag(bool),
    List(Vec<String>),
    /// A table with nothing in it.
    Empty,
    /// A type that no key has: a float, a date, a list of lists.
    Other,
}

/// A value and who wrote it.
pub(super) struct Setting {
    pub(super) value: Value,
    pub(super) origin: String,
}

/// Every known key with the value of the uppermost layer that has it.
pub(super) struct Raw {
    pub(super) settings: BTreeMap<String, Setting>,
}

impl Raw {
    /// The default alone.
    pub(super) fn defaults(report: &mut Report) -> Self {
        let mut settings = BTreeMap::new();
        for (key, value, _) in leaves(DEFAULTS, "default.toml", report) {
            settings.insert(key, Setting { value, origin: "default".to_owned() });
        }
        Self { settings }
    }

    /// Lays a file over what is there.
    pub(super) fn lay_file(&mut self, path: &Path, text: &str, report: &mut Report) {
        let name = path.display().to_string();
        for (key, value, line) in leaves(text, &name, report) {
            let origin = format!("{name}:{line}");
            self.lay(&key, Setting { value, origin }, report);
        }
    }

    /// Lays the variables over what is there; those of other programs are passed over.
    pub(super) fn lay_environment(&mut self, variables: &[(String, String)], report: &mut Report) {
        for (name, text) in variables {
            let Some(rest) = name.strip_prefix(PREFIX).filter(|rest| rest.contains('_')) else {
                continue;
            };
            // Kubernetes sets PORTCULLIS_SERVICE_HOST and the like by itself: no double underscore.
            let Some(path) = rest.strip_prefix('_') else {
                if rest.contains("__") && !text.is_empty() {
                    let right = format!("no such variable; did you mean {PREFIX}_{rest}?");
                    report.add(name, "environment", right);
                }
                continue;
            };
            if text.is_empty() {
                continue;
            }
            let key = path.to_ascii_lowercase().replace("__", ".");
            if text.contains(char::REPLACEMENT_CHARACTER) {
                report.add(&key, name, "expected UTF-8");
                continue;
            }
            let value = self.settings.get(&key).map_or(Value::Other, |s| like(&s.value, text));
            self.lay(&key, Setting { value, origin: name.clone() }, report);
        }
    }

    fn lay(&mut self, key: &str, setting: Setting, report: &mut Report) {
        if let Some(known) = self.settings.get_mut(key) {
            *known = setting;
        } else if !(matches!(setting.value, Value::Empty) && self.is_section(key)) {
            report.add(key, &setting.origin, self.unknown(key));
        }
    }

    fn is_section(&self, key: &str) -> bool {
        let section = format!("{key}.");
        self.settings.keys().any(|known| known.starts_with(&section))
    }

    /// SECURITY: CFG-02. A key that nobody reads is a wish that nobody grants: it stops the start.
    fn unknown(&self, key: &str) -> String {
        if self.is_section(key) {
            return "is a section, not a value".to_owned();
        }
        let near = |known: &&String| {
            let whole = strsim::jaro_winkler(key, known);
            let last = |key: &str| key.rsplit('.').next().unwrap_or_default().to_owned();
            // A right name in a wrong section is nearer than a wrong name in the right one.
            whole.max(strsim::jaro_winkler(&last(key), &last(known)) * 0.99)
        };
        let nearest = self.settings.keys().max_by(|a, b| near(a).total_cmp(&near(b)));
        match nearest {
            Some(nearest) => format!("no such key; the nearest is {nearest}"),
            None => "no such key".to_owned(),
        }
    }
}

/// Reads the text of a variable as the type that its key has. A secret such as `0123` stays a text.
fn like(known: &Value, text: &str) -> Value {
    match known {
        Value::Integer(_) => {
            text.trim().parse().map_or_else(|_| Value::Text(text.to_owned()), Value::Integer)
        }
        Value::Flag(_) => {
            text.trim().parse().map_or_else(|_| Value::Text(text.to_owned()), Value::Flag)
        }
        Value::List(_) => {
            let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
            Value::List(words.map(ToOwned::to_owned).collect())
        }
        Value::Text(_) | Value::Empty | Value::Other => Value::Text(text.to_owned()),
    }
}

/// Every leaf with its dotted key and its line. A text that is not TOML is one fault.
fn leaves(text: &str, name: &str, report: &mut Report) -> Vec<(String, Value, usize)> {
    let line_of = |at: usize| text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1;
    let mut found = Vec::new();
    match DeTable::parse(text) {
        Ok(table) => walk(table.get_ref(), "", &line_of, &mut found),
        Err(error) => {
            // SECURITY: LOG-03. The whole text of the error quotes the line, which may hold a secret.
            let line = error.span().map_or(1, |span| line_of(span.start));
            report.add(name, &format!("line {line}"), format!("not TOML: {}", error.message()));
        }
    }
    found
}

fn walk(
    table: &DeTable<'_>,
    prefix: &str,
    line_of: &dyn Fn(usize) -> usize,
    found: &mut Vec<(String, Value, usize)>,
) {
    for (name, item) in table {
        let key = format!("{prefix}{}", name.get_ref());
        let value = match item.get_ref() {
            DeValue::Table(inner) if !inner.is_empty() => {
                walk(inner, &format!("{key}."), line_of, found);
                continue;
            }
            DeValue::Table(_) => Value::Empty,
            DeValue::String(text) => Value::Text(text.clone().into_owned()),
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
                .map_or(Value::Other, Value::Integer),
            DeValue::Boolean(flag) => Value::Flag(*flag),
            DeValue::Array(items) => texts(items).map_or(Value::Other, Value::List),
            _ => Value::Other,
        };
        found.push((key, value, line_of(item.span().start)));
    }
}

fn texts(items: &[Spanned<DeValue<'_>>]) -> Option<Vec<String>> {
    items.iter().map(|item| item.get_ref().as_str().map(ToOwned::to_owned)).collect()
}
