//! axum as its users serve it, one current-thread runtime per core.

use axum::{Json, Router, routing::get};
use shared::{MESSAGE, Message};

async fn json() -> Json<Message> {
    Json(MESSAGE)
}

async fn plaintext() -> &'static str {
    "Hello, World!"
}

fn worker() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let app = Router::new()
            .route("/json", get(json))
            .route("/plaintext", get(plaintext));
        let listener = tokio::net::TcpListener::from_std(shared::listener()).expect("the listener is ready");
        axum::serve(listener, app).await.expect("the server runs");
    });
}

fn main() {
    shared::on_every_core(worker);
}
