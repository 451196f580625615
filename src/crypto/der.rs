//! The little of DER (X.690) that the key files need: which algorithm, and the two numbers of RSA.
//!
//! Reads definite lengths in their shortest form and refuses everything else. The keys themselves
//! are parsed by aws-lc.

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const OBJECT: u8 = 0x06;

const ED25519: &[u8] = &[0x2b, 0x65, 0x70];
const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];

/// The kind of key that a PKCS#8 document says it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyKind {
    /// id-Ed25519.
    Ed25519,
    /// id-ecPublicKey over P-256.
    P256,
    /// id-ecPublicKey over any other curve.
    OtherCurve,
    /// rsaEncryption.
    Rsa,
    /// Anything else.
    Other,
}

/// Tells what kind of key a PKCS#8 document (RFC 5958) holds; `None` if it is none.
pub(super) fn pkcs8_kind(document: &[u8]) -> Option<KeyKind> {
    let mut info = only(document, SEQUENCE)?;
    take(&mut info, INTEGER)?;
    let mut algorithm = take(&mut info, SEQUENCE)?;
    Some(match take(&mut algorithm, OBJECT)? {
        ED25519 => KeyKind::Ed25519,
        EC if take(&mut algorithm, OBJECT) == Some(P256) => KeyKind::P256,
        EC => KeyKind::OtherCurve,
        RSA => KeyKind::Rsa,
        _ => KeyKind::Other,
    })
}

/// Modulus and exponent of an `RSAPublicKey` (RFC 8017, A.1.1), without leading zeros.
pub(super) fn rsa_public(document: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut key = only(document, SEQUENCE)?;
    let n = unsigned(take(&mut key, INTEGER)?)?;
    let e = unsigned(take(&mut key, INTEGER)?)?;
    key.is_empty().then_some((n, e))
}

fn unsigned(integer: &[u8]) -> Option<&[u8]> {
    match integer {
        [0, rest @ ..] if !rest.is_empty() => Some(rest),
        [first, ..] if *first < 0x80 => Some(integer),
        _ => None,
    }
}

/// The content of the one element that `input` consists of.
fn only(input: &[u8], tag: u8) -> Option<&[u8]> {
    let mut rest = input;
    let content = take(&mut rest, tag)?;
    rest.is_empty().then_some(content)
}

/// The content of the next element, if it has this tag; moves `input` behind it.
fn take<'a>(input: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    let (found, rest) = input.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match *first {
        short @ ..0x80 => (usize::from(short), rest),
        long => {
            // LIMIT: two bytes of length; the longest document that is read has 64 KiB.
            let (bytes, rest) = rest.split_at_checked(usize::from(long & 0x7f))?;
            let length = match bytes {
                [low] if *low >= 0x80 => usize::from(*low),
                [high, low] if *high > 0 => usize::from(u16::from_be_bytes([*high, *low])),
                _ => return None,
            };
            (length, rest)
        }
    };
    let (content, rest) = rest.split_at_checked(length)?;
    (*found == tag).then(|| {
        *input = rest;
        content
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_read_in_their_shortest_form_only() {
        assert_eq!(only(&[0x30, 1, 7], SEQUENCE), Some(&[7][..]));
        let long = [&[0x30, 0x81, 0x80][..], &[1; 128]].concat();
        assert_eq!(only(&long, SEQUENCE).unwrap().len(), 128);
        let longer = [&[0x30, 0x82, 1, 0][..], &[1; 256]].concat();
        assert_eq!(only(&longer, SEQUENCE).unwrap().len(), 256);
        for bad in [
            &[][..],
            &[0x30],
            &[0x30, 2, 7],
            &[0x30, 1, 7, 7],
            &[0x31, 1, 7],
            &[0x30, 0x80, 7],
            &[0x30, 0x81, 1, 7],
            &[0x30, 0x82, 0, 1, 7],
            &[0x30, 0xff, 7],
        ] {
            assert_eq!(only(bad, SEQUENCE), None, "{bad:?}");
        }
    }

    #[test]
    fn rsa_numbers_lose_their_sign_byte() {
        let key = [0x30, 8, 2, 2, 0, 0xff, 2, 2, 1, 1];
        assert_eq!(rsa_public(&key), Some((&[0xff][..], &[1, 1][..])));
        assert_eq!(rsa_public(&[0x30, 6, 2, 1, 0xff, 2, 1, 3]), None, "a negative number");
    }
}
