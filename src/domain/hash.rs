//! SHA-256, as text.

use aws_lc_rs::digest::{SHA256, digest};

/// SHA-256 of `bytes` in lower-case hexadecimal, 64 characters.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    digest(&SHA256, bytes)
        .as_ref()
        .iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// The first 10 characters of [`sha256`]: enough to tell the plans and schemas of one object apart in its name.
#[must_use]
pub fn short(bytes: &[u8]) -> String {
    let mut text = sha256(bytes);
    text.truncate(10);
    text
}
