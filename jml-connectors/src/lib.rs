#![doc = include_str!("../README.md")]

pub use jml_core::provider;

#[cfg(feature = "csv")]
pub use jml_connector_csv as csv;
#[cfg(feature = "entra")]
pub use jml_connector_entra as entra;
#[cfg(feature = "google")]
pub use jml_connector_google as google;
#[cfg(feature = "jumpcloud")]
pub use jml_connector_jumpcloud as jumpcloud;
#[cfg(feature = "kit")]
pub use jml_connector_kit as kit;
#[cfg(feature = "local")]
pub use jml_connector_local as local;
#[cfg(feature = "okta")]
pub use jml_connector_okta as okta;
#[cfg(feature = "scim")]
pub use jml_connector_scim as scim;
