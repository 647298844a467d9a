//! A plain value is no argument of a handler.
use demijohn_web::{Application, get};

struct Config;

async fn index(config: Config) -> &'static str {
    let _ = config;
    "index"
}

fn main() {
    let _ = Application::new().route("/", get(index));
}
