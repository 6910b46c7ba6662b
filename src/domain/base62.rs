//! Numbers in few characters, for texts of a limited length.

/// The digits, in the order of ASCII.
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A number in base 62. Zero, and what is less, is the empty word.
#[must_use]
pub fn encode(number: i64) -> String {
    let mut rest = usize::try_from(number).unwrap_or(0);
    let mut digits = Vec::new();
    while rest > 0 {
        digits.push(char::from(DIGITS[rest % 62]));
        rest /= 62;
    }
    digits.iter().rev().collect()
}

/// The number that a word stands for; none where it is no such word, or too large.
#[must_use]
pub fn decode(word: &str) -> Option<i64> {
    word.bytes().try_fold(0_i64, |number, byte| {
        let digit = DIGITS.binary_search(&byte).ok()?;
        number.checked_mul(62)?.checked_add(i64::try_from(digit).ok()?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_comes_back_and_words_of_others_do_not() {
        for number in [0, 1, 61, 62, 3843, 3844, 999_999_999_999, i64::MAX] {
            assert_eq!(decode(&encode(number)), Some(number));
        }
        assert_eq!(
            (encode(-1), encode(61), encode(62)),
            (String::new(), "z".to_owned(), "10".to_owned())
        );
        assert_eq!(
            [decode("-1"), decode("a b"), decode(&"z".repeat(12))],
            [None, None, None]
        );
    }
}
