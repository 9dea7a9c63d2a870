//! What a server says of itself (RFC 7643 section 5), and what it does not say.

use jml_connector_kit::Client;
use jml_core::provider::{Cx, Result};
use serde::Deserialize;

use crate::requests;

/// What a server can do. [`Capabilities::discover`] asks it; what no server says is set by whoever knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    clippy::struct_excessive_bools,
    reason = "what RFC 7643 section 5 lists, and two things that it does not"
)]
pub struct Capabilities {
    /// PATCH. Without it, resources are replaced whole.
    pub patch: bool,
    /// Operations of one bulk request; 0 for none.
    pub bulk: usize,
    /// The largest bulk request, in bytes.
    pub bulk_bytes: usize,
    /// Filters. Without them, whoever is looked for is found by reading everybody.
    pub filter: bool,
    /// Rows of one page.
    pub page: u32,
    /// Entity tags are checked.
    pub etag: bool,
    /// Pages by cursor (RFC 9865), which deletions do not move.
    pub cursor: bool,
    /// How members are taken out of a group. No server says it.
    pub removal: MemberRemoval,
    /// Whether deleting really deletes. Some servers only deactivate; then it is not declared. No server
    /// says it.
    pub deletes: bool,
}

/// The two ways of taking a member out of a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there are two")]
pub enum MemberRemoval {
    /// `path: members[value eq "..."]` (RFC 7644 section 3.5.2.2).
    #[default]
    Path,
    /// `path: members` with the member as `value`, as Entra writes it. A server that does not know it takes
    /// everybody out of the group: choose it only for one that is known to want it.
    Value,
}

impl Default for Capabilities {
    /// What every server should have: PATCH, filters and pages by number.
    fn default() -> Self {
        Self {
            patch: true,
            bulk: 0,
            bulk_bytes: 1 << 20,
            filter: true,
            page: 100,
            etag: false,
            cursor: false,
            removal: MemberRemoval::Path,
            deletes: true,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Config {
    #[serde(default)]
    patch: Supported,
    #[serde(default)]
    bulk: Bulk,
    #[serde(default)]
    filter: Filter,
    #[serde(default)]
    etag: Supported,
    #[serde(default)]
    pagination: Pagination,
}

#[derive(Default, Deserialize)]
struct Supported {
    supported: Option<bool>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bulk {
    #[serde(default)]
    supported: bool,
    max_operations: Option<usize>,
    max_payload_size: Option<usize>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Filter {
    supported: Option<bool>,
    max_results: Option<u32>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Pagination {
    #[serde(default)]
    cursor: bool,
    max_page_size: Option<u32>,
}

impl Capabilities {
    /// Asks a server. What it does not say is as in [`Capabilities::default`].
    ///
    /// # Errors
    /// [`Error`](jml_core::provider::Error) when it does not answer, or has no such configuration.
    pub async fn discover(cx: &Cx, client: &Client) -> Result<Self> {
        let config: Config = client.fetch(cx, requests::config()).await?;
        let most = config.pagination.max_page_size.or(config.filter.max_results);
        let usual = Self::default();
        let operations = config.bulk.max_operations.unwrap_or(100);
        let bytes = config.bulk.max_payload_size.filter(|it| *it > 0);
        Ok(Self {
            patch: config.patch.supported.unwrap_or(usual.patch),
            bulk: if config.bulk.supported { operations } else { usual.bulk },
            bulk_bytes: bytes.unwrap_or(usual.bulk_bytes),
            filter: config.filter.supported.unwrap_or(usual.filter),
            page: most.filter(|it| *it > 0).unwrap_or(usual.page).min(usual.page),
            etag: config.etag.supported.unwrap_or(usual.etag),
            cursor: config.pagination.cursor,
            ..usual
        })
    }
}
