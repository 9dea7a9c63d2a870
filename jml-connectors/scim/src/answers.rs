//! What a server answers, as values. Nothing here knows a network.

use jml_connector_kit::fields::from_json;
use jml_connector_kit::{Failure, Verdict};
use jml_core::account::{AccountState, AccountStatus};
use jml_core::entitlement::EntitlementKey;
use jml_core::id::{AccountId, AttributeName, EntitlementId, IdentityId, KindId};
use jml_core::provider::{Error, ErrorKind, RefusalReason, Result};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::requests::{ENTERPRISE, FIELDS, Spot, spot};

/// A page (RFC 7644 section 3.4.2, RFC 9865 section 2).
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Listing {
    /// Of how many. A listing by cursor may not know it.
    pub(crate) total_results: Option<u64>,
    pub(crate) next_cursor: Option<String>,
    /// Some servers leave it out when it would be empty, which the RFC allows.
    #[serde(rename = "Resources", default)]
    pub(crate) resources: Vec<Resource>,
    /// Every listing says that it is one.
    schemas: Vec<String>,
}

impl Listing {
    /// Whether it is a page, and not the empty object of a gateway.
    pub(crate) fn checked(self) -> Result<Self> {
        let is = self.schemas.iter().any(|it| it.ends_with(":ListResponse"));
        if is {
            return Ok(self);
        }
        Err(Error::new(ErrorKind::ContractViolation, "the answer is no listing"))
    }
}

/// A user or a group.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Resource {
    pub(crate) id: AccountId,
    #[serde(flatten)]
    pub(crate) body: Map<String, Value>,
}

impl Resource {
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.body.get(name)?.as_str().filter(|it| !it.is_empty())
    }

    /// The user as a whole, for sending it back.
    pub(crate) fn whole(&self) -> Map<String, Value> {
        let mut body = self.body.clone();
        body.insert("id".into(), self.id.as_str().into());
        body
    }

    /// Whether it is switched on. Who says nothing is on; some servers say it as a text.
    fn active(&self) -> bool {
        match self.body.get("active") {
            Some(Value::Bool(it)) => *it,
            Some(Value::String(text)) => !text.eq_ignore_ascii_case("false"),
            _ => true,
        }
    }

    fn at(&self, pointer: &'static str) -> Option<&Value> {
        match spot(pointer) {
            Spot::Top(name) => self.body.get(name),
            Spot::Inner(outer, name) => self.body.get(outer)?.get(name),
            Spot::Enterprise(name) => self.body.get(ENTERPRISE)?.get(name),
            Spot::Manager => self.body.get(ENTERPRISE)?.pointer("/manager/value"),
            Spot::Typed(list, kind) => {
                let all = self.body.get(list)?.as_array()?;
                all.iter().find(|it| it["type"] == kind)?.get("value")
            }
        }
    }

    pub(crate) fn version(&self) -> Option<&str> {
        self.body.get("meta")?.get("version")?.as_str()
    }

    /// The account, without what it holds.
    pub(crate) fn account(&self, versions: bool) -> AccountState {
        let status = if self.active() { AccountStatus::Active } else { AccountStatus::Disabled };
        let name = self.text("userName").unwrap_or_default();
        let mut state = AccountState::new(self.id.clone(), name, status);
        state.external_id = self.text("externalId").and_then(|it| IdentityId::new(it).ok());
        for (name, pointer) in FIELDS.0 {
            let value = self.at(pointer).and_then(from_json);
            if let (Ok(name), Some(value)) = (AttributeName::new(name), value) {
                state.attributes.insert(name, value);
            }
        }
        if versions {
            state.version = self.version().map(Into::into);
        }
        state
    }

    /// The groups that a user shows; `None` when it shows none, which may mean that the server never does: some
    /// write an empty list for everybody.
    pub(crate) fn groups(&self, kind: &KindId) -> Option<Vec<EntitlementKey>> {
        let all = self.body.get("groups")?.as_array().filter(|all| !all.is_empty())?;
        let direct = all.iter().filter(|it| it["type"] != "indirect");
        let ids = direct.filter_map(|it| EntitlementId::new(it["value"].as_str()?).ok());
        Some(ids.map(|id| EntitlementKey::new(kind.clone(), id)).collect())
    }

    /// The group as an entitlement.
    pub(crate) fn key(&self, kind: &KindId) -> Result<EntitlementKey> {
        let id = EntitlementId::new(self.id.as_str());
        let id = id.map_err(|e| Error::new(ErrorKind::ContractViolation, e.to_string()))?;
        Ok(EntitlementKey::new(kind.clone(), id))
    }

    /// Who is in the group, groups in it left out where the server tells them apart.
    pub(crate) fn members(&self) -> Vec<AccountId> {
        let all = self.body.get("members").and_then(Value::as_array);
        let users = all.into_iter().flatten().filter(|it| it["type"] != "Group");
        users.filter_map(|it| AccountId::new(it["value"].as_str()?).ok()).collect()
    }
}

/// An answer to a bulk request.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct BulkAnswer {
    #[serde(rename = "Operations", default)]
    pub(crate) operations: Vec<BulkResult>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct BulkResult {
    #[serde(rename = "bulkId")]
    pub(crate) id: Option<String>,
    /// A text by the RFC, a number by some servers.
    status: Value,
    location: Option<String>,
    #[serde(default)]
    response: Value,
}

impl BulkResult {
    pub(crate) fn status(&self) -> u16 {
        match &self.status {
            Value::String(text) => text.parse().unwrap_or(0),
            Value::Number(number) => {
                number.as_u64().and_then(|it| u16::try_from(it).ok()).unwrap_or(0)
            }
            _ => 0,
        }
    }

    /// Whether it is about the resource at a path below the server's base.
    pub(crate) fn is_at(&self, path: &str) -> bool {
        self.location.as_deref().is_some_and(|it| it.ends_with(path))
    }

    /// What the answer to this operation alone would have been.
    pub(crate) const fn response(&self) -> &Value {
        &self.response
    }
}

/// What a `scimType` means (RFC 7644 section 3.12, RFC 9865 section 4).
fn kind_of(kind: &str) -> Option<ErrorKind> {
    Some(match kind {
        "uniqueness" => ErrorKind::AlreadyExists,
        // What should have been taken away was not there.
        "noTarget" => ErrorKind::NotFound,
        "mutability" => ErrorKind::Refused(RefusalReason::Immutable),
        "invalidVers" => ErrorKind::Conflict,
        "invalidCursor" | "expiredCursor" => ErrorKind::CursorExpired,
        _ => return None,
    })
}

/// What SCIM means by its codes; everything else is in the kit's table. The `status` within the body is not
/// looked at: it is a text here and a number there.
pub(crate) fn classify(failure: &Failure<'_>) -> Option<Verdict> {
    kind_of(failure.text("/scimType")?).map(Verdict::of)
}
