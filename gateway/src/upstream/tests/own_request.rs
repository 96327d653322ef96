//! What the gateway asks itself: the whole response, and no more than it may be.

use actix_http::Method;

use super::super::{Group, OwnRequest, OwnRequestError, Pool, Requester};
use super::{PATIENCE, Service, say};

async fn ask(response: &str) -> Result<Vec<u8>, OwnRequestError> {
    let service = Service::start().await;
    let (group, pool) = (Group::new(vec![service.upstream.clone()]), Pool::default());
    let own = OwnRequest {
        method: Method::GET,
        target: "/",
        body: None,
        timeout: PATIENCE,
        max_bytes: 10,
    };
    let serve = async {
        let (mut socket, _) = service.listener.accept().await.unwrap();
        say(&mut socket, response).await;
        socket
    };
    let (outcome, _socket) = tokio::join!(own.ask(&group, &pool, Requester::Upkeep), serve);
    outcome.map(|(_, body)| body.to_vec())
}

#[actix_web::test]
async fn a_response_is_bounded_however_its_length_is_told() {
    for head in [
        "content-length: 11\r\n\r\n0123456789a",
        "transfer-encoding: chunked\r\n\r\n6\r\n012345\r\n5\r\n6789a\r\n0\r\n\r\n",
    ] {
        let outcome = ask(&format!("HTTP/1.1 200 OK\r\n{head}")).await;
        assert!(matches!(outcome, Err(OwnRequestError::TooLarge)), "{outcome:?}");
    }
    for head in [
        "content-length: 10\r\n\r\n0123456789",
        "transfer-encoding: chunked\r\n\r\n6\r\n012345\r\n4\r\n6789\r\n0\r\n\r\n",
    ] {
        let body = ask(&format!("HTTP/1.1 200 OK\r\n{head}")).await.unwrap();
        assert_eq!(body, b"0123456789");
    }
}
