//! A whole service, as the addon holds it.

use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::Instant;

use mqtt_p2p::canvas::Canvas;
use mqtt_p2p::ids::CanvasId;
use mqtt_p2p::service::{Mailbox, P2PNetworkManager, ServiceConfig, ServiceError};
use mqtt_p2p::sync::Command;
use serde_json::{Value, json};
use tokio::runtime::Handle;

use super::DEADLINE;

pub const REPOSITORY: &str = "notes";

pub struct Service {
    pub manager: P2PNetworkManager,
    mailbox: Arc<Mailbox>,
    bell: mpsc::Receiver<()>,
    last_call: u64,
    /// Items taken from the mailbox and not yet looked at.
    items: Vec<Value>,
}

impl Service {
    /// Without a broker: nobody listens on port 9, and offline is allowed.
    pub fn new(path: &Path, seed: u8) -> Result<Self, ServiceError> {
        let config = json!({
            "broker": { "host": "127.0.0.1", "port": 9 },
            "repositories": [REPOSITORY],
            "storage": { "path": path.to_str().unwrap() },
            "offline": "allow",
        });
        Self::with(&config, seed)
    }

    pub fn with(config: &Value, seed: u8) -> Result<Self, ServiceError> {
        let mailbox = Arc::new(Mailbox::default());
        let config = ServiceConfig::from_json(&config.to_string())?;
        let manager = P2PNetworkManager::new(config, [seed; 32], mailbox.clone(), Handle::current())?;
        let (ring, bell) = mpsc::channel();
        mailbox.set_doorbell(Some(Arc::new(move || ring.send(()).unwrap_or(()))));
        Ok(Self { manager, mailbox, bell, last_call: 0, items: Vec::new() })
    }

    pub fn initialize(&mut self) -> Result<Value, (String, String)> {
        let call = self.next_call();
        self.manager.initialize(call);
        self.outcome(call)
    }

    pub fn disconnect(&mut self) {
        let call = self.next_call();
        self.manager.disconnect(call);
        self.outcome(call).unwrap();
    }

    pub fn create(&mut self, canvas: &str, content: &Value) -> Result<Value, (String, String)> {
        let canvas = CanvasId::new(canvas).unwrap();
        let content = Canvas::from_json(&content.to_string()).unwrap();
        self.command(Command::Create { canvas, content, author: "me".to_owned() })
    }

    pub fn get(&mut self, canvas: &str) -> Result<Value, (String, String)> {
        let canvas = CanvasId::new(canvas).unwrap();
        self.command(Command::Get { canvas, at: None }).map(|value| value["canvas"].clone())
    }

    pub fn command(&mut self, command: Command) -> Result<Value, (String, String)> {
        let call = self.next_call();
        self.manager.call(call, REPOSITORY, move || Ok(command)).unwrap();
        self.outcome(call)
    }

    pub fn peer(&self) -> String {
        let status: Value = serde_json::from_str(&self.manager.network_status()).unwrap();
        status["peerId"].as_str().unwrap().to_owned()
    }

    fn next_call(&mut self) -> u64 {
        self.last_call += 1;
        self.last_call
    }

    /// The value of a call, or code and message of its error.
    #[track_caller]
    pub fn outcome(&mut self, call: u64) -> Result<Value, (String, String)> {
        let start = Instant::now();
        loop {
            if let Some(index) = self.items.iter().position(|item| item["call"] == call) {
                let item = self.items.remove(index);
                let text = |field: &str| item["error"][field].as_str().unwrap_or_default().to_owned();
                return if item["error"].is_null() {
                    Ok(item["value"].clone())
                } else {
                    Err((text("code"), text("message")))
                };
            }
            let left = DEADLINE.saturating_sub(start.elapsed());
            self.bell.recv_timeout(left).expect("an outcome in time");
            let drained: Vec<Value> = serde_json::from_str(&self.mailbox.drain()).unwrap();
            self.items.extend(drained);
        }
    }
}
