//! Hooks of other shapes.
use demijohn_web::{Application, Request, Response};

async fn after(_: &mut Request) -> Response {
    Response::new("".into())
}

fn main() {
    let _ = Application::new().after(after);
    let _ = Application::new().before(async |_: &mut Request| 7);
}
