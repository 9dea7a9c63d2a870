//! The decision table of docs/lifecycle.md: every cell is what the engine did, not what somebody wrote.

use std::fmt::Write as _;
use std::path::PathBuf;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use jml_core::account::{AccountState, AccountStatus, CredentialClass};
use jml_core::claim::{AccessException, ApprovedRequest, RequestOnMove, Validity};
use jml_core::clock::Clock as _;
use jml_core::identity::{Ending, Engagement, EngagementKind, IdentityKind, Leave};
use jml_core::journal::RunOutcome;
use jml_core::policy_file::parse_yaml;
use jml_testkit::Memory;

use crate::company::{Company, texts};
use crate::support::{key, person, start};

const POLICY: &str = r#"
version: "1"
sources: [hr]
attributes:
  email: { type: text }
  team: { type: text }
  title: { type: text }
  manager: { type: text }
entitlements:
  t/group/staff: { title: Staff }
  t/group/red: { title: Red }
  t/group/blue: { title: Blue }
  t/group/wiki: { title: Wiki, on_move: { overlap: 3 } }
  t/group/early: { title: Early reading }
  t/role/admin: { title: Admin, sensitivity: privileged }
  t/app/tool: { title: Tool }
  t/app/old: { title: Old records, on_move: { until_attested: 5 } }
roles:
  staff:
    title: Staff
    grants: [t/group/staff, { entitlement: t/group/early, days_before: 7 }]
    tasks:
      welcome: { title: Say welcome, moment: join, days: 0, assignee: manager }
      sponsor: { title: Extend or let go, moment: leave, days: -14, assignee: manager }
      badge: { title: Collect the badge, moment: leave, days: 0, assignee: { queue: desk } }
rules:
  staff: { title: Staff, when: always, roles: [staff] }
  red: { title: Red, when: { eq: { team: red } }, grants: [t/group/red, t/group/wiki] }
  records: { title: Records, when: { eq: { title: Records } }, grants: [t/app/old] }
  blue: { title: Blue, when: { eq: { team: blue } }, grants: [t/group/blue] }
  admin: { title: Admin, when: { eq: { title: Admin } }, grants: [t/role/admin] }
accounts:
  t: { user_name: email, days_before: 7 }
leaver: { manager: manager }
modes: { default: full }
brakes: { max_leavers_share: 100%, max_revokes_share: 100%, max_group_loss_share: 100% }
"#;

const HEAD: &str = "# What happens when

Every row is a test: the table is written by `jml-engine/tests/it/lifecycle.rs` from what the engine did. The policy
gives everybody `staff`, gives `early` seven days before the first day, `red` (with `wiki`, which overlaps for three days
on a move) or `blue` by team, `admin` (privileged) by title, and makes accounts seven days ahead. Mode *full*: what no
claim explains is taken away. It is Monday, 2 March 2026, 09:00 in Berlin, where everybody works.

| what is known | run | account | holds | tasks and findings |
|---|---|---|---|---|
";

const FEWER: &str = "
## Where the target knows fewer statuses

Not every target knows an account that was made and not opened yet, and some give nothing to an account that is disabled.
The same policy there. Waits are in the words of the plan.

| the target | what is known | run | account | holds | tasks, findings and waits |
|---|---|---|---|---|---|
";

const FOOT: &str = "
- *run* is the kind of the run that was opened and, if it was not clean, how it ended; `-` when nothing was to be done.
- Nothing here is an event: each row is a difference that whoever looks will find, whenever they look.
";

/// A company in which M1 works, and E1 as said.
struct Scene(Company);

fn today() -> NaiveDate {
    start().date_naive()
}

fn day(offset: i64) -> NaiveDate {
    today() + TimeDelta::days(offset)
}

impl Scene {
    fn empty(make: impl Fn(Memory) -> Memory) -> Self {
        let mut company = Company::with(POLICY, &["t"], make, |memory| memory);
        company.hire("M1", "2020-01-06", &[("team", "x"), ("title", ""), ("manager", "")]);
        company.run();
        Self(company)
    }

    /// E1 begins so many days from today, in the red team.
    fn hired(offset: i64) -> Self {
        Self::hired_on(|memory| memory, offset)
    }

    /// The same on a target that is made otherwise.
    fn hired_on(make: impl Fn(Memory) -> Memory, offset: i64) -> Self {
        let mut scene = Self::empty(make);
        let first = day(offset).to_string();
        scene.0.hire("E1", &first, &[("team", "red"), ("title", ""), ("manager", "M1")]);
        scene
    }

    /// E1 is here for long and has everything.
    fn settled() -> Self {
        Self::hired(-300).then_run()
    }

    fn then_run(self) -> Self {
        self.0.run();
        self
    }

    fn later(self, days: i64) -> Self {
        self.0.clock.advance(TimeDelta::days(days));
        self
    }

    fn now(&self) -> DateTime<Utc> {
        self.0.clock.now()
    }

    fn engagement(mut self, change: impl FnOnce(&mut Engagement)) -> Self {
        change(self.0.person("E1").identity.engagements.last_mut().unwrap());
        self
    }

    /// Another engagement, from one day to another.
    fn also(mut self, kind: EngagementKind, from: NaiveDate, to: Option<NaiveDate>) -> Self {
        let engagements = &mut self.0.person("E1").identity.engagements;
        let id = format!("E1-{}", engagements.len() + 1).parse().unwrap();
        let like = engagements[0].clone();
        let ending = Ending::Ordinary;
        engagements.push(Engagement {
            id,
            kind,
            start: from,
            end: to,
            ending,
            cut_off: None,
            leaves: Vec::new(),
            ..like
        });
        self
    }

    fn says(mut self, attribute: &str, value: &str) -> Self {
        self.0.say("E1", &[(attribute, value)]);
        self
    }

    fn asks(mut self, what: &str, hours: Option<i64>, on_move: RequestOnMove) -> Self {
        let from = self.now();
        let until = hours.map(|hours| from + TimeDelta::hours(hours));
        self.0.person("E1").requests.push(ApprovedRequest {
            id: "R1".parse().unwrap(),
            entitlement: what.parse().unwrap(),
            approved_by: person("M1"),
            validity: Validity { from, until },
            on_move,
            why: "a project".into(),
        });
        self
    }

    fn account(self, change: impl Fn(&mut AccountState)) -> Self {
        self.0.targets["t"].out_of_band(|world| {
            let mut all = world.accounts.values_mut();
            change(all.find(|it| it.external_id == Some(person("E1"))).unwrap());
        });
        self
    }

    /// Looks and acts once more, and says what came of it.
    fn row(self, waits: bool) -> String {
        let company = self.0;
        let batch = company.look();
        let planned = batch.planned.iter().find(|it| it.delta.identity == person("E1"));
        let mut notes: Vec<String> = Vec::new();
        for finding in planned.iter().flat_map(|it| &it.findings) {
            notes.push(finding.to_string());
        }
        if waits {
            for wait in planned.iter().flat_map(|it| &it.waits) {
                notes.push(format!("{} waits: {}", wait.what, wait.why));
            }
        }
        for plan in batch.plans().filter(|plan| plan.header().identity == person("E1")) {
            for step in plan.steps().values() {
                if let jml_core::plan::StepKind::Task(task) = &step.kind {
                    notes.push(format!("task: {}", task.title));
                }
            }
        }
        let done = futures::executor::block_on(company.engine.execute(batch, None)).unwrap();
        let run = done.runs.iter().find(|it| it.view.identity == person("E1"));
        let run = run.map_or("-".to_owned(), |report| {
            let kind = report.view.kind.as_str();
            match report.view.outcome {
                Some(RunOutcome::Clean) | None => kind.to_owned(),
                Some(other) => format!("{kind} ({other:?})"),
            }
        });
        let state = company.targets["t"].state();
        let theirs = |it: &&AccountState| it.external_id == Some(person("E1"));
        let accounts: Vec<&AccountState> = state.accounts.values().filter(theirs).collect();
        let status = accounts.iter().map(|it| it.status.as_str()).collect::<Vec<_>>().join(", ");
        let held = |it: &&AccountState| {
            let held: Vec<&str> = it.holdings.iter().map(|key| key.id.as_str()).collect();
            if held.is_empty() { "nothing".to_owned() } else { held.join(" ") }
        };
        let holds = accounts.iter().map(held).collect::<Vec<_>>().join("; ");
        let cell = |text: String| if text.is_empty() { "-".to_owned() } else { text };
        format!("{run} | {} | {} | {}", cell(status), cell(holds), cell(notes.join("; ")))
    }
}

const fn keep() -> RequestOnMove {
    RequestOnMove::Keep
}

/// The rows: what is known, and how it came to be.
fn rows() -> Vec<(&'static str, Scene)> {
    let tool = "t/app/tool";
    let contract = EngagementKind::Contract;
    let employment = EngagementKind::Employment;
    let non_human = |owner: &str| {
        let mut scene = Scene::hired(-30);
        scene.0.person("E1").identity.kind = IdentityKind::NonHuman { owner: person(owner) };
        scene
    };
    let gone = || Scene::settled().engagement(|it| it.end = Some(day(-1))).then_run();
    vec![
        ("first day in 10 days", Scene::hired(10)),
        ("first day in 5 days", Scene::hired(5)),
        ("first day in 5 days, privileged by title", Scene::hired(5).says("title", "Admin")),
        ("first day today", Scene::hired(0)),
        ("first day today, staged before", Scene::hired(5).then_run().later(5)),
        ("first day 40 days ago, known since today", Scene::hired(-40)),
        (
            "first day moved from in 5 to in 9 days, staged before",
            Scene::hired(5).then_run().engagement(|it| it.start = day(9)),
        ),
        (
            "first day moved back and forth, then today",
            Scene::hired(5)
                .then_run()
                .engagement(|it| it.start = day(9))
                .then_run()
                .engagement(|it| it.start = day(0)),
        ),
        (
            "hire withdrawn, staged before",
            Scene::hired(5).then_run().engagement(|it| it.ending = Ending::Rescinded),
        ),
        (
            "did not come on the first day",
            Scene::hired(0).then_run().engagement(|it| it.ending = Ending::NoShow),
        ),
        ("no zone", Scene::hired(0).engagement(|it| it.zone = None)),
        ("another title, no rule asks for it", Scene::settled().says("title", "Senior")),
        ("from red to blue", Scene::settled().says("team", "blue")),
        ("from red to blue, 4 days ago", Scene::settled().says("team", "blue").then_run().later(4)),
        (
            "no keeper of records any more, they stay until somebody attests",
            Scene::settled().says("title", "Records").then_run().later(1).says("title", ""),
        ),
        (
            "the same, 6 days later",
            Scene::settled()
                .says("title", "Records")
                .then_run()
                .later(1)
                .says("title", "")
                .then_run()
                .later(6),
        ),
        (
            "the same, asked for and approved meanwhile",
            Scene::settled()
                .says("title", "Records")
                .then_run()
                .later(1)
                .says("title", "")
                .then_run()
                .later(2)
                .asks("t/app/old", None, keep())
                .then_run()
                .later(4),
        ),
        (
            "no administrator any more",
            Scene::settled().says("title", "Admin").then_run().says("title", ""),
        ),
        (
            "from red to blue, with a request that stays",
            Scene::settled().asks(tool, None, keep()).then_run().later(1).says("team", "blue"),
        ),
        (
            "from red to blue, with a request that ends on a move",
            Scene::settled()
                .asks(tool, None, RequestOnMove::Drop)
                .then_run()
                .later(1)
                .says("team", "blue"),
        ),
        (
            "from red to blue 6 days ago, with a request to be confirmed within 5",
            Scene::settled()
                .asks(tool, None, RequestOnMove::Revalidate { days: 5 })
                .then_run()
                .later(1)
                .says("team", "blue")
                .then_run()
                .later(6),
        ),
        ("a role lost an entitlement", {
            let mut scene = Scene::settled();
            scene.0.policy =
                parse_yaml("p", &POLICY.replace("[t/group/red, t/group/wiki]", "[t/group/red]"))
                    .unwrap();
            scene
        }),
        ("access on a second account of the same person", {
            let scene = Scene::settled();
            let mut second =
                AccountState::new("second".parse().unwrap(), "e1-adm", AccountStatus::Active);
            second.external_id = Some(person("E1"));
            second.holdings = [key("role/admin")].into();
            scene.0.targets["t"]
                .out_of_band(|world| world.accounts.insert(second.id.clone(), second));
            scene
        }),
        ("asked for a tool for 4 hours", Scene::settled().asks(tool, Some(4), keep())),
        (
            "asked for a tool for 4 hours, yesterday",
            Scene::settled().asks(tool, Some(4), keep()).then_run().later(1),
        ),
        ("an exception that ended yesterday", {
            let mut scene = Scene::settled();
            let (from, until) = (scene.now(), scene.now() + TimeDelta::hours(5));
            scene.0.person("E1").exceptions.push(AccessException {
                id: "X1".parse().unwrap(),
                entitlement: tool.parse().unwrap(),
                owner: person("M1"),
                from,
                until,
                why: "while the other one is down".into(),
            });
            scene.then_run().later(1)
        }),
        (
            "somebody took a group away",
            Scene::settled().account(|it| drop(it.holdings.take(&key("group/red")))),
        ),
        (
            "somebody gave a group",
            Scene::settled().account(|it| it.holdings.extend([key("group/blue")])),
        ),
        (
            "on leave since today",
            Scene::settled()
                .engagement(|it| it.leaves.push(Leave { from: day(0), to: Some(day(20)) })),
        ),
        (
            "back from leave since today",
            Scene::settled()
                .engagement(|it| it.leaves.push(Leave { from: day(0), to: Some(day(20)) }))
                .then_run()
                .later(21),
        ),
        (
            "back from leave, in another team",
            Scene::settled()
                .engagement(|it| it.leaves.push(Leave { from: day(0), to: Some(day(20)) }))
                .then_run()
                .later(21)
                .says("team", "blue"),
        ),
        ("last day today", Scene::settled().engagement(|it| it.end = Some(day(0)))),
        ("last day in 10 days", Scene::settled().engagement(|it| it.end = Some(day(10)))),
        ("last day yesterday", Scene::settled().engagement(|it| it.end = Some(day(-1)))),
        (
            "last day 40 days ago, known since today",
            Scene::settled().engagement(|it| it.end = Some(day(-40))),
        ),
        (
            "dismissed a minute ago, last day in 10 days",
            Scene::settled().engagement(|it| {
                (it.ending, it.end, it.cut_off) =
                    (Ending::ForCause, Some(day(10)), Some(start() - TimeDelta::minutes(1)));
            }),
        ),
        (
            "died yesterday",
            Scene::settled()
                .engagement(|it| (it.ending, it.end) = (Ending::Deceased, Some(day(-1)))),
        ),
        (
            "left with live API keys",
            Scene::settled()
                .account(|it| it.credentials.extend([(CredentialClass::ApiKeys, 3)]))
                .engagement(|it| it.end = Some(day(-1))),
        ),
        (
            "one of two engagements ended",
            Scene::settled()
                .also(employment, day(-100), None)
                .engagement(|_| ())
                .tap(|scene| scene.0.person("E1").identity.engagements[0].end = Some(day(-1))),
        ),
        ("the leave was a mistake, taken back today", gone().engagement(|it| it.end = None)),
        ("back 20 days after having left", gone().later(20).also(employment, day(20), None)),
        (
            "back, and a request from before",
            Scene::settled()
                .asks(tool, None, keep())
                .then_run()
                .engagement(|it| it.end = Some(day(-1)))
                .then_run()
                .later(20)
                .also(employment, day(20), None),
        ),
        (
            "contract until yesterday, employed since today",
            Scene::settled().engagement(|it| (it.kind, it.end) = (contract, Some(day(-1)))).also(
                employment,
                day(0),
                None,
            ),
        ),
        (
            "contract until yesterday, employed in 3 days",
            Scene::settled().engagement(|it| (it.kind, it.end) = (contract, Some(day(-1)))).also(
                employment,
                day(3),
                None,
            ),
        ),
        ("a contract without an end", Scene::hired(0).engagement(|it| it.kind = contract)),
        (
            "a contract that ends in 10 days",
            Scene::settled().engagement(|it| (it.kind, it.end) = (contract, Some(day(10)))),
        ),
        ("a robot, its owner at work", non_human("M1")),
        ("a robot, its owner gone", {
            let mut scene = non_human("M1").then_run();
            scene.0.last_day("M1", "2026-03-01");
            scene.says("team", "blue")
        }),
        ("a robot, its owner a robot", non_human("E1")),
    ]
}

/// The rows of targets that know fewer statuses.
fn fewer() -> Vec<(&'static str, &'static str, Scene)> {
    use AccountStatus::{Active, Archived, Disabled};
    let no_staged = |memory: Memory| memory.with_statuses([Active, Disabled]);
    let strict = |memory: Memory| no_staged(memory).refusing_grants_when_disabled();
    let archives = |memory: Memory| memory.with_statuses([Active, Disabled, Archived]);
    let always_open = |memory: Memory| memory.with_statuses([Active]);
    let settled = || Scene::hired_on(no_staged, -300).then_run();
    let leave = Leave { from: day(0), to: Some(day(20)) };
    let away = || settled().engagement(|it| it.leaves.push(leave)).then_run();
    let archived = || {
        let gone = Scene::hired_on(archives, -300).then_run();
        let gone = gone.engagement(|it| it.end = Some(day(-1))).then_run().later(20);
        gone.account(|it| it.status = Archived).also(EngagementKind::Employment, day(25), None)
    };
    let two = "active, disabled";
    let shut = "active, disabled; gives nothing to the disabled";
    vec![
        (two, "first day in 10 days", Scene::hired_on(no_staged, 10)),
        (two, "first day in 5 days", Scene::hired_on(no_staged, 5)),
        (two, "first day today, made before", Scene::hired_on(no_staged, 5).then_run().later(5)),
        (two, "on leave since today", settled().engagement(|it| it.leaves.push(leave))),
        (two, "back from leave since today", away().later(21)),
        (two, "last day yesterday", settled().engagement(|it| it.end = Some(day(-1)))),
        (shut, "first day in 5 days", Scene::hired_on(strict, 5)),
        (shut, "first day today, made before", Scene::hired_on(strict, 5).then_run().later(5)),
        ("active", "first day in 5 days", Scene::hired_on(always_open, 5)),
        ("active", "first day today", Scene::hired_on(always_open, 5).then_run().later(5)),
        ("no staged, and archived", "back in 5 days, archived meanwhile", archived()),
        ("no staged, and archived", "back today, archived meanwhile", archived().later(5)),
    ]
}

impl Scene {
    fn tap(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

#[test]
fn the_decision_table() {
    let mut text = HEAD.to_owned();
    for (what, scene) in rows() {
        let _ = writeln!(text, "| {what} | {} |", scene.row(false));
    }
    text.push_str(FEWER);
    for (target, what, scene) in fewer() {
        let _ = writeln!(text, "| {target} | {what} | {} |", scene.row(true));
    }
    text.push_str(FOOT);
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/lifecycle.md");
    if std::env::var_os("JML_UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, wanted, "{} differs; JML_UPDATE_GOLDEN=1 rewrites it", path.display());
}

#[test]
fn what_was_done_once_is_not_done_again() {
    let fewer = fewer().into_iter().map(|(_, what, scene)| (what, scene));
    for (what, scene) in rows().into_iter().chain(fewer) {
        let company = scene.then_run().0;
        let again = company.look();
        let plans: Vec<_> = again.plans().map(|plan| plan.header().kind).collect();
        assert_eq!(plans, [], "{what}");
    }
}

#[test]
fn same_facts_same_access() {
    // Whatever the way, two people of whom the same is known come to hold the same.
    let mut company = Company::new(POLICY, &["t"]);
    company.hire("M1", "2020-01-06", &[("team", "x"), ("title", ""), ("manager", "")]);
    for (id, team) in [("E1", "red"), ("E2", "blue")] {
        company.hire(id, "2025-01-06", &[("team", team), ("title", "Admin"), ("manager", "M1")]);
    }
    company.run();
    company.say("E1", &[("team", "blue")]);
    company.run();
    company.clock.advance(TimeDelta::days(4));
    company.run();
    assert_eq!(company.holds("E1", "t"), company.holds("E2", "t"));
    let all = texts(&["group/staff", "group/early", "group/blue", "role/admin"]);
    assert_eq!(company.holds("E1", "t"), all);
}
