//! Two envelopes: the file of first contact, which only the key Secret's owner can open; and the sealed copy of all
//! keys, for people who keep their own.

use std::io::{Read as _, Write as _};

use age::armor::{ArmoredReader, ArmoredWriter, Format};
use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::custody::Material;

/// Bound to what is sealed, so that it cannot be taken for anything else.
const PURPOSE: &[u8] = b"privacy-operator.dev/baseline/v1";

/// Why something cannot be sealed or opened.
#[derive(thiserror::Error, Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// A recipient is none.
    #[error("spec.escrow.ageRecipients: `{0}` is no age recipient; age-keygen prints one")]
    Recipient(String),
    /// The envelope was not made with this key, or was changed.
    #[error("it was not sealed for this key, or was changed")]
    Open,
    /// The library failed.
    #[error("it cannot be sealed: {0}")]
    Seal(String),
}

fn key(material: &Material) -> Result<RandomizedNonceKey, Failure> {
    RandomizedNonceKey::new(&AES_256_GCM, &material.bytes().unwrap_or_default()).map_err(|_| Failure::Open)
}

/// Seals the file of first contact.
pub fn seal_baseline(import_key: &Material, text: &str) -> Result<String, Failure> {
    let mut bytes = text.as_bytes().to_vec();
    let nonce = key(import_key)?
        .seal_in_place_append_tag(Aad::from(PURPOSE), &mut bytes)
        .map_err(|_| Failure::Seal("the cipher failed".to_owned()))?;
    let mut sealed = nonce.as_ref().to_vec();
    sealed.extend(bytes);
    Ok(STANDARD.encode(sealed))
}

/// Opens the file of first contact.
pub fn open_baseline(import_key: &Material, sealed: &str) -> Result<String, Failure> {
    let bytes = STANDARD.decode(sealed).map_err(|_| Failure::Open)?;
    let (nonce, bytes) = bytes.split_at_checked(NONCE_LEN).ok_or(Failure::Open)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| Failure::Open)?;
    let mut bytes = bytes.to_vec();
    let opened = key(import_key)?
        .open_in_place(nonce, Aad::from(PURPOSE), &mut bytes)
        .map_err(|_| Failure::Open)?;
    String::from_utf8(opened.to_vec()).map_err(|_| Failure::Open)
}

/// Whether a text is a recipient.
#[must_use]
pub fn is_recipient(text: &str) -> bool {
    text.parse::<age::x25519::Recipient>().is_ok()
}

/// Seals the record of all keys for these recipients. The result is text that can be printed and typed.
pub fn seal_escrow(recipients: &[String], text: &str) -> Result<String, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::Seal(error.to_string());
    let recipients = recipients
        .iter()
        .map(|recipient| {
            recipient
                .parse::<age::x25519::Recipient>()
                .map_err(|_| Failure::Recipient(recipient.clone()))
        })
        .collect::<Result<Vec<_>, _>>()?;
    let encryptor =
        age::Encryptor::with_recipients(recipients.iter().map(|recipient| recipient as &dyn age::Recipient))
            .map_err(|error| failed(&error))?;
    let mut sealed = Vec::new();
    let armor = ArmoredWriter::wrap_output(&mut sealed, Format::AsciiArmor).map_err(|error| failed(&error))?;
    let mut writer = encryptor.wrap_output(armor).map_err(|error| failed(&error))?;
    writer.write_all(text.as_bytes()).map_err(|error| failed(&error))?;
    writer
        .finish()
        .and_then(ArmoredWriter::finish)
        .map_err(|error| failed(&error))?;
    String::from_utf8(sealed).map_err(|error| failed(&error))
}

/// Opens the sealed copy with the secret keys of a person, one `AGE-SECRET-KEY-...` a line.
pub fn open_escrow(identities: &str, sealed: &[u8]) -> Result<Vec<u8>, Failure> {
    let identities: Vec<age::x25519::Identity> =
        identities.lines().filter_map(|line| line.trim().parse().ok()).collect();
    let decryptor = age::Decryptor::new(ArmoredReader::new(sealed)).map_err(|_| Failure::Open)?;
    let mut reader = decryptor
        .decrypt(identities.iter().map(|identity| identity as &dyn age::Identity))
        .map_err(|_| Failure::Open)?;
    let mut text = Vec::new();
    reader.read_to_end(&mut text).map_err(|_| Failure::Open)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_of_first_contact_opens_with_its_key_only() {
        let key = Material::new(&[7; 32]);
        let sealed = seal_baseline(&key, "the file").unwrap();
        assert!(!sealed.contains("file"));
        assert_eq!(open_baseline(&key, &sealed).unwrap(), "the file");
        assert_eq!(open_baseline(&Material::new(&[8; 32]), &sealed), Err(Failure::Open));
        assert_eq!(open_baseline(&key, "AAAA"), Err(Failure::Open));
        assert_ne!(sealed, seal_baseline(&key, "the file").unwrap(), "never twice the same");
    }

    #[test]
    fn the_sealed_copy_opens_for_each_recipient_and_for_nobody_else() {
        use age::secrecy::ExposeSecret as _;
        let people: Vec<age::x25519::Identity> = (0..3).map(|_| age::x25519::Identity::generate()).collect();
        let recipients: Vec<String> = people[..2]
            .iter()
            .map(|person| person.to_public().to_string())
            .collect();
        let sealed = seal_escrow(&recipients, "all keys").unwrap();
        assert!(sealed.starts_with("-----BEGIN AGE ENCRYPTED FILE-----"), "{sealed}");
        let secret = |person: &age::x25519::Identity| format!("# made today\n{}\n", person.to_string().expose_secret());
        for person in &people[..2] {
            assert_eq!(open_escrow(&secret(person), sealed.as_bytes()).unwrap(), b"all keys");
        }
        assert_eq!(open_escrow(&secret(&people[2]), sealed.as_bytes()), Err(Failure::Open));
        assert!(matches!(
            seal_escrow(&["age1nobody".to_owned()], "x"),
            Err(Failure::Recipient(_))
        ));
    }
}
