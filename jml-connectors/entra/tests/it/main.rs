//! Entra ID and Microsoft 365, against the fake over real sockets, and both against Graph's own documents.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test may stop"
)]

mod leaving;
mod life;
mod office;
mod special;
mod suite;
mod world;
