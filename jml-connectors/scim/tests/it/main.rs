//! SCIM, against its fake over real sockets, both against the RFCs' own shapes, and the connector against
//! servers that nobody here wrote.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test may stop"
)]

mod life;
mod servers;
mod special;
mod suite;
mod world;
