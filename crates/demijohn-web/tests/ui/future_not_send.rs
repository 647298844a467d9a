//! A guard of a mutex across an await.
use demijohn_web::{Application, get};
use std::sync::Mutex;

static COUNT: Mutex<u32> = Mutex::new(0);

async fn index() -> String {
    let count = COUNT.lock().unwrap();
    later().await;
    count.to_string()
}

async fn later() {}

fn main() {
    let _ = Application::new().route("/", get(index));
}
