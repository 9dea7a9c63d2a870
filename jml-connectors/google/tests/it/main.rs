//! Google Workspace, against its fake over real sockets, and both against Google's own documents.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may stop")]

mod chromeos;
mod feed;
mod handing;
mod life;
mod parts;
mod quirks;
mod roles;
mod scopes;
mod suite;
mod world;
