//! The one integration binary. `cfg(test)` on each module is what tells clippy that its helpers are tests.

#[cfg(test)]
#[macro_use]
mod support;

#[cfg(test)]
mod binary;
#[cfg(test)]
mod cli;
#[cfg(test)]
mod flows;
#[cfg(test)]
mod http;
#[cfg(test)]
mod jobs;
#[cfg(test)]
mod mail;
#[cfg(test)]
mod outbound;
#[cfg(test)]
mod rooms;
#[cfg(test)]
mod store;
