//! The ports of the embedded broker.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;
use std::path::Path;
use std::time::Duration;

use rmqtt::net::{Builder, Listener};

use super::access::Access;
use super::{EmbeddedBrokerError, EmbeddedBrokerOptions, EmbeddedTls, Listens};
use crate::limits::{
    EMBEDDED_HANDSHAKE_TIMEOUT_MS, EMBEDDED_IN_FLIGHT, EMBEDDED_MAX_CONNECTIONS, EMBEDDED_QUEUE_MESSAGES,
    EMBEDDED_SEND_TIMEOUT_MS,
};

/// Listens on all ports, which the system accepts connections on from then on.
pub(super) fn open(
    options: &EmbeddedBrokerOptions,
) -> Result<(Vec<(Listener, SocketAddr)>, Listens), EmbeddedBrokerError> {
    let tls_error = |error: rmqtt::Error| EmbeddedBrokerError::Tls(format!("{error:#}"));
    let secure = options.tls.is_some();
    let (mqtt, address) = bind(options, options.port)?;
    let mqtt = if secure { mqtt.tls().map_err(tls_error)? } else { mqtt };
    let mut all = vec![(mqtt, address)];
    let mut listens = Listens { mqtt: address, websocket: None };
    if let Some(port) = options.websocket_port {
        let (websocket, address) = bind(options, port)?;
        let websocket = if secure { websocket.wss() } else { websocket.ws() };
        all.push((websocket.map_err(tls_error)?, address));
        listens.websocket = Some(address);
    }
    Ok((all, listens))
}

fn bind(options: &EmbeddedBrokerOptions, port: u16) -> Result<(Listener, SocketAddr), EmbeddedBrokerError> {
    let EmbeddedBrokerOptions { host, max_packet_bytes, .. } = options;
    let invalid_host = || EmbeddedBrokerError::InvalidHost { host: host.clone() };
    let ip: IpAddr = host.parse().map_err(|_| invalid_host())?;
    // Every value that matters is set here: most of rmqtt's defaults are for millions of devices.
    let builder = Builder::new()
        .name("embedded")
        .laddr((ip, port).into())
        // On Unix this takes a port that old connections still linger on; on Windows it would take one in use.
        .reuseaddr(cfg!(unix).then_some(true))
        .nodelay(true)
        .max_packet_size(*max_packet_bytes)
        .max_connections(EMBEDDED_MAX_CONNECTIONS)
        .max_handshaking_limit(EMBEDDED_MAX_CONNECTIONS)
        .max_inflight(NonZeroU16::new(EMBEDDED_IN_FLIGHT).unwrap_or(NonZeroU16::MAX))
        .max_mqueue_len(EMBEDDED_QUEUE_MESSAGES)
        // rmqtt asks nobody about those without a name if it is to let them in.
        .allow_anonymous(Access::of(options).is_none())
        .handshake_timeout(Duration::from_millis(EMBEDDED_HANDSHAKE_TIMEOUT_MS))
        .send_timeout(Duration::from_millis(EMBEDDED_SEND_TIMEOUT_MS))
        // 0.75 · 2 is the one and a half keep-alives that MQTT 3.1.1 gives a client (section 3.1.2.10).
        .keepalive_backoff(0.75)
        .max_topic_levels(0)
        .max_subscriptions(0)
        .session_expiry_interval(Duration::ZERO)
        .message_expiry_interval(Duration::ZERO);
    let listener =
        with_tls(builder, options.tls.as_ref())?.bind().and_then(Listener::tcp).map_err(|error| {
            match error.downcast_ref::<std::io::Error>().map(std::io::Error::kind) {
                Some(ErrorKind::AddrInUse) => EmbeddedBrokerError::AddressInUse { host: host.clone(), port },
                Some(ErrorKind::AddrNotAvailable) => invalid_host(),
                _ => EmbeddedBrokerError::Start(error.to_string()),
            }
        })?;
    let address = listener.local_addr().map_err(|error| EmbeddedBrokerError::Start(error.to_string()))?;
    Ok((listener, address))
}

fn with_tls(builder: Builder, tls: Option<&EmbeddedTls>) -> Result<Builder, EmbeddedBrokerError> {
    let Some(EmbeddedTls { cert_file, key_file, client_ca_file }) = tls else { return Ok(builder) };
    let text = |field: &str, path: &Path| {
        // rmqtt does not say which of its files it cannot read.
        std::fs::File::open(path)
            .map_err(|error| EmbeddedBrokerError::Tls(format!("{field}: {}: {error}", path.display())))?;
        path.to_str()
            .map(str::to_owned)
            .ok_or_else(|| EmbeddedBrokerError::Tls(format!("{field}: {} is not written in Unicode", path.display())))
    };
    let client_ca = client_ca_file.as_deref().map(|path| text("clientCaFile", path)).transpose()?;
    Ok(builder
        .tls_cert(Some(text("certFile", cert_file)?))
        .tls_key(Some(text("keyFile", key_file)?))
        .tls_cross_certificate(client_ca.is_some())
        .tls_client_ca_certs(client_ca))
}
