//! How the broker is reached: what applications set, and what the connection makes of it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::error::ServiceError;
use crate::drivers::mqtt::{ConnectionOptions, TlsClient, TlsOptions};
use crate::limits::{DEFAULT_CONNECT_TIMEOUT_MS, DEFAULT_KEEP_ALIVE_MS, MAX_WEBSOCKET_PATH_BYTES};

/// How to reach the broker.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct BrokerConfig {
    /// What carries MQTT, and whether TLS is around it. Default `mqtt`, which is neither encrypted nor authentic.
    pub protocol: Protocol,
    /// Host name or address. Default `localhost`.
    pub host: String,
    /// TCP port, 1 to 65535. Default 1883 for `mqtt`, 8883 for `mqtts`, 80 for `ws`, 443 for `wss`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Path of the server at which it takes WebSockets. Default `/mqtt`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Whom to trust and who to be, with `mqtts` and `wss`. Default: the system's CAs, and nobody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsConfig>,
    /// User name. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Password; needs a user name. Default none. Never shown.
    #[serde(skip_serializing)]
    pub password: Option<String>,
    /// MQTT client id. Default: made from the peer id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// MQTT keep-alive in seconds, 10 to 65535. Default 30.
    pub keep_alive_seconds: u64,
    /// How long `initialize()` tries, in milliseconds. Default 10,000.
    pub connect_timeout_ms: u64,
}

/// What carries MQTT.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    #[default]
    Mqtt,
    /// TLS.
    Mqtts,
    /// WebSockets.
    Ws,
    /// WebSockets over TLS.
    Wss,
}

impl Protocol {
    /// Its name in URLs and in the configuration.
    #[must_use]
    pub fn scheme(self) -> &'static str {
        match self {
            Self::Mqtt => "mqtt",
            Self::Mqtts => "mqtts",
            Self::Ws => "ws",
            Self::Wss => "wss",
        }
    }

    fn default_port(self) -> u16 {
        match self {
            Self::Mqtt => 1883,
            Self::Mqtts => 8883,
            Self::Ws => 80,
            Self::Wss => 443,
        }
    }

    fn is_encrypted(self) -> bool {
        matches!(self, Self::Mqtts | Self::Wss)
    }

    fn is_websocket(self) -> bool {
        matches!(self, Self::Ws | Self::Wss)
    }
}

/// TLS to the broker. Files are PEM, read by `initialize()`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct TlsConfig {
    /// Certificates to trust instead of the system's CAs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<String>,
    /// This client's certificate; needs `keyFile`. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert_file: Option<String>,
    /// Its private key, without a passphrase; needs `certFile`. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_file: Option<String>,
    /// The name that the broker's certificate must have. Default: `host`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
    /// Trusts whoever answers, with a warning at every connection. Default false.
    pub insecure: bool,
}

impl std::fmt::Debug for BrokerConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BrokerConfig").field("host", &self.host).field("port", &self.port).finish_non_exhaustive()
    }
}

impl Default for BrokerConfig {
    fn default() -> Self {
        Self {
            protocol: Protocol::default(),
            host: "localhost".to_owned(),
            port: None,
            path: None,
            tls: None,
            username: None,
            password: None,
            client_id: None,
            keep_alive_seconds: DEFAULT_KEEP_ALIVE_MS / 1000,
            connect_timeout_ms: DEFAULT_CONNECT_TIMEOUT_MS,
        }
    }
}

impl BrokerConfig {
    /// The port, or the protocol's own.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(self.protocol.default_port())
    }

    /// What is wrong with it, each naming its field.
    pub(super) fn problems(&self) -> Vec<String> {
        let tls = self.tls.as_ref();
        let set = |field: fn(&TlsConfig) -> &Option<String>| tls.is_some_and(|tls| field(tls).is_some());
        let empty = |field: fn(&TlsConfig) -> &Option<String>| {
            tls.and_then(|tls| field(tls).as_deref()).is_some_and(|text| text.is_empty() || text.contains('\0'))
        };
        let checks = [
            (
                !self.host.is_empty() && !self.host.contains(URL_PARTS),
                "broker.host must be a host name or an IP address",
            ),
            (self.port != Some(0), "broker.port must be 1 to 65535"),
            (self.username.is_some() || self.password.is_none(), "broker.password needs broker.username"),
            ((10..=65_535).contains(&self.keep_alive_seconds), "broker.keepAliveSeconds must be 10 to 65535"),
            ((1..=600_000).contains(&self.connect_timeout_ms), "broker.connectTimeoutMs must be 1 to 600000"),
            (self.path.is_none() || self.protocol.is_websocket(), "broker.path needs broker.protocol ws or wss"),
            (self.path.as_deref().is_none_or(is_path), "broker.path must be a path such as /mqtt"),
            // Otherwise somebody could believe to be protected.
            (tls.is_none() || self.protocol.is_encrypted(), "broker.tls needs broker.protocol mqtts or wss"),
            (!empty(|tls| &tls.ca_file), "broker.tls.caFile must name a file"),
            (!empty(|tls| &tls.cert_file), "broker.tls.certFile must name a file"),
            (!empty(|tls| &tls.key_file), "broker.tls.keyFile must name a file"),
            (set(|tls| &tls.cert_file) == set(|tls| &tls.key_file), "broker.tls.certFile and keyFile need each other"),
            (
                !tls.is_some_and(|tls| tls.insecure && (tls.ca_file.is_some() || tls.server_name.is_some())),
                "broker.tls.insecure verifies nothing: leave away caFile and serverName, or better insecure",
            ),
        ];
        checks.into_iter().filter(|(holds, _)| !holds).map(|(_, problem)| problem.to_owned()).collect()
    }

    /// What the connection needs. Reads the files of `tls`; blocks.
    ///
    /// # Errors
    /// [`ServiceError::ConfigInvalid`]: a file cannot be used.
    pub(super) fn connection_options(&self, client_id: &str) -> Result<ConnectionOptions, ServiceError> {
        let defaults = ConnectionOptions::new(self.host.clone(), self.port(), client_id);
        let path = || self.path.clone().unwrap_or_else(|| "/mqtt".to_owned());
        Ok(ConnectionOptions {
            tls: if self.protocol.is_encrypted() { Some(self.read_tls()?) } else { None },
            websocket_path: self.protocol.is_websocket().then(path),
            username: self.username.clone(),
            password: self.password.clone(),
            keep_alive_ms: self.keep_alive_seconds.saturating_mul(1000),
            connect_timeout_ms: self.connect_timeout_ms.min(defaults.connect_timeout_ms),
            ..defaults
        })
    }

    fn read_tls(&self) -> Result<TlsClient, ServiceError> {
        let tls = self.tls.clone().unwrap_or_default();
        let options = TlsOptions {
            ca_file: tls.ca_file.map(PathBuf::from),
            identity: tls.cert_file.map(PathBuf::from).zip(tls.key_file.map(PathBuf::from)),
            server_name: tls.server_name,
            insecure: tls.insecure,
        };
        TlsClient::read(&options).map_err(|error| ServiceError::ConfigInvalid(vec![format!("broker.tls.{error}")]))
    }
}

/// Characters that end a host where it is part of a URL; somebody may have put a whole URL there.
const URL_PARTS: [char; 6] = ['/', '?', '#', '@', ' ', '\0'];

/// Whether it can be the path of a URL, perhaps with a query.
fn is_path(path: &str) -> bool {
    path.starts_with('/')
        && path.len() <= MAX_WEBSOCKET_PATH_BYTES
        && path.bytes().all(|byte| byte.is_ascii_graphic() && !b"#\"<>\\^`{|}".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(json: &str) -> String {
        serde_json::from_str::<BrokerConfig>(json).unwrap().problems().join("; ")
    }

    #[test]
    fn what_would_leave_somebody_unprotected_is_refused() {
        assert_eq!(problems(r#"{"protocol":"mqtts","tls":{"caFile":"ca.pem"}}"#), "");
        assert_eq!(problems(r#"{"protocol":"wss","path":"/mqtt?token=1"}"#), "");
        for (json, field) in [
            (r#"{"tls":{}}"#, "broker.tls needs"),
            (r#"{"protocol":"ws","tls":{"caFile":"ca.pem"}}"#, "broker.tls needs"),
            (r#"{"protocol":"mqtts","tls":{"certFile":"a"}}"#, "keyFile"),
            (r#"{"protocol":"mqtts","tls":{"caFile":""}}"#, "caFile"),
            (r#"{"protocol":"mqtts","tls":{"caFile":"a","insecure":true}}"#, "insecure"),
            (r#"{"protocol":"mqtts","path":"/mqtt"}"#, "broker.path"),
            (r#"{"protocol":"ws","path":"mqtt"}"#, "broker.path"),
            (r#"{"host":"mqtt://user:secret@h"}"#, "broker.host"),
        ] {
            assert!(problems(json).contains(field), "{json}: {}", problems(json));
            assert!(!problems(json).contains("secret"));
        }
        assert!(serde_json::from_str::<BrokerConfig>(r#"{"protocol":"mqtts","tls":{"verify":false}}"#).is_err());
    }

    #[test]
    fn each_protocol_has_its_port() {
        let port = |json| serde_json::from_str::<BrokerConfig>(json).unwrap().port();
        assert_eq!(port("{}"), 1883);
        assert_eq!(port(r#"{"protocol":"mqtts"}"#), 8883);
        assert_eq!(port(r#"{"protocol":"wss","port":8084}"#), 8084);
    }
}
