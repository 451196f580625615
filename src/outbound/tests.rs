//! Rules, buckets and backoff, by the clock of the tests.

mod bucket;
mod guard;
mod retry;
