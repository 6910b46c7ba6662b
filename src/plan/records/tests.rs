//! Tests of the findings.
