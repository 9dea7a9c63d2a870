//! What another policy would do, to everybody, before it does it.
//!
//! [`preview`] compares two policies on the same people and the same world: who would be entitled to something
//! more, who to something less, which separations of duties would withhold something, and what carrying it out
//! would come to. [`backtest`] does the first half of that over a history of what HR said.
//!
//! Rules see a few attributes only, so claims are computed once for each distinct set of their values
//! ([`Preview::profiles`] says how many there were), and person by person only for people with requests,
//! exceptions, reviews, several engagements or a life that has not begun or is over, and under policies that let
//! access overlap a move.

mod backtest;
mod preview;
mod profiles;
mod text;

pub use backtest::{Snapshot, Tested, backtest};
pub use preview::{Preview, PreviewInput, preview};
