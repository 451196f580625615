//! What a command has found: tables for people, JSON for programs. Nothing else writes to stdout.
//!
//! Users choose names and profiles, so every text is shown without what moves a cursor, turns the
//! direction or ends a line.

use std::io::{self, Write};

use clap::Args;
use comfy_table::{Table, presets};
use serde::Serialize;

use super::failure::Failure;
use crate::{Fault, telemetry};

/// In which form results are printed.
#[derive(Args, Clone, Copy)]
pub(super) struct Form {
    /// Print JSON: one object a line
    #[arg(long)]
    pub(super) json: bool,
}

/// Writes `text` as it is. A reader that has gone ends the command quietly.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    written.map_err(|error| Failure::of_stdout(&error))
}

/// Tells a person something beside the result, on stderr.
pub(super) fn hint(text: &str) -> Result<(), Failure> {
    let written = io::stderr().write_all(format!("{text}\n").as_bytes());
    // The result was printed; that a hint is not seen changes nothing.
    written.or(Ok(()))
}

/// Rows below their names; only the names where there is no row.
pub(super) fn table<const N: usize>(names: [&str; N], rows: &[[String; N]]) -> String {
    let mut table = plain();
    table.set_header(names);
    for row in rows {
        table.add_row(row.iter().map(|cell| telemetry::visible(cell)));
    }
    finished(table)
}

/// One thing: a name and a value a line.
pub(super) fn pairs(pairs: &[(&str, String)]) -> String {
    let mut table = plain();
    for (name, value) in pairs {
        table.add_row([(*name).to_owned(), telemetry::visible(value)]);
    }
    finished(table)
}

/// One JSON object a line (NDJSON).
pub(super) fn json_lines<T: Serialize>(items: &[T]) -> Result<String, Failure> {
    let mut text = String::new();
    for item in items {
        let line = serde_json::to_string(item).map_err(Fault::internal)?;
        text.push_str(&telemetry::visible_json(line));
        text.push('\n');
    }
    Ok(text)
}

/// The same bytes on a terminal and in a pipe: no colours, no wrapping.
fn plain() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).force_no_tty();
    table
}

fn finished(mut table: Table) -> String {
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt() + "\n"
}
