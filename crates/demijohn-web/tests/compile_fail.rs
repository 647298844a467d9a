//! What does not compile, and that its message says what to do.
//!
//! Messages list what would fit, and with more features more would.
#![cfg(not(any(feature = "axum", feature = "multipart")))]

use demijohn_covers::covers;

#[test]
fn wrong_programs_are_explained() {
    // A view that returns nothing, and links whose arguments do not fit.
    covers!("http.view.function");
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
