//! The one binary: everything it does is `portcullis::cli`'s.

use std::process::ExitCode;

fn main() -> ExitCode {
    portcullis::cli::run()
}
