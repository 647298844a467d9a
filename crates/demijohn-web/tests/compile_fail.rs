//! What does not compile, and that its message says what to do.

use demijohn_covers::covers;

#[test]
fn wrong_programs_are_explained() {
    // A view that returns nothing, and links whose arguments do not fit.
    covers!("http.view.function");
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
