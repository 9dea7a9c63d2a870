//! Okta, against its fake over real sockets, and both against Okta's own documents.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test may stop"
)]

mod life;
mod special;
mod suite;
mod world;
