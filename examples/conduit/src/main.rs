//! conduit.
fn main() {}
