//! `startBroker`.

use napi::bindgen_prelude::{AsyncTask, Unknown};
use napi::{Env, Error, JsError, Result, Task};
use napi_derive::napi;
use serde::Deserialize;

use super::errors::{Coded, coded_broker};
use crate::drivers::mqtt::embedded::{EmbeddedBroker, EmbeddedBrokerOptions};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Options {
    host: String,
    port: u16,
}

impl Default for Options {
    fn default() -> Self {
        let defaults = EmbeddedBrokerOptions::default();
        Self { host: defaults.host, port: defaults.port }
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
            Ok(broker) => {
                Ok(NativeBroker { host: broker.host(), port: broker.port(), url: broker.url(), broker: Some(broker) })
            }
            Err(error) => {
                let value: Unknown<'_> = JsError::from(error).into_unknown(env);
                Err(Error::from(value))
            }
        }
    }
}

/// Starts a broker inside this process. `options`: JSON of `{ host, port }`; 127.0.0.1 and any free port by default.
#[napi]
pub fn start_broker(options: Option<String>) -> AsyncTask<StartBroker> {
    super::logging::init();
    let options = serde_json::from_str::<Options>(options.as_deref().unwrap_or("{}"))
        .map(|options| EmbeddedBrokerOptions {
            host: options.host,
            port: options.port,
            ..EmbeddedBrokerOptions::default()
        })
        .map_err(|error| Error::new("ERR_CONFIG_INVALID".to_owned(), format!("the broker's options: {error}")));
    AsyncTask::new(StartBroker(options))
}

/// A running broker.
#[napi]
pub struct NativeBroker {
    host: String,
    port: u16,
    url: String,
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
