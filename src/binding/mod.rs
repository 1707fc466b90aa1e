//! The Node.js addon: options in, items out, delegation in between.

#![allow(unsafe_code, unreachable_pub, reason = "the code that #[napi] generates calls Node-API and exports its items")]
#![allow(clippy::needless_pass_by_value, reason = "JavaScript's strings arrive as values")]
#![cfg_attr(test, allow(dead_code, reason = "in a test nothing is exported"))]

mod broker;
mod errors;
mod files;
mod keys;
mod logging;
mod service;
mod storage;
mod tap;
