//! Wrong programs and what the compiler says of them: the messages are part of the API.
#![allow(missing_docs, unused_crate_dependencies)]

#[test]
fn wrong_programs_are_refused_with_a_mend() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
