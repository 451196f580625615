//! portcullis: an account service with an HTTP API, an admin CLI and tokens that anybody can verify.
//!
//! Where a line lives (`docs/ARCHITECTURE.md` tells why; a test fails when a wall is crossed):
//!
//! | if a line… | it lives in |
//! |---|---|
//! | would still be true if the service were a command-line tool on a text file | [`domain`] |
//! | tells in which order things happen to a user | [`flows`] |
//! | mentions a status code, a header, a JSON name | [`http`] |
//! | contains SQL or a row | [`store`] |
//! | happens after the answer was sent | [`jobs`] |
//! | touches a key, a hash, a random byte | [`crypto`] |
//! | opens a connection to somebody else's server (SMTP: [`mail`]) | [`outbound`] |
//! | renders or hands over a mail | [`mail`] |
//! | is typed by an operator, or written by one | [`cli`], [`config`] |
//! | tells what happened (logs, metrics) | [`telemetry`] |

pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod crypto;
pub mod deadline;
pub mod domain;
pub mod fault;
pub mod flows;
pub mod http;
pub mod jobs;
pub mod mail;
pub mod outbound;
pub mod store;
pub mod telemetry;

pub use clock::Clock;
pub use fault::{Fault, FaultKind};
