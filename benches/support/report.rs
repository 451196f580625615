//! How a figure comes about: rounds of ours and of its limit in turn, and the median of their ratios.
//!
//! A ratio of two neighbouring rounds bears a machine that gets slower; an absolute figure does not.

use std::time::Duration;

/// What was asked for on the command line.
pub(crate) struct Options {
    /// How long one round of one side takes.
    pub(crate) round: Duration,
    /// How many rounds each side has.
    pub(crate) rounds: usize,
    /// `sqlite` or `postgres`: only figures that have this in their name.
    only: Option<String>,
    /// Whether the service logs, as it does unless told otherwise.
    pub(crate) logs: bool,
}

impl Options {
    /// Reads `--seconds N`, `--rounds N`, `--no-log` and a part of a figure's name; all else, cargo's own `--bench` too, is passed over.
    pub(crate) fn read(seconds: f64) -> Self {
        let mut options =
            Self { round: Duration::from_secs_f64(seconds), rounds: 5, only: None, logs: true };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            match word.as_str() {
                "--seconds" => {
                    let seconds = words.next().and_then(|text| text.parse().ok());
                    options.round = Duration::from_secs_f64(seconds.unwrap());
                }
                "--rounds" => {
                    let rounds = words.next().and_then(|text| text.parse().ok());
                    options.rounds = rounds.filter(|rounds| *rounds > 0).unwrap();
                }
                "--no-log" => options.logs = false,
                flag if flag.starts_with('-') => {}
                name => options.only = Some(name.to_owned()),
            }
        }
        options
    }

    /// Tells whether the figure `name` was asked for.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.only.as_ref().is_none_or(|part| name.contains(part))
    }

    /// Measures both sides in turn and prints one line.
    pub(crate) fn compare(&self, figure: &Figure<'_>, mut ours: impl Side, mut limit: impl Side) {
        // What is built at first use (connections, prepared statements) is no part of a figure.
        let warm = self.round.min(Duration::from_millis(500));
        ours(warm);
        limit(warm);
        let rounds = (0..self.rounds).map(|_| (ours(self.round), limit(self.round)));
        let (mine, theirs): (Vec<f64>, Vec<f64>) = rounds.unzip();
        let ratios = sorted(mine.iter().zip(&theirs).map(|(a, b)| a / b).collect());
        let (low, high) = (ratios.first().unwrap(), ratios.last().unwrap());
        let ratio = median(&ratios);
        let verdict = match figure.target {
            Some(target) if ratio >= target => format!("target {target:.2} reached"),
            Some(target) => format!("target {target:.2} MISSED"),
            None => "no target".to_owned(),
        };
        println!(
            "{:<16} {ratio:5.2}   {verdict:<19}   {:8.0} {unit}   limit {:8.0} ({})   rounds {low:.2}-{high:.2}",
            figure.name,
            median(&sorted(mine)),
            median(&sorted(theirs)),
            figure.limit,
            unit = figure.unit,
        );
    }
}

/// One side of a comparison: works for about so long and tells how many a second.
pub(crate) trait Side: FnMut(Duration) -> f64 {}

impl<F: FnMut(Duration) -> f64> Side for F {}

/// What is measured.
pub(crate) struct Figure<'a> {
    /// `what/database`.
    pub(crate) name: &'a str,
    /// What is counted, a second.
    pub(crate) unit: &'a str,
    /// What it is held against.
    pub(crate) limit: &'a str,
    /// The ratio that is promised; without one the figure only explains another.
    pub(crate) target: Option<f64>,
}

fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
}

fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        sorted[middle]
    } else {
        f64::midpoint(sorted[middle - 1], sorted[middle])
    }
}
