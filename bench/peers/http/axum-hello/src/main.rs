use axum::{Router, routing::get};

#[tokio::main]
async fn main() {
    let address = std::env::args()
        .nth(3)
        .expect("usage: axum-hello serve --bind ADDR:PORT");
    let app = Router::new().route("/", get(async || "Hello, World!"));
    let listener = tokio::net::TcpListener::bind(address)
        .await
        .expect("the address is free");
    axum::serve(listener, app).await.expect("the server runs");
}
