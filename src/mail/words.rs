//! What is filled in, in a form that reads well and does no harm: paragraphs, spans of time, foreign text.

use minijinja::{Value, context};

/// LIMIT: RFC 5322, 2.1.1 recommends 78; a quoted answer gets some room.
const LINE_CHARS_MAX: usize = 72;

/// LIMIT: what a device calls itself is longer only to fill a mail.
const FOREIGN_CHARS_MAX: usize = 160;

/// A paragraph of a body.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Paragraph {
    /// Its lines, each as long as it may be; more than one only where a line begins with `- `.
    pub(super) lines: Vec<String>,
    /// Whether it is the link and nothing else.
    pub(super) is_link: bool,
}

impl Paragraph {
    /// As a layout sees it.
    pub(super) fn value(&self) -> Value {
        context! { lines => self.lines.clone(), is_link => self.is_link }
    }
}

/// Takes a body apart. `link` is `""` where the letter has none.
pub(super) fn paragraphs(body: &str, link: &str) -> Vec<Paragraph> {
    let mut found = vec![Vec::<String>::new()];
    for line in body.lines().map(str::trim) {
        let Some(lines) = found.last_mut() else { continue };
        match lines.last_mut() {
            _ if line.is_empty() => found.push(Vec::new()),
            Some(last) if !line.starts_with("- ") => {
                last.push(' ');
                last.push_str(line);
            }
            _ => lines.push(line.to_owned()),
        }
    }
    found.retain(|lines| !lines.is_empty());
    let paragraph = |lines: Vec<String>| {
        let is_link = matches!(lines.as_slice(), [only] if only == link);
        Paragraph { lines, is_link }
    };
    found.into_iter().map(paragraph).collect()
}

/// Breaks a line at blanks; what has none, such as a link, stays whole.
pub(super) fn fill(line: &str) -> String {
    let mut filled = String::with_capacity(line.len());
    let mut room = LINE_CHARS_MAX;
    // A no-break space is none of the blanks: French puts it before some signs.
    for word in line.split(' ').filter(|word| !word.is_empty()) {
        let chars = word.chars().count();
        if filled.is_empty() {
            room = LINE_CHARS_MAX.saturating_sub(chars);
        } else if chars < room {
            filled.push(' ');
            room -= chars + 1;
        } else {
            filled.push('\n');
            room = LINE_CHARS_MAX.saturating_sub(chars);
        }
        filled.push_str(word);
    }
    filled
}

/// A span in the unit that people would use, rounded down: 90 minutes, 24 hours, 30 days.
pub(super) fn span(seconds: u64) -> (u64, &'static str) {
    const UNITS: [(u64, u64, &str); 3] =
        [(86_400, 2, "days"), (3600, 1, "hours"), (60, 1, "minutes")];
    let fits = |(unit, least, _): &&(u64, u64, &str)| {
        let count = seconds / unit;
        count >= *least && (seconds.is_multiple_of(*unit) || count >= 10)
    };
    let (unit, _, name) = UNITS.iter().find(fits).unwrap_or(&(1, 0, "seconds"));
    (seconds / unit, name)
}

/// The text of a stranger, as far as nothing makes a link, an address or a line of it.
///
/// SECURITY: EML-15. A list of what is harmless: mail programs turn `evil.example`, `a@b`, `//host` and `tel:` into
/// links by rules of their own. A dot stays between digits, as in a version.
pub(super) fn inert(text: &str) -> String {
    let chars: Vec<char> = text.chars().take(FOREIGN_CHARS_MAX).collect();
    let is_digit =
        |at: Option<usize>| at.and_then(|at| chars.get(at)).is_some_and(char::is_ascii_digit);
    let shown = chars.iter().enumerate().map(|(at, c)| match c {
        '.' if is_digit(at.checked_sub(1)) && is_digit(Some(at + 1)) => '.',
        '/' if chars.get(at + 1) == Some(&'/') => ' ',
        c if c.is_ascii_alphanumeric() || "()/;,_-+".contains(*c) => *c,
        _ => ' ',
    });
    shown.collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ")
}
