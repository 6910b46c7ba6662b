//! The written form of a pseudonym. By it a masked value is recognised without its key: `psn:`, the identifier of the key as
//! 16 hexadecimal digits, `:`, and the HMAC-SHA-256 of the value as URL-safe base64 without padding.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Characters of a pseudonym: as many as a common length of identifier columns.
pub const LENGTH: i32 = 64;

/// Exactly the values of this form, as a regular expression of POSIX. 32 bytes leave two bits of the last character unused.
pub const PATTERN: &str = "^psn:[0-9a-f]{16}:[0-9A-Za-z_-]{42}[048AEIMQUYcgkosw]$";

/// Bytes of the key's identifier.
pub const KEY_ID_BYTES: usize = 8;

/// The pseudonym of a value with this digest under the key with this identifier.
#[must_use]
pub fn written(key_id: &str, digest: &[u8; 32]) -> String {
    format!("psn:{key_id}:{}", URL_SAFE_NO_PAD.encode(digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_one_length_whatever_the_digest_is() {
        for digest in [[0; 32], [0xff; 32], [0xfb; 32]] {
            let text = written("0123456789abcdef", &digest);
            assert_eq!(i32::try_from(text.len()), Ok(LENGTH), "{text}");
            assert!(text.starts_with("psn:0123456789abcdef:"), "{text}");
        }
        // Bits that plain base64 would write as + and /.
        assert!(written("0123456789abcdef", &[0xfb; 32]).ends_with("-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_s"));
    }
}
