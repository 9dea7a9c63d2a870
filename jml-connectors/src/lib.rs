#![doc = include_str!("../README.md")]

pub use jml_core::provider;

#[cfg(feature = "csv")]
pub use jml_connector_csv as csv;
#[cfg(feature = "local")]
pub use jml_connector_local as local;
#[cfg(feature = "okta")]
pub use jml_connector_okta as okta;
