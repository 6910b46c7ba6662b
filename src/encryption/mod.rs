//! Encryption at rest: the file that API servers read, the keys, and the steps of a rotation. Pure: what is seen comes
//! in, what is to be done goes out.

pub mod configuration;
pub mod custody;
pub mod intake;
pub mod machine;
pub mod observation;
pub mod reasons;
pub mod scrape;
pub mod seal;
pub mod status;
pub mod wanted;

#[cfg(test)]
mod machine_tests;
#[cfg(test)]
mod model;
#[cfg(test)]
mod model_moves;
#[cfg(test)]
mod model_tests;
