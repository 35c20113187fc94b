//! TLS: the system's roots, and what can be wrong with a certificate, in words.

use std::error::Error;
use std::io;
use std::sync::{Arc, OnceLock};

use rustls::pki_types::ServerName;
use rustls::{CertificateError, ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The system's roots, or the files that `SSL_CERT_FILE` and `SSL_CERT_DIR` name. Read when the first connection wants
/// them: that takes some milliseconds.
fn roots() -> Arc<RootCertStore> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    let read = || {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Arc::new(roots)
    };
    Arc::clone(ROOTS.get_or_init(read))
}

/// A configuration that offers HTTP/1.1, and HTTP/2 before it if `http2`.
pub(super) fn config(http2: bool) -> Result<Arc<ClientConfig>, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let roots = roots();
    if roots.is_empty() {
        return Err("TLS: this system has no root certificates; SSL_CERT_FILE may name some".into());
    }
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS: {error}"))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    if http2 {
        config.alpn_protocols.insert(0, b"h2".to_vec());
    }
    Ok(Arc::new(config))
}

/// Speaks TLS with `host` over `stream`.
pub(super) async fn connect(
    config: Arc<ClientConfig>,
    host: &str,
    stream: TcpStream,
) -> Result<TlsStream<TcpStream>, String> {
    let name = host.trim_start_matches('[').trim_end_matches(']');
    let name = ServerName::try_from(name.to_owned())
        .map_err(|_| format!("TLS: `{host}` is no name that a certificate can have"))?;
    let connected = TlsConnector::from(config).connect(name, stream).await;
    connected.map_err(|error| format!("TLS: {}", words(&error, host)))
}

/// What went wrong, if it was TLS, in words.
pub(super) fn words(error: &io::Error, host: &str) -> String {
    let inner = error.get_ref().and_then(|inner| {
        let inner: &(dyn Error + 'static) = inner;
        inner.downcast_ref::<rustls::Error>()
    });
    match inner {
        Some(rustls::Error::InvalidCertificate(error)) => certificate(error, host),
        Some(rustls::Error::InvalidMessage(_)) => format!("`{host}` does not speak it"),
        Some(other) => other.to_string(),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            format!("`{host}` closed the connection during the handshake")
        }
        None => error.to_string(),
    }
}

fn certificate(error: &CertificateError, host: &str) -> String {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "certificate has expired".into()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "certificate is not valid yet".into()
        }
        CertificateError::UnknownIssuer => "certificate is signed by an unknown authority".into(),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!("certificate is not for `{host}`")
        }
        CertificateError::Revoked => "certificate has been revoked".into(),
        CertificateError::BadSignature => "certificate has a bad signature".into(),
        other => format!("certificate: {other}"),
    }
}
