//! The household in a window.
fn main() {}
