//! What is wrong with a configuration: all of it at once, so that nobody restarts once per typing error.
//!
//! A fault names the key, where it was written and what would be right, and never a value: a password
//! may stand at the wrong key.

use std::error::Error;
use std::fmt;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigFault {
    /// The key with its section: `http.listen`.
    pub key: String,
    /// Who said it: `default`, `portcullis.toml:12`, `PORTCULLIS__HTTP__LISTEN`.
    pub origin: String,
    /// What would be right, in words for an operator.
    pub expected: String,
}

/// Shown in one line, whatever a key was made of.
impl fmt::Display for ConfigFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (key, origin) = (self.key.escape_debug(), self.origin.escape_debug());
        write!(f, "{key} ({origin}): {}", self.expected)
    }
}

/// Everything that is wrong with a configuration: exit code 78.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    faults: Vec<ConfigFault>,
}

impl Report {
    /// A report of one fault.
    pub(super) fn of(key: &str, origin: &str, expected: impl Into<String>) -> Self {
        let mut report = Self::default();
        report.add(key, origin, expected);
        report
    }

    pub(super) fn add(&mut self, key: &str, origin: &str, expected: impl Into<String>) {
        self.faults.push(ConfigFault {
            key: key.to_owned(),
            origin: origin.to_owned(),
            expected: expected.into(),
        });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.faults.is_empty()
    }

    /// The faults, in the order in which they were found.
    pub fn faults(&self) -> &[ConfigFault] {
        &self.faults
    }
}

/// One fault a line, without a line break at the end.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, fault) in self.faults.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            fault.fmt(f)?;
        }
        Ok(())
    }
}

impl Error for Report {}
