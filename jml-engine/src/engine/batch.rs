//! What goes into the engine, and what comes out.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use jml_core::facts::Facts;
use jml_core::id::{GateId, IdentityId, ProviderId, RunId};
use jml_core::journal::Decision;
use jml_core::plan::LifecycleKind;
use jml_core::policy::Policy;
use jml_core::provider::{Error, Snapshot};
use jml_diff::lint::Note;
use jml_diff::{Ledger, Planned, Verdict, World};
use serde::{Deserialize, Serialize};

use crate::brake::BrakeReport;
use crate::drive::Driven;
use crate::machine::Opening;
use crate::view::RunView;

/// What opening the runs of a batch takes.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Openings {
    /// The runs to open, in order.
    pub openings: Vec<Opening>,
    /// Open runs that nobody wants any more ([`Word::Withdraw`](crate::machine::Word::Withdraw)).
    pub withdrawn: BTreeSet<RunId>,
    /// People for whom somebody planned since the batch was prepared. Nothing is opened for them; preparing
    /// again looks anew.
    pub overtaken: BTreeSet<IdentityId>,
}

impl Openings {
    /// Why a run ends that nobody wants any more.
    pub const WITHDRAWN: &str = "what it would give is not wanted any more";
}

/// Whom to plan for.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_enums, reason = "everybody or some")]
pub enum Selection {
    /// Everybody.
    All,
    /// Only these.
    Only(BTreeSet<IdentityId>),
}

/// What to prepare.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Request<'a> {
    /// The policy.
    pub policy: &'a Policy,
    /// What is known about people.
    pub facts: &'a Facts,
    /// Whom to plan for.
    pub who: &'a Selection,
    /// The kind of change, where the difference alone cannot tell.
    pub hint: Option<LifecycleKind>,
    /// Why somebody looks.
    pub cause: &'a str,
    /// For which instant.
    pub at: DateTime<Utc>,
}

/// Plans for some people, looked at as a whole. Nothing was done yet.
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Batch {
    /// One entry for each person that was looked at, in order of identity.
    pub planned: Vec<Planned>,
    /// What the brakes say.
    pub brakes: BrakeReport,
    /// What lint says, for plans about which it says something.
    pub notes: BTreeMap<IdentityId, Vec<Note>>,
    /// People whose plan lint refused; their plan was taken out.
    pub refused: BTreeSet<IdentityId>,
    /// People whose change is under way in an open run; their plan was taken out.
    pub under_way: BTreeMap<IdentityId, RunId>,
    /// Runs that would still give what nobody should have any more, of people for whom nothing else is to
    /// be done. They are stopped when the batch is executed; where there is a plan, it supersedes them.
    pub withdrawn: BTreeMap<IdentityId, BTreeSet<RunId>>,
    /// Providers that could not be read, and why. Nothing is planned there.
    pub unread: BTreeMap<ProviderId, Error>,
    /// What was seen.
    pub world: World,
    /// What we granted before, for telling drift from foreign access.
    pub ledger: Ledger,
    /// When leavers of the last days were begun, for brakes that look at a window.
    pub recent_leavers: Vec<DateTime<Utc>>,
}

impl Batch {
    /// The plans that would run.
    pub fn plans(&self) -> impl Iterator<Item = &jml_core::plan::Plan> {
        self.planned.iter().filter_map(|planned| planned.plan.as_ref())
    }

    /// Why the batch does nothing, one line each; nothing when it does something. Together with
    /// [`explain_empty`](jml_core::explain::explain_empty), which says whom the policy leaves out.
    #[must_use]
    pub fn why_nothing(&self) -> Vec<String> {
        if self.plans().next().is_some() {
            return Vec::new();
        }
        let mut lines = Vec::new();
        for (provider, error) in &self.unread {
            lines.push(format!("provider `{provider}` could not be read: {error}"));
        }
        let mut why: BTreeMap<&str, usize> = BTreeMap::new();
        for wait in self.planned.iter().flat_map(|planned| &planned.waits) {
            *why.entry(&wait.why).or_insert(0) += 1;
        }
        for (why, count) in why {
            lines.push(format!("{count} changes wait: {why}"));
        }
        let counts = [
            (self.under_way.len(), "people have their change under way in an open run"),
            (self.refused.len(), "plans were refused by lint"),
            (self.withdrawn.len(), "people have a run that is withdrawn"),
        ];
        lines.extend(counts.iter().filter(|it| it.0 > 0).map(|(n, what)| format!("{n} {what}")));
        let foreign = self.planned.iter().flat_map(|planned| &planned.delta.access);
        let foreign = foreign.filter(|line| matches!(line.verdict, Verdict::Foreign(_))).count();
        if foreign > 0 {
            lines.push(format!(
                "{foreign} entitlements are held that no claim explains, and left alone"
            ));
        }
        let calm =
            self.planned.iter().filter(|it| it.delta.is_empty() && it.waits.is_empty()).count();
        lines.push(format!("{calm} of {} people have what they should have", self.planned.len()));
        lines
    }

    /// The earliest instant at which somebody's access changes by itself.
    #[must_use]
    pub fn next_change_at(&self) -> Option<DateTime<Utc>> {
        self.planned.iter().filter_map(|planned| planned.next_change_at).min()
    }
}

/// What came of a batch.
#[derive(Clone, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Executed {
    /// Its runs, in the order in which they were driven.
    pub runs: Vec<RunReport>,
    /// People for whom another plan was opened since the batch was prepared. Nothing was done for them;
    /// preparing again looks at them anew.
    pub overtaken: BTreeSet<IdentityId>,
}

/// What a batch would do.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Simulation {
    /// Its runs, as they would go with every gate agreed.
    pub runs: Vec<RunReport>,
    /// What each target that can be read would hold then. Accounts that would be made have made-up ids.
    pub after: BTreeMap<ProviderId, Snapshot>,
}

/// Runs of a batch that were opened and wait for a driver.
#[derive(Clone, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Enqueued {
    /// The runs.
    pub runs: Vec<RunId>,
    /// As in [`Executed::overtaken`].
    pub overtaken: BTreeSet<IdentityId>,
}

/// What came of taking up open runs.
#[derive(Clone, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Worked {
    /// The runs that were driven here, and where they stand.
    pub runs: Vec<RunReport>,
    /// Runs that another process has.
    pub elsewhere: BTreeSet<RunId>,
}

impl Worked {
    /// When to take up runs again at the latest, if nobody decides or completes anything before.
    #[must_use]
    pub fn until(&self) -> Option<DateTime<Utc>> {
        self.runs.iter().filter_map(|report| report.driven.until()).min()
    }
}

/// Somebody's decision at a gate.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Vote<'a> {
    /// Of which run.
    pub run: &'a RunId,
    /// Which gate.
    pub gate: &'a GateId,
    /// Whose.
    pub by: &'a IdentityId,
    /// Yes or no.
    pub decision: Decision,
    /// Why, in their words.
    pub why: &'a str,
}

/// What came of a run.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct RunReport {
    /// Where it was left.
    pub driven: Driven,
    /// Where it stands.
    pub view: RunView,
}
