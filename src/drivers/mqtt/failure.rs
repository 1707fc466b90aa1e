//! Why no connection came about, for people: what is wrong, and what to do about it.

use std::error::Error;
use std::io;

use rumqttc::{ConnectionError, StateError};
use rustls::{AlertDescription, CertificateError};

use super::options::ConnectionOptions;
use super::verifier::SelfSigned;

/// What TLS did not let come about; `None` if it is something else that failed.
pub(super) fn of_tls(error: &ConnectionError, options: &ConnectionOptions) -> Option<String> {
    let error = find::<rustls::Error>(error)?;
    Some(match error {
        rustls::Error::InvalidCertificate(error) => certificate(error),
        rustls::Error::AlertReceived(alert) => refused(*alert, options),
        rustls::Error::InvalidMessage(_) | rustls::Error::InappropriateMessage { .. } => {
            format!(
                "what answers there does not speak TLS ({error}); check the port, and that the broker has TLS on it"
            )
        }
        rustls::Error::PeerIncompatible(_) => {
            format!("the broker has no version of TLS that is safe ({error}); turn on TLS 1.2 or 1.3 there")
        }
        other => format!("TLS failed: {other}"),
    })
}

/// Any other failure.
pub(super) fn of_connection(error: &ConnectionError, options: &ConnectionOptions) -> String {
    let hint = match error {
        ConnectionError::Websocket(_) | ConnectionError::ResponseValidation(_) => {
            "; check the port and 'path': MQTT over WebSockets is to be had there?"
        }
        _ if !was_closed(error) => "",
        _ => match &options.tls {
            None => "; is the port one for TLS (mqtts, wss), or for WebSockets?",
            Some(tls) if tls.is_identified() => "; is the port one for TLS, and does it accept the client certificate?",
            Some(_) => "; is the port one for TLS, and does it want a client certificate (certFile, keyFile)?",
        },
    };
    match error {
        ConnectionError::ResponseValidation(reason) => format!("{reason}{hint}"),
        other => format!("{other}{hint}"),
    }
}

/// Why a connection ended that had come about; `soon` if it has not held for long.
pub(super) fn of_lost(error: &ConnectionError, options: &ConnectionOptions, soon: bool) -> String {
    if soon && was_closed(error) {
        format!(
            "{error}; does another client use the client id '{}', or do the broker's access rules or limits forbid what \
             this one does?",
            options.client_id
        )
    } else {
        error.to_string()
    }
}

fn certificate(error: &CertificateError) -> String {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            format!(
                "the broker's certificate has expired ({error}); renew it there, or correct the clock of this machine"
            )
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            format!("the broker's certificate is not valid yet ({error}); check the clocks of both machines")
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => format!(
            "the broker's certificate is for another name ({error}); use the host name that it was made for, or give that \
             as serverName (--tls-server-name)"
        ),
        CertificateError::UnknownIssuer => {
            "the broker's certificate is not signed by any CA that is trusted here; if it \
             is right, give the certificate of its CA as caFile (--tls-ca)"
                .to_owned()
        }
        CertificateError::Other(other) if other.0.is::<SelfSigned>() => {
            "the broker's certificate is signed by itself, which anybody can do; have a CA sign it, and give that CA's \
             certificate as caFile (--tls-ca)"
                .to_owned()
        }
        CertificateError::Revoked => "the broker's certificate has been revoked; it needs a new one".to_owned(),
        other => format!("the broker's certificate cannot be trusted ({other}); it needs a new one"),
    }
}

/// The broker ended the handshake.
fn refused(alert: AlertDescription, options: &ConnectionOptions) -> String {
    let identified = options.tls.as_ref().is_some_and(super::tls::TlsClient::is_identified);
    match alert {
        AlertDescription::CertificateRequired | AlertDescription::HandshakeFailure if !identified => format!(
            "the broker wants a client certificate ({alert:?}); give one as certFile and keyFile (--tls-cert, --tls-key)"
        ),
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateRevoked
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnknownCA
        | AlertDescription::AccessDenied
            if identified =>
        {
            format!("the broker does not accept the client certificate ({alert:?}); use one that its CA has signed")
        }
        other => format!("the broker ended the TLS handshake ({other:?}); its log says why"),
    }
}

/// Whether the other side hung up instead of answering.
fn was_closed(error: &ConnectionError) -> bool {
    let kinds = [io::ErrorKind::UnexpectedEof, io::ErrorKind::ConnectionReset, io::ErrorKind::ConnectionAborted];
    matches!(error, ConnectionError::MqttState(StateError::ConnectionAborted))
        || find::<io::Error>(error).is_some_and(|error| kinds.contains(&error.kind()))
}

/// The first cause of that type. What an `io::Error` wraps is not among its sources.
fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = wrapped.map(|wrapped| wrapped as &(dyn Error + 'static)).or_else(|| error.source());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(error: rustls::Error) -> Option<String> {
        let error = ConnectionError::Io(io::Error::new(io::ErrorKind::InvalidData, error));
        of_tls(&error, &ConnectionOptions::new("h", 1, "c"))
    }

    #[test]
    fn a_cause_is_found_however_deep_it_is() {
        let error = rustls::Error::InvalidCertificate(CertificateError::Expired);
        assert!(of(error.clone()).unwrap().contains("expired"));
        let deep = io::Error::other(io::Error::other(error));
        let deep = ConnectionError::MqttState(StateError::Io(deep));
        assert!(of_tls(&deep, &ConnectionOptions::new("h", 1, "c")).unwrap().contains("expired"));
        let other = ConnectionError::Io(io::Error::from(io::ErrorKind::ConnectionRefused));
        assert_eq!(of_tls(&other, &ConnectionOptions::new("h", 1, "c")), None);
    }

    #[test]
    fn who_hangs_up_may_have_expected_something_else() {
        let error = ConnectionError::MqttState(StateError::ConnectionAborted);
        assert!(of_connection(&error, &ConnectionOptions::new("h", 1, "c")).contains("mqtts"));
    }
}
