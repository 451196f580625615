//! The audit trail after the commit: closing its chain, verifying it, removing what is older than it must be (ADR 0012).

mod check;
mod close;
mod head;
mod retain;
mod verify;

pub use check::{Finding, Wrong};
pub use close::{close, close_all, is_waiting};
pub use head::log_head;
pub use retain::remove_old;
pub use verify::{Expected, Verified, verify};
