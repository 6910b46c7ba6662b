//! How values leave the store: those of the common types as the store keeps them, and written out here, since that costs the
//! store a fraction of writing them itself; all others as the store writes them. Either way the same text comes out, which
//! a test compares for each type with the store's own.

use tokio_postgres::types::{FromSql, Type};

use super::lookup::Column;

/// How values of a column leave the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// As the store writes them.
    Rendered,
    /// A text of any length.
    Text,
    /// A text of a few characters.
    ShortText,
    /// True or false.
    Boolean,
    /// A whole number of 16, 32 or 64 bits.
    Integer,
    /// A decimal number of bounded length.
    Decimal,
    /// Days.
    Date,
    /// Microseconds, in UTC.
    Instant,
    /// Microseconds, in no zone.
    LocalTime,
    /// Sixteen bytes.
    Uuid,
}

/// Bytes of a value as they come.
pub struct Raw<'a>(pub &'a [u8]);

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(raw))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// Characters that fit into what is never fetched piece by piece, whatever they are.
const SHORT_CHARACTERS: i32 = 4096;
/// What a type modifier is above the number of characters.
const MODIFIER: i32 = 4;

impl Wire {
    /// How values of a column leave the store.
    #[must_use]
    pub fn of(column: &Column) -> Self {
        let name = column.cast.strip_prefix("\"pg_catalog\".\"").unwrap_or_default();
        match name.trim_end_matches('"') {
            "varchar" if (MODIFIER..=SHORT_CHARACTERS + MODIFIER).contains(&column.modifier) => Self::ShortText,
            "text" | "varchar" => Self::Text,
            "bool" => Self::Boolean,
            "int2" | "int4" | "int8" => Self::Integer,
            // Without a precision a number may have a hundred thousand digits.
            "numeric" if column.modifier >= MODIFIER => Self::Decimal,
            "date" => Self::Date,
            "timestamptz" => Self::Instant,
            "timestamp" => Self::LocalTime,
            "uuid" => Self::Uuid,
            _ => Self::Rendered,
        }
    }

    /// Whether nothing bounds the length of a value.
    #[must_use]
    pub const fn is_unbounded(self) -> bool {
        matches!(self, Self::Rendered | Self::Text)
    }

    /// Appends a value. False: it is none of this type, which no store sends.
    #[must_use]
    pub fn write(self, out: &mut String, raw: &[u8]) -> bool {
        self.try_write(out, raw).is_some()
    }

    fn try_write(self, out: &mut String, raw: &[u8]) -> Option<()> {
        match self {
            Self::Rendered | Self::Text | Self::ShortText => out.push_str(std::str::from_utf8(raw).ok()?),
            Self::Boolean => out.push_str(if *raw.first()? == 0 { "false" } else { "true" }),
            Self::Integer => integer(out, whole(raw)?),
            Self::Decimal => decimal(out, raw)?,
            Self::Date => {
                let days = i32::from_be_bytes(raw.try_into().ok()?);
                match days {
                    i32::MAX => out.push_str("infinity"),
                    i32::MIN => out.push_str("-infinity"),
                    days => {
                        let is_before_christ = date(out, i64::from(days));
                        out.push_str(if is_before_christ { " BC" } else { "" });
                    }
                }
            }
            Self::Instant | Self::LocalTime => time(out, whole(raw)?, self == Self::Instant),
            Self::Uuid => {
                for (place, byte) in raw.iter().enumerate() {
                    if matches!(place, 4 | 6 | 8 | 10) {
                        out.push('-');
                    }
                    for digit in [byte >> 4, byte & 15] {
                        out.push(char::from(b"0123456789abcdef"[usize::from(digit)]));
                    }
                }
            }
        }
        Some(())
    }
}

fn whole(raw: &[u8]) -> Option<i64> {
    Some(match raw.len() {
        2 => i64::from(i16::from_be_bytes(raw.try_into().ok()?)),
        4 => i64::from(i32::from_be_bytes(raw.try_into().ok()?)),
        _ => i64::from_be_bytes(raw.try_into().ok()?),
    })
}

/// The numbers below a hundred with two digits each: digits are taken from here, two at once.
const PAIRS: &str = "0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243444546474849\
    5051525354555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899";

fn pair(out: &mut String, number: u8) {
    let begin = usize::from(number) * 2;
    out.push_str(&PAIRS[begin..begin + 2]);
}

/// What remains of a number after so many hundreds.
const fn rest(number: u64) -> u8 {
    (number % 100).to_le_bytes()[0]
}

fn integer(out: &mut String, number: i64) {
    if number < 0 {
        out.push('-');
    }
    let mut pairs = [0; 10];
    let mut begin = pairs.len();
    let mut number = number.unsigned_abs();
    loop {
        begin -= 1;
        pairs[begin] = rest(number);
        number /= 100;
        if number == 0 {
            break;
        }
    }
    // The first digit is no zero, unless it is the only one.
    let first = usize::from(pairs[begin]) * 2;
    out.push_str(&PAIRS[first + usize::from(pairs[begin] < 10)..first + 2]);
    for number in &pairs[begin + 1..] {
        pair(out, *number);
    }
}

/// A number below ten thousand with four digits.
fn four(out: &mut String, number: u32) {
    pair(out, rest(u64::from(number / 100)));
    pair(out, rest(u64::from(number)));
}

/// A number below a hundred with two digits.
fn two(out: &mut String, number: i64) {
    pair(out, rest(number.unsigned_abs()));
}

/// The days from 1 January of the year 0, as if there had been one, to 1 January 2000.
const DAYS_TO_2000: i64 = 730_485;
/// Days of 400 years.
const ERA_DAYS: i64 = 146_097;

/// A date, so many days after 1 January 2000. True: it is before Christ, which is said at the end.
fn date(out: &mut String, days: i64) -> bool {
    // Years begin in March here, so that the leap day is the last: 60 days after 1 January of a leap year, as the year 0 is.
    let days = days + DAYS_TO_2000 - 60;
    let (era, day) = (days.div_euclid(ERA_DAYS), days.rem_euclid(ERA_DAYS));
    let year = (day - day / 1460 + day / 36_524 - day / (ERA_DAYS - 1)) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = era * 400 + year + i64::from(month <= 2);
    let is_before_christ = year <= 0;
    let shown = if is_before_christ { 1 - year } else { year };
    match u32::try_from(shown) {
        Ok(shown @ ..10_000) => four(out, shown),
        _ => integer(out, shown),
    }
    out.push('-');
    two(out, month);
    out.push('-');
    two(out, day_of_month);
    is_before_christ
}

const DAY: i64 = 86_400_000_000;

/// A time in the form of RFC 3339, so many microseconds after the beginning of 2000. What has no such form (the infinities,
/// years before Christ) as the store writes it.
fn time(out: &mut String, microseconds: i64, zone: bool) {
    match microseconds {
        i64::MAX => return out.push_str("infinity"),
        i64::MIN => return out.push_str("-infinity"),
        _ => {}
    }
    let is_before_christ = date(out, microseconds.div_euclid(DAY));
    out.push(if is_before_christ { ' ' } else { 'T' });
    let within = microseconds.rem_euclid(DAY);
    let (seconds, fraction) = (within / 1_000_000, within % 1_000_000);
    two(out, seconds / 3600);
    out.push(':');
    two(out, seconds / 60 % 60);
    out.push(':');
    two(out, seconds % 60);
    if fraction > 0 {
        out.push('.');
        two(out, fraction / 10_000);
        two(out, fraction / 100 % 100);
        two(out, fraction % 100);
        out.truncate(out.trim_end_matches('0').len());
    }
    match (zone, is_before_christ) {
        (true, false) => out.push('Z'),
        (true, true) => out.push_str("+00 BC"),
        (false, true) => out.push_str(" BC"),
        (false, false) => {}
    }
}

/// Digits are sent in groups of four, the first of which stands for so many powers of ten thousand.
fn decimal(out: &mut String, raw: &[u8]) -> Option<()> {
    let word = |place: usize| Some(u16::from_be_bytes(raw.get(place * 2..place * 2 + 2)?.try_into().ok()?));
    let (groups, weight, sign, scale) = (i32::from(word(0)?), word(1)?.cast_signed(), word(2)?, word(3)?);
    let special = match sign {
        0xc000 => "NaN",
        0xd000 => "Infinity",
        0xf000 => "-Infinity",
        _ => "",
    };
    if !special.is_empty() {
        out.push_str(special);
        return Some(());
    }
    if sign == 0x4000 {
        out.push('-');
    }
    let weight = i32::from(weight);
    // Groups beyond those that were sent are zeros.
    let group = |place: i32| match usize::try_from(place) {
        Ok(sent) if place < groups => word(4 + sent).map(u32::from),
        _ => Some(0),
    };
    if weight < 0 {
        out.push('0');
    }
    for place in 0..=weight {
        let group = group(place)?;
        if place == 0 {
            integer(out, i64::from(group));
        } else {
            four(out, group);
        }
    }
    if scale > 0 {
        out.push('.');
        let end = out.len() + usize::from(scale);
        let mut place = weight + 1;
        while out.len() < end {
            four(out, group(place)?);
            place += 1;
        }
        out.truncate(end);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(wire: Wire, raw: &[u8]) -> String {
        let mut out = String::new();
        assert!(wire.write(&mut out, raw), "{raw:?}");
        out
    }

    #[test]
    fn times_are_written_as_machines_read_them() {
        let time = |microseconds: i64| written(Wire::Instant, &microseconds.to_be_bytes());
        assert_eq!(time(0), "2000-01-01T00:00:00Z");
        assert_eq!(time(-1), "1999-12-31T23:59:59.999999Z");
        assert_eq!(time(59 * DAY + 600_000), "2000-02-29T00:00:00.6Z");
        assert_eq!(time(i64::MAX), "infinity");
        assert_eq!(time(-730_119 * DAY), "0001-01-01T00:00:00Z");
        assert_eq!(time(-730_119 * DAY - 1), "0001-12-31 23:59:59.999999+00 BC");
        let local = |microseconds: i64| written(Wire::LocalTime, &microseconds.to_be_bytes());
        assert_eq!(local(366 * DAY), "2001-01-01T00:00:00");
        assert_eq!(local(i64::MIN), "-infinity");
    }

    #[test]
    fn what_is_no_value_is_told() {
        for (wire, raw) in [
            (Wire::Text, b"\xff".as_slice()),
            (Wire::Integer, b"123"),
            (Wire::Date, b""),
            (Wire::Decimal, b"\0\x01\0\0\0\0\0\0"),
        ] {
            assert!(!wire.write(&mut String::new(), raw), "{wire:?}");
        }
    }
}
