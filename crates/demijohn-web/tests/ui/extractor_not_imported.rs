//! `Path` of std's prelude is none, so the compiler says which to import.
use demijohn_web::{Application, get};

async fn show(Path(id): Path<i64>) -> String {
    id.to_string()
}

fn main() {
    let _ = Application::new().route("/{id}", get(show));
}
