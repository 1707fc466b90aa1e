//! Links the crate as a Node.js addon when the `node` feature is on.

fn main() {
    #[cfg(feature = "node")]
    napi_build::setup();
}
