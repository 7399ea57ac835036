//! What people see.
fn main() {}
