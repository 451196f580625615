//! What holds, as TOML with the origin of each value; secrets are `***`.

use std::fmt;

use super::raw::{Raw, SECRETS, Setting, Value};

/// The effective settings, ready to be shown. Holds no secret.
#[derive(Clone, Debug, Default)]
pub(super) struct Shown(Vec<Line>);

#[derive(Clone, Debug)]
struct Line {
    key: String,
    value: String,
    origin: String,
}

impl Shown {
    /// Keeps what may be shown, keys without a section first.
    pub(super) fn of(raw: Raw) -> Self {
        let line = |(key, setting): (String, Setting)| {
            let value = text(&key, &setting);
            Line { key, value, origin: setting.origin }
        };
        let mut lines: Vec<_> = raw.settings.into_iter().map(line).collect();
        lines.sort_by_key(|line| line.key.contains('.'));
        Self(lines)
    }
}

/// TOML that a human reads: the keys of a section below its name.
impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut section = "";
        for line in &self.0 {
            let (table, name) = line.key.split_once('.').unwrap_or(("", &line.key));
            if table != section {
                writeln!(f, "\n[{table}]")?;
                section = table;
            }
            writeln!(f, "{name} = {} # {}", line.value, line.origin.escape_debug())?;
        }
        Ok(())
    }
}

fn text(key: &str, setting: &Setting) -> String {
    let is_secret = SECRETS.contains(&key);
    match &setting.value {
        // SECURITY: CFG-04. The path of a file is no secret, nor is that nothing was given.
        Value::Text(text) if is_secret && !text.is_empty() && !text.starts_with("sqlite://") => {
            quoted("***")
        }
        Value::List(items) if is_secret && !items.is_empty() => format!("[{}]", quoted("***")),
        Value::Text(text) => quoted(text),
        Value::Integer(number) => number.to_string(),
        Value::Flag(flag) => flag.to_string(),
        Value::List(items) => {
            let items: Vec<_> = items.iter().map(|item| quoted(item)).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Empty | Value::Other => quoted(""),
    }
}

/// A JSON string is a TOML basic string.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
