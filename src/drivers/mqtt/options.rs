//! How to reach a broker.

use std::fmt;
use std::time::Duration;

use rumqttc::{MqttOptions, TlsConfiguration, Transport};

use super::event::LastWill;
use super::tls::TlsClient;
use crate::limits::{
    DEFAULT_CONNECT_TIMEOUT_MS, DEFAULT_IN_FLIGHT, DEFAULT_KEEP_ALIVE_MS, DEFAULT_MAX_MESSAGE_BYTES,
    MAX_CONTROL_IN_FLIGHT, MAX_IN_FLIGHT, MAX_INBOUND_PACKET_BYTES, MAX_KEEP_ALIVE_MS, MAX_MQTT_PACKET_BYTES,
    MIN_KEEP_ALIVE_MS,
};

/// What an MQTT packet has besides its payload at most: a fixed header (5), a topic (2 + 65,535) and a packet id (2).
pub(super) const PACKET_OVERHEAD_BYTES: usize = 5 + 2 + 65_535 + 2;

/// How to reach a broker and how much to send it at once. Values out of range are brought into it, as `limits` states.
#[derive(Clone)]
pub struct ConnectionOptions {
    /// Host name or IP address, the latter without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// TLS, and nothing but TLS: a connection that it does not let come about is not made. Default none.
    pub tls: Option<TlsClient>,
    /// MQTT within WebSockets, at this path of the server, such as `/mqtt`. Default none: MQTT as it is.
    pub websocket_path: Option<String>,
    /// User name; `None` sends no credentials at all.
    pub username: Option<String>,
    /// Password; never shown by `Debug`. Ignored without a user name, as MQTT demands.
    pub password: Option<String>,
    /// Client id; unique in the broker, which ends an older connection with the same one.
    pub client_id: String,
    /// Keep-alive. Default [`DEFAULT_KEEP_ALIVE_MS`].
    pub keep_alive_ms: u64,
    /// Time for one attempt to connect. Default [`DEFAULT_CONNECT_TIMEOUT_MS`].
    pub connect_timeout_ms: u64,
    /// Largest packet to send, header included. Default: [`DEFAULT_MAX_MESSAGE_BYTES`] and room for the header.
    pub max_packet_bytes: usize,
    /// Largest payload to accept; larger ones are dropped and counted. Default [`MAX_INBOUND_PACKET_BYTES`].
    pub max_inbound_bytes: usize,
    /// Unacknowledged publishes of each class, live and bulk. Default [`DEFAULT_IN_FLIGHT`].
    pub in_flight: u16,
}

impl ConnectionOptions {
    /// The defaults for a broker, without credentials.
    #[must_use]
    pub fn new(host: impl Into<String>, port: u16, client_id: impl Into<String>) -> Self {
        Self {
            host: host.into(),
            port,
            tls: None,
            websocket_path: None,
            username: None,
            password: None,
            client_id: client_id.into(),
            keep_alive_ms: DEFAULT_KEEP_ALIVE_MS,
            connect_timeout_ms: DEFAULT_CONNECT_TIMEOUT_MS,
            max_packet_bytes: DEFAULT_MAX_MESSAGE_BYTES + PACKET_OVERHEAD_BYTES,
            max_inbound_bytes: MAX_INBOUND_PACKET_BYTES,
            in_flight: DEFAULT_IN_FLIGHT,
        }
    }

    /// Unacknowledged publishes of each class, within its range.
    pub(super) fn window_messages(&self) -> u16 {
        self.in_flight.clamp(1, MAX_IN_FLIGHT)
    }

    /// Requests that rumqttc's channel must hold: both windows full, all control packets, and DISCONNECT.
    pub(super) fn channel_requests(&self) -> usize {
        2 * usize::from(self.window_messages()) + MAX_CONTROL_IN_FLIGHT + 1
    }

    /// What rumqttc takes for an address: a URL for WebSockets, else a host, which is also the name that TLS asks for.
    fn address_and_transport(&self) -> (String, Transport) {
        // rumqttc joins host and port with a colon, which an IPv6 address survives only in brackets; but in brackets it is
        // no name for TLS, and then the system's resolver takes it.
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let tls = self.tls.as_ref().map(|tls| TlsConfiguration::Rustls(tls.config()));
        match (&self.websocket_path, tls) {
            (None, None) => (host, Transport::Tcp),
            (None, Some(tls)) => (self.host.clone(), Transport::Tls(tls)),
            (Some(path), None) => (format!("ws://{host}:{}{path}", self.port), Transport::Ws),
            (Some(path), Some(tls)) => (format!("wss://{host}:{}{path}", self.port), Transport::Wss(tls)),
        }
    }

    /// The same for rumqttc, for one attempt to connect.
    pub(super) fn to_rumqttc(&self, max_inbound_packet_bytes: usize, last_will: Option<LastWill>) -> MqttOptions {
        let (address, transport) = self.address_and_transport();
        let mut options = MqttOptions::new(&self.client_id, address, self.port);
        options.set_transport(transport);
        options.set_clean_session(true);
        // `serve` acknowledges.
        options.set_manual_acks(true);
        options.set_keep_alive(Duration::from_millis(self.keep_alive_ms.clamp(MIN_KEEP_ALIVE_MS, MAX_KEEP_ALIVE_MS)));
        // rumqttc ends the connection when a packet is too large to send, so that is checked before it sees one.
        options.set_max_packet_size(max_inbound_packet_bytes, MAX_MQTT_PACKET_BYTES);
        // rumqttc reuses packet ids as soon as it has counted to this, and stops sending when it meets one that is still
        // in use. The windows are what limits; twice their sum keeps the ids apart.
        options.set_inflight(self.window_messages().saturating_mul(4).saturating_add(256));
        if let Some(username) = &self.username {
            options.set_credentials(username, self.password.as_deref().unwrap_or_default());
        }
        if let Some(will) = last_will.filter(expressible) {
            options.set_last_will(rumqttc::LastWill::new(will.topic, will.payload, rumqttc::QoS::AtLeastOnce, false));
        }
        options
    }
}

/// Whether MQTT can express this Will; rumqttc would send a broken packet.
fn expressible(will: &LastWill) -> bool {
    let fits = !will.topic.is_empty() && [will.topic.len(), will.payload.len()].iter().all(|len| *len <= 65_535);
    if !fits {
        tracing::error!(target: "mqtt", topic = will.topic, "no topic, or more than 65,535 bytes: connecting without a Will");
    }
    fits
}

impl fmt::Debug for ConnectionOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionOptions")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("tls", &self.tls)
            .field("websocket", &self.websocket_path.is_some())
            .field("username", &self.username)
            .field("password", &self.password.as_ref().map(|_| "…"))
            .field("client_id", &self.client_id)
            .field("keep_alive_ms", &self.keep_alive_ms)
            .field("connect_timeout_ms", &self.connect_timeout_ms)
            .field("max_packet_bytes", &self.max_packet_bytes)
            .field("max_inbound_bytes", &self.max_inbound_bytes)
            .field("in_flight", &self.in_flight)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tls::TlsOptions;
    use super::*;

    #[test]
    fn debug_does_not_show_the_password() {
        let options = ConnectionOptions { password: Some("secret".into()), ..ConnectionOptions::new("h", 1, "c") };
        assert!(!format!("{options:?}").contains("secret"));
    }

    #[test]
    fn values_out_of_range_are_brought_into_it() {
        for (keep_alive_ms, expected) in [(0, MIN_KEEP_ALIVE_MS), (u64::MAX, MAX_KEEP_ALIVE_MS), (20_000, 20_000)] {
            let options = ConnectionOptions { keep_alive_ms, in_flight: 0, ..ConnectionOptions::new("h", 1, "c") };
            let options = options.to_rumqttc(1, None);
            assert_eq!(options.keep_alive(), Duration::from_millis(expected));
            assert!(options.inflight() >= 4);
        }
        let options = ConnectionOptions { in_flight: u16::MAX, ..ConnectionOptions::new("h", 1, "c") };
        assert!(options.to_rumqttc(1, None).inflight() > 2 * MAX_IN_FLIGHT);
    }

    #[test]
    fn a_will_that_mqtt_cannot_express_is_left_out() {
        let has_will = |bytes| {
            let will = LastWill { topic: "t".into(), payload: vec![0; bytes] };
            ConnectionOptions::new("h", 1, "c").to_rumqttc(1, Some(will)).last_will().is_some()
        };
        assert!(has_will(65_535) && !has_will(65_536));
    }

    #[test]
    fn an_ipv6_address_gets_brackets_where_it_is_no_name() {
        let tls = TlsClient::read(&TlsOptions { insecure: true, ..TlsOptions::default() }).unwrap();
        let path = || Some("/mqtt".to_owned());
        for (tls, websocket_path, expected) in [
            (None, None, "[::1]"),
            (Some(tls.clone()), None, "::1"),
            (None, path(), "ws://[::1]:1883/mqtt"),
            (Some(tls), path(), "wss://[::1]:1883/mqtt"),
        ] {
            let options = ConnectionOptions { tls, websocket_path, ..ConnectionOptions::new("::1", 1883, "c") };
            assert_eq!(options.to_rumqttc(1, None).broker_address(), (expected.to_owned(), 1883));
        }
    }
}
