//! Parsed values and rules: pure, without I/O and without a clock.

pub mod hash;
