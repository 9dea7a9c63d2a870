//! The HTTP client of connectors: one attempt per call, nothing hidden.
//!
//! - The base URL is injected, so every connector runs against a fake.
//! - Paths are built from segments that are encoded one by one ([`path!`](crate::path)).
//! - A next link must lead to the same origin, or the token would travel with it.
//! - Redirects are not followed.
//! - Answers have a largest size.
//! - One table maps status codes to errors; a vendor adds what is special ([`Client::classifying`]).
//! - Whatever an error says is cleaned of the credential.

mod classify;
mod client;
mod paging;
mod path;
mod request;
mod retry_after;
mod sweep;
mod transport;

pub use classify::{Failure, Verdict, kind_of_status};
pub use client::{Client, ClientError, Response};
pub use paging::{expired, link_next, pages};
pub use path::Path;
pub use request::{Body, Request};
pub use retry_after::{retry_after, server_time};
pub use sweep::{Step, Sweep};
pub use transport::{ReqwestTransport, Transport, TransportError, transport_fn};

/// The types of requests and answers.
pub use ::http as types;
