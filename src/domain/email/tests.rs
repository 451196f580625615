//! What is an address, what is one and the same address, and what must never become one.

use proptest::prelude::*;

use super::*;

fn canonical(text: &str) -> String {
    EmailAddress::parse(text).unwrap_or_else(|e| panic!("{text:?}: {e}")).canonical().0.clone()
}

#[test]
fn inp_01_spellings_of_one_address_are_one() {
    let cases = [
        ("ann@example.org", "ann@example.org"),
        ("  Ann@Example.ORG\t", "ann@example.org"),
        ("ANN+news@EXAMPLE.org", "ann+news@example.org"),
        ("ann@bücher.example", "ann@xn--bcher-kva.example"),
        ("ann@BÜCHER.example", "ann@xn--bcher-kva.example"),
        ("ann@bu\u{308}cher.example", "ann@xn--bcher-kva.example"),
        ("ann@XN--Bcher-KVA.example", "ann@xn--bcher-kva.example"),
        ("ann@straße.example", "ann@xn--strae-oqa.example"),
        ("ann@例え.テスト", "ann@xn--r8jz45g.xn--zckzah"),
        ("o'hara.{x}@a--b.example", "o'hara.{x}@a--b.example"),
    ];
    for (typed, expected) in cases {
        assert_eq!(canonical(typed), expected, "{typed:?}");
    }
}

#[test]
fn the_typed_form_keeps_the_spelling() {
    let address = EmailAddress::parse(" Ann@Bücher.example ").unwrap();
    assert_eq!(address.typed(), "Ann@Bücher.example");
    assert_eq!(address.canonical().local_part(), "ann");
    assert_eq!(address.canonical().domain(), "xn--bcher-kva.example");
}

#[test]
fn inp_02_what_is_no_address_is_refused() {
    let cases = [
        "",
        " ",
        "@",
        "a@",
        "@b.example",
        "ann",
        "a@x",
        "a@x.",
        "a@.x",
        "a@x..y",
        "a@b.example.",
        "a@[127.0.0.1]",
        "a@127.0.0.1",
        "a@0x7f.0.0.0x1",
        "a@[IPv6:::1]",
        "a@1.2",
        "a@b.123",
        "a@b@c.example",
        "a@b.example,c@d.example",
        "a@b.example c@d.example",
        "a@b.example\r\nBcc: c@d.example",
        "\"a b\"@c.example",
        "\"a\"@c.example",
        "a b@c.example",
        ".a@b.example",
        "a.@b.example",
        "a..b@c.example",
        "a(x)@b.example",
        "<a@b.example>",
        "a@-b.example",
        "a@b-.example",
        "a@b_c.example",
        "a@b c.example",
        "a@b%00.example",
        "a%00@b.example",
        "a%b.example@c.example",
        "a\0@b.example",
        "a@b\0.example",
        "a\u{7f}@b.example",
        "a@b\u{85}.example",
        "ann@xn--.example",
        "ann@xn--zzzzzzzz.example",
        "mailto:a@b.example",
        "a@b.example/c",
        "a@b.example?c=d",
    ];
    for text in cases {
        assert_eq!(EmailAddress::parse(text), Err(EmailError::InvalidFormat), "{text:?}");
    }
}

#[test]
fn inp_02_look_alikes_never_become_ascii() {
    let cases = [
        "mıke@example.org",
        "miſs@example.org",
        "\u{212a}im@example.org",
        "ann@exampl\u{212a}.org",
        "ann@ſite.example",
        "ann＠example.org",
        "ann﹫example.org",
        "ann@example．org",
        "ann@example。org",
        "ann@example｡org",
        "ann@ｅxample.org",
        "ann@x＠example.org",
        "ann@x﹫example.org",
        "ann@İstanbul.example",
        "ann@exa\u{ad}mple.org",
        "ann@exa\u{200b}mple.org",
        "ann@exa\u{200d}mple.org",
        "ann@exa\u{2060}mple.org",
        "ann@\u{202e}gro.elpmaxe",
        "ann@℀.example",
        "ann@①.example",
        "аnn@example.org",
        "ann\u{301}@example.org",
        "ａnn@example.org",
        "\u{feff}ann@example.org",
    ];
    for text in cases {
        assert_eq!(EmailAddress::parse(text), Err(EmailError::InvalidFormat), "{text:?}");
    }
    // Dotless ı and Cyrillic а have no ASCII mapping: another domain, which cannot act for ours.
    assert_eq!(canonical("ann@mıke.example"), "ann@xn--mke-jua.example");
    assert_ne!(canonical("ann@аpple.example"), canonical("ann@apple.example"));
}

#[test]
fn inp_02_lengths_are_those_of_rfc_5321() {
    let local = "l".repeat(64);
    let label = "d".repeat(63);
    let domain = format!("{label}.{label}.{}.org", "e".repeat(57));
    let longest = format!("{local}@{domain}");
    assert_eq!(longest.len(), 254);
    assert_eq!(canonical(&longest), longest);
    assert_eq!(EmailAddress::parse(&format!("{longest}x")), Err(EmailError::TooLong));
    assert_eq!(EmailAddress::parse(&format!("l{local}@x.org")), Err(EmailError::TooLong));
    assert_eq!(
        EmailAddress::parse(&format!("a@{label}d.org")),
        Err(EmailError::InvalidFormat),
        "a label has 63 octets at most"
    );
    // Short as typed, long as A-labels: the length is looked at before and after.
    let grows = format!("{local}@{}.org", ["ü".repeat(29).as_str(); 3].join(".a."));
    assert!(grows.len() <= 254 && EmailAddress::parse(&grows).is_ok(), "{}", grows.len());
}

#[test]
fn inp_11_sixty_kilobytes_are_refused_by_their_length() {
    let started = std::time::Instant::now();
    for text in ["ﷺ".repeat(20_000), "@".repeat(60_000), format!("a@{}", "ﷺ".repeat(20_000))] {
        assert_eq!(EmailAddress::parse(&text), Err(EmailError::TooLong));
    }
    assert!(started.elapsed().as_millis() < 20);
}

#[test]
fn debug_shows_nothing_personal() {
    let address = EmailAddress::parse("ann@example.org").unwrap();
    let shown = format!("{address:?} {:?}", address.canonical());
    assert!(!shown.contains("ann") && !shown.contains("example"), "{shown}");
}

proptest! {
    #[test]
    fn any_text_is_parsed_without_a_panic(text in "\\PC{0,80}", any in any::<String>()) {
        drop((EmailAddress::parse(&text), EmailAddress::parse(&any)));
    }

    #[test]
    fn a_canonical_form_is_its_own_canonical_form(
        text in "[ -~]{1,12}@[a-zA-Zà-ÿα-ωа-я0-9-]{1,12}\\.[a-zA-Zà-ÿ]{2,6}",
    ) {
        if let Ok(address) = EmailAddress::parse(&text) {
            let folded = address.canonical();
            prop_assert!(folded.0.is_ascii() && folded.0.len() <= CanonicalEmail::BYTES_MAX);
            prop_assert_eq!(folded.0.matches('@').count(), 1);
            prop_assert_eq!(&CanonicalEmail::parse(folded.as_str()).unwrap(), folded);
        }
    }
}
