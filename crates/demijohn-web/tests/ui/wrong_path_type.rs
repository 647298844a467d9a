//! A type that is no parameter of a path, and `Json` of what serde does not know.
use demijohn_web::{Application, Json, Path, get, post};

struct Id(i64);

async fn show(Path(id): Path<Id>) -> String {
    id.0.to_string()
}

async fn create(Json(id): Json<Id>) -> String {
    id.0.to_string()
}

fn main() {
    let _ = Application::new().route("/{id}", get(show)).route("/", post(create));
}
