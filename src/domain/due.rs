//! Which starts are due.
