//! The site as its visitors meet it.

use demijohn::test::block_on;

#[test]
fn the_front_page_is_there() {
    block_on(async {
        let client = {{ crate_name }}::app().test_client();
        client.get("/").await.assert_contains("<h1>{{ project_name }}</h1>");
        client.get("/nothing").await.assert_status(404);
    });
}
