//! The front page.

use demijohn::prelude::*;

/// The pages that belong to no other part of the site.
pub fn blueprint() -> Blueprint {
    Blueprint::new("home").route("/", get(index).name("index"))
}

#[derive(Context)]
#[template("home/index.html")]
struct Index {
    title: &'static str,
}

async fn index() -> Page<Index> {
    Page(Index {
        title: "{{ project_name }}",
    })
}
