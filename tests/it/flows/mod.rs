//! The stories, each test on both databases, without the wire: what is answered and what is stored.

mod accounts;
mod audit;
mod keys;
mod leaving;
mod life;
mod life_races;
mod mails;
mod races;
mod refresh;
mod settle;
mod unique;
