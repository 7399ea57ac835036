//! Multi-step commands.
fn main() {}
