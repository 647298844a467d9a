//! techempower.
fn main() {}
