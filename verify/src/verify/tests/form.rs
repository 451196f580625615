//! One token, one spelling: the strict compact form (JWT-17), and the one exception (JWT-18).

use serde_json::json;

use super::{check, ec};
use crate::testing::{b64, claims, claims_with};
use crate::{InvalidClaim, Refused, TOKEN_BYTES_MAX};

#[test]
fn jwt_17_only_the_strict_compact_form_passes() {
    let pair = ec();
    let token = pair.token(&claims());
    assert!(check(&pair, &token).is_ok());
    let parts: Vec<&str> = token.split('.').collect();
    let (h, p, s) = (parts[0], parts[1], parts[2]);
    let json_form = json!({ "protected": h, "payload": p, "signature": s }).to_string();
    let mut bad = vec![
        String::new(),
        ".".into(),
        "..".into(),
        "...".into(),
        h.into(),
        format!("{h}.{p}"),
        format!("{h}.{p}."),
        format!(".{p}.{s}"),
        format!("{h}..{s}"),
        format!("{token}."),
        format!(".{token}"),
        format!("{token}.{s}"),
        format!("{h}.{p}.{s}.{s}.{s}"),
        json_form.clone(),
        format!("[{json_form}]"),
        format!("Bearer {token}"),
        format!("{token}\u{0}"),
        "é.é.é".into(),
    ];
    for index in [0, 1, 2] {
        for blank in [" ", "\n", "\t", "\r\n", "=", "==", "+", "/", "\u{200b}"] {
            let mut altered = parts.clone();
            let (behind, before) =
                (format!("{}{blank}", parts[index]), format!("{blank}{}", parts[index]));
            altered[index] = &behind;
            bad.push(altered.join("."));
            altered[index] = &before;
            bad.push(altered.join("."));
        }
    }
    for bad in &bad {
        assert_eq!(check(&pair, bad), Err(Refused::Form), "{bad:?}");
    }
}

#[test]
fn jwt_17_idle_bits_have_one_spelling() {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let pair = ec();
    let token = pair.token(&claims());
    // 64 bytes are 86 characters, the last one with four idle bits.
    let last = token.bytes().last().unwrap();
    let place = ALPHABET.iter().position(|c| *c == last).unwrap();
    for idle in 1..16 {
        let other = char::from(ALPHABET[place + idle]);
        let respelt = format!("{}{other}", &token[..token.len() - 1]);
        assert_eq!(check(&pair, &respelt), Err(Refused::Form));
    }
}

#[test]
fn jwt_17_a_token_has_at_most_8_kib() {
    let pair = ec();
    // Every length can be had: header and payload both end on any but one of four lengths.
    let sized = |bytes: usize| {
        let fillers =
            (0..3).flat_map(|h| (bytes * 3 / 4 - 1_000..bytes * 3 / 4).map(move |p| (h, p)));
        let mut texts = fillers.map(|(h, p)| {
            let mut header = pair.header();
            header["cty"] = json!("x".repeat(h));
            (header.to_string(), claims_with("filler", json!("x".repeat(p))).to_string())
        });
        let b64_len = |text: &str| (text.len() * 4).div_ceil(3);
        // The rest is two dots and a signature of 64 bytes.
        let (header, payload) = texts.find(|(h, p)| b64_len(h) + b64_len(p) + 88 == bytes).unwrap();
        let token = pair.token_of(&header, &payload);
        assert_eq!(token.len(), bytes);
        token
    };
    assert!(check(&pair, &sized(TOKEN_BYTES_MAX)).is_ok());
    assert_eq!(check(&pair, &sized(TOKEN_BYTES_MAX + 1)), Err(Refused::Form));
    assert_eq!(check(&pair, &sized(2 * TOKEN_BYTES_MAX)), Err(Refused::Form));
}

#[test]
fn jwt_17_double_members_are_refused() {
    let pair = ec();
    let (header, payload) = (pair.header().to_string(), claims().to_string());
    let doubled = |text: &str, member: &str| format!("{{{member},{}", &text[1..]);
    for member in [r#""alg":"ES256""#, r#""typ":"at+jwt""#, r#""\u0061lg":"none""#] {
        let token = pair.token_of(&doubled(&header, member), &payload);
        assert_eq!(check(&pair, &token), Err(Refused::Form));
    }
    for member in [r#""sub":"admin""#, r#""locale":"en""#, r#""x":{"y":1,"y":2}"#] {
        let token = pair.token_of(&header, &doubled(&payload, member));
        assert_eq!(check(&pair, &token), Err(InvalidClaim("payload").into()));
    }
    for header in ["", "null", "[]", "\"x\"", "{", "{}{}"] {
        assert_eq!(check(&pair, &pair.token_of(header, &payload)), Err(Refused::Form));
    }
}

#[test]
fn jwt_18_the_second_spelling_of_an_ecdsa_signature_passes_with_the_same_ids() {
    // The order of P-256 (FIPS 186-5, SEC 2, 2.4.2): (r, n − s) is a signature wherever (r, s) is.
    const ORDER: [u8; 32] = [
        0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63,
        0x25, 0x51,
    ];
    use base64::Engine as _;
    let pair = ec();
    let token = pair.token(&claims());
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let mut bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(signature).unwrap();
    let mut borrow = 0i16;
    for index in (0..32).rev() {
        let digit = i16::from(ORDER[index]) - i16::from(bytes[32 + index]) - borrow;
        borrow = i16::from(digit < 0);
        bytes[32 + index] = u8::try_from(digit.rem_euclid(256)).unwrap();
    }
    let respelt = format!("{signed}.{}", b64(&bytes));
    assert_ne!(respelt, token);
    let (first, second) = (check(&pair, &token).unwrap(), check(&pair, &respelt).unwrap());
    assert_eq!((first.jti, first.sid), (second.jti, second.sid));
    bytes[40] ^= 1;
    assert_eq!(check(&pair, &format!("{signed}.{}", b64(&bytes))), Err(Refused::Signature));
}
