//! How many tries a password takes, by `zxcvbn`, with the cost of asking bounded (PWD-09).
//!
//! The library tries each way to read the signs of a text as letters (`1` as `i` or `l`): a hostile
//! text of 100 signs takes it most of a second. Here the product of ways and length is bounded.

use zeroize::Zeroizing;
use zxcvbn::feedback::Suggestion;
use zxcvbn::{Entropy, zxcvbn};

/// LIMIT: PWD-09: below 10⁶ guesses a password falls to online guessing.
const STRENGTH_FLOOR: u32 = 6;
/// LIMIT: ours; the cost grows with the square. More characters only add to a guesser's work.
const CHARS_MAX: usize = 64;
/// LIMIT: measured; one way over one pair of positions takes about 50 ns, so this is about 8 ms.
const WORK_MAX: usize = 160_000;

/// The signs that the library may read as letters, digits aside, and stand-ins that it may not.
const SIGNS: [(char, char); 10] = [
    ('@', '&'),
    ('(', ')'),
    ('{', '}'),
    ('[', ']'),
    ('<', '>'),
    ('!', '?'),
    ('|', '/'),
    ('$', '#'),
    ('+', '='),
    ('%', '*'),
];

/// Advice for whoever chose a password of fewer than ten to the power of `strength_min` guesses; `None` is
/// strong enough.
pub(super) fn weakness(text: &str, known: &[&str], strength_min: u32) -> Option<String> {
    let mut head = Zeroizing::new(String::with_capacity(CHARS_MAX * 4));
    head.extend(text.chars().take(CHARS_MAX));
    // SECURITY: T-04. No password that people share mixes so many signs that this changes its strength.
    let length = head.chars().count();
    if readings(&head).saturating_mul(length * length) > WORK_MAX {
        head = Zeroizing::new(head.chars().map(stand_in).collect());
    }
    let estimate = zxcvbn(&head, known);
    let guesses_min = 10_u64.saturating_pow(strength_min.max(STRENGTH_FLOOR));
    (estimate.guesses() < guesses_min).then(|| advice(&estimate))
}

/// Constant texts, so that nothing of the password is in them. The library falls silent at 10⁸ guesses.
fn advice(estimate: &Entropy) -> String {
    let feedback = estimate.feedback().map(ToString::to_string);
    feedback.unwrap_or_else(|| Suggestion::AddAnotherWordOrTwo.to_string())
}

fn stand_in(c: char) -> char {
    SIGNS.iter().find(|(sign, _)| *sign == c).map_or(c, |(_, other)| *other)
}

/// In how many ways at most the library reads the signs of `text` as letters.
///
/// For each letter one of its signs; a sign of two letters may go to either.
fn readings(text: &str) -> usize {
    let ways = |own: &str, shared: &str| {
        let count = |signs: &str| signs.chars().filter(|&c| text.contains(c)).count();
        (count(own) + 2 * count(shared)).max(1)
    };
    let letters =
        [("4@", ""), ("({[<", ""), ("69", ""), ("1!|", ""), ("", "1|7"), ("$5", ""), ("+", "7")];
    letters.iter().map(|(own, shared)| ways(own, shared)).product()
}
