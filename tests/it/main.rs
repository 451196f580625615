//! The one integration binary. `cfg(test)` on each module is what tells clippy that its helpers are tests.

#[cfg(test)]
mod rooms;
