//! TLS to a broker: whom to trust, who to be, and what to check. On rustls with ring, without any library of the system.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use thiserror::Error;

use super::verifier::{Trusting, Verifier};

/// What TLS to a broker is made of. The default trusts the system's CAs and shows no certificate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsOptions {
    /// PEM file with the certificates to trust instead of the system's CAs.
    pub ca_file: Option<PathBuf>,
    /// PEM files with this client's certificate, perhaps with its chain, and its private key, which has no passphrase.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// The name that the broker's certificate must have. Default: the host.
    pub server_name: Option<String>,
    /// Trusts whoever answers. Default false.
    pub insecure: bool,
}

/// Why TLS cannot be set up. Messages name the file, never what is in it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TlsError {
    /// A file cannot be read, or does not hold what it should.
    #[error("{field}: {} {reason}", path.display())]
    File {
        /// The option that names it.
        field: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The system has no CAs to trust.
    #[error("caFile: this system has no certificates of CAs ({0}); name a file with those to trust")]
    NoSystemRoots(String),
    /// The certificate and the key cannot be used together.
    #[error("keyFile: {0}")]
    Identity(String),
    /// It is neither a host name nor an address.
    #[error("serverName: '{0}' is neither a host name nor an IP address")]
    ServerName(String),
    /// What rustls should have and does not.
    #[error("TLS cannot be used: {0}")]
    Unusable(String),
}

/// TLS to a broker, ready for any number of connections.
#[derive(Clone)]
pub struct TlsClient {
    config: Arc<ClientConfig>,
    insecure: bool,
    identified: bool,
}

impl TlsClient {
    /// Reads the files. Blocks.
    ///
    /// # Errors
    /// [`TlsError`], which names the option.
    pub fn read(options: &TlsOptions) -> Result<Self, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let verifier: Arc<dyn ServerCertVerifier> =
            if options.insecure { Arc::new(Trusting::new(&provider)) } else { Arc::new(verifier(options, &provider)?) };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::Unusable(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let config = match &options.identity {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => {
                let chain = certificates("certFile", chain)?;
                let key = PrivateKeyDer::from_pem_file(key).map_err(|error| match error {
                    pem::Error::NoItemsFound => file("keyFile", key, "has no private key (without a passphrase) in it"),
                    other => file("keyFile", key, &unreadable(&other)),
                })?;
                let unusable = |error: rustls::Error| {
                    TlsError::Identity(format!("the certificate and the key cannot be used together: {error}"))
                };
                builder.with_client_auth_cert(chain, key).map_err(unusable)?
            }
        };
        Ok(Self { config: Arc::new(config), insecure: options.insecure, identified: options.identity.is_some() })
    }

    /// For rumqttc.
    pub(super) fn config(&self) -> Arc<ClientConfig> {
        self.config.clone()
    }

    /// Whether nothing about the broker is verified.
    pub(super) fn is_insecure(&self) -> bool {
        self.insecure
    }

    /// Whether this client has a certificate to show.
    pub(super) fn is_identified(&self) -> bool {
        self.identified
    }
}

impl fmt::Debug for TlsClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsClient").field("insecure", &self.insecure).finish_non_exhaustive()
    }
}

fn verifier(options: &TlsOptions, provider: &Arc<CryptoProvider>) -> Result<Verifier, TlsError> {
    let name = options.server_name.as_ref().map(|name| {
        ServerName::try_from(name.clone()).map_err(|_| TlsError::ServerName(name.chars().take(64).collect()))
    });
    let roots = match &options.ca_file {
        Some(path) => roots_of_file(path)?,
        None => system_roots()?,
    };
    let web_pki = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .build()
        .map_err(|error| TlsError::Unusable(error.to_string()))?;
    Ok(Verifier::new(web_pki, name.transpose()?))
}

fn roots_of_file(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates("caFile", path)? {
        roots
            .add(certificate)
            .map_err(|error| file("caFile", path, &format!("has an unusable certificate: {error}")))?;
    }
    Ok(roots)
}

/// The system's CAs. Some of them may be unusable; that is no reason to trust none.
fn system_roots() -> Result<RootCertStore, TlsError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let reason = found.errors.first().map_or_else(|| "none were found".to_owned(), ToString::to_string);
        return Err(TlsError::NoSystemRoots(reason));
    }
    Ok(roots)
}

fn certificates(field: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let all = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let all = all.map_err(|error| file(field, path, &unreadable(&error)))?;
    if all.is_empty() {
        return Err(file(field, path, "has no certificate (PEM) in it"));
    }
    Ok(all)
}

fn file(field: &'static str, path: &Path, reason: &str) -> TlsError {
    TlsError::File { field, path: path.to_owned(), reason: reason.to_owned() }
}

/// Without anything of the content, which an error about one of its lines would show.
fn unreadable(error: &pem::Error) -> String {
    match error {
        pem::Error::Io(error) => format!("cannot be read: {error}"),
        _ => "is damaged, or no PEM file".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error_of(options: &TlsOptions) -> String {
        TlsClient::read(options).unwrap_err().to_string()
    }

    #[test]
    fn what_cannot_be_used_is_named_with_its_option() {
        let directory = std::env::temp_dir().join(format!("mqtt-p2p-tls-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let (empty, broken) = (directory.join("empty.pem"), directory.join("broken.pem"));
        std::fs::write(&empty, "nothing\n").unwrap();
        std::fs::write(&broken, "-----BEGIN CERTIFICATE-----\nsecret canary\n").unwrap();
        let ca = |path: &Path| error_of(&TlsOptions { ca_file: Some(path.to_owned()), ..TlsOptions::default() });
        assert!(ca(&directory.join("absent.pem")).starts_with("caFile: "));
        assert!(ca(&empty).contains("no certificate"));
        assert!(ca(&broken).contains("damaged") && !ca(&broken).contains("canary"));
        let identity = Some((empty.clone(), empty.clone()));
        assert!(error_of(&TlsOptions { identity, insecure: true, ..TlsOptions::default() }).starts_with("certFile: "));
        let server_name = Some("not a name".to_owned());
        assert!(error_of(&TlsOptions { server_name, ..TlsOptions::default() }).starts_with("serverName: "));
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
