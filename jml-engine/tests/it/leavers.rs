//! People who leave, in every way there is, and what becomes of their accounts.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::TimeDelta;
use jml_core::account::{AccountStatus, CredentialClass, Left, Mailbox};
use jml_core::claim::AccessException;
use jml_core::clock::Clock as _;
use jml_core::facts::LegalHold;
use jml_core::id::RunId;
use jml_core::identity::Ending;
use jml_core::journal::{Fact, RunOutcome};
use jml_core::plan::LifecycleKind;
use jml_core::provider::{
    Call, Cx, Layer, Layered, MailboxPart, Next, Operation, Provider, Reply, Result, Slot, Verb,
};
use jml_evidence::certificate::certificate;
use jml_testkit::Memory;

use crate::company::{Company, texts};
use crate::support::{key, person};

const POLICY: &str = r#"
version: "1"
sources: [hr]
attributes:
  email: { type: text }
  team: { type: text }
  manager: { type: text }
entitlements:
  t/group/staff: { title: Staff }
  t/group/team-red: { title: Everybody in red, assignability: { computed: team } }
  t/group/everyone: { title: Everyone, assignability: immutable }
  t/group/partner: { title: Partner portal, assignability: { external: partner } }
rules:
  staff: { title: Staff, when: always, grants: [t/group/staff] }
accounts:
  t: { user_name: email, attributes: { team: team } }
leaver:
  manager: manager
  transfer_ownership: true
  archive_after_days: 30
  delete_after_days: 90
modes: { default: full }
brakes: { max_leavers_share: 100%, max_revokes_share: 100%, max_group_loss_share: 100% }
"#;

fn company() -> Company {
    let mut company = Company::new(POLICY, &["t"]);
    company.hire("M1", "2025-01-06", &[("team", "red"), ("manager", "")]);
    company.hire("E1", "2025-01-06", &[("team", "red"), ("manager", "M1")]);
    company.run();
    assert_eq!(company.status("E1", "t"), Some(AccountStatus::Active));
    company
}

/// The account of E1, changed behind everybody's back.
fn change(company: &Company, change: impl Fn(&mut jml_core::account::AccountState)) {
    company.targets["t"].out_of_band(|state| {
        let mut all = state.accounts.values_mut();
        change(all.find(|it| it.external_id == Some(person("E1"))).unwrap());
    });
}

/// E1 holds something that we did not give.
fn hold(company: &Company, what: &str) {
    change(company, |account| account.holdings.extend([key(what)]));
}

/// E1's last day was yesterday.
fn leave(company: &mut Company) {
    company.last_day("E1", "2026-03-01");
}

/// Runs what is to be done for E1, and gives its run and kind.
fn run(company: &Company) -> Option<(RunId, LifecycleKind)> {
    let done = company.run();
    let of = done.runs.iter().find(|it| it.view.identity == person("E1"))?;
    Some((of.view.run.clone(), of.view.kind))
}

fn outcome(company: &Company, run: &RunId) -> RunOutcome {
    match company.facts_of(run).last() {
        Some(Fact::Closed { outcome }) => *outcome,
        other => panic!("{run} is not closed: {other:?}"),
    }
}

#[test]
fn a_computed_group_that_stays_is_not_green_and_is_on_the_certificate() {
    let mut company = company();
    change(&company, |account| {
        for held in ["group/team-red", "group/everyone"] {
            account.holdings.insert(key(held));
        }
        account.credentials.insert(CredentialClass::ApiKeys, 2);
    });
    leave(&mut company);
    let (left, kind) = run(&company).unwrap();
    assert_eq!(kind, LifecycleKind::Leave);
    assert_eq!(outcome(&company, &left), RunOutcome::Partial);
    // What it is computed from is gone, and this target does not compute it anew.
    let account = company.account("E1", "t").unwrap();
    assert!(!account.attributes.contains_key(&"team".parse().unwrap()));
    let residual = company.facts_of(&left).into_iter().find_map(|fact| match fact {
        Fact::Residual { left, .. } => Some(left),
        _ => None,
    });
    assert_eq!(residual, Some([Left::Access(key("group/team-red"))].into()));
    let certificate = certificate(&company.entries(&left)).unwrap();
    assert_eq!(certificate.residual.len(), 1, "{:?}", certificate.residual);
    assert!(certificate.residual[0].contains("holds `group/team-red`"));
    assert!(company.ears.alerts.lock().unwrap().iter().any(|it| it.contains("group/team-red")));
    // Nothing can be done about it, so nothing is done again and again.
    assert!(run(&company).is_none());
}

/// Takes everybody out of a computed group who is not in the team any more, as targets with dynamic
/// groups do.
struct Computes(Arc<Memory>);

#[async_trait]
impl Layer for Computes {
    fn slot(&self) -> Slot {
        Slot::Fault
    }

    async fn call(&self, cx: &Cx, call: &Call, next: Next<'_>) -> Result<Reply> {
        let reply = next.run(cx, call).await;
        self.0.out_of_band(|state| {
            for account in state.accounts.values_mut() {
                if !account.attributes.contains_key(&"team".parse().unwrap()) {
                    account.holdings.remove(&key("group/team-red"));
                }
            }
        });
        reply
    }
}

#[test]
fn a_computed_group_goes_with_what_it_is_computed_from() {
    let wrap = |memory: Arc<Memory>| -> Arc<dyn Provider> {
        Arc::new(Layered::new(memory.clone(), vec![Arc::new(Computes(memory))]))
    };
    let mut company = Company::with(POLICY, &["t"], |memory| memory, wrap);
    company.hire("E1", "2025-01-06", &[("team", "red"), ("manager", "")]);
    company.run();
    hold(&company, "group/team-red");
    leave(&mut company);
    let (left, _) = run(&company).unwrap();
    assert_eq!(outcome(&company, &left), RunOutcome::Clean);
    assert_eq!(company.holds("E1", "t"), texts(&[]));
}

#[test]
fn what_stays_can_be_waived_by_somebody_until_a_date() {
    let mut company = company();
    hold(&company, "group/partner");
    leave(&mut company);
    let now = company.clock.now();
    company.person("E1").waivers.push(AccessException {
        id: "W1".parse().unwrap(),
        entitlement: "t/group/partner".parse().unwrap(),
        owner: person("M1"),
        from: now - TimeDelta::hours(1),
        until: now + TimeDelta::days(10),
        why: "the partner removes it at the end of the month".into(),
    });
    let (left, _) = run(&company).unwrap();
    assert_eq!(outcome(&company, &left), RunOutcome::Clean);
    let paper = certificate(&company.entries(&left)).unwrap();
    assert_eq!(paper.residual, Vec::<String>::new());
    assert!(paper.waived[0].contains("`group/partner`, `M1` answers for it"), "{:?}", paper.waived);
    // Without a waiver that holds it is a residual.
    let mut company = self::company();
    hold(&company, "group/partner");
    leave(&mut company);
    let (left, _) = run(&company).unwrap();
    assert_eq!(outcome(&company, &left), RunOutcome::Partial);
}

#[test]
fn an_account_is_archived_and_deleted_by_plans_of_their_own() {
    let mut company = company();
    leave(&mut company);
    let (left, kind) = run(&company).unwrap();
    assert_eq!((kind, outcome(&company, &left)), (LifecycleKind::Leave, RunOutcome::Clean));
    company.clock.advance(TimeDelta::days(29));
    assert!(run(&company).is_none());
    company.clock.advance(TimeDelta::days(2));
    let (archived, kind) = run(&company).unwrap();
    assert_eq!((kind, outcome(&company, &archived)), (LifecycleKind::Retention, RunOutcome::Clean));
    assert_eq!(company.status("E1", "t"), Some(AccountStatus::Archived));
    company.clock.advance(TimeDelta::days(58));
    assert!(run(&company).is_none());
    company.clock.advance(TimeDelta::days(2));
    let (deleted, kind) = run(&company).unwrap();
    assert_eq!((kind, outcome(&company, &deleted)), (LifecycleKind::Retention, RunOutcome::Clean));
    assert_eq!(company.account("E1", "t"), None);
    assert!(run(&company).is_none());
    // Not one of the plans before could have deleted it.
    for run in [&left, &archived] {
        let Fact::Opened { plan, .. } = &company.facts_of(run)[0] else { panic!("not opened") };
        let deletes =
            |step: &jml_core::plan::Step| step.operation() == Some(&Operation::DeleteAccount);
        assert!(!plan.steps().values().any(deletes));
    }
}

#[test]
fn what_must_be_kept_is_not_deleted() {
    let late = |company: &mut Company| {
        leave(company);
        run(company).unwrap();
        company.clock.advance(TimeDelta::days(100));
    };
    let waits = |company: &Company, why: &str| {
        let batch = company.look();
        let of = batch.planned.iter().find(|it| it.delta.identity == person("E1")).unwrap();
        assert!(of.waits.iter().any(|wait| wait.why.contains(why)), "{:?}", of.waits);
        run(company);
        assert!(company.account("E1", "t").is_some());
    };
    // A legal hold, as long as it holds.
    let mut held = company();
    late(&mut held);
    let (from, until) =
        (held.clock.now() - TimeDelta::days(5), held.clock.now() + TimeDelta::days(5));
    let hold = LegalHold { case: "case 7".to_owned(), from, until: Some(until) };
    held.person("E1").legal_holds.push(hold);
    waits(&held, "case 7");
    held.clock.advance(TimeDelta::days(6));
    run(&held).unwrap();
    assert_eq!(held.account("E1", "t"), None);
    // Sole ownership, when there is nobody to hand it to.
    let mut owner = company();
    owner.say("E1", &[("manager", "")]);
    change(&owner, |account| account.owns = ["doc-1".into()].into());
    late(&mut owner);
    waits(&owner, "owns 1 things alone");
    // An account that somebody else closed.
    let mut foreign = company();
    change(&foreign, |account| account.status = AccountStatus::Disabled);
    leave(&mut foreign);
    run(&foreign);
    foreign.clock.advance(TimeDelta::days(100));
    assert!(run(&foreign).is_none());
    assert!(foreign.account("E1", "t").is_some());
    // Somebody who came back: the old end is no end.
    let mut back = company();
    late(&mut back);
    let again = jml_core::identity::Engagement {
        id: "E1-2".parse().unwrap(),
        start: back.clock.now().date_naive(),
        end: None,
        ..back.person("E1").identity.engagements[0].clone()
    };
    back.person("E1").identity.engagements.push(again);
    let (_, kind) = run(&back).unwrap();
    assert_eq!(kind, LifecycleKind::Rehire);
    assert_eq!(back.status("E1", "t"), Some(AccountStatus::Active));
    back.person("E1").identity.engagements[1].end = Some(back.clock.now().date_naive());
    back.clock.advance(TimeDelta::days(2));
    assert_eq!(run(&back).unwrap().1, LifecycleKind::Leave);
    back.clock.advance(TimeDelta::days(20));
    assert!(
        run(&back).is_none(),
        "twenty days after the second end, not a hundred after the first"
    );
}

#[test]
fn somebody_uses_the_account_between_plan_and_deletion() {
    let mut company = company();
    leave(&mut company);
    run(&company).unwrap();
    company.clock.advance(TimeDelta::days(100));
    let batch = company.look();
    change(&company, |account| account.status = AccountStatus::Active);
    let done = futures::executor::block_on(company.engine.execute(batch, None)).unwrap();
    assert_eq!(done.runs[0].view.outcome, Some(RunOutcome::Partial));
    assert!(company.account("E1", "t").is_some());
    // Seen again, it is blocked first.
    assert_eq!(run(&company).unwrap().1, LifecycleKind::Leave);
}

#[test]
fn a_dismissal_deletes_nothing() {
    let mut company = company();
    let now = company.clock.now();
    let engagement = &mut company.person("E1").identity.engagements[0];
    (engagement.ending, engagement.cut_off) = (Ending::ForCause, Some(now));
    let (left, kind) = run(&company).unwrap();
    assert_eq!(kind, LifecycleKind::Leave);
    assert_eq!(company.status("E1", "t"), Some(AccountStatus::Disabled));
    let Fact::Opened { plan, .. } = company.facts_of(&left).remove(0) else { panic!("not opened") };
    // A plan of that kind with a deletion in it does not exist: sealing refuses it.
    let mut draft: jml_core::plan::PlanDraft = (*plan).into();
    for step in draft.steps.values_mut() {
        if let jml_core::plan::StepKind::Change { op, .. } = &mut step.kind {
            *op = Operation::DeleteAccount;
        }
    }
    assert!(matches!(draft.seal(), Err(jml_core::plan::SealError::Deletes(..))));
}

#[test]
fn brakes_stop_deletions_in_bulk() {
    let mut company =
        Company::new(&POLICY.replace("brakes: {", "brakes: { max_deletes: 2,"), &["t"]);
    for number in 0..4 {
        company.hire(&format!("E{number}"), "2025-01-06", &[("team", "red"), ("manager", "")]);
    }
    company.run();
    for number in 0..3 {
        company.last_day(&format!("E{number}"), "2026-03-01");
    }
    company.run();
    company.clock.advance(TimeDelta::days(100));
    let batch = company.look();
    let tripped: Vec<&str> = batch.brakes.tripped.iter().map(|trip| trip.brake).collect();
    assert_eq!(tripped, ["max_deletes"]);
    futures::executor::block_on(company.engine.execute(batch, None)).unwrap_err();
    assert!(company.account("E0", "t").is_some());
}

/// Planning from listings that show little comes to the same as planning from whole ones: whoever leaves is
/// read before it is planned what is taken.
#[test]
fn what_a_wide_listing_does_not_show_is_taken_too() {
    let leave_from = |wide: bool| {
        let make = |memory: Memory| if wide { memory.listing_wide() } else { memory };
        let mut company = Company::with(POLICY, &["t"], make, |memory| memory);
        company.hire("M1", "2025-01-06", &[("team", "red"), ("manager", "")]);
        company.hire("E1", "2025-01-06", &[("team", "red"), ("manager", "M1")]);
        company.run();
        hold(&company, "group/partner");
        change(&company, |account| {
            account.credentials.insert(CredentialClass::ApiKeys, 2);
            account.owns.insert("budget".into());
        });
        leave(&mut company);
        let (left, _) = run(&company).unwrap();
        let account = company.account("E1", "t").unwrap();
        assert_eq!(account.credentials[&CredentialClass::ApiKeys], 0);
        assert!(account.owns.is_empty() && !account.holdings.contains(&key("group/staff")));
        let certificate = certificate(&company.entries(&left)).unwrap();
        (outcome(&company, &left), certificate.residual)
    };
    assert_eq!(leave_from(true), leave_from(false));
}

/// Where a closed account gets no mail, an auto-reply on it would answer nobody. Somebody is asked once to
/// send the mail elsewhere, and nothing that is taken waits for it.
#[test]
fn mail_of_somebody_who_left_goes_elsewhere_where_a_closed_account_gets_none() {
    let rule = "leaver:\n  auto_reply: I have left.\n  forward_to_manager: true\n";
    let policy = POLICY.replace("leaver:\n", rule);
    for keeps in [true, false] {
        let make = |memory: Memory| if keeps { memory } else { memory.losing_mail_when_disabled() };
        let mut company = Company::with(&policy, &["t"], make, |memory| memory);
        company.hire("M1", "2025-01-06", &[("team", "red"), ("manager", "")]);
        company.hire("E1", "2025-01-06", &[("team", "red"), ("manager", "M1")]);
        company.run();
        change(&company, |account| account.mailbox = Some(Mailbox::default()));
        leave(&mut company);
        let done = company.run();
        let of = |it: &&jml_engine::RunReport| it.view.identity == person("E1");
        let plan = done.runs.iter().find(of).unwrap().view.clone();
        let account = company.account("E1", "t").unwrap();
        assert_eq!(account.status, AccountStatus::Disabled);
        let mailbox = account.mailbox.unwrap();
        assert_eq!((mailbox.auto_reply.is_some(), mailbox.forward_to.is_some()), (keeps, keeps));
        let asked: Vec<_> =
            plan.steps.iter().filter(|step| step.what.contains("gets no mail")).collect();
        assert_eq!(asked.len(), usize::from(!keeps), "{:?}", plan.steps);
        assert!(asked.iter().all(|step| step.what.contains("give the address to `t:")));
        assert!(plan.steps.iter().all(|step| step.settled || step.what.contains("gets no mail")));
        // Nobody is asked twice.
        assert!(run(&company).is_none());
    }
}

/// A target without a call for mailboxes does not show them either. Somebody's word has to do, and the run
/// ends with it.
#[test]
fn a_mailbox_that_is_set_by_hand_is_not_looked_at() {
    let policy = POLICY.replace("leaver:\n", "leaver:\n  forward_to_manager: true\n");
    let make = |memory: Memory| memory.without(&[Verb::SetMailbox(MailboxPart::Forward)]);
    let mut company = Company::with(&policy, &["t"], make, |memory| memory);
    company.hire("M1", "2025-01-06", &[("team", "red"), ("manager", "")]);
    company.hire("E1", "2025-01-06", &[("team", "red"), ("manager", "M1")]);
    company.run();
    change(&company, |account| account.mailbox = Some(Mailbox::default()));
    leave(&mut company);
    let (left, _) = run(&company).unwrap();
    let open = |view: &jml_engine::view::RunView| {
        view.steps.iter().filter(|step| !step.settled).map(|step| step.id.clone()).collect()
    };
    let view = futures::executor::block_on(company.engine.view(&left)).unwrap();
    let tasks: Vec<jml_core::id::StepId> = open(&view);
    assert_eq!(tasks.len(), 1, "{:?}", view.steps);
    let manager = person("M1");
    let done = company.engine.complete_task(&left, &tasks[0], &manager, "seen to");
    let view = futures::executor::block_on(done).unwrap().view;
    assert_eq!((view.outcome, open(&view).len()), (Some(RunOutcome::Clean), 0));
    let unseen = |fact: &Fact| matches!(fact, Fact::TaskNotSeen { .. });
    assert!(!company.facts_of(&left).iter().any(unseen));
}
