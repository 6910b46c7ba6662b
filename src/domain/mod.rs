//! Parsed values and rules: pure, without I/O and without a clock.

pub mod base62;
pub mod comment;
pub mod deadlines;
pub mod due;
pub mod escape;
pub mod hash;
pub mod identifier;
pub mod period;
pub mod pseudonym;
pub mod schedule;
pub mod window;
pub mod working_days;
pub mod zone;
