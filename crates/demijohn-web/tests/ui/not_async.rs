//! A function that is not async.
use demijohn_web::{Application, get};

fn index() -> &'static str {
    "index"
}

fn main() {
    let _ = Application::new().route("/", get(index));
}
