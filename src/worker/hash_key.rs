//! Keys from mounted Secrets under which values become hashes: people of requests, and values that a mask pseudonymises.

use std::fmt;
use std::fmt::Write as _;
use std::path::Path;

use aws_lc_rs::hmac;

use super::export::secret;
use crate::contract::export::SHORTEST_HASH_KEY;
use crate::contract::{Problem, Reason};

/// A key for HMAC-SHA-256. It is never shown.
#[derive(Clone)]
pub struct HashKey(hmac::Key);

impl fmt::Debug for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashKey(..)")
    }
}

impl HashKey {
    /// Reads a key of a Secret that is mounted here, and refuses one that could be guessed.
    pub fn read(directory: &Path, secret: &str, key: &str, field: &str) -> Result<Self, Problem> {
        let mut bytes = secret::required(directory, key, secret, field)?;
        if bytes.len() < SHORTEST_HASH_KEY {
            let detail = format!("key {key} of Secret {secret} has {} bytes", bytes.len());
            return Err(Problem::new(Reason::WeakHashKey, field, detail));
        }
        let read = Self(hmac::Key::new(hmac::HMAC_SHA256, &bytes));
        std::hint::black_box(&mut bytes).fill(0);
        Ok(read)
    }

    /// The first bytes of the hash of some parts, each with its length before it, so that no two lists look alike.
    pub fn hash(&self, purpose: &str, parts: &[&[u8]], length: usize) -> String {
        let mut context = hmac::Context::with_key(&self.0);
        for part in std::iter::once(&purpose.as_bytes()).chain(parts) {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let tag = context.sign();
        tag.as_ref().iter().take(length).fold(String::new(), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    /// Which key it is: the first bytes of a hash that says nothing about the key.
    pub fn id(&self, length: usize) -> String {
        self.hash("privacy-operator key", &[], length)
    }

    /// The plain HMAC-SHA-256 of a text. No list of parts can have it: each of those begins with a byte that is zero, and no
    /// text of a store has one.
    pub fn digest(&self, text: &[u8]) -> [u8; 32] {
        let mut digest = [0; 32];
        digest.copy_from_slice(hmac::sign(&self.0, text).as_ref());
        digest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(bytes: &[u8]) -> Result<HashKey, Problem> {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("key"), bytes).unwrap();
        HashKey::read(directory.path(), "keys", "key", "field")
    }

    /// RFC 4231, test case 6: a key of 131 bytes, which is more than a block of the hash.
    #[test]
    fn the_digest_is_that_of_the_standard() {
        let digest = key(&[0xaa; 131])
            .unwrap()
            .digest(b"Test Using Larger Than Block-Size Key - Hash Key First");
        let expected = [
            0x60, 0xe4, 0x31, 0x59, 0x1e, 0xe0, 0xb6, 0x7f, 0x0d, 0x8a, 0x26, 0xaa, 0xcb, 0xf5, 0xb7, 0x7f, 0x8e, 0x0b,
            0xc6, 0x21, 0x37, 0x28, 0xc5, 0x14, 0x05, 0x46, 0x04, 0x0f, 0x0e, 0xe3, 0x7f, 0x54,
        ];
        assert_eq!(digest, expected);
    }

    #[test]
    fn a_key_that_could_be_guessed_is_refused_and_none_is_shown() {
        let problem = key(b"canary-canary-canary-canary-123").unwrap_err();
        assert_eq!(problem.reason, Reason::WeakHashKey);
        assert_eq!(problem.detail, "key key of Secret keys has 31 bytes");
        let shown = format!("{:?} {problem:?}", key(b"canary-canary-canary-canary-1234").unwrap());
        assert!(!shown.contains("canary"), "{shown}");
    }

    #[test]
    fn two_keys_have_two_identifiers() {
        let id = |byte: u8| key(&[byte; 32]).unwrap().id(8);
        assert_eq!(id(1), id(1));
        assert_ne!(id(1), id(2));
        assert_eq!(id(1).len(), 16);
    }
}
