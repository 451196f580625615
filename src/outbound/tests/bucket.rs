//! Tokens, by the clock of the tests.
