//! The Node.js addon: options in, items out, delegation in between.

#![allow(unsafe_code, reason = "the code that #[napi] generates calls Node-API")]

mod broker;
mod errors;
mod logging;
mod service;
