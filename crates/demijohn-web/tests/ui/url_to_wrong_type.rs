//! An argument of another type, and too many of them.
use demijohn_web::{Path, url_to};

async fn show(Path(id): Path<i64>) -> String {
    id.to_string()
}

fn main() {
    let _ = url_to(show, ("seven",));
    let _ = url_to(show, (7, 8));
}
