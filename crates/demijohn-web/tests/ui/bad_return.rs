//! A handler that returns nothing, and one that returns what is no reply.
use demijohn_web::{Application, get};

struct Article;

async fn nothing() {
    "a semicolon too many";
}

async fn article() -> Article {
    Article
}

fn main() {
    let _ = Application::new().route("/", get(nothing)).route("/article", get(article));
}
