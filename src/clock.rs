//! The one clock: expiry is decided by it, and tests turn it.
//!
//! Nothing else in the service may ask the system for the time (`disallowed-methods`), and no SQL does.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::domain::time::Timestamp;

/// Tells the time: the system's, or one that a test sets and moves.
#[derive(Clone, Debug, Default)]
pub struct Clock(Option<Arc<AtomicI64>>);

impl Clock {
    /// The system's clock.
    pub fn system() -> Self {
        Self(None)
    }

    /// A clock that stands still at `start` until it is moved.
    pub fn fixed(start: Timestamp) -> Self {
        Self(Some(Arc::new(AtomicI64::new(start.micros()))))
    }

    /// The moment, in whole microseconds UTC.
    #[expect(clippy::disallowed_methods, reason = "the only place")]
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Some(fixed) => Timestamp::from_micros(fixed.load(Ordering::SeqCst)),
            None => Timestamp::from_offset(time::OffsetDateTime::now_utc()),
        }
    }

    /// Moves a fixed clock by `micros` (also back); does nothing to the system's.
    pub fn advance_micros(&self, micros: i64) {
        if let Some(fixed) = &self.0 {
            fixed.fetch_add(micros, Ordering::SeqCst);
        }
    }
}
