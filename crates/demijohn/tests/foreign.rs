//! What was made for others mounts.
#![cfg(feature = "tower")]

use demijohn::prelude::*;
use demijohn::test::block_on;

#[test]
fn a_router_of_axum_mounts() {
    block_on(async {
        let router = axum::Router::new().route("/hello", axum::routing::get(async || "from axum"));
        let client = App::new().mount_service("/old", router).test_client();
        assert_eq!(client.get("/old/hello").await.text(), "from axum");
    });
}
