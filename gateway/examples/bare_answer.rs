//! The floor that `scripts/bench-gateway.sh` measures against: actix-web takes a small JSON body and answers `{}`.

use actix_web::{App, HttpResponse, HttpServer, web};

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    let address = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:8090".to_owned());
    HttpServer::new(|| {
        App::new().default_service(web::to(|_body: web::Bytes| async {
            HttpResponse::Ok().content_type("application/json").body("{}")
        }))
    })
    .bind(address)?
    .run()
    .await
}
