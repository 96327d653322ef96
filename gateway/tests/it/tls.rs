//! TLS, HTTP/2 over it, and the PROXY protocol.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use gateway::{Running, TlsFiles};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::support::{Answer, Client, Echo, start_gateway};

/// Writes a new certificate for `gate.example` and returns it.
fn certificate(folder: &Path) -> (TlsFiles, CertificateDer<'static>) {
    let made = rcgen::generate_simple_self_signed(["gate.example".to_owned()]).unwrap();
    let files = TlsFiles {
        certificate: folder.join("cert.pem"),
        key: folder.join("key.pem"),
    };
    std::fs::write(&files.certificate, made.cert.pem()).unwrap();
    std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
    (files, made.cert.der().clone())
}

async fn connect(
    gateway: &Running,
    trusted: &CertificateDer<'static>,
    protocol: &str,
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    let socket = TcpStream::connect(gateway.address).await?;
    let name = ServerName::try_from("gate.example").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, socket).await
}

#[actix_web::test]
async fn a_client_speaks_tls_and_services_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let (files, trusted) = certificate(folder.path());
    let gateway = start_gateway(Echo::start().address, |settings| settings.tls = Some(files)).await;
    let mut stream = connect(&gateway, &trusted, "http/1.1").await.unwrap();
    let request = b"GET /api/auth/user/ HTTP/1.1\r\nHost: gate.example\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
    assert!(text.contains(r#"["x-forwarded-proto","https"]"#), "{text}");
    let stay = "strict-transport-security: max-age=31536000\r\n";
    assert!(text.contains(stay), "browsers are told to stay with TLS: {text}");
}

#[actix_web::test]
async fn a_new_certificate_is_used_after_a_reload_and_a_bad_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let (files, old) = certificate(folder.path());
    let gateway = start_gateway(Echo::start().address, |settings| {
        settings.tls = Some(files.clone());
    })
    .await;
    let mut before = connect(&gateway, &old, "http/1.1").await.unwrap();
    let (_, new) = certificate(folder.path());
    gateway.reload();
    assert!(connect(&gateway, &old, "http/1.1").await.is_err());
    assert!(connect(&gateway, &new, "http/1.1").await.is_ok());
    std::fs::write(&files.key, "nonsense").unwrap();
    gateway.reload();
    assert!(connect(&gateway, &new, "http/1.1").await.is_ok());
    before
        .write_all(b"GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    assert!(before.read_u8().await.is_ok(), "connections that exist go on");
}

#[actix_web::test]
async fn http_2_goes_by_the_same_rules() {
    let folder = tempfile::tempdir().unwrap();
    let (files, trusted) = certificate(folder.path());
    let gateway = start_gateway(Echo::start().address, |settings| settings.tls = Some(files)).await;
    let stream = connect(&gateway, &trusted, "h2").await.unwrap();
    let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
    actix_web::rt::spawn(async move { drop(connection.await) });
    let mut ask = async |method: &str, path: &str, headers: &[(&str, &str)], body: &'static [u8]| {
        let uri = format!("https://gate.example{path}");
        let mut request = http_1::Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (answer, mut send) = client
            .send_request(request.body(()).unwrap(), body.is_empty())
            .unwrap();
        if !body.is_empty() {
            send.send_data(Bytes::from_static(body), true).unwrap();
        }
        let answer = answer.await.unwrap();
        let (parts, mut stream) = answer.into_parts();
        let mut body = Vec::new();
        while let Some(piece) = stream.data().await {
            let piece = piece.unwrap();
            stream.flow_control().release_capacity(piece.len()).unwrap();
            body.extend_from_slice(&piece);
        }
        Answer {
            status: parts.status.as_u16(),
            head: format!("{:?}", parts.headers),
            body: String::from_utf8(body).unwrap(),
        }
    };
    let forged = [
        ("x-auth-user-id", "1"),
        ("x_auth_user_id", "1"),
        ("cookie", "a=1"),
        ("cookie", "b=2"),
    ];
    let answer = ask("POST", "/api/auth/login/?x", &forged, b"{}").await;
    assert_eq!((answer.status, answer.json()["body"].as_str()), (200, Some("{}")));
    assert_eq!(answer.json()["target"], "/api/auth/login/?x");
    assert_eq!(answer.seen("cookie").unwrap(), "a=1; b=2");
    assert_eq!(answer.seen("x-forwarded-host").unwrap(), "gate.example");
    assert!(!answer.body.contains("auth_user") && !answer.body.contains("auth-user"));
    assert_eq!(ask("GET", "/api/auth/../internal/x", &[], b"").await.status, 404);
    assert_eq!(ask("HEAD", "/api/auth/login/", &[], b"").await.body, "");
    assert_eq!(ask("TRACE", "/api/auth/login/", &[], b"").await.status, 405);
    let twice = [("authorization", "Bearer a"), ("authorization", "Bearer b")];
    assert_eq!(ask("GET", "/api/auth/login/", &twice, b"").await.status, 400);
    let long = "x".repeat(500_000);
    let answer = ask(
        "POST",
        "/api/auth/login/",
        &[],
        Box::leak(long.into_boxed_str()).as_bytes(),
    )
    .await;
    assert_eq!(answer.json()["body"].as_str().unwrap().len(), 500_000);
}

#[actix_web::test]
async fn a_trusted_proxy_says_by_the_proxy_protocol_who_the_client_is() {
    let echo = Echo::start();
    let gateway = start_gateway(echo.address, |settings| {
        settings.proxy_protocol = true;
        settings.trusted_proxies = "127.0.0.1".parse().unwrap();
    })
    .await;
    let request = "GET /api/auth/user/ HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut client = Client::connect(&gateway).await;
    client
        .send(format!("PROXY TCP4 192.0.2.9 127.0.0.1 1024 80\r\n{request}"))
        .await;
    let answer = client.answer().await.unwrap();
    assert_eq!(answer.seen("x-forwarded-for").unwrap(), "192.0.2.9");

    let mut client = Client::connect(&gateway).await;
    let block = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x0a\x7f\0\0\x01\x04\0\0\x50";
    client.send(block).await;
    client.send(request).await;
    let answer = client.answer().await.unwrap();
    assert_eq!(answer.seen("x-forwarded-for").unwrap(), "192.0.2.10");

    let mut client = Client::connect(&gateway).await;
    client.try_send(request).await;
    assert!(client.is_closed().await, "a proxy that says nothing is refused");
}
