//! The native half of `tail`.

use std::sync::Arc;

use napi::bindgen_prelude::Function;
use napi_derive::napi;

use super::logging;
use super::service::{manager_of, map, number, ring};
use crate::service::{Mailbox, Tap};

/// A connection that only listens.
#[napi]
pub struct NativeTap {
    tap: Tap,
    mailbox: Arc<Mailbox>,
}

#[napi]
impl NativeTap {
    /// Starts to listen where a service of this configuration (JSON) would connect.
    #[napi(constructor)]
    pub fn new(config_json: String) -> napi::Result<Self, String> {
        logging::init();
        let mailbox = Arc::new(Mailbox::default());
        let manager = manager_of(&config_json, mailbox.clone())?;
        Ok(Self { tap: map(Tap::start(manager, mailbox.clone()))?, mailbox })
    }

    /// Says how JavaScript is told that the mailbox has something.
    #[napi]
    pub fn start(&self, doorbell: Function<'_, (), ()>) -> napi::Result<(), String> {
        self.mailbox.set_doorbell(Some(ring(doorbell)?));
        Ok(())
    }

    /// Everything in the mailbox, as a JSON array.
    #[napi]
    pub fn drain(&self) -> String {
        self.mailbox.drain()
    }

    /// Has the broker forget what it retains on a topic; nothing happens while there is no connection.
    #[napi]
    pub fn clear(&self, topic: String) {
        self.tap.clear(topic);
    }

    /// Value: null, once the connection has ended.
    #[napi]
    pub fn stop(&self, call: f64) {
        self.tap.stop(number(call));
    }
}
