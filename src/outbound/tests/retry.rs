//! Waits between tries, by the clock of the tests.
