//! Placeholder until the replay lands.
fn main() {}
