//! Mined roles as the beginning of a policy.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use jml_core::attribute::AttributeValue;
use jml_core::entitlement::EntitlementRef;
use jml_core::id::{AttributeName, IdError, IdentityId, PolicyVersion, RoleId, RuleId, SourceId};
use jml_core::role::{RoleGrant, RoleTemplate};
use jml_core::rule::{Condition, Rule};
use smol_str::SmolStr;

use super::matrix::NamedMatrix;
use super::{Mined, NotExact};

/// What to call things in a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct PolicyNames {
    /// The version of the policy.
    pub version: PolicyVersion,
    /// The attribute, a set of texts, that says which roles somebody has.
    pub attribute: AttributeName,
    /// The source that owns the attribute.
    pub source: SourceId,
    /// How ids of roles and rules begin; a number follows.
    pub prefix: SmolStr,
}

/// Role templates and how they are given.
///
/// A policy gives roles by rules over attributes, so each role has one rule: whoever has the role's id in a
/// set of texts is given it. It presumes a source that says so of each person, as [`PolicyDraft::given`]
/// does, and an account rule for each provider. Rules over real attributes can take the place of these one
/// by one. Every entitlement is in the catalogue as an everyday one: say which are not before using it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct PolicyDraft {
    /// What things are called.
    pub names: PolicyNames,
    /// The entitlements.
    pub entitlements: BTreeSet<EntitlementRef>,
    /// The role templates.
    pub roles: BTreeMap<RoleId, RoleTemplate>,
    /// One rule for each.
    pub rules: BTreeMap<RuleId, Rule>,
    /// The value of the attribute for each person.
    pub given: BTreeMap<IdentityId, BTreeSet<SmolStr>>,
}

/// Why roles are not a policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DraftError {
    /// The roles were mined from something else, or changed.
    #[error("the roles do not fit the matrix: {0}")]
    NotExact(#[from] NotExact),
    /// The prefix does not begin an id.
    #[error(transparent)]
    Id(#[from] IdError),
}

impl Mined {
    /// The roles as role templates, with the rules that give them.
    ///
    /// # Errors
    /// [`DraftError`] when the roles do not give exactly what `matrix` holds, or the prefix begins no id.
    pub fn to_policy(
        &self,
        matrix: &NamedMatrix,
        names: PolicyNames,
    ) -> Result<PolicyDraft, DraftError> {
        self.check(matrix.matrix())?;
        let width = self.roles.len().to_string().len();
        let id = |number: usize| format!("{}{:0width$}", names.prefix, number + 1);
        let (mut roles, mut rules) = (BTreeMap::new(), BTreeMap::new());
        for (number, role) in self.roles.iter().enumerate() {
            let role_id = RoleId::new(id(number))?;
            let grants = role.permissions.iter().filter_map(|at| matrix.permission(*at));
            let grants = grants.map(|it| RoleGrant { entitlement: it.clone(), days_before: 0 });
            let title = format!("Mined role {}", number + 1);
            let template = RoleTemplate {
                version: 1,
                title: title.into(),
                inherits: Vec::new(),
                grants: grants.collect(),
                tasks: BTreeMap::new(),
            };
            let when = Condition::In {
                attribute: names.attribute.clone(),
                values: BTreeSet::from([AttributeValue::text(&role_id)]),
            };
            let title = format!("Whoever was given {role_id}").into();
            let rule = Rule { title, when, roles: vec![role_id.clone()], grants: Vec::new() };
            rules.insert(RuleId::new(id(number))?, rule);
            roles.insert(role_id, template);
        }
        let given = matrix.users().iter().cloned().zip(&self.given).map(|(user, roles)| {
            (user, roles.iter().map(|role| SmolStr::new(id(*role as usize))).collect())
        });
        let (given, entitlements) =
            (given.collect(), matrix.permissions().iter().cloned().collect());
        Ok(PolicyDraft { names, entitlements, roles, rules, given })
    }
}

impl PolicyDraft {
    /// The policy file, without accounts: [`jml_core::policy_file`] reads it.
    #[must_use]
    pub fn yaml(&self) -> String {
        let PolicyNames { version, attribute, source, .. } = &self.names;
        let (attribute, source) = (quoted(attribute), quoted(source));
        let mut out = format!("version: {}\nsources: [{source}]\n", quoted(version));
        let _ = writeln!(out, "attributes:\n  {attribute}: {{ type: text_set }}");
        section(&mut out, "entitlements", &self.entitlements, |out, it| {
            let name = quoted(&it.to_string());
            let _ = writeln!(out, "  {name}: {{ title: {} }}", quoted(it.key.id.as_str()));
        });
        section(&mut out, "roles", &self.roles, |out, (id, role)| {
            let (id, title) = (quoted(id), quoted(&role.title));
            let _ = writeln!(out, "  {id}:\n    title: {title}\n    version: {}", role.version);
            let _ = writeln!(out, "    grants:");
            for grant in &role.grants {
                let _ = writeln!(out, "      - {}", quoted(&grant.entitlement.to_string()));
            }
        });
        section(&mut out, "rules", &self.rules, |out, (id, rule)| {
            let _ = write!(out, "  {}: {{ title: {}, ", quoted(id), quoted(&rule.title));
            let roles: Vec<String> = rule.roles.iter().map(quoted).collect();
            let roles = roles.join(", ");
            let _ =
                writeln!(out, "when: {{ in: {{ {attribute}: [{roles}] }} }}, roles: [{roles}] }}");
        });
        out
    }
}

fn section<T>(
    out: &mut String,
    name: &str,
    items: impl IntoIterator<Item = T>,
    write: impl Fn(&mut String, T),
) {
    let before = out.len();
    let _ = writeln!(out, "{name}:");
    let begun = out.len();
    items.into_iter().for_each(|item| write(out, item));
    if out.len() == begun {
        out.truncate(before);
    }
}

/// A text in double quotes. What is neither a letter nor a digit nor plain ASCII is escaped.
fn quoted(text: &(impl AsRef<str> + ?Sized)) -> String {
    let mut out = String::from("\"");
    for c in text.as_ref().chars() {
        let _ = match c {
            '"' | '\\' => write!(out, "\\{c}"),
            ' ' => write!(out, " "),
            _ if c.is_ascii_graphic() || c.is_alphanumeric() => write!(out, "{c}"),
            _ => write!(out, "\\U{:08X}", u32::from(c)),
        };
    }
    out.push('"');
    out
}
