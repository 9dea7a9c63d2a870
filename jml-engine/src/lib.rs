#![doc = include_str!("../README.md")]

pub mod brake;
mod clock;
mod drive;
mod engine;
pub mod feed;
mod history;
pub mod machine;
mod ports;
pub mod store;
pub mod timeline;
pub mod view;
mod watch;

pub use clock::SystemClock;
pub use drive::{DriveError, Driven, drive};
pub use engine::{
    Batch, Engine, EngineError, Enqueued, Executed, Openings, Request, RunReport, Selection,
    Simulation, Vote, Worked,
};
pub use ports::{People, Ports, Silent};
pub use watch::Watch;
