//! Guesses from names and types what personal data a column holds. A guess is a place to look, never an answer.

use super::catalogue::{Column, Kind};

/// What a column must be for a guess to make sense.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Holds {
    /// Text or something unknown, a list or JSON for example.
    Words,
    /// As `Words`, or a number.
    Values,
    /// Anything but a truth value.
    Anything,
}

/// Words of a name, what the column must hold, and the key of the Fideslang taxonomy. A word stands for itself or, with
/// a hyphen, for words that follow one another. The first line that fits counts.
const GUESSES: &[(&[&str], Holds, &str)] = &[
    (
        &[
            "password",
            "passwd",
            "pwd",
            "passphrase",
            "passwort",
            "secret",
            "token",
            "api-key",
            "apikey",
            "otp",
            "totp",
            "salt",
            "pin-hash",
            "private-key",
            "credential",
            "credentials",
            "session-key",
        ],
        Holds::Words,
        "user.authorization.credentials",
    ),
    (
        &["email", "emails", "e-mail", "mail", "mailto"],
        Holds::Words,
        "user.contact.email",
    ),
    (
        &[
            "phone",
            "telephone",
            "mobile",
            "msisdn",
            "fax",
            "telefon",
            "handy",
            "phone-number",
            "phonenumber",
            "cellphone",
        ],
        Holds::Values,
        "user.contact.phone_number",
    ),
    (
        &[
            "ip",
            "ipv4",
            "ipv6",
            "ipaddr",
            "ipaddress",
            "remote-addr",
            "remote-address",
            "client-addr",
            "client-address",
        ],
        Holds::Words,
        "user.device.ip_address",
    ),
    (
        &[
            "birthday",
            "birthdate",
            "birth-date",
            "date-of-birth",
            "dob",
            "born",
            "geburtsdatum",
        ],
        Holds::Anything,
        "user.demographic.date_of_birth",
    ),
    (
        &["gender", "sex", "geschlecht"],
        Holds::Values,
        "user.demographic.gender",
    ),
    (
        &[
            "iban",
            "bic",
            "credit-card",
            "card-number",
            "cardnumber",
            "bank-account",
            "account-number",
            "salary",
            "kontonummer",
        ],
        Holds::Values,
        "user.financial",
    ),
    (
        &[
            "ssn",
            "passport",
            "national-id",
            "tax-id",
            "tax-number",
            "id-number",
            "driver-license",
            "drivers-license",
        ],
        Holds::Values,
        "user.government_id",
    ),
    (
        &["street", "address", "address1", "address2", "strasse", "anschrift"],
        Holds::Words,
        "user.contact.address.street",
    ),
    (
        &["zip", "zipcode", "postcode", "postal-code", "plz"],
        Holds::Values,
        "user.contact.address.postal_code",
    ),
    (&["city", "town", "ort"], Holds::Words, "user.contact.address.city"),
    (
        &[
            "lat",
            "latitude",
            "lon",
            "lng",
            "longitude",
            "geo",
            "gps",
            "location",
            "geolocation",
            "coordinates",
            "geom",
        ],
        Holds::Anything,
        "user.location",
    ),
    (
        &[
            "first-name",
            "firstname",
            "last-name",
            "lastname",
            "full-name",
            "fullname",
            "given-name",
            "family-name",
            "surname",
            "middle-name",
            "display-name",
            "displayname",
            "nickname",
            "maiden-name",
            "contact-name",
            "customer-name",
            "vorname",
            "nachname",
        ],
        Holds::Words,
        "user.name",
    ),
    (
        &["username", "user-name", "login", "screen-name"],
        Holds::Words,
        "user.account.username",
    ),
    (
        &[
            "user-agent",
            "useragent",
            "device-id",
            "fingerprint",
            "mac",
            "mac-address",
            "imei",
        ],
        Holds::Values,
        "user.device",
    ),
    (&["cookie", "cookie-id"], Holds::Values, "user.device.cookie_id"),
    (&["job-title"], Holds::Words, "user.job_title"),
    (
        &["diagnosis", "medical", "blood-type"],
        Holds::Anything,
        "user.health_and_medical",
    ),
    (
        &[
            "message",
            "comment",
            "comments",
            "note",
            "notes",
            "bio",
            "free-text",
            "query-string",
        ],
        Holds::Words,
        "user.content",
    ),
];

/// Words for people, as they stand in names of tables and keys.
const PEOPLE: &[&str] = &[
    "user",
    "users",
    "customer",
    "customers",
    "client",
    "clients",
    "member",
    "members",
    "person",
    "persons",
    "people",
    "employee",
    "employees",
    "contact",
    "contacts",
    "account",
    "accounts",
    "applicant",
    "applicants",
    "candidate",
    "candidates",
    "patient",
    "patients",
    "subscriber",
    "subscribers",
    "profile",
    "profiles",
    "visitor",
    "visitors",
    "lead",
    "leads",
    "recipient",
    "recipients",
    "author",
    "authors",
    "student",
    "students",
    "owner",
    "inviter",
    "invitee",
];

/// The category that a column's name and type suggest, if they suggest one.
#[must_use]
pub fn guess(table: &str, column: &Column) -> Option<&'static str> {
    let words = words(&column.name);
    match column.kind {
        Kind::Address => return Some("user.device.ip_address"),
        Kind::Hardware => return Some("user.device"),
        Kind::Boolean => return None,
        _ => {}
    }
    let named = GUESSES.iter().find(|(names, holds, category)| {
        fits(*holds, column.kind, category) && names.iter().any(|name| contains(&words, name))
    });
    if let Some((_, _, category)) = named {
        return Some(category);
    }
    let of_people = self::words(table).iter().any(|word| is_person(word));
    match words.as_slice() {
        [name] if name == "name" && of_people && fits(Holds::Words, column.kind, "") => Some("user.name"),
        [id] if matches!(id.as_str(), "id" | "uuid") && of_people && fits(Holds::Values, column.kind, "") => {
            Some("user.unique_id")
        }
        [.., person, id]
            if matches!(id.as_str(), "id" | "uuid" | "ref")
                && is_person(person)
                && fits(Holds::Values, column.kind, "") =>
        {
            Some("user.unique_id")
        }
        _ => None,
    }
}

/// A time is no e-mail address, even in a column `email_sent_at`; but it may be a birthday.
fn fits(holds: Holds, kind: Kind, category: &str) -> bool {
    match kind {
        Kind::Instant | Kind::LocalTime | Kind::Date => category == "user.demographic.date_of_birth",
        Kind::Plain => holds != Holds::Words,
        _ => true,
    }
}

fn is_person(word: &str) -> bool {
    PEOPLE.contains(&word)
}

/// Whether the words of `name` follow one another in `words`.
fn contains(words: &[String], name: &str) -> bool {
    let name: Vec<&str> = name.split('-').collect();
    words.windows(name.len()).any(|window| window.iter().eq(name.iter()))
}

/// The words of a name in lower case: `userEmail`, `user_email` and `USER-EMAIL` have the same two.
#[must_use]
pub fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut word = String::new();
    let mut before_is_lower = false;
    for character in name.chars() {
        let starts = character.is_uppercase() && before_is_lower;
        if (starts || !character.is_alphanumeric()) && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if character.is_alphanumeric() {
            word.extend(character.to_lowercase());
        }
        before_is_lower = character.is_lowercase() || character.is_numeric();
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, kind: Kind) -> Column {
        Column {
            name: name.to_owned(),
            type_name: String::new(),
            kind,
            indexed: false,
        }
    }

    #[test]
    fn names_and_types_suggest_what_a_column_holds() {
        for (table, name, kind, category) in [
            ("logs", "email", Kind::Text, Some("user.contact.email")),
            ("logs", "inviteeEmail", Kind::Text, Some("user.contact.email")),
            ("logs", "E_MAIL", Kind::Other, Some("user.contact.email")),
            ("logs", "email_verified", Kind::Boolean, None),
            ("logs", "email_sent_at", Kind::Instant, None),
            ("logs", "emails_sent", Kind::Plain, None),
            ("logs", "token_hash", Kind::Text, Some("user.authorization.credentials")),
            ("logs", "tokens_used", Kind::Plain, None),
            ("logs", "password", Kind::Text, Some("user.authorization.credentials")),
            ("logs", "remote_addr", Kind::Text, Some("user.device.ip_address")),
            ("logs", "source", Kind::Address, Some("user.device.ip_address")),
            ("logs", "ip_address", Kind::Text, Some("user.device.ip_address")),
            ("logs", "zip", Kind::Text, Some("user.contact.address.postal_code")),
            (
                "logs",
                "shipping_address",
                Kind::Text,
                Some("user.contact.address.street"),
            ),
            ("logs", "phone", Kind::Plain, Some("user.contact.phone_number")),
            (
                "logs",
                "date_of_birth",
                Kind::Date,
                Some("user.demographic.date_of_birth"),
            ),
            ("logs", "user_id", Kind::Plain, Some("user.unique_id")),
            ("logs", "order_id", Kind::Plain, None),
            ("logs", "id", Kind::Plain, None),
            ("app_users", "id", Kind::Plain, Some("user.unique_id")),
            ("products", "name", Kind::Text, None),
            ("Customers", "name", Kind::Text, Some("user.name")),
            ("logs", "firstName", Kind::Text, Some("user.name")),
            ("logs", "latitude", Kind::Plain, Some("user.location")),
            ("logs", "iban", Kind::Text, Some("user.financial")),
            ("logs", "user_agent", Kind::Text, Some("user.device")),
            ("logs", "description", Kind::Text, None),
            ("logs", "shipping", Kind::Text, None),
            ("logs", "", Kind::Text, None),
        ] {
            assert_eq!(guess(table, &column(name, kind)), category, "{table}.{name}");
        }
    }

    #[test]
    fn names_fall_into_words() {
        assert_eq!(words("userEmail"), ["user", "email"]);
        assert_eq!(words("USER_EMAIL-2"), ["user", "email", "2"]);
        assert_eq!(words("  ÜberName "), ["über", "name"]);
        assert!(words("_").is_empty());
    }
}
