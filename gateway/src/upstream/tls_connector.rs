//! TLS to upstreams, by rustls: whom the gateway believes, and how it says who it is.

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::{fs, io};

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::tls::UpstreamTls;
use super::url::UpstreamUrl;

/// How connections to one upstream are made.
#[derive(Debug)]
pub struct Connector {
    tls: Option<Tls>,
}

#[derive(Debug)]
struct Tls {
    /// What the files held, to see a change of them.
    files: Result<Files, String>,
    /// Made at the first use.
    ready: OnceLock<Result<(Arc<ClientConfig>, ServerName<'static>), String>>,
    server_name: String,
}

/// PEM, as it was read.
#[derive(Debug, Default, PartialEq, Eq)]
struct Files {
    authorities: Option<Vec<u8>>,
    client: Option<(Vec<u8>, Vec<u8>)>,
}

impl Connector {
    /// Reads the files of `tls` now, at the start or at a reload; what is wrong with them is told at every connection.
    pub fn new(url: &UpstreamUrl, tls: Option<&UpstreamTls>) -> Self {
        if !url.is_tls() {
            return Self { tls: None };
        }
        let server_name = tls
            .and_then(|tls| tls.server_name.clone())
            .unwrap_or_else(|| url.host_and_port().0.to_owned());
        let tls = Tls {
            files: Files::read(tls),
            ready: OnceLock::new(),
            server_name,
        };
        Self { tls: Some(tls) }
    }

    /// Whether the files are still what they were.
    pub fn is_current(&self, tls: Option<&UpstreamTls>) -> bool {
        self.tls.as_ref().is_none_or(|old| old.files == Files::read(tls))
    }

    /// The way to TLS and the name to ask for. `None`: no TLS.
    ///
    /// # Errors
    /// What is wrong with the files.
    pub fn tls(&self) -> io::Result<Option<(TlsConnector, ServerName<'static>)>> {
        let Some(tls) = &self.tls else { return Ok(None) };
        match tls.ready.get_or_init(|| tls.config()) {
            Ok((config, name)) => Ok(Some((TlsConnector::from(config.clone()), name.clone()))),
            Err(reason) => Err(io::Error::new(io::ErrorKind::InvalidData, reason.clone())),
        }
    }
}

/// What is wrong with the files and names of `tls` for an upstream at `url`.
///
/// # Errors
/// The first thing that is.
pub fn check_tls(url: &UpstreamUrl, tls: Option<&UpstreamTls>) -> Result<(), String> {
    let connector = Connector::new(url, tls);
    connector.tls().map(drop).map_err(|error| error.to_string())
}

impl Files {
    fn read(tls: Option<&UpstreamTls>) -> Result<Self, String> {
        let Some(tls) = tls else {
            return Ok(Self::default());
        };
        let read = |path: &Path| fs::read(path).map_err(|error| format!("{}: {error}", path.display()));
        let client = tls.client.as_ref().map(|client| {
            let certificate = read(&client.certificate_file)?;
            Ok::<_, String>((certificate, read(&client.key_file)?))
        });
        Ok(Self {
            authorities: tls.ca_file.as_deref().map(read).transpose()?,
            client: client.transpose()?,
        })
    }
}

impl Tls {
    fn config(&self) -> Result<(Arc<ClientConfig>, ServerName<'static>), String> {
        let files = self.files.as_ref().map_err(Clone::clone)?;
        let name = ServerName::try_from(self.server_name.clone())
            .map_err(|_| format!("{} is no name that a certificate can be for", self.server_name))?;
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots(files.authorities.as_deref())?);
        let mut config = match &files.client {
            Some((certificate, key)) => {
                let key = PrivateKeyDer::from_pem_slice(key)
                    .map_err(|error| format!("the client's key: {error}"))?;
                builder
                    .with_client_auth_cert(certificates(certificate)?, key)
                    .map_err(|error| format!("the client's certificate: {error}"))?
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok((Arc::new(config), name))
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| format!("a certificate cannot be read: {error}"))
}

/// The authorities of the file, or else the system's.
fn roots(authorities: Option<&[u8]>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let found = match authorities {
        Some(pem) => certificates(pem)?,
        None => rustls_native_certs::load_native_certs().certs,
    };
    let (count, _) = roots.add_parsable_certificates(found);
    if count == 0 {
        return Err("there is no authority to believe".to_owned());
    }
    Ok(roots)
}
