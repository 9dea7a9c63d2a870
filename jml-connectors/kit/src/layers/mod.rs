//! Layers. Each is one function that sees every call; where it stands is its own business.

mod breaker;
mod guard;
mod limits;
mod observe;
mod retry;
mod time;
mod trace;

pub use breaker::Breaker;
pub use guard::{ChangeBudget, Guard, ReadOnly};
pub use limits::{Concurrency, Rate};
pub use observe::Observe;
pub use retry::{Retry, RetryPolicy};
pub use time::{Attempt, Deadline};
pub use trace::Trace;
