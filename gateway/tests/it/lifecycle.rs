//! Start and stop.

use gateway::Settings;
use shared::env::Env;

use crate::support::{Client, Echo, get, post, start_gateway};

#[actix_web::test]
async fn a_stop_lets_requests_under_way_finish_and_takes_no_new_ones() {
    let echo = Echo::start();
    let gateway = start_gateway(echo.address, |_| {}).await;
    let address = gateway.address;
    let mut waiting = Client::connect(&gateway).await;
    waiting.send(post("/api/auth/held/", "{}")).await;
    echo.arrived().await;
    let mut sending = Client::connect(&gateway).await;
    sending.send(post("/api/auth/login/", "{}")).await;
    assert_eq!(sending.answer().await.unwrap().status, 200);
    sending
        .send(
            "POST /api/auth/held/ HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n{",
        )
        .await;
    sending.told_to_go_on().await;
    let mut idle = Client::connect(&gateway).await;
    idle.send(post("/api/auth/login/", "{}")).await;
    assert_eq!(idle.answer().await.unwrap().status, 200);

    let stop = tokio::spawn(gateway.stop());
    assert!(idle.is_closed().await);
    sending.send("}").await;
    echo.arrived().await;
    echo.release_all();
    for client in [&mut waiting, &mut sending] {
        let answer = client.answer().await.unwrap();
        assert_eq!((answer.status, answer.json()["body"].as_str()), (200, Some("{}")));
        assert!(client.is_closed().await);
    }
    stop.await.unwrap();
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

#[actix_web::test]
async fn an_address_in_use_is_told_in_one_sentence() {
    let gateway = start_gateway(Echo::start().address, |_| {}).await;
    let env = Env::from_pairs([("GATEHOUSE_GATEWAY_LISTEN", gateway.address.to_string())]);
    let error = gateway::service::start(Settings::from_env(&env), None)
        .await
        .unwrap_err();
    let address = gateway.address;
    assert_eq!(
        error.to_string(),
        format!("cannot listen on {address}: address already in use; set GATEHOUSE_GATEWAY_LISTEN")
    );
    assert_eq!(get(&gateway, "/api/auth/login/", "").await.status, 200);
}
