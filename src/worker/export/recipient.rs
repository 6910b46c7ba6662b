//! Keys for which an archive is sealed.

use std::str::FromStr as _;

use age::x25519::Recipient;
use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree};

use crate::contract::export::Sealing;
use crate::contract::{Problem, Reason};

/// Digits of the text form (Bech32).
const DIGITS: &str = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";

/// The keys, or why one of them cannot be used. None: the archive is not sealed, as the policy allows.
pub fn recipients(sealing: &Sealing) -> Result<Vec<Recipient>, Problem> {
    let Sealing::Age(keys) = sealing else {
        return Ok(Vec::new());
    };
    if keys.is_empty() {
        return Err(Problem::new(Reason::InvalidRecipient, "sealTo", "there is no key"));
    }
    let keys = keys.iter().enumerate();
    keys.map(|(place, key)| {
        recipient(key).map_err(|what| Problem::new(Reason::InvalidRecipient, format!("sealTo[{place}]"), what))
    })
    .collect()
}

/// Reads a key. With some points of the curve what is agreed is the same for everybody: no secret, and refused.
fn recipient(text: &str) -> Result<Recipient, &'static str> {
    let recipient = Recipient::from_str(text).map_err(|_| "this is no public key of age (age1...)")?;
    let weak = "this key is weak: anybody could open what is sealed for it";
    let point = point(&recipient.to_string()).ok_or("this is no public key of age (age1...)")?;
    let own = PrivateKey::generate(&X25519).map_err(|_| "no random numbers")?;
    agree(&own, UnparsedPublicKey::new(&X25519, &point), weak, |_| Ok(()))?;
    Ok(recipient)
}

/// The point in the text form of a key, whose checksum was verified before.
fn point(text: &str) -> Option<[u8; 32]> {
    let data = text.strip_prefix("age1")?;
    let digits = data.get(..data.len().checked_sub(6)?)?;
    let mut point = Vec::with_capacity(33);
    let (mut bits, mut count) = (0_u32, 0);
    for digit in digits.chars() {
        bits = bits << 5 & 0xfff | u32::try_from(DIGITS.find(digit)?).ok()?;
        count += 5;
        if count >= 8 {
            count -= 8;
            point.push((bits >> count & 0xff).to_le_bytes()[0]);
        }
    }
    point.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bech32 of a point, written after BIP 173: the test's own code.
    fn bech32(point: &[u8]) -> String {
        let mut values = Vec::new();
        let (mut bits, mut count) = (0_u32, 0);
        for byte in point {
            bits = bits << 8 | u32::from(*byte);
            count += 8;
            while count >= 5 {
                count -= 5;
                values.push(bits >> count & 31);
                bits &= (1 << count) - 1;
            }
        }
        if count > 0 {
            values.push(bits << (5 - count) & 31);
        }
        let polymod = |values: &[u32]| {
            values.iter().fold(1_u32, |sum, value| {
                let top = sum >> 25;
                let generators = [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3];
                let folded = (sum & 0x1ff_ffff) << 5 ^ value;
                generators.iter().enumerate().fold(
                    folded,
                    |sum, (bit, generator)| {
                        if top >> bit & 1 == 1 { sum ^ generator } else { sum }
                    },
                )
            })
        };
        let mut expanded: Vec<u32> = "age".bytes().map(|byte| u32::from(byte >> 5)).collect();
        expanded.push(0);
        expanded.extend("age".bytes().map(|byte| u32::from(byte & 31)));
        expanded.extend(&values);
        expanded.extend([0; 6]);
        let checksum = polymod(&expanded) ^ 1;
        values.extend((0..6).map(|place| checksum >> (5 * (5 - place)) & 31));
        let digits: Vec<char> = DIGITS.chars().collect();
        format!(
            "age1{}",
            values.iter().map(|value| digits[*value as usize]).collect::<String>()
        )
    }

    #[test]
    fn a_key_of_age_is_taken() {
        let key = age::x25519::Identity::generate().to_public().to_string();
        assert_eq!(bech32(&point(&key).unwrap()), key, "the test's own encoding is right");
        assert_eq!(recipients(&Sealing::Age(vec![key.clone(), key])).unwrap().len(), 2);
        assert!(recipients(&Sealing::Unsealed).unwrap().is_empty());
    }

    /// The points of small order of Curve25519, and those that are one of them when reduced.
    #[test]
    fn a_weak_key_is_refused() {
        let hex = |text: &str| -> Vec<u8> {
            (0..32)
                .map(|place| u8::from_str_radix(&text[place * 2..place * 2 + 2], 16).unwrap())
                .collect()
        };
        for point in [
            "0000000000000000000000000000000000000000000000000000000000000000",
            "0100000000000000000000000000000000000000000000000000000000000000",
            "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
            "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "0000000000000000000000000000000000000000000000000000000000000080",
        ] {
            let key = bech32(&hex(point));
            let problem = recipients(&Sealing::Age(vec![key])).unwrap_err();
            assert_eq!(problem.reason, Reason::InvalidRecipient, "{point}");
            assert!(problem.detail.contains("weak"), "{point}: {problem:?}");
        }
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let key = age::x25519::Identity::generate().to_public().to_string();
        let wrong = key.replace(&key[10..11], if &key[10..11] == "q" { "p" } else { "q" });
        for text in [
            "",
            "age1",
            wrong.as_str(),
            &key[..key.len() - 1],
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHsKLqeplhpW+uObz5dvMgjz1OxfM/XXUB+VHtZ6isGN",
            "AGE-SECRET-KEY-1QQQSYQCYQ5RQWZQFPG9SCRGWPUGPZYSNZS23V9CCRYDPK8QARC0SP4SE2X",
        ] {
            let problem = recipients(&Sealing::Age(vec![key.clone(), text.to_owned()])).unwrap_err();
            assert_eq!(
                (problem.reason, problem.field.as_str()),
                (Reason::InvalidRecipient, "sealTo[1]"),
                "{text}"
            );
        }
        assert!(recipients(&Sealing::Age(vec![])).is_err());
    }
}
