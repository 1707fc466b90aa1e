//! `startBroker`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use napi::bindgen_prelude::{AsyncTask, Unknown};
use napi::{Env, Error, JsError, Result, Task};
use napi_derive::napi;
use serde::Deserialize;

use super::errors::{Coded, coded_broker};
use crate::drivers::mqtt::embedded::{BrokerRule, EmbeddedBroker, EmbeddedBrokerOptions, EmbeddedTls};
use crate::service::without_value;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Options {
    host: String,
    port: u16,
    tls: Option<Tls>,
    websocket: Option<WebSocket>,
    users: Option<BTreeMap<String, String>>,
    rules: Option<Vec<Rule>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(clippy::struct_field_names, reason = "as applications name them")]
struct Tls {
    cert_file: PathBuf,
    key_file: PathBuf,
    client_ca_file: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WebSocket {
    #[serde(default)]
    port: u16,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    users: Option<Vec<String>>,
    #[serde(default)]
    publish: Vec<String>,
    #[serde(default)]
    subscribe: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        let EmbeddedBrokerOptions { host, port, .. } = EmbeddedBrokerOptions::default();
        Self { host, port, tls: None, websocket: None, users: None, rules: None }
    }
}

impl From<Options> for EmbeddedBrokerOptions {
    fn from(options: Options) -> Self {
        let tls = |Tls { cert_file, key_file, client_ca_file }| EmbeddedTls { cert_file, key_file, client_ca_file };
        let rule = |Rule { users, publish, subscribe }| BrokerRule { users, publish, subscribe };
        Self {
            host: options.host,
            port: options.port,
            tls: options.tls.map(tls),
            websocket_port: options.websocket.map(|websocket| websocket.port),
            users: options.users,
            rules: options.rules.map(|rules| rules.into_iter().map(rule).collect()),
            ..Self::default()
        }
    }
}

/// Starting blocks for a moment, so it happens on a worker thread.
pub struct StartBroker(std::result::Result<EmbeddedBrokerOptions, Coded>);

impl Task for StartBroker {
    type Output = std::result::Result<EmbeddedBroker, Coded>;
    type JsValue = NativeBroker;

    fn compute(&mut self) -> Result<Self::Output> {
        let options = std::mem::replace(&mut self.0, Ok(EmbeddedBrokerOptions::default()));
        Ok(options.and_then(|options| EmbeddedBroker::start(options).map_err(|error| coded_broker(&error))))
    }

    fn resolve(&mut self, env: Env, output: Self::Output) -> Result<NativeBroker> {
        match output {
            Ok(broker) => Ok(NativeBroker {
                host: broker.host(),
                port: broker.port(),
                url: broker.url(),
                websocket_port: broker.websocket_port(),
                websocket_url: broker.websocket_url(),
                broker: Some(broker),
            }),
            Err(error) => {
                let value: Unknown<'_> = JsError::from(error).into_unknown(env);
                Err(Error::from(value))
            }
        }
    }
}

/// Starts a broker inside this process. `options`: JSON of what `BrokerOptions` of `index.d.ts` has.
#[napi]
pub fn start_broker(options: Option<String>) -> AsyncTask<StartBroker> {
    super::logging::init();
    let options = serde_json::from_str::<Options>(options.as_deref().unwrap_or("{}"))
        .map(EmbeddedBrokerOptions::from)
        .map_err(|error| {
            Error::new("ERR_CONFIG_INVALID".to_owned(), format!("the broker's options: {}", without_value(&error)))
        });
    AsyncTask::new(StartBroker(options))
}

/// A running broker.
#[napi]
pub struct NativeBroker {
    host: String,
    port: u16,
    url: String,
    websocket_port: Option<u16>,
    websocket_url: Option<String>,
    broker: Option<EmbeddedBroker>,
}

#[napi]
impl NativeBroker {
    /// The address that it listens on.
    #[napi(getter)]
    pub fn host(&self) -> String {
        self.host.clone()
    }

    /// The port that it listens on.
    #[napi(getter)]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its address for clients.
    #[napi(getter)]
    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// The port that it listens on for WebSockets, if it does.
    #[napi(getter)]
    pub fn websocket_port(&self) -> Option<u16> {
        self.websocket_port
    }

    /// Its address for clients that use WebSockets.
    #[napi(getter)]
    pub fn websocket_url(&self) -> Option<String> {
        self.websocket_url.clone()
    }

    /// Stops it and releases the port; does nothing the second time.
    #[napi]
    pub fn stop(&mut self) -> AsyncTask<StopBroker> {
        AsyncTask::new(StopBroker(self.broker.take()))
    }
}

/// Stopping blocks for a moment, so it happens on a worker thread.
pub struct StopBroker(Option<EmbeddedBroker>);

impl Task for StopBroker {
    type Output = ();
    type JsValue = ();

    fn compute(&mut self) -> Result<()> {
        if let Some(broker) = self.0.take() {
            broker.stop();
        }
        Ok(())
    }

    fn resolve(&mut self, _env: Env, (): ()) -> Result<()> {
        Ok(())
    }
}
