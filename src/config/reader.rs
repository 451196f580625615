//! Takes values out of what was written, one typed read a key, and keeps what is wrong with them.
//!
//! A read answers `None` when it has reported a fault; `check` reads on and builds nothing then.

use std::fs;
use std::ops::RangeInclusive;
use std::time::Duration;

use secrecy::SecretString;
use zeroize::Zeroize;

use super::raw::{Raw, Setting, Value};
use super::report::Report;
use super::show::Shown;
use super::values;

/// Stands for a value whose fault is already in the report.
pub(super) struct Reported;

/// The one that `check` asks.
pub(super) struct Reader {
    raw: Raw,
    report: Report,
}

impl Reader {
    pub(super) fn new(raw: Raw, report: Report) -> Self {
        Self { raw, report }
    }

    /// Reports that the value of `key` is not what it should be.
    pub(super) fn fault<T>(&mut self, key: &str, expected: impl Into<String>) -> Option<T> {
        let origin = self.raw.settings.get(key).map_or("nowhere", |setting| &setting.origin);
        self.report.add(key, origin, expected);
        None
    }

    /// The text of a key, `""` where it is unset.
    pub(super) fn text(&mut self, key: &str) -> Option<String> {
        match self.raw.settings.get(key) {
            Some(Setting { value: Value::Text(text), .. }) => Some(text.clone()),
            _ => self.fault(key, "expected a text in quotes"),
        }
    }

    /// Yes or no.
    pub(super) fn flag(&mut self, key: &str) -> Option<bool> {
        match self.raw.settings.get(key) {
            Some(Setting { value: Value::Flag(flag), .. }) => Some(*flag),
            _ => self.fault(key, "expected true or false"),
        }
    }

    /// A list of texts.
    pub(super) fn list(&mut self, key: &str) -> Option<Vec<String>> {
        match self.raw.settings.get(key) {
            Some(Setting { value: Value::List(items), .. }) => Some(items.clone()),
            _ => self.fault(key, "expected a list of texts"),
        }
    }

    /// A text that `parse` takes.
    pub(super) fn parsed<T>(
        &mut self,
        key: &str,
        expected: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let text = self.text(key)?;
        parse(&text).or_else(|| self.fault(key, expected))
    }

    /// One of a list of words.
    pub(super) fn choice<T: Copy>(&mut self, key: &str, words: &[(&str, T)]) -> Option<T> {
        let names: Vec<_> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        let expected = format!("expected {}", names.join(" or "));
        let find = |text: &str| words.iter().find(|(word, _)| *word == text).map(|(_, it)| *it);
        self.parsed(key, &expected, find)
    }

    /// A whole number within bounds.
    pub(super) fn number<T: TryFrom<i64>>(
        &mut self,
        key: &str,
        bounds: RangeInclusive<i64>,
    ) -> Option<T> {
        let number = match self.raw.settings.get(key) {
            Some(Setting { value: Value::Integer(number), .. }) if bounds.contains(number) => {
                T::try_from(*number).ok()
            }
            _ => None,
        };
        let (low, high) = bounds.into_inner();
        number.or_else(|| self.fault(key, format!("expected a whole number from {low} to {high}")))
    }

    /// A duration within bounds, which are written as durations are.
    pub(super) fn duration(&mut self, key: &str, low: &str, high: &str) -> Option<Duration> {
        let expected =
            format!("expected a duration from {low} to {high}, such as \"15m\" or \"30s\"");
        self.parsed(key, &expected, |text| {
            let found = values::duration(text)?;
            let bounds = values::duration(low)?..=values::duration(high)?;
            bounds.contains(&found).then_some(found)
        })
    }

    /// Puts in what an unset key stands for, so that `show` tells it.
    pub(super) fn derive(&mut self, key: &str, value: String, from: &str) {
        let setting = Setting { value: Value::Text(value), origin: format!("from {from}") };
        self.raw.settings.insert(key.to_owned(), setting);
    }

    /// Puts in the list that an empty one stands for.
    pub(super) fn derive_list(&mut self, key: &str, value: &[String], from: &str) {
        let setting =
            Setting { value: Value::List(value.to_vec()), origin: format!("from {from}") };
        self.raw.settings.insert(key.to_owned(), setting);
    }

    /// Puts in the number that 0 stands for.
    pub(super) fn derive_number(&mut self, key: &str, value: i64, from: &str) {
        let setting = Setting { value: Value::Integer(value), origin: format!("from {from}") };
        self.raw.settings.insert(key.to_owned(), setting);
    }

    /// A secret by value or by file, or nothing where it is unset.
    pub(super) fn secret(&mut self, key: &str) -> Result<Option<SecretString>, Reported> {
        let (text, file) = (self.text(key), self.text(&format!("{key}_file")));
        let (text, file) = text.zip(file).ok_or(Reported)?;
        match (text.is_empty(), file.is_empty()) {
            (true, true) => Ok(None),
            (false, true) => Ok(Some(text.into())),
            (true, false) => {
                self.secret_file(&format!("{key}_file"), &file).map(Some).ok_or(Reported)
            }
            (false, false) => self.both(key).ok_or(Reported),
        }
    }

    /// A list of secrets by value, or by a file with one a line.
    pub(super) fn secrets(&mut self, key: &str) -> Option<Vec<SecretString>> {
        let (items, file) = (self.list(key), self.text(&format!("{key}_file")));
        let (items, file) = (items?, file?);
        match (items.is_empty(), file.is_empty()) {
            (_, true) => Some(items.into_iter().map(Into::into).collect()),
            (true, false) => {
                let whole = self.secret_file(&format!("{key}_file"), &file)?;
                let lines = secrecy::ExposeSecret::expose_secret(&whole).lines();
                let words = lines.map(str::trim).filter(|line| !line.is_empty());
                Some(words.map(|word| word.to_owned().into()).collect())
            }
            (false, false) => self.both(key),
        }
    }

    fn both<T>(&mut self, key: &str) -> Option<T> {
        self.fault(key, format!("given twice; leave out {key} or {key}_file"))
    }

    /// The content of a file without the line break that editors put at the end.
    fn secret_file(&mut self, key: &str, path: &str) -> Option<SecretString> {
        match fs::read_to_string(path) {
            Ok(mut text) => {
                let secret = SecretString::from(text.trim_end_matches(['\r', '\n']).to_owned());
                let empty = text.trim().is_empty();
                text.zeroize();
                if empty { self.fault(key, "the file is empty") } else { Some(secret) }
            }
            Err(error) => self.fault(key, format!("cannot read the file: {}", error.kind())),
        }
    }

    /// Hands over what was built, if nothing at all was wrong.
    pub(super) fn finish<T>(self, built: Option<T>) -> Result<(T, Shown), Report> {
        match built {
            Some(built) if self.report.is_empty() => Ok((built, Shown::of(self.raw))),
            _ => Err(self.report),
        }
    }
}
