//! Gates through the engine: stages, quorum, escalation, delegation, who may decide as of now, and
//! decisions that outlive their run.

use chrono::TimeDelta;
use jml_core::account::AccountStatus;
use jml_core::approval::Standing;
use jml_core::clock::Clock as _;
use jml_core::facts::Delegation;
use jml_core::id::RunId;
use jml_core::identity::Leave;
use jml_core::journal::{Decision, Fact, RunOutcome};
use jml_engine::{EngineError, RunReport};

use crate::company::{Company, texts};
use crate::support::person;

const POLICY: &str = r#"
version: "1"
sources: [hr]
attributes:
  email: { type: text }
  team: { type: text }
  manager: { type: text }
entitlements:
  t/group/staff: { title: Staff }
  t/role/admin: { title: Admin, sensitivity: privileged, owner: OWN }
  t/role/root: { title: Root, sensitivity: privileged, owner: OWN }
rules:
  staff: { title: Staff, when: always, grants: [t/group/staff] }
  admin: { title: Admin, when: { in: { team: [ops, core] } }, grants: [t/role/admin] }
  root: { title: Root, when: { eq: { team: core } }, grants: [t/role/root] }
accounts:
  t: { user_name: email }
gates:
  high:
    title: Administrative access
    sensitivity: privileged
    stages:
      - approvers: { manager: manager }
        escalate: { after_hours: 24, to: { manager: { attribute: manager, level: 2 } } }
      - approvers: entitlement_owner
      - approvers: { named: [SEC1, SEC2, SEC3, E1] }
        quorum: 2
    expires_days: 7
delegation: { max_days: 14 }
leaver: { manager: manager }
modes: { default: full }
brakes: { max_leavers_share: 100% }
"#;

/// E1 wants to be an administrator; M1 is the manager, M2 the manager's manager.
fn company(team: &str) -> Company {
    let mut company = Company::new(POLICY, &["t"]);
    for (id, manager) in [
        ("M2", ""),
        ("M1", "M2"),
        ("OWN", "M2"),
        ("SEC1", "M2"),
        ("SEC2", "M2"),
        ("SEC3", "M2"),
        ("D", "M2"),
    ] {
        company.hire(id, "2025-01-06", &[("team", "x"), ("manager", manager)]);
    }
    company.hire("E1", "2025-01-06", &[("team", team), ("manager", "M1")]);
    company
}

fn run_of(reports: &[RunReport], id: &str) -> RunId {
    reports.iter().find(|it| it.view.identity.as_str() == id).unwrap().view.run.clone()
}

/// Everybody has what they should have, but for the gate of E1.
fn waiting(team: &str) -> (Company, RunId) {
    let company = company(team);
    let run = run_of(&company.run().runs, "E1");
    (company, run)
}

fn yes(company: &Company, run: &RunId, by: &str) -> Result<RunReport, String> {
    company.decide(run, "g1", by, Decision::Approved).map_err(|error| match error {
        EngineError::NotTaken(why) => why,
        other => format!("not refused, but broken: {other}"),
    })
}

/// Who was asked last, and at which stage.
fn asked(company: &Company) -> (u16, Vec<String>) {
    company.ears.asked.lock().unwrap().last().unwrap().clone()
}

fn names(of: &[&str]) -> Vec<String> {
    of.iter().map(ToString::to_string).collect()
}

#[test]
fn stages_are_asked_one_after_the_other() {
    let (company, run) = waiting("ops");
    assert_eq!(company.holds("E1", "t"), texts(&["group/staff"]), "only the gated grant waits");
    assert_eq!(asked(&company), (0, names(&["M1"])));
    // Nobody of a later stage decides before it is reached, and a stranger never.
    for by in ["OWN", "SEC1", "E1", "D"] {
        yes(&company, &run, by).unwrap_err();
    }
    yes(&company, &run, "M1").unwrap();
    assert_eq!(asked(&company), (1, names(&["OWN"])));
    yes(&company, &run, "OWN").unwrap();
    // The person whom it is about is named by the policy, and still does not decide.
    assert_eq!(asked(&company), (2, names(&["SEC1", "SEC2", "SEC3"])));
    yes(&company, &run, "SEC2").unwrap();
    assert!(yes(&company, &run, "SEC2").unwrap_err().contains("decided already"));
    assert!(yes(&company, &run, "E1").unwrap_err().contains("own access"));
    assert!(!company.holds("E1", "t").contains("role/admin"), "one of two is not enough");
    let report = yes(&company, &run, "SEC1").unwrap();
    assert_eq!(report.view.outcome, Some(RunOutcome::Clean));
    assert!(company.holds("E1", "t").contains("role/admin"));
}

#[test]
fn a_refusal_at_any_stage_ends_it() {
    let (company, run) = waiting("ops");
    yes(&company, &run, "M1").unwrap();
    let report = company.decide(&run, "g1", "OWN", Decision::Refused).unwrap();
    assert_eq!(report.view.outcome, Some(RunOutcome::Partial));
    assert!(!company.holds("E1", "t").contains("role/admin"));
    // It is not asked again, however often somebody looks.
    assert_eq!(company.look().plans().count(), 0);
}

#[test]
fn nobody_in_time_means_more_people_and_then_no() {
    let (company, run) = waiting("ops");
    company.clock.advance(TimeDelta::hours(25));
    block(&company);
    assert_eq!(asked(&company), (0, names(&["M1", "M2"])));
    let view = futures::executor::block_on(company.engine.view(&run)).unwrap();
    assert_eq!(view.gates[0].approvers[&person("M2")], Standing::Manager { level: 2 });
    yes(&company, &run, "M2").unwrap();
    assert_eq!(asked(&company).0, 1);
    company.clock.advance(TimeDelta::days(7));
    block(&company);
    let facts = company.facts_of(&run);
    assert!(facts.iter().any(|fact| matches!(fact, Fact::GateExpired { .. })));
    assert_eq!(facts.last(), Some(&Fact::Closed { outcome: RunOutcome::Partial }));
    assert!(!company.holds("E1", "t").contains("role/admin"));
}

/// Drives what is open.
fn block(company: &Company) {
    futures::executor::block_on(company.engine.work(1)).unwrap();
}

#[test]
fn who_may_decide_is_who_it_is_now() {
    // The manager left after having been asked; the new one decides, the old one does not.
    let (mut company, run) = waiting("ops");
    company.say("E1", &[("manager", "D")]);
    assert!(yes(&company, &run, "M1").unwrap_err().contains("may not decide"));
    assert_eq!(asked(&company), (0, names(&["D"])));
    yes(&company, &run, "D").unwrap();
    // The owner leaves: nobody is left at the second stage, and nobody to escalate to.
    company.last_day("OWN", "2026-03-01");
    assert!(yes(&company, &run, "OWN").unwrap_err().contains("may not decide"));

    // A manager who left, and an escalation that need not wait for its hours.
    let (mut company, run) = waiting("ops");
    company.last_day("M1", "2026-03-01");
    futures::executor::block_on(company.engine.reseat(&company.policy, &company.facts)).unwrap();
    assert_eq!(asked(&company), (0, names(&["M2"])));
    let escalated =
        |fact: &Fact| matches!(fact, Fact::GateEscalated { why, .. } if why.contains("too few"));
    assert_eq!(company.facts_of(&run).iter().filter(|fact| escalated(fact)).count(), 1);
    // Looking again changes nothing and asks nobody twice.
    let before = (company.entries(&run).len(), company.ears.asked.lock().unwrap().len());
    futures::executor::block_on(company.engine.reseat(&company.policy, &company.facts)).unwrap();
    assert_eq!(before, (company.entries(&run).len(), company.ears.asked.lock().unwrap().len()));
    yes(&company, &run, "M2").unwrap();
}

fn lend(company: &mut Company, of: &str, to: &str, days: i64) {
    let from = company.clock.now() - TimeDelta::hours(1);
    let until = from + TimeDelta::days(days);
    let (of, to) = (of.parse().unwrap(), to.parse().unwrap());
    company.facts.delegations.push(Delegation { of, to, from, until });
}

#[test]
fn delegation_is_bounded() {
    let (mut company, run) = waiting("ops");
    // Too long, of somebody without a right, a delegate's delegate, to the person whom it is about.
    lend(&mut company, "M1", "SEC3", 15);
    lend(&mut company, "SEC1", "M2", 3);
    lend(&mut company, "D", "SEC2", 3);
    lend(&mut company, "M1", "E1", 3);
    for by in ["SEC3", "M2", "SEC2", "E1"] {
        yes(&company, &run, by).unwrap_err();
    }
    // M1 is away, and D decides for M1 as long as that holds.
    let away = Leave { from: "2026-03-01".parse().unwrap(), to: None };
    company.person("M1").identity.engagements[0].leaves.push(away);
    assert!(yes(&company, &run, "M1").unwrap_err().contains("may not decide"));
    lend(&mut company, "M1", "D", 3);
    yes(&company, &run, "D").unwrap();
    let decided = company.facts_of(&run).into_iter().find_map(|fact| match fact {
        Fact::GateDecided { standing, .. } => Some(standing),
        _ => None,
    });
    assert_eq!(decided, Some(Standing::Delegate { of: person("M1") }));
    yes(&company, &run, "OWN").unwrap();
    // One right counts once: SEC1's delegate brings nothing that SEC1 has not brought.
    lend(&mut company, "SEC1", "M2", 3);
    yes(&company, &run, "SEC1").unwrap();
    assert!(yes(&company, &run, "M2").unwrap_err().contains("stands in for"));
    // D has decided at the first stage.
    lend(&mut company, "SEC2", "D", 3);
    assert!(yes(&company, &run, "D").unwrap_err().contains("decided already"));
    let report = yes(&company, &run, "SEC2").unwrap();
    assert_eq!(report.view.outcome, Some(RunOutcome::Clean));
}

#[test]
fn a_decision_outlives_its_run_as_long_as_nothing_is_added() {
    let (mut company, run) = waiting("ops");
    yes(&company, &run, "M1").unwrap();
    yes(&company, &run, "OWN").unwrap();
    yes(&company, &run, "SEC1").unwrap();
    // Something else changes: the run is superseded, and the new one needs what was missing, no more.
    company.targets["t"].out_of_band(|state| {
        for account in state.accounts.values_mut() {
            account.holdings.clear();
        }
    });
    let asks = company.ears.asked.lock().unwrap().len();
    let again = run_of(&company.run().runs, "E1");
    assert_ne!(again, run);
    assert_eq!(
        company.facts_of(&run).last(),
        Some(&Fact::Closed { outcome: RunOutcome::Superseded })
    );
    let kept: Vec<Fact> = company
        .facts_of(&again)
        .into_iter()
        .filter(|fact| matches!(fact, Fact::DecisionKept { .. }))
        .collect();
    assert_eq!(kept.len(), 3, "{kept:?}");
    let named = |fact: &Fact| matches!(fact, Fact::DecisionKept { run: from, .. } if *from == run);
    assert!(kept.iter().all(named), "each names the run in which it was taken");
    assert_eq!(asked(&company).0, 2, "only the open stage is asked");
    assert_eq!(company.ears.asked.lock().unwrap().len(), asks + 1);
    assert!(yes(&company, &again, "SEC1").unwrap_err().contains("decided already"));

    // The plan grows: everybody is asked anew.
    company.say("E1", &[("team", "core")]);
    let grown = run_of(&company.run().runs, "E1");
    let kept = |fact: &Fact| matches!(fact, Fact::DecisionKept { .. });
    assert_eq!(company.facts_of(&grown).iter().filter(|fact| kept(fact)).count(), 0);
    assert_eq!(asked(&company), (0, names(&["M1"])));
    yes(&company, &grown, "M1").unwrap();

    // It shrinks again: what was said about more counts for less.
    company.say("E1", &[("team", "ops")]);
    let shrunk = run_of(&company.run().runs, "E1");
    assert_eq!(company.facts_of(&shrunk).iter().filter(|fact| kept(fact)).count(), 3);
    yes(&company, &shrunk, "SEC2").unwrap();
    assert!(company.holds("E1", "t").contains("role/admin"));

    // A decision is used up by the change that it allowed.
    company.targets["t"].out_of_band(|state| {
        for account in state.accounts.values_mut() {
            account.holdings.clear();
        }
    });
    let repair = run_of(&company.run().runs, "E1");
    assert_eq!(company.facts_of(&repair).iter().filter(|fact| kept(fact)).count(), 0);
}

#[test]
fn a_kept_decision_keeps_its_own_expiry() {
    let (company, run) = waiting("ops");
    yes(&company, &run, "M1").unwrap();
    company.clock.advance(TimeDelta::days(6));
    company.targets["t"].out_of_band(|state| {
        for account in state.accounts.values_mut() {
            account.holdings.clear();
        }
    });
    let again = run_of(&company.run().runs, "E1");
    let kept = |run: &RunId| {
        let facts = company.facts_of(run);
        facts.iter().filter(|fact| matches!(fact, Fact::DecisionKept { .. })).count()
    };
    assert_eq!(kept(&again), 1);
    company.clock.advance(TimeDelta::days(2));
    company.targets["t"].out_of_band(|state| {
        for account in state.accounts.values_mut() {
            account.holdings.clear();
        }
    });
    let later = run_of(&company.run().runs, "E1");
    assert_ne!(later, again);
    assert_eq!(kept(&later), 0, "eight days after it was given, seven was the limit");
}

#[test]
fn a_gate_that_nobody_can_pass_is_not_opened() {
    let mut company = company("ops");
    company.last_day("SEC2", "2026-03-01");
    company.last_day("SEC3", "2026-03-01");
    let batch = company.look();
    let planned = batch.planned.iter().find(|it| it.delta.identity.as_str() == "E1").unwrap();
    let why = "needs 2 approvers at stage 3, and 1 may decide";
    assert!(planned.waits.iter().any(|wait| wait.why.contains(why)), "{:?}", planned.waits);
    let company = company_with_one_for_all();
    let batch = company.look();
    let planned = batch.planned.iter().find(|it| it.delta.identity.as_str() == "E1").unwrap();
    let why = "too few different approvers";
    assert!(planned.waits.iter().any(|wait| wait.why.contains(why)), "{:?}", planned.waits);
}

/// The owner is the only one who may decide, at two stages.
fn company_with_one_for_all() -> Company {
    let policy =
        POLICY.replace("{ named: [SEC1, SEC2, SEC3, E1] }\n        quorum: 2", "{ named: [OWN] }");
    let mut company = Company::new(&policy, &["t"]);
    for id in ["M1", "OWN"] {
        company.hire(id, "2025-01-06", &[("team", "x"), ("manager", "")]);
    }
    company.hire("E1", "2025-01-06", &[("team", "ops"), ("manager", "M1")]);
    company
}

#[test]
fn what_nobody_wants_any_more_is_not_waited_for() {
    let (mut company, run) = waiting("ops");
    company.say("E1", &[("team", "x")]);
    let batch = company.look();
    assert_eq!(batch.plans().count(), 0);
    assert_eq!(batch.withdrawn[&person("E1")], [run.clone()].into());
    company.run();
    assert_eq!(
        company.facts_of(&run).last(),
        Some(&Fact::Closed { outcome: RunOutcome::Cancelled })
    );
    yes(&company, &run, "M1").unwrap_err();
    assert_eq!(company.holds("E1", "t"), texts(&["group/staff"]));
    assert_eq!(company.status("E1", "t"), Some(AccountStatus::Active));
    // Looking finds nothing to withdraw while it is still wanted, even if nobody may decide at present.
    let (mut company, _) = waiting("ops");
    company.last_day("SEC2", "2026-03-01");
    company.last_day("SEC3", "2026-03-01");
    assert!(!company.look().withdrawn.contains_key(&person("E1")));
}
