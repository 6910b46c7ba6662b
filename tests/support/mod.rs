//! What several integration tests share.
#![allow(dead_code, reason = "each test binary uses its own part of this")]

pub mod http;
pub mod kubernetes;
pub mod pooler;
pub mod postgres;
pub mod standby;
pub mod wait;
