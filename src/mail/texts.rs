//! Reads the files of texts: the built-in ones, and over them what lies in the operator's folder.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The built-in files.
const BUILT_IN: [(&str, &str); 6] = [
    ("en.toml", include_str!("templates/en.toml")),
    ("de.toml", include_str!("templates/de.toml")),
    ("es.toml", include_str!("templates/es.toml")),
    ("fr.toml", include_str!("templates/fr.toml")),
    ("layout.txt", include_str!("templates/layout.txt")),
    ("layout.html", include_str!("templates/layout.html")),
];

/// LIMIT: bytes of a file in the operator's folder; the built-in ones have some 10 KiB.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// What is wrong with the texts. It never holds a value that was filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateFault {
    /// The file, or the folder.
    pub file: String,
    /// The line, where there is one.
    pub line: Option<usize>,
    /// What is wrong.
    pub reason: String,
}

/// `file:line: reason`
impl fmt::Display for TemplateFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.file, self.reason),
            None => write!(f, "{}: {}", self.file, self.reason),
        }
    }
}

/// A text before it is compiled.
pub(super) struct Text {
    /// Its file, for people.
    pub(super) file: String,
    /// The line of its first character.
    pub(super) line: usize,
    /// What it says.
    pub(super) source: String,
}

/// Everything that was read, and what is wrong with it.
#[derive(Default)]
pub(super) struct Texts {
    /// `layout.html`, or `de/verify/body` → the text.
    pub(super) found: BTreeMap<String, Text>,
    /// In the order of the files.
    pub(super) faults: Vec<TemplateFault>,
    /// Whether names that nobody knows are taken: while the built-in files are read.
    is_open: bool,
}

impl Texts {
    /// Reads the built-in files, and then those of `folder`.
    pub(super) fn read(folder: Option<&Path>) -> Self {
        let mut texts = Self { is_open: true, ..Self::default() };
        for (name, text) in BUILT_IN {
            texts.take(&format!("built-in {name}"), name, text);
        }
        texts.is_open = false;
        if let Some(folder) = folder
            && let Err(error) = texts.read_folder(folder)
        {
            texts.fault(&folder.display().to_string(), None, error.to_string());
        }
        texts
    }

    fn fault(&mut self, file: &str, line: Option<usize>, reason: impl Into<String>) {
        self.faults.push(TemplateFault { file: file.to_owned(), line, reason: reason.into() });
    }

    fn read_folder(&mut self, folder: &Path) -> io::Result<()> {
        let mut entries = fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let (name, path) = (entry.file_name(), entry.path());
            let (name, file) = (name.to_string_lossy(), path.display().to_string());
            // What version control and mounted volumes keep for themselves.
            if name.starts_with('.') {
                continue;
            }
            if !BUILT_IN.iter().any(|(known, _)| *known == name) {
                let known: Vec<_> = BUILT_IN.iter().map(|(known, _)| *known).collect();
                let reason = format!("nobody reads this file; expected {}", known.join(", "));
                self.fault(&file, None, reason);
                continue;
            }
            match read_file(&path) {
                Ok(text) => self.take(&file, &name, &text),
                Err(error) => self.fault(&file, None, error.to_string()),
            }
        }
        Ok(())
    }

    /// Takes one file: a layout whole, a language value by value.
    fn take(&mut self, file: &str, name: &str, text: &str) {
        let Some(language) = name.strip_suffix(".toml") else {
            let text = Text { file: file.to_owned(), line: 1, source: text.to_owned() };
            self.found.insert(name.to_owned(), text);
            return;
        };
        let file = Source { file, language, text };
        match DeTable::parse(text) {
            Ok(table) => {
                for (section, values) in table.get_ref() {
                    self.take_section(&file, section.get_ref(), values);
                }
            }
            Err(error) => {
                let line = error.span().map_or(1, |span| file.line_of(span.start));
                self.fault(file.file, Some(line), format!("not TOML: {}", error.message()));
            }
        }
    }

    fn take_section(&mut self, file: &Source<'_>, section: &str, values: &Spanned<DeValue<'_>>) {
        let Some(table) = values.get_ref().as_table() else {
            let line = file.line_of(values.span().start);
            return self.fault(file.file, Some(line), "expected a [section]");
        };
        for (key, value) in table {
            let name = |language| format!("{language}/{section}/{}", key.get_ref());
            let line = file.line_of(value.span().start);
            if !self.is_open && !self.found.contains_key(&name("en")) {
                let reason = format!("nobody reads {section}.{}", key.get_ref());
                self.fault(file.file, Some(line), reason);
            } else if let DeValue::String(text) = value.get_ref() {
                let line = line + usize::from(file.begins_below(value.span().start));
                let text =
                    Text { file: file.file.to_owned(), line, source: text.clone().into_owned() };
                self.found.insert(name(file.language), text);
            } else {
                self.fault(file.file, Some(line), "expected a text in quotes");
            }
        }
    }
}

/// A file of a language.
struct Source<'a> {
    file: &'a str,
    language: &'a str,
    text: &'a str,
}

impl Source<'_> {
    fn line_of(&self, at: usize) -> usize {
        self.text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
    }

    /// Whether the text that is quoted at `at` begins in the next line: TOML drops a break after three quotes.
    fn begins_below(&self, at: usize) -> bool {
        let quoted = self.text.get(at..).unwrap_or_default();
        ["'''\n", "'''\r\n", "\"\"\"\n", "\"\"\"\r\n"].iter().any(|open| quoted.starts_with(open))
    }
}

fn read_file(path: &Path) -> io::Result<String> {
    if fs::metadata(path)?.len() > FILE_BYTES_MAX {
        return Err(io::Error::other("the file is larger than 1 MiB"));
    }
    fs::read_to_string(path)
}
