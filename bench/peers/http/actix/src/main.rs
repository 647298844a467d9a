//! actix-web as its users serve it.

use actix_web::{App, HttpServer, Responder, get, web};

#[get("/json")]
async fn json() -> impl Responder {
    web::Json(shared::MESSAGE)
}

#[get("/plaintext")]
async fn plaintext() -> &'static str {
    "Hello, World!"
}

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    HttpServer::new(|| App::new().service(json).service(plaintext))
        .workers(shared::workers())
        .backlog(1024)
        .bind(shared::address())?
        .run()
        .await
}
