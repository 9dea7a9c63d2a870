//! The company's targets: five fakes, on real sockets.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use jml_connectors::entra as connectors;
use jml_connectors::google::{ADMIN_SCOPES, MAILBOX_SCOPES};
use jml_connectors::kit::Client;
use jml_connectors::kit::auth::{ExposeSecret as _, JwtKey, unknown_password};
use jml_core::clock::Clock as _;
use jml_core::id::IdError;
use jml_core::provider::Provider as _;
use jml_testkit::fake::entra::{Entra, Sku};
use jml_testkit::fake::google::{Google, SCOPE};
use jml_testkit::fake::jumpcloud::JumpCloud;
use jml_testkit::fake::okta::Okta;
use jml_testkit::fake::scim::Scim;
use jml_testkit::fake::{Fake, FakeApi, Server};
use serde_json::Value;

use super::clock::{DemoClock, Still};
use crate::exit::{ERROR, Failure};
use crate::project::write_secret;

/// Where the targets' secrets are, beside the project's own.
const TOKEN: &str = "state/fakes.token";
const KEY: &str = "state/google.pem";

const ADMIN: &str = "admin@example.org";
const ROBOT: &str = "jml@example.iam.gserviceaccount.com";

/// Five servers. They stop when this is dropped.
pub(crate) struct Targets {
    entra: Server<Entra>,
    google: Server<Google>,
    okta: Server<Okta>,
    jumpcloud: Server<JumpCloud>,
    crm: Server<Scim>,
    still: Arc<Still>,
    /// JumpCloud's own id of the group of the cluster.
    pub(crate) cluster: String,
}

impl Targets {
    /// Starts them, empty but for what an administrator makes once, and keeps their secrets in files.
    pub(crate) fn start(dir: &Path, clock: &DemoClock) -> Result<Self, Failure> {
        let wrong = |error: &dyn std::error::Error| Failure::new(ERROR, error.to_string());
        let secret = unknown_password().map_err(|e| wrong(&e))?;
        let token = secret.expose_secret();
        let pem = JwtKey::generate_pem().map_err(|e| wrong(&e))?;
        std::fs::create_dir_all(dir.join("state"))?;
        write_secret(&dir.join(TOKEN), token.as_bytes())?;
        write_secret(&dir.join(KEY), pem.expose_secret().as_bytes())?;

        let still = Arc::new(Still::new(clock.clone()));
        // The permissions that the connector says it needs, and no others.
        let client = Client::new("http://127.0.0.1").map_err(|e| wrong(&e))?;
        let id = "entra".parse().map_err(|e: IdError| wrong(&e))?;
        let connector = connectors::Entra::new(id, client).map_err(|e| wrong(&e))?;
        let needed = connector.descriptor().permissions();
        let needed: Vec<&str> = needed.iter().map(AsRef::as_ref).collect();
        let mut entra = Entra::new(("jml", token), &needed, &["all-staff", "contractors"]);
        let office = Sku { name: "SPE_E3".to_owned(), seats: 300 };
        entra.skus.insert("05e9a617-0261-4cee-bb44-138d3ef5d965".to_owned(), office);
        let role = "Production administrator".to_owned();
        entra.role_definitions.insert("prod-admin".to_owned(), role);
        entra.quirks.lag_ms = 1_000;
        let scopes = ADMIN_SCOPES.iter().chain(&MAILBOX_SCOPES);
        let scopes: Vec<&str> = scopes.filter_map(|it| it.strip_prefix(SCOPE)).collect();
        let mut google = Google::new(ADMIN, ROBOT, &scopes, &["engineering", "people-files"]);
        google.quirks.creation_ms = 1_000;
        google.quirks.transfer_ms = 40 * 60_000;
        let mut okta = Okta::new(token, &[]);
        for (id, label) in [
            ("0oasource-code", "Source code"),
            ("0oacode-review", "Code review"),
            ("0oaledger", "Ledger"),
            ("0oapay-create", "Create payments"),
            ("0oapay-approve", "Approve payments"),
            ("0oaautomation", "Automation"),
        ] {
            okta.add_app(id, label);
        }
        let mut jumpcloud = JumpCloud::new(token, &[]);
        let cluster = jumpcloud.add_group("Cluster", "STATIC");
        let crm = Scim::new(token, &["customers"], still.now());
        Ok(Self {
            entra: Fake::new(entra, still.clone()).serve()?,
            google: Fake::new(google, still.clone()).serve()?,
            okta: Fake::new(okta, still.clone()).serve()?,
            jumpcloud: Fake::new(jumpcloud, still.clone()).serve()?,
            crm: Fake::new(crm, still.clone()).serve()?,
            still,
            cluster,
        })
    }

    /// The story is over: from here on, time is the machine's.
    pub(crate) fn stay(&self) {
        self.still.end();
    }

    /// Where they are: name and address.
    pub(crate) fn addresses(&self) -> [(&'static str, String); 5] {
        [
            ("entra", format!("{}/v1.0", self.entra.url())),
            ("google", self.google.url()),
            ("okta", self.okta.url()),
            ("jumpcloud", self.jumpcloud.url()),
            ("crm", format!("{}/scim/v2", self.crm.url())),
        ]
    }

    /// Their part of the configuration file.
    pub(crate) fn config(&self) -> String {
        let [entra, google, okta, jumpcloud, crm] = self.addresses().map(|(_, url)| url);
        let login = self.entra.url();
        format!(
            r#"[targets.entra]
kind = "entra"
tenant = "example"
client_id = "jml"
client_secret = {{ file = "{TOKEN}" }}
url = "{entra}"
login = "{login}"

[targets.google]
kind = "google"
service_account = "{ROBOT}"
admin = "{ADMIN}"
key = {{ file = "{KEY}" }}
url = "{google}"

[targets.okta]
kind = "okta"
url = "{okta}"
token = {{ file = "{TOKEN}" }}

[targets.jumpcloud]
kind = "jumpcloud"
api_key = {{ file = "{TOKEN}" }}
url = "{jumpcloud}"
insights = "{jumpcloud}"

[targets.crm]
kind = "scim"
url = "{crm}"
token = {{ file = "{TOKEN}" }}
"#
        )
    }

    /// Everybody who can, signs in everywhere.
    pub(crate) fn sign_ins(&self, now: DateTime<Utc>) {
        self.entra.fake().with(|it| {
            let enabled = |user: &jml_testkit::fake::entra::User| {
                user.body.get("accountEnabled").and_then(Value::as_bool) == Some(true)
            };
            it.users.values_mut().filter(|user| enabled(user)).for_each(|user| user.sessions += 1);
        });
        self.google.fake().with(|it| {
            for user in it.users.values_mut().filter(|user| !user.suspended && !user.archived) {
                (user.sessions, user.last_login) = (user.sessions + 1, Some(now));
            }
        });
        self.okta.fake().with(|it| {
            let active = it.users.values_mut().filter(|user| user.status == "ACTIVE");
            active.for_each(|user| user.sessions += 1);
        });
    }

    /// Somebody keeps something in a drive.
    pub(crate) fn keeps(&self, number: &str, what: &str) {
        self.google.fake().with(|it| {
            let is = |it: &&mut jml_testkit::fake::google::User| {
                it.email().contains(&number.to_lowercase())
            };
            if let Some(user) = it.users.values_mut().find(is) {
                user.files.insert(what.to_owned());
            }
        });
    }

    /// Another administrator gives a directory role, and takes somebody out of a group.
    pub(crate) fn meddle(
        &self,
        to: &str,
        role: &str,
        from: &str,
        group: &str,
    ) -> Result<(), Failure> {
        self.entra.fake().with(|it| {
            let ids: BTreeMap<String, String> = it
                .users
                .iter()
                .filter_map(|(id, user)| {
                    Some((user.body.get("employeeId")?.as_str()?.to_owned(), id.clone()))
                })
                .collect();
            let find = |number: &str| {
                let none = || Failure::new(ERROR, format!("{number} has no account"));
                ids.get(number).cloned().ok_or_else(none)
            };
            it.roles.insert("by-hand".to_owned(), (find(to)?, role.to_owned()));
            let from = find(from)?;
            if let Some(group) = it.groups.get_mut(group) {
                group.members.remove(&from);
            }
            Ok(())
        })
    }

    /// Requests that were answered since the last time somebody asked.
    pub(crate) fn requests(&self) -> usize {
        let each = [
            counted(&self.entra),
            counted(&self.google),
            counted(&self.okta),
            counted(&self.jumpcloud),
            counted(&self.crm),
        ];
        each.iter().sum()
    }
}

fn counted<A: FakeApi>(server: &Server<A>) -> usize {
    let count = server.fake().requests().len();
    server.fake().forget();
    count
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn secrets_are_for_their_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let clock = DemoClock::new(DateTime::UNIX_EPOCH);
        let _targets = Targets::start(dir.path(), &clock).unwrap();
        for file in [TOKEN, KEY] {
            let mode = std::fs::metadata(dir.path().join(file)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{file}");
        }
    }
}
