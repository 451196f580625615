//! A service on an empty SQLite database in a folder, for the unit tests of rooms that may not see `config`.

use std::path::Path;
use std::sync::Arc;

use super::App;
use super::open::Means;
use crate::Clock;
use crate::config::{self, LoadOptions};
use crate::crypto::random::Random;
use crate::domain::time::Timestamp;

/// When the clocks of tests stand still.
pub(crate) const NOW: Timestamp = Timestamp::from_micros(1_795_000_000_123_457);

/// An instance on a database of its own, whose randomness is always the same.
pub(crate) async fn open(folder: &Path, clock: Clock) -> Arc<App> {
    let data_dir = folder.display().to_string();
    let options = LoadOptions::only([
        ("PORTCULLIS__DATA_DIR", &data_dir),
        ("PORTCULLIS__MASTER_KEY", "yhGpPW5zVLDMCvJ+YkE1rN3qQ0bSx7fTuAi2hRmZdOw="),
        ("PORTCULLIS__PASSWORD__HASH_THREADS", "1"),
    ]);
    let config = config::load(&options).unwrap();
    App::open(&config, Means { clock, random: Random::seeded(1), ..Means::system() }).await.unwrap()
}
