//! What JumpCloud answers, as values. Nothing here knows a network.

use std::collections::BTreeMap;

use jml_connector_kit::fields::from_json;
use jml_connector_kit::{Failure, Verdict};
use jml_core::account::{AccountState, AccountStatus};
use jml_core::entitlement::EntitlementKey;
use jml_core::id::{AccountId, AttributeName, EntitlementId, IdError, IdentityId, KindId};
use jml_core::provider::{ErrorKind, RetryAdvice};
use serde::Deserialize;
use serde_json::Value;

use crate::requests::{FIELDS, OWNER};
use crate::window::Listed;

/// <https://docs.jumpcloud.com/api/1.0/index.html#tag/Systemusers>
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct User {
    #[serde(rename = "_id")]
    pub(crate) id: AccountId,
    username: String,
    pub(crate) state: State,
    #[serde(default)]
    totp_enabled: bool,
    #[serde(default, rename = "mfaEnrollment")]
    enrolment: Enrolment,
    #[serde(flatten)]
    rest: BTreeMap<String, Value>,
}

/// The state of a user. A lock after wrong passwords (`account_locked`) is none: it ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum State {
    Staged,
    Activated,
    Suspended,
}

impl State {
    pub(crate) const fn ours(self) -> AccountStatus {
        match self {
            Self::Staged => AccountStatus::Staged,
            Self::Activated => AccountStatus::Active,
            Self::Suspended => AccountStatus::Disabled,
        }
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Enrolment {
    #[serde(default, rename = "webAuthnStatus")]
    web_authn: String,
    #[serde(default, rename = "jcGoStatus")]
    go: String,
}

impl User {
    pub(crate) fn text(&self, field: &str) -> Option<&str> {
        self.rest.get(field)?.as_str().filter(|text| !text.is_empty())
    }

    /// Whether a field has a value. Names and addresses have no case.
    pub(crate) fn says(&self, field: &str, value: &str) -> bool {
        match field {
            "username" => self.username.eq_ignore_ascii_case(value),
            "email" => self.text(field).is_some_and(|it| it.eq_ignore_ascii_case(value)),
            _ => self.text(field) == Some(value),
        }
    }

    /// The account, without what needs further calls.
    pub(crate) fn account(&self) -> AccountState {
        let mut state = AccountState::new(self.id.clone(), &self.username, self.state.ours());
        state.external_id = self.text(OWNER).and_then(|text| IdentityId::new(text).ok());
        for (field, value) in &self.rest {
            let name = FIELDS.name(field).and_then(|name| AttributeName::new(name).ok());
            if let (Some(name), Some(value)) = (name, from_json(value)) {
                state.attributes.insert(name, value);
            }
        }
        state
    }

    /// Whether there is a key for one-time codes.
    pub(crate) const fn has_codes(&self) -> bool {
        self.totp_enabled
    }

    /// Factors that no call takes away: security keys and JumpCloud Go.
    pub(crate) fn stubborn_factors(&self) -> usize {
        let all = [&self.enrolment.web_authn, &self.enrolment.go];
        all.into_iter().filter(|it| *it == "ENROLLED").count()
    }
}

impl Listed for User {
    fn place(&self) -> &str {
        self.id.as_str()
    }
}

/// The kinds of entitlement.
#[derive(Clone, Debug)]
pub(crate) struct Kinds {
    pub(crate) group: KindId,
    pub(crate) dynamic_group: KindId,
    pub(crate) app: KindId,
    pub(crate) system: KindId,
    pub(crate) sudo: KindId,
    pub(crate) device_group: KindId,
    pub(crate) directory: KindId,
}

impl Kinds {
    /// What an edge to something gives; nothing for what is no entitlement here. The id of a directory says of
    /// which type it is.
    pub(crate) fn key(&self, node: &Node) -> Result<Option<EntitlementKey>, IdError> {
        let (kind, id) = match node.kind.as_str() {
            "application" => (&self.app, EntitlementId::new(&node.id)?),
            "system" => (&self.system, EntitlementId::new(&node.id)?),
            "system_group" => (&self.device_group, EntitlementId::new(&node.id)?),
            of if directories(of).is_some() => {
                (&self.directory, EntitlementId::new(format!("{of}/{}", node.id))?)
            }
            _ => return Ok(None),
        };
        Ok(Some(EntitlementKey::new(kind.clone(), id)))
    }
}

/// Types of directories that a user can be bound to, and where those of a type are.
const DIRECTORIES: [(&str, &str); 4] = [
    ("active_directory", "activedirectories"),
    ("g_suite", "gsuites"),
    ("ldap_server", "ldapservers"),
    ("office_365", "office365s"),
];

/// A type of directories as the graph has it, and where those are; nothing for a type that no user is bound to.
pub(crate) fn directories(kind: &str) -> Option<(&'static str, &'static str)> {
    DIRECTORIES.into_iter().find(|it| it.0 == kind)
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Group {
    pub(crate) id: EntitlementId,
    #[serde(default)]
    pub(crate) name: String,
    #[serde(default, rename = "membershipMethod")]
    method: String,
}

/// The membership methods of groups whose members a query decides.
pub(crate) const DYNAMIC: [&str; 2] = ["DYNAMIC_AUTOMATED", "DYNAMIC_REVIEW_REQUIRED"];

impl Group {
    pub(crate) fn is_dynamic(&self) -> bool {
        DYNAMIC.contains(&self.method.as_str())
    }

    /// The entitlement. Members of a dynamic group cannot be changed.
    pub(crate) fn key(&self, kinds: &Kinds) -> EntitlementKey {
        let kind = if self.is_dynamic() { &kinds.dynamic_group } else { &kinds.group };
        EntitlementKey::new(kind.clone(), self.id.clone())
    }
}

impl Listed for Group {
    fn place(&self) -> &str {
        self.id.as_str()
    }
}

/// A directory: Google Workspace, Microsoft 365, LDAP, Active Directory.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Directory {
    #[serde(flatten)]
    pub(crate) node: Node,
    #[serde(default)]
    pub(crate) name: String,
}

impl Listed for Directory {
    fn place(&self) -> &str {
        &self.node.id
    }
}

/// An application or a device.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Thing {
    #[serde(rename = "_id")]
    pub(crate) id: EntitlementId,
    #[serde(default, rename = "displayLabel")]
    label: String,
    #[serde(default, rename = "displayName")]
    display_name: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    hostname: String,
    #[serde(default, rename = "osFamily")]
    os: String,
}

impl Thing {
    /// Whether it is a device that takes a lock: Linux and Windows do.
    pub(crate) fn takes_lock(&self) -> bool {
        ["linux", "windows"].iter().any(|it| self.os.eq_ignore_ascii_case(it))
    }

    pub(crate) fn title(&self) -> &str {
        let names = [&self.label, &self.display_name, &self.hostname, &self.name];
        names.into_iter().find(|it| !it.is_empty()).map_or("", String::as_str)
    }
}

impl Listed for Thing {
    fn place(&self) -> &str {
        self.id.as_str()
    }
}

/// An edge, by what it leads to.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Edge {
    pub(crate) to: Node,
    #[serde(default)]
    from: Option<Node>,
    #[serde(default)]
    attributes: Value,
}

impl Edge {
    /// Whether it lets a user do everything on a device.
    pub(crate) fn is_sudo(&self) -> bool {
        self.attributes.pointer("/sudo/enabled").and_then(Value::as_bool) == Some(true)
    }

    fn ends(&self) -> impl Iterator<Item = &Node> {
        self.from.iter().chain([&self.to])
    }
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Node {
    pub(crate) id: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
}

impl Node {
    fn is_group(&self) -> bool {
        self.kind == "user_group"
    }
}

impl Listed for Edge {
    fn place(&self) -> &str {
        &self.to.id
    }
}

/// Something that is bound, with every way on which it is.
/// <https://docs.jumpcloud.com/api/2.0/index.html#tag/Graph>
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Bound {
    #[serde(flatten)]
    pub(crate) node: Node,
    #[serde(default)]
    paths: Vec<Vec<Edge>>,
}

impl Bound {
    /// Whether a way leads there through no group.
    pub(crate) fn is_direct(&self) -> bool {
        let nodes = |path: &[Edge]| path.iter().flat_map(Edge::ends).any(Node::is_group);
        self.paths.iter().any(|path| !nodes(path))
    }

    /// The groups with which it comes.
    pub(crate) fn groups(&self) -> Vec<&str> {
        let nodes = self.paths.iter().flatten().flat_map(Edge::ends);
        let mut ids: Vec<&str> =
            nodes.filter(|it| it.is_group()).map(|it| it.id.as_str()).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }
}

impl Listed for Bound {
    fn place(&self) -> &str {
        &self.node.id
    }
}

/// Something of which only the id matters.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Named {
    #[serde(alias = "_id")]
    pub(crate) id: String,
}

/// A page of v1.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Results<T> {
    pub(crate) results: Vec<T>,
    #[serde(default, rename = "totalCount")]
    pub(crate) total: Option<u64>,
}

/// An event of Directory Insights.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Event {
    #[serde(default, rename = "event_type")]
    kind: String,
    #[serde(default)]
    success: Option<bool>,
    #[serde(default)]
    resource: Option<Value>,
    #[serde(default)]
    association: Option<Value>,
}

impl Event {
    /// Whether it changed people whom it does not name: everybody who held what is gone. The name says the kind
    /// where the resource does not.
    pub(crate) fn names_nobody(&self) -> bool {
        let of = self.resource.as_ref().and_then(|it| it["type"].as_str()).unwrap_or_default();
        let held = ["user_group", "group", "system", "system_group", "application"];
        let held = |what: &str| held.contains(&what) || directories(what).is_some();
        self.success != Some(false)
            && self.kind.strip_suffix("_delete").is_some_and(|what| held(what) || held(of))
    }

    pub(crate) fn kind(&self) -> &str {
        &self.kind
    }

    /// The users that it is about, and whether it says that they are gone.
    pub(crate) fn users(&self) -> impl Iterator<Item = (AccountId, bool)> + '_ {
        let gone = self.kind == "user_delete" && self.success != Some(false);
        let resource = self.resource.iter().map(|it| (it, "id"));
        let ends = self.association.iter().flat_map(|it| {
            let ends = ["/connection/from", "/connection/to"];
            ends.into_iter().filter_map(|end| Some((it.pointer(end)?, "object_id")))
        });
        let users = resource.chain(ends).filter(|(it, _)| it["type"] == "user");
        users.filter_map(move |(it, id)| Some((AccountId::new(it[id].as_str()?).ok()?, gone)))
    }
}

/// How long whoever sent too much is left alone. JumpCloud does not say how long it blocks.
const BLOCKED_MS: u64 = 300_000;

/// What JumpCloud means by its answers, where the table does not have it. Its errors have a code that is the
/// status again, and nothing finer.
pub(crate) fn classify(failure: &Failure<'_>) -> Option<Verdict> {
    // The API refuses in JSON. What stands before it blocks an address that sent too much, in plain words
    // (<https://jumpcloud.com/support/best-practices-jumpcloud-api>).
    let kind = failure.headers.get("content-type").and_then(|it| it.to_str().ok());
    let plain = failure.body.is_none() && kind.is_some_and(|it| it.starts_with("text/"));
    (failure.status == 403 && plain)
        .then(|| Verdict::of(ErrorKind::RateLimited).retry(RetryAdvice::After { ms: BLOCKED_MS }))
}
