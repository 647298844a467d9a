//! HTTPS.

use super::TlsFiles;
use demijohn_core::{Error, Result};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{RootCertStore, ServerConfig, SupportedCipherSuite};
use tokio_rustls::server::TlsStream;

/// HTTP/2 as ALPN calls it.
const H2: &[u8] = b"h2";

/// How connections become private.
#[derive(Clone)]
pub(super) struct Tls {
    acceptor: TlsAcceptor,
    keys: Arc<Keys>,
}

/// The certificate in use, and where the next one will be.
#[derive(Debug)]
struct Keys {
    files: (PathBuf, PathBuf),
    provider: Arc<CryptoProvider>,
    now: RwLock<Arc<CertifiedKey>>,
}

impl ResolvesServerCert for Keys {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.now.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl Tls {
    /// As the files say.
    pub(super) fn new(files: &TlsFiles) -> Result<Tls> {
        let TlsFiles {
            cert,
            key,
            client_ca,
            ciphers,
        } = files;
        let provider = Arc::new(provider(ciphers)?);
        let keys = Arc::new(Keys {
            files: (cert.clone(), key.clone()),
            now: RwLock::new(Arc::new(read(cert, key, &provider)?)),
            provider: Arc::clone(&provider),
        });
        let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::internal(format!("no TLS with these ciphers: {error}")))?;
        let config = match client_ca {
            None => config.with_no_client_auth(),
            Some(authorities) => {
                let wrong = |why: &dyn std::fmt::Display| wrong(authorities, "list of authorities", why);
                let mut roots = RootCertStore::empty();
                for cert in certs(authorities)? {
                    roots.add(cert).map_err(|error| wrong(&error))?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
                config.with_client_cert_verifier(verifier.map_err(|error| wrong(&error))?)
            }
        };
        let mut config = config.with_cert_resolver(Arc::clone(&keys) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![H2.to_vec(), b"http/1.1".to_vec()];
        Ok(Tls {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            keys,
        })
    }

    /// Reads the files again. When that fails, all stays as it is.
    pub(super) fn reload(&self) -> Result<()> {
        let (cert, key) = &self.keys.files;
        let new = read(cert, key, &self.keys.provider)?;
        *self.keys.now.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
        Ok(())
    }

    /// A certificate that was renewed is taken up with SIGHUP: new connections have it, and those that are open stay.
    pub(super) fn reload_on_signal(&self) {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            let Ok(mut hangup) = signal(SignalKind::hangup()) else {
                return;
            };
            let tls = self.clone();
            tokio::spawn(async move {
                while hangup.recv().await.is_some() {
                    match tls.reload() {
                        Ok(()) => tracing::info!("the certificate was read again"),
                        Err(error) => tracing::error!("the old certificate stays in use: {error}"),
                    }
                }
            });
        }
    }

    /// The private connection; nothing when the client does not bring it about in this time.
    pub(super) async fn handshake(&self, stream: TcpStream, time: Option<Duration>) -> Option<TlsStream<TcpStream>> {
        let shaken = self.acceptor.accept(stream);
        let shaken = match time {
            Some(time) => tokio::time::timeout(time, shaken).await.ok()?,
            None => shaken.await,
        };
        shaken
            .inspect_err(|error| tracing::debug!("no TLS with a client: {error}"))
            .ok()
    }
}

/// Whether the two have agreed on HTTP/2.
pub(super) fn speaks_http2(stream: &TlsStream<TcpStream>) -> bool {
    stream.get_ref().1.alpn_protocol() == Some(H2)
}

fn wrong(path: &Path, what: &str, why: &dyn std::fmt::Display) -> Error {
    Error::internal(format!(
        "{} is no {what} in PEM that can be used: {why}",
        path.display()
    ))
}

/// What there is of cryptography, or these ciphers of it alone.
fn provider(ciphers: &[String]) -> Result<CryptoProvider> {
    let mut provider = ring::default_provider();
    if ciphers.is_empty() {
        return Ok(provider);
    }
    let name = |suite: &SupportedCipherSuite| format!("{:?}", suite.suite());
    let known: Vec<String> = provider.cipher_suites.iter().map(name).collect();
    if let Some(unknown) = ciphers.iter().find(|cipher| !known.contains(cipher)) {
        return Err(Error::internal(format!(
            "`{unknown}` is none of the ciphers that there are: {}",
            known.join(", ")
        )));
    }
    provider.cipher_suites.retain(|suite| ciphers.contains(&name(suite)));
    Ok(provider)
}

fn certs(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let what = "chain of certificates";
    let certs = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<std::result::Result<Vec<_>, _>>);
    let certs = certs.map_err(|error| wrong(path, what, &error))?;
    match certs.is_empty() {
        true => Err(wrong(path, what, &"there is none in it")),
        false => Ok(certs),
    }
}

fn read(cert: &Path, key: &Path, provider: &CryptoProvider) -> Result<CertifiedKey> {
    let chain = certs(cert)?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| wrong(key, "private key", &error))?;
    CertifiedKey::from_der(chain, private, provider)
        .map_err(|error| wrong(key, &format!("key of the certificate in {}", cert.display()), &error))
}
