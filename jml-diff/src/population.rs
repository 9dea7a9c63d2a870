//! Everybody at once.
pub mod flat;
mod deltas;
mod edit;
mod stamp;
