//! IANA time zones by name.

use jiff::tz::TimeZone;

/// A name that is not an IANA time zone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an IANA time zone; write one such as Europe/Berlin or Etc/UTC")]
pub struct UnknownZone(pub String);

/// The zone of an IANA name. POSIX strings and `local` are refused: they mean different things on different machines.
pub fn parse(name: &str) -> Result<TimeZone, UnknownZone> {
    let unknown = || UnknownZone(name.to_owned());
    let plain = name
        .chars()
        .all(|character| character.is_ascii_alphanumeric() || "/_+-".contains(character));
    if !plain || name.is_empty() || name.eq_ignore_ascii_case("local") {
        return Err(unknown());
    }
    TimeZone::get(name).map_err(|_| unknown())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_iana_names_are_zones() {
        for name in [
            "Europe/Berlin",
            "Etc/UTC",
            "America/Argentina/Buenos_Aires",
            "Etc/GMT+5",
        ] {
            assert!(parse(name).is_ok(), "{name}");
        }
        for name in [
            "",
            "Local",
            "local",
            "CET-1CEST,M3.5.0",
            "Europe/Nowhere",
            "../etc/passwd",
            "Europe/Berlin\n",
        ] {
            assert!(parse(name).is_err(), "{name}");
        }
    }
}
