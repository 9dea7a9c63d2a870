//! Plays the year and tells it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Datelike as _, TimeDelta, Utc, Weekday};
use futures::executor::block_on;
use jml_core::claim::{AccessException, ApprovedRequest, RequestOnMove, Validity};
use jml_core::id::{ExceptionId, GateId, IdentityId, RequestId, RunId, StepId};
use jml_core::journal::{Decision, JournalStore as _};
use jml_core::plan::LifecycleKind;
use jml_core::provider::Layer;
use jml_diff::Verdict;
use jml_engine::{EngineError, Request, RunReport, Selection, Vote};
use jml_evidence::anchor::FileDrop;
use jml_evidence::certificate::certificate;
use jml_evidence::controls::{Framework, State, coverage};
use jml_evidence::note::VerifierKey;
use jml_evidence::pack::PackRequest;
use jml_evidence::sla::Preset;
use jml_evidence::store::PopulationError;
use jml_evidence::verify::{Directory, Trust, entries};
use serde_json::json;

use super::calendar::{Event, morning, year};
use super::clock::DemoClock;
use super::company::{Company, date};
use super::targets::Targets;
use crate::cmd::audit::{extract, pack, start_of};
use crate::cmd::evidence::anchor;
use crate::exit::{ERROR, Failure};
use crate::out::{BOLD, Out, styled};
use crate::project::{Project, Time};
use crate::render;

/// What people do later because of a run.
enum Later {
    Decide(RunId, GateId, IdentityId, Decision),
    Done(RunId, StepId),
}

/// Figures of the year.
#[derive(Default, serde::Serialize)]
struct Totals {
    runs: BTreeMap<&'static str, u32>,
    grants: usize,
    revokes: usize,
    approvals: u32,
    refusals: u32,
    tasks: u32,
    requests: usize,
    feeds_refused: u32,
    batches_braked: u32,
    withheld: u32,
    foreign: BTreeSet<String>,
}

/// The year while it is played.
pub(crate) struct Year<'a> {
    dir: PathBuf,
    out: &'a Out,
    progress: &'a Out,
    clock: DemoClock,
    project: Project,
    targets: Targets,
    company: Company,
    agenda: BTreeMap<DateTime<Utc>, Vec<Event>>,
    later: BTreeMap<DateTime<Utc>, Vec<Later>>,
    wake: BTreeMap<IdentityId, DateTime<Utc>>,
    month: u32,
    month_counts: BTreeMap<&'static str, u32>,
    totals: Totals,
    dismissed: Option<RunId>,
    told_findings: BTreeSet<String>,
}

fn id<T: std::str::FromStr>(text: &str) -> Result<T, Failure>
where
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|e: T::Err| Failure::new(ERROR, e.to_string()))
}

impl<'a> Year<'a> {
    pub(crate) fn begin(dir: &Path, out: &'a Out, progress: &'a Out) -> Result<Self, Failure> {
        let start = morning(date(1, 5));
        let clock = DemoClock::new(start - TimeDelta::hours(1));
        let company = Company::new();
        fs::write(dir.join("hr.csv"), company.csv())?;
        let targets = Targets::start(dir, &clock)?;
        let config = include_str!("../../template/jml.toml");
        let config = config.split("[local]").next().unwrap_or_default();
        fs::write(dir.join("jml.toml"), format!("{config}{}", targets.config()))?;
        let policy = include_str!("policy.yaml").replace("CLUSTER", &targets.cluster);
        fs::write(dir.join("policy.yaml"), policy)?;
        let layer: Option<Arc<dyn Layer>> = Some(Arc::new(clock.turns()));
        // Documents are handed over for most of an hour, and nobody goes home before.
        let patience = TimeDelta::hours(2);
        let time = Time { clock: Arc::new(clock.clone()), patience, layer };
        let project = Project::open(&dir.join("jml.toml"), time, true)?;
        let mut agenda: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (at, event) in year() {
            agenda.entry(at).or_default().push(event);
        }
        Ok(Self {
            dir: dir.to_owned(),
            out,
            progress,
            clock,
            project,
            targets,
            company,
            agenda,
            later: BTreeMap::new(),
            wake: BTreeMap::new(),
            month: 0,
            month_counts: BTreeMap::new(),
            totals: Totals::default(),
            dismissed: None,
            told_findings: BTreeSet::new(),
        })
    }

    pub(crate) const fn targets(&self) -> &Targets {
        &self.targets
    }

    pub(crate) const fn project(&self) -> &Project {
        &self.project
    }

    /// Goes from one instant at which something is due to the next, to the end of the year.
    pub(crate) fn play(&mut self) -> Result<(), Failure> {
        let end = morning(date(12, 31));
        let mut sweep = morning(date(1, 12));
        loop {
            let due = [
                self.agenda.keys().next().copied(),
                self.later.keys().next().copied(),
                self.wake.values().min().copied(),
                Some(sweep),
            ];
            let Some(at) = due.into_iter().flatten().min() else { break };
            if at > end {
                break;
            }
            self.clock.set(at);
            self.begin_month(at);
            self.progress.progress(&format!("{}", at.format("%Y-%m-%d")));
            let mut who: BTreeSet<IdentityId> = BTreeSet::new();
            let mut all = false;
            for event in self.agenda.remove(&at).unwrap_or_default() {
                all |= self.happen(&event, at, &mut who)?;
            }
            for later in self.later.remove(&at).unwrap_or_default() {
                self.people(later, at)?;
            }
            who.extend(self.wake.iter().filter(|(_, next)| **next <= at).map(|(id, _)| id.clone()));
            let swept = at >= sweep;
            if swept {
                sweep += TimeDelta::days(7);
                debug_assert_eq!(sweep.weekday(), Weekday::Mon);
            }
            let selection = if all || swept { Selection::All } else { Selection::Only(who) };
            let cause = if swept { "weekly sweep" } else { "due" };
            self.plan(&selection, cause, at)?;
            self.totals.requests += self.targets.requests();
            if swept {
                // Once a week somebody outside gets to see how far the log is.
                let store = self.project.evidence()?;
                store.with(|it| it.heartbeat(at))?;
                anchor(store, &FileDrop::new(self.dir.join("outside")), at)?;
            }
        }
        self.progress.done();
        self.end_month();
        Ok(())
    }

    fn tell(&self, at: DateTime<Utc>, text: &str) {
        self.out.line(format!("  {}  {text}", at.format("%b %d")));
    }

    fn begin_month(&mut self, at: DateTime<Utc>) {
        if at.month() != self.month {
            self.end_month();
            self.month = at.month();
            self.out.line("");
            self.out.line(styled(BOLD, at.format("%B %Y")));
        }
    }

    fn end_month(&mut self) {
        if !self.month_counts.is_empty() {
            let counts: Vec<String> =
                self.month_counts.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
            self.out.line(format!("  runs    {}", counts.join(", ")));
            self.month_counts.clear();
        }
    }

    /// Lets something happen. Returns whether everybody has to be planned for.
    fn happen(
        &mut self,
        event: &Event,
        at: DateTime<Utc>,
        who: &mut BTreeSet<IdentityId>,
    ) -> Result<bool, Failure> {
        match event {
            Event::Feed(change, text) => {
                if !text.is_empty() {
                    self.tell(at, text);
                }
                change.make(&mut self.company);
                let csv = self.company.csv();
                self.feed(&csv, at, who)?;
            }
            Event::HalfFeed => {
                self.tell(at, "a feed arrives with every other row missing");
                let csv = self.company.csv();
                let half: Vec<&str> =
                    csv.lines().enumerate().filter(|(n, _)| n % 2 == 0).map(|(_, l)| l).collect();
                self.feed(&format!("{}\n", half.join("\n")), at, who)?;
            }
            Event::PolicyEdit => {
                self.tell(at, "the policy is edited: role `engineer` v2 has code review too");
                let path = self.dir.join("policy.yaml");
                let text = fs::read_to_string(&path)?;
                let text = text.replace("version: \"2026.1\"", "version: \"2026.2\"").replace(
                    "title: Engineer, version: 1, grants: [google/",
                    "title: Engineer, version: 2, grants: [okta/app/0oacode-review, google/",
                );
                fs::write(&path, text)?;
                self.project.reload_policy()?;
                return Ok(true);
            }
            Event::OutOfBand => {
                self.tell(at, "another administrator gives E0010 the production role by hand, and takes E0012 out of all-staff");
                self.targets.meddle("E0010", "prod-admin", "E0012", "group-all-staff")?;
            }
            Event::Exception => {
                self.tell(
                    at,
                    "E0042 is lent the ledger by an exception of E0004, until 1 September",
                );
                let person: IdentityId = id("E0042")?;
                if let Some(facts) = self.project.facts.people.get_mut(&person) {
                    facts.exceptions.push(AccessException {
                        id: id::<ExceptionId>("X-2026-1")?,
                        entitlement: id("okta/app/0oaledger")?,
                        owner: id("E0004")?,
                        from: at,
                        until: morning(date(9, 1)),
                        why: "quarter-end help".into(),
                    });
                }
                self.project.save()?;
                who.insert(person);
            }
            Event::Conflict => {
                self.tell(at, "clerk E0055 has an approved request to approve payments too");
                let person: IdentityId = id("E0055")?;
                if let Some(facts) = self.project.facts.people.get_mut(&person) {
                    facts.requests.push(ApprovedRequest {
                        id: id::<RequestId>("R-77")?,
                        entitlement: id("okta/app/0oapay-approve")?,
                        approved_by: id("E0004")?,
                        validity: Validity { from: at, until: None },
                        on_move: RequestOnMove::Drop,
                        why: "holiday cover".into(),
                    });
                }
                self.project.save()?;
                who.insert(person);
            }
            Event::SignIns => {
                self.targets.sign_ins(at);
                self.targets.keeps("E0028", "runbook of the cluster");
            }
        }
        Ok(false)
    }

    fn feed(
        &mut self,
        csv: &str,
        at: DateTime<Utc>,
        who: &mut BTreeSet<IdentityId>,
    ) -> Result<(), Failure> {
        fs::write(self.dir.join("hr.csv"), csv)?;
        let news = self.project.read_feed(at)?;
        if news.issues.is_empty() {
            who.extend(news.merged.joined);
            who.extend(news.merged.changed.into_keys());
            self.project.save()?;
        } else {
            self.totals.feeds_refused += 1;
            for issue in &news.issues {
                self.tell(at, &format!("REFUSED: {issue}; nothing is done because of it"));
            }
        }
        Ok(())
    }

    /// An approver decides, or somebody reports a task done.
    fn people(&mut self, later: Later, at: DateTime<Utc>) -> Result<(), Failure> {
        let engine = &self.project.engine;
        match later {
            Later::Decide(run, gate, by, decision) => {
                let why = match decision {
                    Decision::Approved => "needed for the job",
                    Decision::Refused => "not before the training",
                };
                let report = {
                    let vote = Vote { run: &run, gate: &gate, by: &by, decision, why };
                    let (policy, facts) = (&self.project.policy, &self.project.facts);
                    block_on(engine.decide(&vote, policy, facts))?
                };
                match decision {
                    Decision::Approved => self.totals.approvals += 1,
                    Decision::Refused => {
                        self.totals.refusals += 1;
                        let who = &report.view.identity;
                        self.tell(
                            at,
                            &format!(
                                "{by} refuses {who} the production role; the rest of the run stands"
                            ),
                        );
                    }
                }
            }
            Later::Done(run, step) => {
                let by: IdentityId = id("E0006")?;
                block_on(engine.complete_task(&run, &step, &by, "signed receipt"))?;
                self.totals.tasks += 1;
            }
        }
        Ok(())
    }

    fn plan(&mut self, who: &Selection, cause: &str, at: DateTime<Utc>) -> Result<(), Failure> {
        if matches!(who, Selection::Only(list) if list.is_empty()) {
            return Ok(());
        }
        let batch = block_on(self.project.engine.prepare(&Request {
            policy: &self.project.policy,
            facts: &self.project.facts,
            who,
            hint: None,
            cause,
            at,
        }))?;
        let (mut grants, mut revokes) = (0, 0);
        let mut next = BTreeMap::new();
        for planned in &batch.planned {
            let identity = planned.delta.identity.clone();
            next.insert(identity.clone(), planned.next_change_at);
            if planned.plan.is_some() {
                grants += planned.delta.with(Verdict::Grant).count();
                revokes += planned.delta.with(Verdict::Revoke).count();
            }
            for line in &planned.delta.access {
                if matches!(line.verdict, Verdict::Foreign(_)) {
                    let text = format!("{identity} holds {}: {}", line.entitlement, line.because);
                    if self.totals.foreign.insert(text.clone()) {
                        self.tell(at, &format!("reported, left alone: {text}"));
                    }
                }
            }
            for finding in &planned.findings {
                let text = format!("{identity}: {finding}");
                let sod = matches!(finding, jml_core::desired::Finding::SodConflict { .. });
                if sod && self.told_findings.insert(text.clone()) {
                    self.totals.withheld += 1;
                    self.tell(at, &text);
                }
            }
        }
        match block_on(self.project.engine.execute(batch, None)) {
            Ok(done) => {
                self.totals.grants += grants;
                self.totals.revokes += revokes;
                for (identity, instant) in next {
                    match instant {
                        Some(instant) => self.wake.insert(identity, instant),
                        None => self.wake.remove(&identity),
                    };
                }
                for report in &done.runs {
                    self.follow(report, at)?;
                }
            }
            Err(EngineError::Braked(report)) => {
                self.totals.batches_braked += 1;
                for trip in &report.tripped {
                    self.tell(at, &format!("BRAKE {trip}; nothing is done"));
                }
                // Somebody has to look; until then nobody of this batch is woken before tomorrow.
                for identity in next.into_keys() {
                    self.wake.insert(identity, at + TimeDelta::hours(25));
                }
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// What a run leaves for people to do, and what the story says about it.
    fn follow(&mut self, report: &RunReport, at: DateTime<Utc>) -> Result<(), Failure> {
        let view = &report.view;
        *self.totals.runs.entry(view.kind.as_str()).or_insert(0) += 1;
        *self.month_counts.entry(view.kind.as_str()).or_insert(0) += 1;
        let steps = view.steps.len();
        match view.kind {
            LifecycleKind::Leave
                if self.dismissed.is_none() && view.identity.as_str() == "E0028" =>
            {
                self.dismissed = Some(view.run.clone());
                self.tell(at, &format!("{} is contained: {steps} steps", view.identity));
            }
            LifecycleKind::LeaveOfAbsence
            | LifecycleKind::Return
            | LifecycleKind::Rehire
            | LifecycleKind::Rescinded => {
                self.tell(at, &format!("{} {}: {steps} steps", view.kind.as_str(), view.identity));
            }
            LifecycleKind::Move | LifecycleKind::Drift
                if matches!(view.identity.as_str(), "E0012" | "E0042" | "E0148") =>
            {
                let what: Vec<&str> = view
                    .steps
                    .iter()
                    .filter(|s| s.what.starts_with("grant") || s.what.starts_with("revoke"))
                    .map(|s| s.what.as_str())
                    .collect();
                if !what.is_empty() {
                    let drift = view.kind == LifecycleKind::Drift;
                    let why = if drift { " (somebody else took it away)" } else { "" };
                    self.tell(at, &format!("{}: {}{why}", view.identity, what.join(", ")));
                }
            }
            _ => {}
        }
        let tomorrow = at + TimeDelta::days(1);
        for gate in &view.gates {
            let refused = view.identity.as_str() == "E0300";
            let decision = if refused { Decision::Refused } else { Decision::Approved };
            let Some(by) = gate.approvers.keys().next().cloned() else { continue };
            let decide = Later::Decide(view.run.clone(), gate.id.clone(), by, decision);
            self.later.entry(tomorrow).or_default().push(decide);
        }
        for step in view.steps.iter().filter(|step| step.state == "a person has it") {
            let done = Later::Done(view.run.clone(), step.id.clone());
            self.later.entry(tomorrow + TimeDelta::days(1)).or_default().push(done);
        }
        Ok(())
    }

    /// What an auditor asks for at the end of the year: who left, a sample of them, and the proofs.
    pub(crate) fn audit(&mut self) -> Result<VerifierKey, Failure> {
        let at = morning(date(12, 31));
        let feed = self.project.read_feed(at)?.feed;
        let (from, to) = (date(1, 1), date(12, 30));
        let hr = extract(&feed, "hr.csv", "leaver", from, to);
        let store = self.project.evidence()?;
        let wrong = |e: PopulationError| Failure::new(ERROR, e.to_string());
        let end = start_of(to) + TimeDelta::days(1);
        let sealed = store
            .with(|it| it.seal_population("leaver", start_of(from), end, hr.as_ref(), at))
            .map_err(wrong)?;
        let seed = "what the auditor says on the first day";
        let (drawn, sample) = store
            .with(|it| {
                let drawn = it.draw_sample(sealed.entry, seed, 10, at)?;
                Ok((drawn.len(), it.log().size() - 1))
            })
            .map_err(wrong)?;
        let disclose = ["identity", "actor", "cause", "before", "after", "why", "proof", "left"]
            .map(str::to_owned);
        let request = PackRequest {
            title: "Leavers of 2026 at the example company".to_owned(),
            population: sealed.entry,
            sample: Some(sample),
            disclose: disclose.into(),
            earlier: BTreeSet::new(),
            presets: [Preset::FedRampHigh, Preset::Pci].into(),
            frameworks: Framework::all().collect(),
            trust: Trust::default(),
            at,
        };
        pack(&self.project, &request, &self.dir.join("audit"))?;
        self.out.line("");
        self.out.line(styled(BOLD, "For the auditor"));
        let body = &sealed.body;
        self.out.line(format!(
            "  {} leavers in {} runs are sealed as the population; {} of them are in the feed too, {} are only \
             in the feed, {} only in the log",
            body.people,
            body.members,
            body.matched.unwrap_or(0),
            body.source_only.unwrap_or(0),
            body.log_only.unwrap_or(0)
        ));
        for who in &sealed.source_only {
            self.out.line(format!("    only in the feed: {who}"));
        }
        self.out.line(format!(
            "  {drawn} are drawn by the auditor's seed; their records are in a pack"
        ));
        self.project.verifier()
    }

    /// Totals, an example certificate and the coverage of controls.
    pub(crate) fn finish(&mut self) -> Result<serde_json::Value, Failure> {
        let totals = &self.totals;
        self.out.line("");
        self.out.line(styled(BOLD, "The year"));
        let mut rows: Vec<Vec<String>> = totals
            .runs
            .iter()
            .map(|(kind, count)| vec![format!(" {kind} runs"), count.to_string()])
            .collect();
        for (what, count) in [
            (" entitlements granted", totals.grants),
            (" entitlements revoked", totals.revokes),
            (" approvals", totals.approvals as usize),
            (" refusals", totals.refusals as usize),
            (" tasks done by people", totals.tasks as usize),
            // Some are sent again, and how many is not the same on every machine.
            (" thousands of requests to targets", totals.requests / 1_000),
            (" feeds refused", totals.feeds_refused as usize),
            (" batches stopped by a brake", totals.batches_braked as usize),
            (" grants withheld for separation of duties", totals.withheld as usize),
            (" foreign access reported", totals.foreign.len()),
        ] {
            rows.push(vec![what.to_owned(), count.to_string()]);
        }
        self.out.line(render::table(rows));
        if let Some(run) = &self.dismissed {
            let entries = block_on(self.project.store.load(run))?;
            if let Some(certificate) = certificate(&entries) {
                self.out.line("");
                self.out.line(styled(BOLD, "A leaver's certificate"));
                // The run's name depends on nothing random, but it is long; the journal has it.
                self.out.line(certificate.to_string().trim_end());
            }
        }
        let dir = self.project.config.resolve(&self.project.config.evidence.dir);
        let log = entries(&Directory::new(dir));
        let frameworks = Framework::all().collect();
        let covered = coverage(log.iter().map(Vec::as_slice), &frameworks, None);
        self.out.line("");
        self.out.line(styled(BOLD, "Controls for which the log holds records"));
        let head = ["framework", "proven", "partly", "not by this log"];
        let mut rows = vec![head.iter().map(|h| format!(" {h}")).collect::<Vec<_>>()];
        for (framework, controls) in &covered {
            let counts = [State::Proven, State::Partly, State::NotHere]
                .map(|state| controls.iter().filter(|it| it.state == state).count());
            let mut row = vec![format!(" {}", framework.title())];
            row.extend(counts.iter().map(|n| format!(" {n}")));
            rows.push(row);
        }
        self.out.line(render::table(rows));
        Ok(json!(totals))
    }
}
