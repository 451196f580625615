//! `portcullis openapi`: the documents that the code generates, and whether a file still is one of them.

use std::fs;
use std::path::PathBuf;

use clap::Args;

use super::failure::{Exit, Failure};
use super::output;
use crate::http::{admin_api, api};

/// `openapi [--admin] [--check FILE]`
#[derive(Args)]
pub(super) struct Openapi {
    /// The document of the admin listener in place of the public one's
    #[arg(long)]
    admin: bool,
    /// Print nothing; exit 1 if FILE is not the document, byte for byte
    #[arg(long, value_name = "FILE")]
    check: Option<PathBuf>,
}

/// Prints the document, or compares it.
pub(super) fn run(arguments: &Openapi) -> Result<(), Failure> {
    let (document, command) = if arguments.admin {
        (admin_api::generated_document()?, "portcullis openapi --admin")
    } else {
        (api::generated_document()?, "portcullis openapi")
    };
    let Some(path) = &arguments.check else { return output::print(&document) };
    let name = path.display();
    match fs::read(path) {
        Ok(bytes) if bytes == document.as_bytes() => Ok(()),
        Ok(_) => {
            let line = format!("{name} is out of date: {command} > {name}");
            Err(Failure::new(Exit::Failed, line))
        }
        Err(error) => Err(Failure::new(Exit::Failed, format!("{name}: {error}"))),
    }
}
