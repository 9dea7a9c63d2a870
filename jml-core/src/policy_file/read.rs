//! From the tree to a policy. Goes on after an error, to find them all.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use smol_str::SmolStr;

use super::keys::{self, Section};
use super::tree::{Kind, Member, Tree};
use super::{Diagnostic, Pos, nearest};
use crate::account::AccountRef;
use crate::attribute::{AttributeDef, AttributeSchema, AttributeType};
use crate::builtin::{self, builtin_type};
use crate::entitlement::{
    Assignability, EndPolicy, Entitlement, EntitlementKey, EntitlementRef, Sensitivity,
};
use crate::id::{
    AccountId, AttributeName, GateRuleId, IdError, IdentityId, KindId, OrgUnitId, ProviderId,
    RoleId, RuleId, SodRuleId, SourceId, TaskId,
};
use crate::policy::{
    AccountRule, Brakes, Correlation, FeedRules, LeaverRule, Mode, Modes, OnTaken, Policy,
    Protected,
};
use crate::role::{Assignee, RoleGrant, RoleTemplate, TaskMoment, TaskTemplate};
use crate::rule::{Condition, OrgTree, Rule};
use crate::sod::SodRule;

/// Collects errors while reading.
pub(super) struct Reader {
    errors: Vec<Diagnostic>,
    pub(super) schema: AttributeSchema,
    manager: Option<AttributeName>,
}

pub(super) fn policy(tree: &Tree) -> Result<Policy, Vec<Diagnostic>> {
    let mut reader =
        Reader { errors: Vec::new(), schema: AttributeSchema::default(), manager: None };
    let policy = reader.policy(tree);
    if let Some(policy) = &policy {
        for problem in policy.check() {
            let at = tree.locate(&problem.path);
            reader.errors.push(Diagnostic::new(problem.code, at, problem.message, problem.remedy));
        }
    }
    match policy {
        Some(policy) if reader.errors.is_empty() => Ok(policy),
        _ => Err(reader.errors),
    }
}

/// The members of a section, by name.
pub(super) struct Fields<'a>(BTreeMap<&'static str, &'a Member>);

impl<'a> Fields<'a> {
    pub(super) fn get(&self, name: &str) -> Option<&'a Tree> {
        self.0.get(name).map(|member| &member.value)
    }
}

impl Reader {
    pub(super) fn error(
        &mut self,
        code: &'static str,
        tree: &Tree,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.error_at(code, tree.at, what, remedy);
    }

    pub(super) fn error_at(
        &mut self,
        code: &'static str,
        at: Pos,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.errors.push(Diagnostic::new(code, at, what, remedy));
    }

    /// What to say about an attribute that is not declared.
    pub(super) fn unknown_attribute(&self, name: &str) -> (String, String) {
        let builtins = [builtin::ENGAGEMENT_KIND, builtin::IDENTITY_KIND];
        let known = self.schema.iter().map(|(name, _)| name.as_str()).chain(builtins);
        let remedy = nearest(name, known).map_or_else(
            || "declare it under `attributes`".to_owned(),
            |near| format!("did you mean `{near}`?"),
        );
        (format!("attribute `{name}` is not declared"), remedy)
    }

    pub(super) fn expected(&mut self, tree: &Tree, wanted: &str) {
        let what = format!("{wanted} was expected, {} was found", tree.name());
        self.error("JML-P003", tree, what, format!("write {wanted}"));
    }

    pub(super) fn text(&mut self, tree: &Tree) -> Option<String> {
        match &tree.kind {
            Kind::Text(text) => Some(text.clone()),
            Kind::Int(_) | Kind::Float | Kind::Bool(_) => {
                let what = format!("a text was expected, {} was found", tree.name());
                self.error("JML-P003", tree, what, "write it in quotes");
                None
            }
            _ => {
                self.expected(tree, "a text");
                None
            }
        }
    }

    fn flag(&mut self, tree: &Tree) -> Option<bool> {
        if let Kind::Bool(truth) = tree.kind {
            return Some(truth);
        }
        self.expected(tree, "true or false");
        None
    }

    pub(super) fn count<N: TryFrom<i64>>(&mut self, tree: &Tree) -> Option<N> {
        let number = match tree.kind {
            Kind::Int(number) => N::try_from(number).ok(),
            _ => None,
        };
        if number.is_none() {
            self.expected(tree, "a whole number in range");
        }
        number
    }

    /// A share like `5%` or `2.5%`, in per mille.
    fn share(&mut self, tree: &Tree) -> Option<u16> {
        let parsed = match &tree.kind {
            Kind::Text(text) => text.strip_suffix('%').and_then(|number| {
                let (whole, tenth) = number.split_once('.').unwrap_or((number, "0"));
                let whole: u16 = whole.parse().ok()?;
                let tenth: u16 = (tenth.len() == 1).then(|| tenth.parse().ok())??;
                (whole <= 100).then_some(whole * 10 + tenth).filter(|permille| *permille <= 1000)
            }),
            _ => None,
        };
        if parsed.is_none() {
            let remedy = "write a share like `5%` or `2.5%`, at most `100%`";
            self.error("JML-P018", tree, "this is no share", remedy);
        }
        parsed
    }

    pub(super) fn list(&mut self, tree: &Tree) -> Vec<Tree> {
        match &tree.kind {
            Kind::List(items) => items.clone(),
            _ => {
                self.expected(tree, "a list");
                Vec::new()
            }
        }
    }

    pub(super) fn texts(&mut self, tree: &Tree) -> Vec<String> {
        self.list(tree).iter().filter_map(|item| self.text(item)).collect()
    }

    pub(super) fn id<T: FromStr<Err = IdError>>(&mut self, tree: &Tree, text: &str) -> Option<T> {
        self.id_at(tree.at, text)
    }

    fn id_at<T: FromStr<Err = IdError>>(&mut self, at: Pos, text: &str) -> Option<T> {
        text.parse()
            .map_err(|error: IdError| {
                self.error_at("JML-P005", at, error.to_string(), "correct the id");
            })
            .ok()
    }

    pub(super) fn id_of<T: FromStr<Err = IdError>>(&mut self, tree: &Tree) -> Option<T> {
        let text = self.text(tree)?;
        self.id(tree, &text)
    }

    pub(super) fn ids<T: FromStr<Err = IdError>>(&mut self, tree: Option<&Tree>) -> Vec<T> {
        let Some(tree) = tree else { return Vec::new() };
        self.list(tree).iter().filter_map(|item| self.id_of(item)).collect()
    }

    fn choice<T: Copy>(&mut self, tree: &Tree, choices: &[(&'static str, T)]) -> Option<T> {
        let text = self.text(tree)?;
        if let Some((_, value)) = choices.iter().find(|(name, _)| *name == text) {
            return Some(*value);
        }
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        let remedy = nearest(&text, names.iter().copied()).map_or_else(
            || format!("write one of {}", names.join(", ")),
            |near| format!("did you mean `{near}`?"),
        );
        self.error("JML-P003", tree, format!("`{text}` is not one of the choices"), remedy);
        None
    }

    /// The members of a section; unknown and doubled keys are errors.
    pub(super) fn fields<'a>(&mut self, tree: &'a Tree, section: &'static Section) -> Fields<'a> {
        let mut out = BTreeMap::new();
        for member in self.members(tree) {
            match section.keys.iter().find(|key| key.name == member.key) {
                Some(key) => {
                    out.insert(key.name, member);
                }
                None => {
                    let names = section.keys.iter().map(|key| key.name);
                    let remedy = nearest(&member.key, names.clone()).map_or_else(
                        || format!("known here: {}", names.collect::<Vec<_>>().join(", ")),
                        |near| format!("did you mean `{near}`?"),
                    );
                    let what = format!("key `{}` is unknown", member.key);
                    self.error_at("JML-P002", member.at, what, remedy);
                }
            }
        }
        Fields(out)
    }

    fn members<'a>(&mut self, tree: &'a Tree) -> Vec<&'a Member> {
        match &tree.kind {
            Kind::Map(members) => {
                let mut seen = BTreeSet::new();
                for member in members {
                    if !seen.insert(&member.key) {
                        let what = format!("`{}` is defined twice", member.key);
                        self.error_at("JML-P004", member.at, what, "keep one of the definitions");
                    }
                }
                members.iter().collect()
            }
            Kind::Null => Vec::new(),
            _ => {
                self.expected(tree, "a map");
                Vec::new()
            }
        }
    }

    /// A map from ids to sections.
    fn map<K: Ord + FromStr<Err = IdError>, V>(
        &mut self,
        tree: Option<&Tree>,
        mut read: impl FnMut(&mut Self, &Tree) -> Option<V>,
    ) -> BTreeMap<K, V> {
        let mut out = BTreeMap::new();
        let Some(tree) = tree else { return out };
        for member in self.members(tree) {
            let id = self.id_at(member.at, &member.key);
            let value = read(self, &member.value);
            if let (Some(id), Some(value)) = (id, value) {
                out.insert(id, value);
            }
        }
        out
    }

    fn policy(&mut self, tree: &Tree) -> Option<Policy> {
        let fields = self.fields(tree, &keys::POLICY);
        let version = match fields.get("version") {
            Some(tree) => self.id_of(tree),
            None => {
                let remedy = "begin the file with a line like `version: \"2026.1\"`";
                self.error("JML-P003", tree, "the policy has no version", remedy);
                None
            }
        };
        let sources: Vec<SourceId> = self.ids::<SourceId>(fields.get("sources"));
        let defs = self.map::<AttributeName, _>(fields.get("attributes"), |reader, tree| {
            reader.attribute_def(tree, &sources)
        });
        for member in fields.get("attributes").map(|t| self.members(t)).unwrap_or_default() {
            if builtin_type(&member.key).is_some() {
                let what = format!("`{}` is built in", member.key);
                self.error_at("JML-P004", member.at, what, "take the declaration out");
            }
        }
        self.schema = AttributeSchema::new(defs);
        let leaver = fields.get("leaver").map(|tree| self.leaver(tree)).unwrap_or_default();
        self.manager.clone_from(&leaver.manager);
        let org = self.map::<OrgUnitId, _>(fields.get("org"), |reader, tree| match &tree.kind {
            Kind::Null => Some(None),
            Kind::Text(text) if text.is_empty() => Some(None),
            _ => reader.id_of::<OrgUnitId>(tree).map(Some),
        });
        let policy = Policy {
            version: version?,
            attributes: self.schema.clone(),
            org: OrgTree::new(org),
            entitlements: self
                .map::<EntitlementRef, _>(fields.get("entitlements"), Self::entitlement),
            roles: self.map::<RoleId, _>(fields.get("roles"), Self::role),
            rules: self.map::<RuleId, _>(fields.get("rules"), Self::rule),
            sod: self.map::<SodRuleId, _>(fields.get("sod"), Self::sod),
            accounts: self.map::<ProviderId, _>(fields.get("accounts"), Self::account),
            gates: self.map::<GateRuleId, _>(fields.get("gates"), Self::gate),
            delegation: fields.get("delegation").map(|t| self.delegation(t)).unwrap_or_default(),
            leaver,
            modes: fields.get("modes").map(|tree| self.modes(tree)).unwrap_or_default(),
            brakes: fields.get("brakes").map(|tree| self.brakes(tree)).unwrap_or_default(),
            feed: fields.get("feed").map(|tree| self.feed(tree)).unwrap_or_default(),
            protected: fields.get("protected").map(|tree| self.protected(tree)).unwrap_or_default(),
        };
        Some(policy)
    }

    fn attribute_def(&mut self, tree: &Tree, default: &[SourceId]) -> Option<AttributeDef> {
        let fields = self.fields(tree, &keys::ATTRIBUTE);
        let types = [
            ("text", AttributeType::Text),
            ("integer", AttributeType::Integer),
            ("boolean", AttributeType::Boolean),
            ("date", AttributeType::Date),
            ("text_set", AttributeType::TextSet),
        ];
        let ty = fields.get("type").map_or(Some(AttributeType::Text), |t| self.choice(t, &types));
        let personal = fields.get("personal").and_then(|t| self.flag(t)).unwrap_or(false);
        let mut sources = self.ids::<SourceId>(fields.get("sources"));
        if let Some(list) = fields.get("sources") {
            for source in &sources {
                if !default.is_empty() && !default.contains(source) {
                    let known = default.iter().map(SourceId::as_str);
                    let remedy = nearest(source.as_str(), known).map_or_else(
                        || "name it under `sources` at the top".to_owned(),
                        |near| format!("did you mean `{near}`?"),
                    );
                    let what = format!("source `{source}` is not declared");
                    self.error("JML-P013", list, what, remedy);
                }
            }
        } else {
            sources = default.to_vec();
        }
        Some(AttributeDef { ty: ty?, sources, personal })
    }

    pub(super) fn sensitivity(&mut self, tree: &Tree) -> Option<Sensitivity> {
        let choices = [
            ("standard", Sensitivity::Standard),
            ("sensitive", Sensitivity::Sensitive),
            ("privileged", Sensitivity::Privileged),
            ("critical", Sensitivity::Critical),
        ];
        self.choice(tree, &choices)
    }

    /// The one member of a map like `{overlap: 14}`.
    pub(super) fn variant<'a>(&mut self, tree: &'a Tree, wanted: &str) -> Option<&'a Member> {
        match &tree.kind {
            Kind::Map(members) if members.len() == 1 => members.first(),
            _ => {
                self.expected(tree, wanted);
                None
            }
        }
    }

    fn entitlement(&mut self, tree: &Tree) -> Option<Entitlement> {
        let fields = self.fields(tree, &keys::ENTITLEMENT);
        let title = fields.get("title").and_then(|t| self.text(t)).unwrap_or_default();
        let mut out = Entitlement::standard(title);
        if let Some(tree) = fields.get("sensitivity") {
            out.sensitivity = self.sensitivity(tree)?;
        }
        if let Some(tree) = fields.get("assignability") {
            out.assignability = self.assignability(tree)?;
        }
        out.exclusive_group = fields.get("exclusive").and_then(|t| self.text(t)).map(SmolStr::new);
        out.seats = fields.get("seats").and_then(|t| self.count(t));
        out.owner = fields.get("owner").and_then(|t| self.id_of::<IdentityId>(t));
        if let Some(tree) = fields.get("on_move") {
            out.on_move = self.on_move(tree)?;
        }
        Some(out)
    }

    fn on_move(&mut self, tree: &Tree) -> Option<EndPolicy> {
        let wanted = "`immediate`, `{overlap: days}` or `{until_attested: days}`";
        if matches!(&tree.kind, Kind::Text(text) if text == "immediate") {
            return Some(EndPolicy::Immediate);
        }
        let member = self.variant(tree, wanted)?;
        let days = self.count(&member.value)?;
        match member.key.as_str() {
            "overlap" => Some(EndPolicy::Overlap { days }),
            "until_attested" => Some(EndPolicy::UntilAttested { days }),
            _ => {
                self.expected(tree, wanted);
                None
            }
        }
    }

    fn assignability(&mut self, tree: &Tree) -> Option<Assignability> {
        let wanted = "`direct`, `immutable`, `{computed: attribute}`, `{inherited: kind/id}` or \
                      `{external: text}`";
        match &tree.kind {
            Kind::Text(text) if text == "direct" => return Some(Assignability::Direct),
            Kind::Text(text) if text == "immutable" => return Some(Assignability::Immutable),
            _ => {}
        }
        let member = self.variant(tree, wanted)?;
        match member.key.as_str() {
            "computed" => {
                let driver = self.id_of::<AttributeName>(&member.value)?;
                Some(Assignability::Computed { driver })
            }
            "inherited" => {
                let via = self.id_of::<EntitlementKey>(&member.value)?;
                Some(Assignability::Inherited { via })
            }
            "external" => {
                let owner = SmolStr::new(self.text(&member.value)?);
                Some(Assignability::External { owner })
            }
            _ => {
                self.expected(tree, wanted);
                None
            }
        }
    }

    fn role(&mut self, tree: &Tree) -> Option<RoleTemplate> {
        let fields = self.fields(tree, &keys::ROLE);
        let grants = fields.get("grants").map(|t| self.list(t)).unwrap_or_default();
        Some(RoleTemplate {
            version: fields.get("version").and_then(|t| self.count(t)).unwrap_or(1),
            title: fields.get("title").and_then(|t| self.text(t)).unwrap_or_default().into(),
            inherits: self.ids::<RoleId>(fields.get("inherits")),
            grants: grants.iter().filter_map(|item| self.grant(item)).collect(),
            tasks: self.map::<TaskId, _>(fields.get("tasks"), Self::task),
        })
    }

    fn grant(&mut self, tree: &Tree) -> Option<RoleGrant> {
        if let Kind::Text(_) = tree.kind {
            let entitlement = self.id_of::<EntitlementRef>(tree)?;
            return Some(RoleGrant { entitlement, days_before: 0 });
        }
        let fields = self.fields(tree, &keys::GRANT);
        let Some(entitlement) = fields.get("entitlement") else {
            self.expected(tree, "an entitlement, or a map with `entitlement`");
            return None;
        };
        Some(RoleGrant {
            entitlement: self.id_of::<EntitlementRef>(entitlement)?,
            days_before: fields.get("days_before").and_then(|t| self.count(t)).unwrap_or(0),
        })
    }

    fn task(&mut self, tree: &Tree) -> Option<TaskTemplate> {
        let fields = self.fields(tree, &keys::TASK);
        let moments = [("join", TaskMoment::Join), ("leave", TaskMoment::Leave)];
        let moment =
            fields.get("moment").map_or(Some(TaskMoment::Join), |t| self.choice(t, &moments));
        let wanted = "`manager`, `{queue: text}` or `{identity: id}`";
        let assignee = match fields.get("assignee") {
            None => Some(Assignee::Manager),
            Some(tree) => match &tree.kind {
                Kind::Text(text) if text == "manager" => Some(Assignee::Manager),
                _ => self.variant(tree, wanted).and_then(|member| match member.key.as_str() {
                    "queue" => self.text(&member.value).map(|t| Assignee::Queue(t.into())),
                    "identity" => self.id_of::<IdentityId>(&member.value).map(Assignee::Identity),
                    _ => {
                        self.expected(tree, wanted);
                        None
                    }
                }),
            },
        };
        Some(TaskTemplate {
            title: fields.get("title").and_then(|t| self.text(t)).unwrap_or_default().into(),
            moment: moment?,
            days: fields.get("days").map_or(Some(0), |t| self.count(t))?,
            assignee: assignee?,
        })
    }

    fn rule(&mut self, tree: &Tree) -> Option<Rule> {
        let fields = self.fields(tree, &keys::RULE);
        let when = match fields.get("when") {
            Some(tree) => self.condition(tree),
            None => {
                let remedy = "write `when: always` if it holds for everybody";
                self.error("JML-P003", tree, "the rule has no condition", remedy);
                None
            }
        };
        Some(Rule {
            title: fields.get("title").and_then(|t| self.text(t)).unwrap_or_default().into(),
            roles: self.ids::<RoleId>(fields.get("roles")),
            grants: self.ids::<EntitlementRef>(fields.get("grants")),
            // A rule whose condition is wrong still has roles to check.
            when: when.unwrap_or(Condition::Always),
        })
    }

    fn sod(&mut self, tree: &Tree) -> Option<SodRule> {
        let fields = self.fields(tree, &keys::SOD);
        let duties = fields.get("duties").map(|t| self.list(t)).unwrap_or_default();
        let duties = duties
            .iter()
            .map(|duty| self.ids::<EntitlementRef>(Some(duty)))
            .map(|duty| duty.into_iter().collect::<BTreeSet<_>>())
            .collect();
        Some(SodRule {
            title: fields.get("title").and_then(|t| self.text(t)).unwrap_or_default().into(),
            duties,
            max: fields.get("max").map_or(Some(1), |t| self.count(t))?,
        })
    }

    fn account(&mut self, tree: &Tree) -> Option<AccountRule> {
        let fields = self.fields(tree, &keys::ACCOUNT);
        let Some(name) = fields.get("user_name") else {
            let remedy = "name the attribute that holds the sign-in name";
            self.error("JML-P003", tree, "`user_name` is missing", remedy);
            return None;
        };
        let when = fields.get("when").map_or(Some(Condition::Always), |t| self.condition(t));
        Some(AccountRule {
            when: when?,
            days_before: fields.get("days_before").and_then(|t| self.count(t)).unwrap_or(0),
            user_name: self.id_of::<AttributeName>(name)?,
            on_taken: match fields.get("on_taken") {
                Some(tree) => {
                    self.choice(tree, &[("wait", OnTaken::Wait), ("number", OnTaken::Number)])?
                }
                None => OnTaken::Wait,
            },
            attributes: self.map::<AttributeName, _>(fields.get("attributes"), |reader, tree| {
                reader.id_of::<AttributeName>(tree)
            }),
            correlate: match fields.get("correlate") {
                Some(tree) => Some(self.correlation(tree)?),
                None => None,
            },
        })
    }

    fn correlation(&mut self, tree: &Tree) -> Option<Correlation> {
        let fields = self.fields(tree, &keys::CORRELATE);
        let none = Correlation::default();
        let weights = self.map::<AttributeName, _>(fields.get("weights"), |reader, tree| {
            reader.count::<u16>(tree)
        });
        Some(Correlation {
            strong: self.ids(fields.get("strong")).into_iter().collect(),
            weights,
            link: fields.get("link").map_or(Some(none.link), |t| self.count(t))?,
            ask: fields.get("ask").map_or(Some(none.ask), |t| self.count(t))?,
        })
    }

    fn leaver(&mut self, tree: &Tree) -> LeaverRule {
        let fields = self.fields(tree, &keys::LEAVER);
        let mut flag = |name: &str| fields.get(name).and_then(|t| self.flag(t)).unwrap_or_default();
        let (forward_to_manager, convert_mailbox, transfer_ownership) =
            (flag("forward_to_manager"), flag("convert_mailbox"), flag("transfer_ownership"));
        LeaverRule {
            manager: fields.get("manager").and_then(|t| self.id_of::<AttributeName>(t)),
            auto_reply: fields.get("auto_reply").and_then(|t| self.text(t)).map(SmolStr::new),
            forward_to_manager,
            convert_mailbox,
            archive_after_days: fields.get("archive_after_days").and_then(|t| self.count(t)),
            delete_after_days: fields.get("delete_after_days").and_then(|t| self.count(t)),
            transfer_ownership,
            contain_within_minutes: fields
                .get("contain_within_minutes")
                .and_then(|t| self.count(t))
                .unwrap_or(0),
        }
    }

    fn mode(&mut self, tree: &Tree) -> Option<Mode> {
        let [observe, additive, relative, full] = keys::MODES;
        let choices = [
            (observe, Mode::Observe),
            (additive, Mode::Additive),
            (relative, Mode::Relative),
            (full, Mode::Full),
        ];
        self.choice(tree, &choices)
    }

    fn modes(&mut self, tree: &Tree) -> Modes {
        let fields = self.fields(tree, &keys::MODE);
        Modes {
            default: fields.get("default").and_then(|t| self.mode(t)).unwrap_or_default(),
            providers: self.map::<ProviderId, _>(fields.get("providers"), Self::mode),
            kinds: self.map::<ProviderId, _>(fields.get("kinds"), |reader, tree| {
                Some(reader.map::<KindId, _>(Some(tree), Self::mode))
            }),
            entitlements: self.map::<EntitlementRef, _>(fields.get("entitlements"), Self::mode),
        }
    }

    fn brakes(&mut self, tree: &Tree) -> Brakes {
        let fields = self.fields(tree, &keys::BRAKES);
        let default = Brakes::default();
        let share = |reader: &mut Self, name: &str, default: Option<u16>| {
            fields.get(name).map_or(default, |t| reader.share(t))
        };
        Brakes {
            max_creates: fields.get("max_creates").and_then(|t| self.count(t)),
            max_deletes: fields
                .get("max_deletes")
                .and_then(|t| self.count(t))
                .or_else(|| Brakes::default().max_deletes),
            max_leavers: fields.get("max_leavers").and_then(|t| self.count(t)),
            max_leavers_permille: share(self, "max_leavers_share", default.max_leavers_permille),
            min_population: fields
                .get("min_population")
                .and_then(|t| self.count(t))
                .unwrap_or(default.min_population),
            max_revokes: fields.get("max_revokes").and_then(|t| self.count(t)),
            max_revokes_permille: share(self, "max_revokes_share", default.max_revokes_permille),
            max_group_loss_permille: share(
                self,
                "max_group_loss_share",
                default.max_group_loss_permille,
            ),
            max_privileged_revokes: fields
                .get("max_privileged_revokes")
                .and_then(|t| self.count(t)),
            max_leavers_in_window: fields.get("max_leavers_in_window").and_then(|t| self.count(t)),
            window_hours: fields
                .get("window_hours")
                .and_then(|t| self.count(t))
                .unwrap_or(default.window_hours),
        }
    }

    fn feed(&mut self, tree: &Tree) -> FeedRules {
        let fields = self.fields(tree, &keys::FEED);
        let default = FeedRules::default();
        let share = |reader: &mut Self, name: &str, default: u16| {
            fields.get(name).and_then(|t| reader.share(t)).unwrap_or(default)
        };
        FeedRules {
            max_row_drop_permille: share(self, "max_row_drop_share", default.max_row_drop_permille),
            max_null_rise_permille: share(
                self,
                "max_null_rise_share",
                default.max_null_rise_permille,
            ),
            max_bad_rows_permille: share(self, "max_bad_rows_share", default.max_bad_rows_permille),
            max_age_hours: fields
                .get("max_age_hours")
                .and_then(|t| self.count(t))
                .unwrap_or(default.max_age_hours),
        }
    }

    fn protected(&mut self, tree: &Tree) -> Protected {
        let fields = self.fields(tree, &keys::PROTECTED);
        let accounts = fields.get("accounts").map(|t| self.list(t)).unwrap_or_default();
        let accounts = accounts
            .iter()
            .filter_map(|item| {
                let text = self.text(item)?;
                let Some((provider, account)) = text.split_once(':') else {
                    self.expected(item, "`provider:account`");
                    return None;
                };
                Some(AccountRef::new(
                    self.id::<ProviderId>(item, provider)?,
                    self.id::<AccountId>(item, account)?,
                ))
            })
            .collect();
        let last = self.ids::<EntitlementRef>(fields.get("last_holder"));
        Protected { accounts, last_holder: last.into_iter().collect() }
    }
}
