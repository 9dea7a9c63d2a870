//! JumpCloud, against its fake over real sockets, and both against JumpCloud's own documents.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may stop")]

mod fake;
mod life;
mod listing;
mod locks;
mod special;
mod suite;
mod world;
