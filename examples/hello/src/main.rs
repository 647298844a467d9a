//! hello.
fn main() {}
