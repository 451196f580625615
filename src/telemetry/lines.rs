//! Events as lines: time, level, target, message, then the fields of the spans from the outside in, then
//! those of the event; the innermost of two with one name counts.
//!
//! Whatever a value holds, it stays inside its line and is seen. A sink that refuses a line loses it and
//! a counter tells so.

use std::cell::Cell;
use std::error::Error;
use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::ops::Range;

use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::{LookupSpan, Scope};

use super::LogFormat;
use crate::clock::Clock;

/// Writes each event as one line, in one call to the writer.
pub(super) struct Lines<W> {
    format: LogFormat,
    clock: Clock,
    writer: W,
}

/// What a line is made of. Each thread has one and uses it again: a busy service writes a line an answer.
#[derive(Default)]
struct Scratch {
    fields: Fields,
    line: String,
}

thread_local! {
    static SCRATCH: Cell<Scratch> = Cell::default();
}

/// LIMIT: ours; a line that is longer does not leave its memory behind.
const KEPT_BYTES_MAX: usize = 16 * 1024;

impl<W> Lines<W> {
    pub(super) fn new(format: LogFormat, clock: Clock, writer: W) -> Self {
        Self { format, clock, writer }
    }

    fn write(&self, line: &mut String, metadata: &Metadata<'_>, fields: &Fields) -> fmt::Result {
        let (time, level) = (self.clock.now(), metadata.level().as_str());
        let own = |name: &str| fields.get(name);
        match self.format {
            LogFormat::Json => {
                write!(line, "{{\"time\":\"{time}\",\"level\":\"{level}\",\"target\":")?;
                match own("log.target") {
                    Some(target) => line.push_str(target),
                    None => push_text(line, metadata.target()),
                }
                line.push_str(",\"message\":");
                line.push_str(own("message").unwrap_or("null"));
                for (name, value) in fields.others() {
                    // A field cannot pass for what the line itself says.
                    let own = matches!(name, "time" | "level" | "target");
                    line.push_str(if own { ",\"field." } else { ",\"" });
                    Escaped::new(line).write_str(name)?;
                    line.push_str("\":");
                    line.push_str(value);
                }
                line.push_str("}\n");
            }
            LogFormat::Text => {
                let text =
                    |json: Option<&str>| json.and_then(|json| serde_json::from_str(json).ok());
                let target: Option<String> = text(own("log.target"));
                let target = target.as_deref().unwrap_or(metadata.target());
                let message: String = text(own("message")).unwrap_or_default();
                write!(line, "{time} {level:5} {target}: {}", visible(&message))?;
                for (name, value) in fields.others() {
                    write!(line, " {name}={value}")?;
                }
                line.push('\n');
            }
        }
        Ok(())
    }
}

impl<S, W> Layer<S> for Lines<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        span.extensions_mut().insert(fields);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(fields) = span.extensions_mut().get_mut::<Fields>() {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        // Taken, not borrowed: a value that logs while it is shown finds an empty one.
        let mut scratch = SCRATCH.take();
        for span in context.event_scope(event).into_iter().flat_map(Scope::from_root) {
            if let Some(outer) = span.extensions().get::<Fields>() {
                scratch.fields.extend(outer);
            }
        }
        event.record(&mut scratch.fields);
        let written = self.write(&mut scratch.line, event.metadata(), &scratch.fields);
        let mut writer = self.writer.make_writer_for(event.metadata());
        // LOG-07: nobody waits for a log that cannot be written.
        if written.is_err() || writer.write_all(scratch.line.as_bytes()).is_err() {
            metrics::counter!("portcullis_log_lines_lost_total").increment(1);
        }
        scratch.fields.clear();
        scratch.line.clear();
        if scratch.line.capacity().max(scratch.fields.json.capacity()) <= KEPT_BYTES_MAX {
            SCRATCH.set(scratch);
        }
    }
}

/// Names and values, in the order in which they were first seen. A value is JSON, ready for the line.
#[derive(Default)]
struct Fields {
    json: String,
    places: Vec<(&'static str, Range<usize>)>,
}

impl Fields {
    fn put(&mut self, name: &'static str, push: impl FnOnce(&mut String)) {
        // Where a record of the crate `log` stood in its source is of no use to an operator.
        if matches!(name, "log.module_path" | "log.file" | "log.line") {
            return;
        }
        let start = self.json.len();
        push(&mut self.json);
        let place = start..self.json.len();
        match self.places.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = place,
            None => self.places.push((name, place)),
        }
    }

    fn put_text(&mut self, field: &Field, write: impl FnOnce(&mut Escaped<'_>) -> fmt::Result) {
        self.put(field.name(), |json| {
            json.push('"');
            let mut text = Escaped::new(json);
            // A value that cannot show itself is shown as far as it came.
            if write(&mut text).is_err() {
                text.cut();
            }
            json.push('"');
        });
    }

    fn extend(&mut self, inner: &Self) {
        for (name, place) in &inner.places {
            self.put(name, |json| json.push_str(inner.json.get(place.clone()).unwrap_or("null")));
        }
    }

    fn all(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.places
            .iter()
            .map(|(name, place)| (*name, self.json.get(place.clone()).unwrap_or("null")))
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.all().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// All but what has a place of its own in a line.
    fn others(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.all().filter(|(name, _)| !matches!(*name, "message" | "log.target"))
    }

    fn clear(&mut self) {
        self.json.clear();
        self.places.clear();
    }
}

impl Visit for Fields {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field.name(), |json| push_shown(json, value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field.name(), |json| push_shown(json, value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field.name(), |json| push_shown(json, Value::from(value)));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field.name(), |json| push_shown(json, value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put_text(field, |text| text.write_str(value));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.put_text(field, |text| write!(text, "{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put_text(field, |text| write!(text, "{value:?}"));
    }
}

/// A number or a truth: what it shows is JSON already.
fn push_shown(json: &mut String, value: impl fmt::Display) {
    if write!(json, "{value}").is_err() {
        json.push_str("null");
    }
}

fn push_text(json: &mut String, text: &str) {
    json.push('"');
    // Writing into a text cannot fail.
    let _done: fmt::Result = Escaped::new(json).write_str(text);
    json.push('"');
}

/// The inside of a JSON text, escaped as it is written, and cut where it is too long.
struct Escaped<'a> {
    json: &'a mut String,
    left: usize,
    is_cut: bool,
}

/// LIMIT: the head of a request is bounded by 8 KiB too; a longer value tells nothing more.
const VALUE_BYTES_MAX: usize = 8192;

impl<'a> Escaped<'a> {
    fn new(json: &'a mut String) -> Self {
        Self { json, left: VALUE_BYTES_MAX, is_cut: false }
    }

    fn cut(&mut self) {
        if !self.is_cut {
            self.is_cut = true;
            self.json.push('…');
        }
    }

    /// SECURITY: LOG-05. Nothing that ends a line, moves the cursor, turns the direction or is not seen gets through.
    fn push(&mut self, c: char) {
        match c {
            '"' => self.json.push_str("\\\""),
            '\\' => self.json.push_str("\\\\"),
            '\n' => self.json.push_str("\\n"),
            '\r' => self.json.push_str("\\r"),
            '\t' => self.json.push_str("\\t"),
            c if c < ' ' || deceives(c) => push_units(self.json, c),
            c => self.json.push(c),
        }
    }
}

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.is_cut {
            return Ok(());
        }
        let (fits, rest) = text.split_at(text.floor_char_boundary(self.left));
        self.left -= fits.len();
        if fits.bytes().all(|byte| matches!(byte, b' '..=b'~' if byte != b'"' && byte != b'\\')) {
            self.json.push_str(fits);
        } else {
            fits.chars().for_each(|c| self.push(c));
        }
        if !rest.is_empty() {
            self.cut();
        }
        Ok(())
    }
}

/// `c` as JSON escapes what is outside of it.
fn push_units(json: &mut String, c: char) {
    for unit in c.encode_utf16(&mut [0; 2]) {
        json.push_str("\\u");
        for shift in [12, 8, 4, 0] {
            json.extend(char::from_digit(u32::from(*unit >> shift) & 0xf, 16));
        }
    }
}

/// SECURITY: LOG-05. JSON escapes what ends a line or starts an ANSI sequence in ASCII; this escapes the
/// rest, which stands in texts only.
pub(crate) fn visible_json(text: String) -> String {
    if text.is_ascii() && !text.contains('\x7f') {
        return text;
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if deceives(c) { push_units(&mut out, c) } else { out.push(c) }
    }
    out
}

/// A text in which nothing moves the cursor, turns the direction or is not seen.
pub(crate) fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || deceives(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

/// C1 controls (U+009B starts an ANSI sequence), line separators, bidi, and what has no width.
pub(super) fn deceives(c: char) -> bool {
    matches!(c,
        '\u{7f}'..='\u{9f}' | '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}')
}
