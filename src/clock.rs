//! The only place that asks the machine for the time. Everything else is told.

use jiff::Timestamp;

/// Now, by the machine's clock.
#[must_use]
#[allow(clippy::disallowed_methods, reason = "this is the one place")]
pub fn now() -> Timestamp {
    Timestamp::now()
}
