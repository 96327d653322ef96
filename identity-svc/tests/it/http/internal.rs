//! What gateways ask, and nobody else can.

use crate::support::{PASSWORD, Setup, TestApp};

async fn ready(app: &TestApp) -> u16 {
    let url = format!("http://{}/internal/ready", app.running.address);
    awc::Client::new()
        .get(url)
        .send()
        .await
        .unwrap()
        .status()
        .as_u16()
}

#[actix_web::test]
async fn a_replica_about_to_stop_tells_gateways_and_answers_once_more_on_each_connection() {
    let app = Setup::sqlite().spawn().await;
    app.register("ann").await;
    assert_eq!(ready(&app).await, 204);
    assert_eq!(app.login("ann", PASSWORD).await.header("connection"), "");
    app.running.drain();
    assert_eq!(ready(&app).await, 503);
    let answer = app.login("ann", PASSWORD).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("connection"), "close");
}
