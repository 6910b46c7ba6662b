//! What whoever installs the operator decides about worker pods.

/// How worker pods are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerSettings {
    /// Image of the worker: the one of the operator.
    pub image: String,
    /// `Always`, `IfNotPresent` or `Never`.
    pub image_pull_policy: String,
    /// Requested CPU, canonical.
    pub cpu_request: String,
    /// CPU limit, canonical. Empty: none.
    pub cpu_limit: String,
    /// Requested memory, canonical.
    pub memory_request: String,
    /// Memory limit, canonical.
    pub memory_limit: String,
    /// Namespace of the operator, which asks workers how far they are.
    pub operator_namespace: String,
}

/// A resource quantity in the form in which the API server stores it, so that a live object compares equal to the
/// desired one. `None`: not a quantity, or one that is not worth supporting here (exponents, fractions below a
/// thousandth).
#[must_use]
pub fn canonical_quantity(text: &str) -> Option<String> {
    let split = text
        .find(|character: char| !(character.is_ascii_digit() || character == '.'))
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(split);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || fraction.len() > 3 || (number.contains('.') && fraction.is_empty()) {
        return None;
    }
    let thousandths = format!("{whole}{fraction:0<3}").parse::<i128>().ok()?;
    let binary = |exponent: u32| 1024_i128.pow(exponent);
    let (factor, is_binary) = match suffix {
        "m" if fraction.is_empty() => (1, false),
        "" => (1000, false),
        "k" => (1_000_000, false),
        "M" => (1_000_000_000, false),
        "G" => (1_000_000_000_000, false),
        "Ki" => (1000 * binary(1), true),
        "Mi" => (1000 * binary(2), true),
        "Gi" => (1000 * binary(3), true),
        _ => return None,
    };
    let milli = thousandths.checked_mul(factor)? / 1000;
    let scales: &[(i128, &str)] = if is_binary {
        &[
            (1000 * binary(3), "Gi"),
            (1000 * binary(2), "Mi"),
            (1000 * binary(1), "Ki"),
            (1000, ""),
            (1, "m"),
        ]
    } else {
        &[
            (1_000_000_000_000, "G"),
            (1_000_000_000, "M"),
            (1_000_000, "k"),
            (1000, ""),
            (1, "m"),
        ]
    };
    if milli == 0 {
        return Some("0".to_owned());
    }
    scales
        .iter()
        .find(|(scale, _)| milli % scale == 0)
        .map(|(scale, suffix)| format!("{}{suffix}", milli / scale))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_take_the_form_in_which_the_api_server_stores_them() {
        for (text, canonical) in [
            ("50m", "50m"),
            ("1000m", "1"),
            ("0.5", "500m"),
            ("1", "1"),
            ("2000", "2k"),
            ("64Mi", "64Mi"),
            ("1024Mi", "1Gi"),
            ("0.5Gi", "512Mi"),
            ("1.5Mi", "1536Ki"),
            ("128M", "128M"),
            ("0", "0"),
        ] {
            assert_eq!(canonical_quantity(text).as_deref(), Some(canonical), "{text}");
        }
        for text in ["", "x", "1.", ".5", "1e3", "-1", "1 Mi", "1mi", "0.0001"] {
            assert_eq!(canonical_quantity(text), None, "{text}");
        }
    }
}
