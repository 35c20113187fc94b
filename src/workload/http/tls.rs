//! TLS: whom it trusts, and what can be wrong with a certificate, in words.

use std::error::Error;
use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::body::in_words;
use super::plan::Tls;
use crate::base::text::without_mark;

/// The system's certificates, or those of the files that `SSL_CERT_FILE` and `SSL_CERT_DIR` name. Read when the first
/// connection wants them: that takes some milliseconds.
fn system() -> Result<Vec<CertificateDer<'static>>, String> {
    static SYSTEM: OnceLock<(Vec<CertificateDer<'static>>, String)> = OnceLock::new();
    let (found, errors) = SYSTEM.get_or_init(|| {
        let read = rustls_native_certs::load_native_certs();
        let errors: Vec<_> = read.errors.iter().map(ToString::to_string).collect();
        (read.certs, errors.join("; "))
    });
    if found.is_empty() {
        let why = if errors.is_empty() { String::new() } else { format!(" ({errors})") };
        return Err(format!(
            "TLS: this system has no root certificates{why}; set `tls = {{ ca = \"…\" }}`, or SSL_CERT_FILE"
        ));
    }
    Ok(found.clone())
}

/// A configuration that offers HTTP/1.1, and HTTP/2 before it if `http2`.
///
/// # Errors
/// In words.
pub(super) fn config(http2: bool, checks: &Tls) -> Result<Arc<ClientConfig>, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let trusted = match &checks.ca {
        _ if checks.unverified => Vec::new(),
        Some(path) => certificates(path).map_err(|error| format!("TLS: {error}"))?,
        None => system()?,
    };
    let verifier = Verifier::new(trusted, checks.unverified, &provider)?;
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS: {error}"))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = match &checks.client {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = certificates(certificate).map_err(|error| format!("TLS: {error}"))?;
            let key = private_key(key).map_err(|error| format!("TLS: {error}"))?;
            let shown = identity(chain, key, &provider).map_err(|error| format!("TLS: {error}"))?;
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(shown)))
        }
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    if http2 {
        config.alpn_protocols.insert(0, b"h2".to_vec());
    }
    Ok(Arc::new(config))
}

/// The certificates of a PEM file.
///
/// # Errors
/// In words, if it has none.
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let bytes = read(path)?;
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let found = read.map_err(|error| {
        format!("`{}` is not a whole PEM file: {}", path.display(), pem_words(&error))
    })?;
    if found.is_empty() {
        return Err(format!("`{}` has no certificate in PEM form", path.display()));
    }
    for certificate in &found {
        // Those of the first version, as `openssl x509 -req` makes them, are read as those of authorities only.
        if ParsedCertificate::try_from(certificate).is_err()
            && RootCertStore::empty().add(certificate.clone()).is_err()
        {
            return Err(format!("`{}` has a certificate that is damaged", path.display()));
        }
    }
    Ok(found)
}

/// A file without the mark that editors on Windows put before its text.
fn read(path: &Path) -> Result<Vec<u8>, String> {
    let bytes = std::fs::read(path)
        .map_err(|error| format!("failed to read `{}`: {}", path.display(), in_words(&error)))?;
    Ok(without_mark(&bytes).to_vec())
}

fn pem_words(error: &pem::Error) -> String {
    match error {
        pem::Error::MissingSectionEnd { .. } => "a section has no `-----END …-----`".into(),
        pem::Error::IllegalSectionStart { .. } => "a line `-----BEGIN …` is damaged".into(),
        pem::Error::Base64Decode(_) => "between its marks is something that is not base64".into(),
        other => other.to_string(),
    }
}

/// The key of a PEM file.
///
/// # Errors
/// In words, if it has none.
pub(super) fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let bytes = read(path)?;
    if memchr::memmem::find(&bytes, b"ENCRYPTED").is_some() {
        return Err(format!(
            "the key in `{}` is encrypted: `openssl pkey` writes it without a passphrase",
            path.display()
        ));
    }
    PrivateKeyDer::from_pem_slice(&bytes)
        .map_err(|_| format!("`{}` has no private key in PEM form", path.display()))
}

/// What a client shows of itself. rustls would refuse certificates of the first version, which servers take.
fn identity(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, String> {
    let key = provider
        .key_provider
        .load_private_key(key)
        .map_err(|error| format!("the key cannot be used: {error}"))?;
    // A certificate has the public key in it as it is.
    let fits = match (key.public_key(), chain.first()) {
        (Some(public), Some(certificate)) => {
            memchr::memmem::find(certificate, public.as_ref()).is_some()
        }
        _ => true, // nobody can tell
    };
    if fits {
        Ok(CertifiedKey::new(chain, key))
    } else {
        Err("the key does not fit the certificate".into())
    }
}

/// Trusts what is signed by a certificate that it knows, or is one.
#[derive(Debug)]
struct Verifier {
    trusted: Vec<CertificateDer<'static>>,
    /// `None`: everything is trusted.
    chains: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl Verifier {
    fn new(
        trusted: Vec<CertificateDer<'static>>,
        unverified: bool,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, String> {
        let chains = if unverified {
            None
        } else {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(trusted.iter().cloned());
            let built =
                WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
            Some(built.build().map_err(|error| format!("TLS: {error}"))?)
        };
        Ok(Self { trusted, chains, provider: Arc::clone(provider) })
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(chains) = &self.chains else { return Ok(ServerCertVerified::assertion()) };
        match chains.verify_server_cert(end_entity, intermediates, name, ocsp, now) {
            // A certificate that signs itself, as `openssl req -x509` makes it: it may sign, so webpki takes it for no
            // server's. Or one whose authority is not among those that are trusted. Whoever names it as trusted means it.
            // Its dates have been checked by then.
            Err(rustls::Error::InvalidCertificate(error))
                if (is_authority(&error) || error == CertificateError::UnknownIssuer)
                    && self.trusted.iter().any(|known| known == end_entity) =>
            {
                rustls::client::verify_server_name(
                    &ParsedCertificate::try_from(end_entity)?,
                    name,
                )?;
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Whether the certificate of a server is an authority's. rustls has no name for it.
fn is_authority(error: &CertificateError) -> bool {
    matches!(error, CertificateError::Other(_))
        && format!("{error:?}").contains("CaUsedAsEndEntity")
}

/// Speaks TLS with `host` over `stream`.
pub(super) async fn connect(
    config: Arc<ClientConfig>,
    host: &str,
    stream: TcpStream,
) -> Result<TlsStream<TcpStream>, String> {
    let name = host.trim_start_matches('[').trim_end_matches(']');
    let name = ServerName::try_from(name.to_owned())
        .map_err(|_| format!("TLS: `{host}` is not a name that a certificate can have"))?;
    let connected = TlsConnector::from(config).connect(name, stream).await;
    connected.map_err(|error| format!("TLS: {}", words(&error, host)))
}

/// Whether a server has ended a connection, and said why.
pub(super) fn is_alert(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    matches!(inner, Some(rustls::Error::AlertReceived(_)))
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
        Some(rustls::Error::AlertReceived(alert)) => alert_words(*alert, host),
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
        CertificateError::BadEncoding => "certificate is damaged".into(),
        error if is_authority(error) => {
            "certificate is self-signed, and not among those that are trusted".into()
        }
        CertificateError::Other(other) => format!("certificate cannot be used: {}", spaced(other)),
        CertificateError::NotValidForNameContext { presented, .. } if presented.is_empty() => {
            format!("certificate is not for `{host}`: it names no host (it has no subjectAltName)")
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!("certificate is not for `{host}`")
        }
        CertificateError::Revoked => "certificate has been revoked".into(),
        CertificateError::BadSignature => "certificate has a bad signature".into(),
        other => format!("certificate: {other}"),
    }
}

/// What a server says when it ends a handshake.
fn alert_words(alert: rustls::AlertDescription, host: &str) -> String {
    match alert {
        rustls::AlertDescription::CertificateRequired => {
            format!(
                "`{host}` wants a client certificate: set `tls = {{ cert = \"…\", key = \"…\" }}`"
            )
        }
        rustls::AlertDescription::UnknownCA | rustls::AlertDescription::BadCertificate => {
            format!("`{host}` does not accept the client certificate")
        }
        other => format!("`{host}` ended the handshake: {}", spaced(&format!("{other:?}"))),
    }
}

/// `CertificateExpired` as words.
fn spaced(name: &impl ToString) -> String {
    let name = name.to_string();
    let mut words = String::new();
    let mut before = ' ';
    for letter in name.chars() {
        if letter.is_uppercase() && before.is_lowercase() {
            words.push(' ');
        }
        words.push(letter);
        before = letter;
    }
    words.to_lowercase()
}
