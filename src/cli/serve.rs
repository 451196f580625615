//! Stands where the server's file goes: `portcullis serve` does nothing yet.

use super::failure::Failure;
use crate::config::Config;

#[expect(clippy::unused_async, reason = "what takes its place waits for signals")]
pub(super) async fn serve(_config: &Config) -> Result<(), Failure> {
    Ok(())
}
