//! SHA-1, for the one list that is keyed by it: stolen passwords. Nothing here is protected by it.

use std::fmt::Write;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use zeroize::Zeroizing;

/// SHA-1 of `bytes` as 40 hexadecimal digits in upper case (FIPS 180-4), wiped when dropped: of a password it
/// is as good as the password.
pub fn hex(bytes: &[u8]) -> Zeroizing<String> {
    let digest = digest(&SHA1_FOR_LEGACY_USE_ONLY, bytes);
    let mut text = Zeroizing::new(String::with_capacity(40));
    for byte in digest.as_ref() {
        // Writing to a string cannot fail.
        if write!(text, "{byte:02X}").is_err() {
            break;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pwd_10_the_digest_is_the_lists() {
        assert_eq!(*hex(b"password"), "5BAA61E4C9B93F3F0682250B6CF8331B7EE68FD8");
        assert_eq!(*hex(b""), "DA39A3EE5E6B4B0D3255BFEF95601890AFD80709");
    }
}
