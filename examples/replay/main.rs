//! Replays a real access history through claims, delta, plan and a provider.
mod file;
mod model;
mod truth;

fn main() {}
