//! Events as lines: time, level, target, message, then the fields of the spans from the outside in, then
//! those of the event; the innermost of two with one name counts.
//!
//! Whatever a value holds, it stays inside its line and is seen. A sink that refuses a line loses it and
//! a counter tells so.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::io::Write;

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

impl<W> Lines<W> {
    pub(super) fn new(format: LogFormat, clock: Clock, writer: W) -> Self {
        Self { format, clock, writer }
    }

    fn line(&self, metadata: &Metadata<'_>, mut fields: Fields) -> String {
        let target = fields.take("log.target");
        let target = target.as_ref().and_then(Value::as_str).unwrap_or(metadata.target());
        let message = fields.take("message").unwrap_or_default();
        let (time, level) = (self.clock.now().to_string(), metadata.level().as_str());
        match self.format {
            LogFormat::Json => {
                let head = [("time", &*time), ("level", level), ("target", target)];
                let mut line = String::from("{");
                for (name, value) in head {
                    push_member(&mut line, name, &Value::from(value));
                }
                push_member(&mut line, "message", &message);
                for (name, value) in fields.0 {
                    push_member(&mut line, &own_name(name), &value);
                }
                line.push_str("}\n");
                line
            }
            LogFormat::Text => {
                let message = visible(message.as_str().unwrap_or_default());
                let mut line = format!("{time} {level:5} {target}: {message}");
                for (name, value) in fields.0 {
                    line.extend([" ", name, "=", &json(&value)]);
                }
                line.push('\n');
                line
            }
        }
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
        let mut fields = Fields::default();
        for span in context.event_scope(event).into_iter().flat_map(Scope::from_root) {
            if let Some(outer) = span.extensions().get::<Fields>() {
                fields.0.extend(outer.0.iter().cloned());
            }
        }
        let mut own = Fields::default();
        event.record(&mut own);
        for (name, value) in std::mem::take(&mut fields.0).into_iter().chain(own.0) {
            fields.put(name, value);
        }
        let line = self.line(event.metadata(), fields);
        // LOG-07: nobody waits for a log that cannot be written.
        if self.writer.make_writer_for(event.metadata()).write_all(line.as_bytes()).is_err() {
            metrics::counter!("portcullis_log_lines_lost_total").increment(1);
        }
    }
}

/// Names and values, in the order in which they were first seen.
#[derive(Default)]
struct Fields(Vec<(&'static str, Value)>);

impl Fields {
    fn put(&mut self, name: &'static str, value: Value) {
        // Where a record of the crate `log` stood in its source is of no use to an operator.
        if matches!(name, "log.module_path" | "log.file" | "log.line") {
            return;
        }
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name, value)),
        }
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        let at = self.0.iter().position(|(known, _)| *known == name)?;
        Some(self.0.remove(at).1)
    }

    fn put_text(&mut self, field: &Field, mut text: String) {
        // LIMIT: the head of a request is bounded by 8 KiB too; a longer value tells nothing more.
        const BYTES_MAX: usize = 8192;
        if text.len() > BYTES_MAX {
            text.truncate(text.floor_char_boundary(BYTES_MAX));
            text.push('…');
        }
        self.put(field.name(), Value::String(text));
    }
}

impl Visit for Fields {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field.name(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field.name(), value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field.name(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field.name(), value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put_text(field, value.to_owned());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.put_text(field, value.to_string());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put_text(field, format!("{value:?}"));
    }
}

/// A field cannot pass for what the line itself says.
fn own_name(name: &str) -> Cow<'_, str> {
    if matches!(name, "time" | "level" | "target") {
        Cow::Owned(format!("field.{name}"))
    } else {
        Cow::Borrowed(name)
    }
}

fn push_member(line: &mut String, name: &str, value: &Value) {
    if line.len() > 1 {
        line.push(',');
    }
    line.push_str(&json(&Value::from(name)));
    line.push(':');
    line.push_str(&json(value));
}

fn json(value: &Value) -> String {
    visible_json(value.to_string())
}

/// SECURITY: LOG-05. JSON escapes what ends a line or starts an ANSI sequence in ASCII; this escapes the
/// rest, which stands in texts only.
pub(crate) fn visible_json(text: String) -> String {
    if text.is_ascii() && !text.contains('\x7f') {
        return text;
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if deceives(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                out.extend(["\\u", &format!("{unit:04x}")]);
            }
        } else {
            out.push(c);
        }
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
