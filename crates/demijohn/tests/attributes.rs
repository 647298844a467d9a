//! Routes declared by attributes.
#![cfg(feature = "attributes")]
#![allow(clippy::unwrap_used)]

use demijohn::prelude::*;
use demijohn_covers::covers;

#[get("/")]
async fn index() -> &'static str {
    "Hello, World!"
}

mod blog {
    use demijohn::prelude::*;

    #[get("/{id}/", name = "detail")]
    pub(super) async fn show(Path(id): Path<i64>) -> String {
        id.to_string()
    }

    #[post("/")]
    pub(super) async fn create() -> Redirect {
        Redirect::route(show, (7,)).see_other()
    }
}

#[test]
fn one_line_declares_a_route() {
    covers!("flask.routing.decorator");
    demijohn::test::block_on(async {
        let client = App::new()
            .routes(routes![index])
            .mount(
                "/blog",
                Blueprint::new("blog").routes(routes![blog::show, blog::create]),
            )
            .test_client();
        let response = client.get("/").await;
        assert_eq!((response.status().as_u16(), response.text()), (200, "Hello, World!"));
        assert_eq!(response.header("content-type"), Some("text/html; charset=utf-8"));
        assert_eq!(client.get("/blog/7/").await.text(), "7");
        assert_eq!(client.post("/blog/").await.header("location"), Some("/blog/7/"));
        assert_eq!(client.url_for("blog.detail", &[("id", "7")]).unwrap(), "/blog/7/");
        assert_eq!(client.url_for("index", &[]).unwrap(), "/");
    });
}
