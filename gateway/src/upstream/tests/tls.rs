//! TLS to upstreams: a name that is vouched for, and a certificate of one's own.

use std::fs;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use actix_http::Method;
use bytes::BytesMut;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls_pki_types::PrivateKeyDer;
use shared::metrics::Registry;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use super::super::{ClientCertificate, Declared, Exchange, Pool, Upstream, UpstreamConnection, UpstreamTls};
use super::PATIENCE;

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, "authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Certificate and key for a name.
    fn certify(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.0).unwrap(), key)
    }

    fn write(&self, folder: &Path) -> std::path::PathBuf {
        let path = folder.join("ca.pem");
        fs::write(&path, self.0.pem()).unwrap();
        path
    }
}

/// A service with a certificate for `name`, which greets everybody, or only who has a certificate of `clients`.
async fn start(authority: &Authority, name: &str, clients: Option<&Authority>) -> SocketAddr {
    let (certificate, key) = authority.certify(name);
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(clients) => {
            let mut roots = RootCertStore::empty();
            roots.add(clients.0.der().clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = builder
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, acceptor));
    address
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor) {
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            let Ok(mut stream) = acceptor.accept(socket).await else {
                return;
            };
            let mut seen = Vec::new();
            while stream.read_buf(&mut seen).await.is_ok_and(|bytes| bytes > 0) {
                if seen.ends_with(b"\r\n\r\n") {
                    seen.clear();
                    let greeting = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
                    if stream.write_all(greeting).await.is_err() {
                        return;
                    }
                }
            }
        });
    }
}

fn upstream(address: SocketAddr, tls: UpstreamTls) -> Arc<Upstream> {
    let url = format!("https://{address}");
    let tls = Some(Arc::new(tls));
    Upstream::new(url.parse().unwrap(), tls, None, 10, &Registry::default())
}

async fn greeting(upstream: &Arc<Upstream>, pool: &Pool) -> Result<String, String> {
    let connection = match pool.take(upstream) {
        Some(connection) => connection,
        None => UpstreamConnection::connect(upstream, PATIENCE)
            .await
            .map_err(|error| error.to_string())?,
    };
    let head = BytesMut::from(&b"GET / HTTP/1.1\r\n\r\n"[..]);
    let mut exchange = Exchange::new(connection, Method::GET, head, Declared::NoBody);
    poll_fn(|cx| exchange.poll_write(cx))
        .await
        .map_err(|error| error.to_string())?;
    let head = poll_fn(|cx| exchange.poll_head(cx))
        .await
        .map_err(|error| error.to_string())?;
    assert_eq!(head.status.as_u16(), 200);
    let mut body = Vec::new();
    while let Some(piece) = poll_fn(|cx| exchange.poll_body(cx)).await.unwrap() {
        body.extend_from_slice(&piece);
    }
    pool.put(upstream, exchange.finish().unwrap());
    Ok(String::from_utf8(body).unwrap())
}

#[actix_web::test]
async fn an_upstream_over_tls_must_prove_its_name() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    let address = start(&authority, "service.internal", None).await;
    let ca_file = Some(authority.write(folder.path()));
    let tls = |server_name: Option<&str>, ca_file| UpstreamTls {
        ca_file,
        client: None,
        server_name: server_name.map(ToOwned::to_owned),
    };
    let pool = Pool::default();
    let good = upstream(address, tls(Some("service.internal"), ca_file.clone()));
    assert_eq!(greeting(&good, &pool).await.unwrap(), "hello");
    let kept = pool.take(&good);
    assert!(kept.is_some(), "its session tickets are no reason to close it");
    for (bad, why) in [
        (
            tls(None, ca_file.clone()),
            "it is for a name, not for the address",
        ),
        (
            tls(Some("other.internal"), ca_file.clone()),
            "it is for another name",
        ),
        (
            tls(Some("service.internal"), None),
            "the system's authorities do not know it",
        ),
    ] {
        assert!(greeting(&upstream(address, bad), &pool).await.is_err(), "{why}");
    }
}

#[actix_web::test]
async fn the_gateway_shows_a_certificate_of_its_own_where_one_is_asked_for() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    let address = start(&authority, "service.internal", Some(&authority)).await;
    let (certificate, key) = authority.certify("gateway.internal");
    let client = ClientCertificate {
        certificate_file: folder.path().join("client.pem"),
        key_file: folder.path().join("client.key"),
    };
    fs::write(&client.certificate_file, certificate.pem()).unwrap();
    fs::write(&client.key_file, key.serialize_pem()).unwrap();
    let mut tls = UpstreamTls {
        ca_file: Some(authority.write(folder.path())),
        client: None,
        server_name: Some("service.internal".to_owned()),
    };
    let pool = Pool::default();
    assert!(greeting(&upstream(address, tls.clone()), &pool).await.is_err());
    tls.client = Some(client);
    assert_eq!(greeting(&upstream(address, tls), &pool).await.unwrap(), "hello");
}

#[actix_web::test]
async fn a_reload_notices_that_a_certificate_was_renewed() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    let address = start(&authority, "service.internal", None).await;
    let tls = UpstreamTls {
        ca_file: Some(authority.write(folder.path())),
        ..UpstreamTls::default()
    };
    let upstream = upstream(address, tls.clone());
    let tls = Arc::new(tls);
    assert!(upstream.is(Some(&tls), None, 10));
    Authority::new().write(folder.path());
    assert!(!upstream.is(Some(&tls), None, 10));
}

#[actix_web::test]
async fn files_that_are_not_there_are_told_and_nothing_is_sent_in_clear() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let tls = UpstreamTls {
        ca_file: Some("/nowhere/ca.pem".into()),
        ..UpstreamTls::default()
    };
    let error = UpstreamConnection::connect(&upstream(address, tls), PATIENCE)
        .await
        .unwrap_err();
    assert!(error.to_string().starts_with("/nowhere/ca.pem: "), "{error}");
}
