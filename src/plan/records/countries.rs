//! Which countries need no further safeguard for a transfer.
//!
//! Facts of law, dated: the members of the European Economic Area with the territories where the GDPR applies under a
//! country code of their own, and the adequacy decisions of the European Commission (Art. 45(3) GDPR) as published in
//! the Official Journal. A decision that is newer than [`AS_OF`] is named in `reference` of the transfer.

/// The day up to which this table is right.
pub const AS_OF: &str = "2025-12-31";

/// Where the GDPR itself applies: the Union, its territories with codes of their own, and the EEA.
const WITHIN: &[&str] = &[
    "AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE", "IT", "LT", "LU", "LV",
    "MT", "NL", "PL", "PT", "RO", "SE", "SI", "SK", // the Union
    "AX", "GF", "GP", "MF", "MQ", "RE", "YT", // its territories
    "IS", "LI", "NO", // the EEA
];

/// A decision of the Commission that a country protects personal data adequately.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Adequacy {
    /// The country.
    pub country: &'static str,
    /// Day of the decision.
    pub decided_on: &'static str,
    /// For whom only it holds, where it does not hold for everybody.
    pub only_for: Option<&'static str>,
}

const fn adequate(country: &'static str, decided_on: &'static str, only_for: Option<&'static str>) -> Adequacy {
    Adequacy {
        country,
        decided_on,
        only_for,
    }
}

/// The decisions that were in force on [`AS_OF`].
pub const ADEQUATE: &[Adequacy] = &[
    adequate("AD", "2010-10-19", None),
    adequate("AR", "2003-06-30", None),
    adequate("CA", "2001-12-20", Some("recipients under the Canadian act PIPEDA")),
    adequate("CH", "2000-07-26", None),
    adequate("FO", "2010-03-05", None),
    adequate("GB", "2021-06-28", None),
    adequate("GG", "2003-11-21", None),
    adequate("IL", "2011-01-31", None),
    adequate("IM", "2004-04-28", None),
    adequate("JE", "2008-05-08", None),
    adequate("JP", "2019-01-23", Some("recipients under the Japanese act APPI")),
    adequate("KR", "2021-12-17", Some("recipients under the Korean act PIPA")),
    adequate("NZ", "2012-12-19", None),
    adequate(
        "US",
        "2023-07-10",
        Some("organisations certified under the EU-US Data Privacy Framework"),
    ),
    adequate("UY", "2012-08-21", None),
];

/// Whether a transfer to this country is one to a third country.
#[must_use]
pub fn is_third(country: &str) -> bool {
    !WITHIN.contains(&country)
}

/// The decision about a country.
#[must_use]
pub fn adequacy(country: &str) -> Option<&'static Adequacy> {
    ADEQUATE.iter().find(|decision| decision.country == country)
}

/// Whether a recipient there needs no further safeguard, whoever it is.
#[must_use]
pub fn is_adequate_for_everybody(country: &str) -> bool {
    adequacy(country).is_some_and(|decision| decision.only_for.is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_area_the_adequate_and_the_others_are_told_apart() {
        for inside in ["DE", "IE", "NO", "RE"] {
            assert!(!is_third(inside), "{inside}");
        }
        for (country, everybody) in [("CH", true), ("GB", true), ("US", false), ("JP", false), ("ID", false)] {
            assert!(is_third(country), "{country}");
            assert_eq!(is_adequate_for_everybody(country), everybody, "{country}");
        }
        assert!(adequacy("ID").is_none());
    }

    #[test]
    fn the_table_has_each_country_once_and_only_days_that_exist() {
        let mut seen = std::collections::HashSet::new();
        for decision in ADEQUATE {
            assert!(seen.insert(decision.country), "{}", decision.country);
            assert!(is_third(decision.country));
            assert!(
                decision.decided_on.parse::<jiff::civil::Date>().is_ok(),
                "{}",
                decision.decided_on
            );
        }
        assert!(AS_OF.parse::<jiff::civil::Date>().is_ok());
    }
}
