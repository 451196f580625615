//! What could not be done, as opposed to what was refused: a boxed cause and the place it came from.
//!
//! Every error enum of a flow ends with `Fault(#[from] Fault)`. A fault is logged once, at the edge,
//! and becomes a 500 or a 503; it never becomes an answer of the domain.

use std::error::Error;
use std::fmt;
use std::panic::Location;

/// What a caller may do about a [`Fault`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// A bug or broken data: repeating changes nothing. 500.
    Internal,
    /// A dependency is out, or the deadline passed: later may be better. 503 `unavailable`.
    Unavailable,
    /// A bounded queue or pool is full: later will be better. 503 `overloaded`.
    Overloaded,
}

/// Something that could not be done: its cause, its kind and where it was noticed.
pub struct Fault {
    kind: FaultKind,
    source: Box<dyn Error + Send + Sync>,
    at: &'static Location<'static>,
}

impl Fault {
    /// Wraps a cause that is a bug or broken data.
    #[track_caller]
    pub fn internal(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(FaultKind::Internal, source)
    }

    /// Wraps a cause that goes away when a dependency is back.
    #[track_caller]
    pub fn unavailable(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(FaultKind::Unavailable, source)
    }

    /// Wraps a cause that goes away when a queue is shorter.
    #[track_caller]
    pub fn overloaded(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(FaultKind::Overloaded, source)
    }

    /// Wraps `source` with the place of the caller.
    #[track_caller]
    pub fn new(kind: FaultKind, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { kind, source: source.into(), at: Location::caller() }
    }

    /// Tells whether repeating may help, and how the edge answers.
    pub fn kind(&self) -> FaultKind {
        self.kind
    }

    /// The place where the fault was made, as `file:line`.
    pub fn place(&self) -> String {
        format!("{}:{}", self.at.file(), self.at.line())
    }

    /// The chain of causes in one line, outermost first.
    pub fn chain(&self) -> String {
        let mut text = self.source.to_string();
        let mut next = self.source.source();
        while let Some(cause) = next {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            next = cause.source();
        }
        text
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fault({:?} at {}: {})", self.kind, self.place(), self.chain())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.chain())
    }
}

impl Error for Fault {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(self.source.as_ref())
    }
}
