//! What the pool gives back.

use actix_http::Method;
use tokio::net::TcpStream;

use super::super::{Declared, Pool, ReusableConnection, Upstream};
use super::{Service, begin, response, say, write};

async fn reusable(service: &Service) -> (ReusableConnection, TcpStream) {
    let (connection, mut socket) = service.connection().await;
    let mut exchange = begin(connection, Method::GET, Declared::NoBody);
    write(&mut exchange).await;
    say(&mut socket, "HTTP/1.1 204 No Content\r\n\r\n").await;
    response(&mut exchange).await;
    super::expect(&mut socket, "HEAD\r\n\r\n").await;
    (exchange.finish().unwrap(), socket)
}

#[actix_web::test]
async fn a_connection_is_given_back_to_its_own_upstream_alone() {
    let (service, other) = (Service::start().await, Service::start().await);
    let pool = Pool::default();
    let (connection, _socket) = reusable(&service).await;
    pool.put(&service.upstream, connection);
    assert!(pool.take(&other.upstream).is_none());
    let replaced = Upstream::new(
        service.upstream.url.clone(),
        None,
        None,
        10,
        &shared::metrics::Registry::default(),
    );
    assert!(
        pool.take(&replaced).is_none(),
        "after a reload it may be reached in another way"
    );
    assert!(pool.take(&service.upstream).is_some());
    assert!(pool.take(&service.upstream).is_none());
}

#[actix_web::test]
async fn what_was_closed_or_spoke_out_of_turn_is_not_given_back() {
    let service = Service::start().await;
    let pool = Pool::default();
    let (closed, socket) = reusable(&service).await;
    drop(socket);
    let (spoke, mut socket) = reusable(&service).await;
    say(&mut socket, "HTTP/1.1 200 OK\r\n\r\n").await;
    for mut connection in [closed, spoke] {
        // What the other side did is known once it has come.
        tokio::time::timeout(super::PATIENCE, async {
            while connection.is_alive() {
                tokio::task::yield_now().await;
            }
        })
        .await
        .unwrap();
        pool.put(&service.upstream, connection);
        assert!(pool.take(&service.upstream).is_none());
    }
}
