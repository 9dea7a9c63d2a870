#![doc = include_str!("../README.md")]

pub mod account;
pub mod attribute;
pub mod builtin;
pub mod canon;
pub mod claim;
pub mod clock;
pub mod desired;
pub mod digest;
pub mod entitlement;
pub mod explain;
pub mod facts;
pub mod id;
pub mod identity;
pub mod journal;
pub mod nearest;
pub mod plan;
pub mod policy;
pub mod policy_check;
#[cfg(any(feature = "yaml", feature = "toml"))]
pub mod policy_file;
pub mod provider;
pub mod role;
pub mod rule;
pub mod sod;
pub mod source;
pub mod time;
