//! What a simulation says is what execution does: the same steps with the same ends, the same approvals,
//! tasks and notices, and the same accounts afterwards.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use futures::executor::block_on;
use jml_core::account::{AccountState, AccountStatus, CredentialClass, Mailbox};
use jml_core::journal::{Decision, Fact};
use jml_core::plan::StepKind;
use jml_core::provider::{Snapshot, Verb};
use jml_engine::view::RunView;

use crate::company::Company;
use crate::support::person;

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
  t/licence/small: { title: Small, exclusive: tier }
  t/licence/big: { title: Big, exclusive: tier }
  t/app/pay: { title: Pay }
  t/app/check: { title: Check }
  t/role/admin: { title: Admin, sensitivity: privileged, owner: OWN }
  u/group/desk: { title: Desk }
roles:
  staff:
    title: Staff
    grants: [t/group/staff]
    tasks:
      laptop: { title: Hand out a laptop, moment: join, days: -2, assignee: { queue: it } }
      badge: { title: Collect the badge, moment: leave, days: 0, assignee: { queue: desk } }
rules:
  staff: { title: Staff, when: always, roles: [staff] }
  red: { title: Red, when: { eq: { team: red } }, grants: [t/group/red, t/licence/small, t/app/pay, u/group/desk] }
  blue: { title: Blue, when: { eq: { team: blue } }, grants: [t/group/blue, t/licence/big, t/app/check] }
  admin: { title: Admin, when: { eq: { title: Admin } }, grants: [t/role/admin] }
sod:
  money: { title: Pay and check, duties: [[t/app/pay], [t/app/check]], max: 1 }
accounts:
  t: { user_name: email, days_before: 7, attributes: { team: team, title: title } }
  u: { user_name: email, when: { eq: { team: red } } }
gates:
  high:
    title: Administrative access
    sensitivity: privileged
    stages: [ { approvers: { manager: manager } }, { approvers: entitlement_owner } ]
leaver:
  manager: manager
  auto_reply: Gone.
  forward_to_manager: true
  convert_mailbox: true
  transfer_ownership: true
  archive_after_days: 30
  delete_after_days: 90
modes: { default: full }
brakes: { max_leavers_share: 100%, max_revokes_share: 100%, max_group_loss_share: 100% }
"#;

/// `u` makes no account and takes nothing by a call: people do.
fn company() -> Company {
    let hands = [Verb::CreateAccount, Verb::Revoke, Verb::SetStatus];
    let make = |memory: jml_testkit::Memory| {
        use jml_core::provider::Provider as _;
        if memory.descriptor().id.as_str() == "u" { memory.without(&hands) } else { memory }
    };
    let mut company = Company::with(POLICY, &["t", "u"], make, |memory| memory);
    for (who, manager) in [("M1", "OWN"), ("OWN", "M1")] {
        company.hire(who, "2025-01-06", &[("team", "x"), ("title", ""), ("manager", manager)]);
    }
    settle(&company);
    company
}

/// An account without what only its target can know.
fn plain(state: &AccountState) -> AccountState {
    let id = "any".parse().unwrap();
    AccountState { id, version: None, ..state.clone() }
}

type Accounts = BTreeMap<String, BTreeMap<String, AccountState>>;

fn real(company: &Company) -> Accounts {
    let accounts = |target: &jml_testkit::Memory| {
        let all = target.state().accounts.into_values();
        all.map(|it| (it.user_name.to_string(), plain(&it))).collect()
    };
    company.targets.iter().map(|(name, target)| (name.to_string(), accounts(target))).collect()
}

/// Approves whatever waits.
fn agree(company: &Company, view: &RunView) -> RunView {
    let mut view = view.clone();
    while let Some(gate) = view.gates.first().cloned() {
        let by = gate.approvers.keys().next().unwrap().to_string();
        let report = company.decide(&view.run, gate.id.as_str(), &by, Decision::Approved);
        view = report.unwrap().view;
    }
    view
}

/// Simulates and then executes what is to be done, and compares. Gives the kinds of steps there were.
fn paired(company: &Company) -> BTreeSet<String> {
    let batch = company.look();
    assert!(batch.plans().count() > 0, "nothing is to be done");
    let (before, entries) = (real(company), company.store_len());
    let told = |company: &Company| {
        let ears = &company.ears;
        let count = |list: &std::sync::Mutex<Vec<String>>| list.lock().unwrap().len();
        (count(&ears.tasks), count(&ears.told), ears.asked.lock().unwrap().len())
    };
    let heard = told(company);
    let simulation = block_on(company.engine.simulate(&batch)).unwrap();
    assert_eq!(real(company), before, "nothing was written");
    assert_eq!(company.store_len(), entries, "nothing was recorded");
    assert_eq!(told(company), heard, "nobody was told");

    let plans: Vec<_> = batch.plans().cloned().collect();
    let done = block_on(company.engine.execute(batch, None)).unwrap();
    assert_eq!(done.runs.len(), simulation.runs.len());
    let mut kinds = BTreeSet::new();
    for simulated in &simulation.runs {
        let who = &simulated.view.identity;
        let real = done.runs.iter().find(|it| it.view.identity == *who).unwrap();
        let real = agree(company, &real.view);
        let steps = |view: &RunView| -> Vec<(String, String)> {
            view.steps.iter().map(|it| (it.what.clone(), it.state.clone())).collect()
        };
        assert_eq!(steps(&simulated.view), steps(&real), "{who}");
        assert_eq!(simulated.view.outcome, real.outcome, "{who}");
        assert_eq!(simulated.view.waits, real.waits, "{who}");
    }
    let mut wanted = heard;
    for plan in &plans {
        wanted.2 += plan.gates().values().map(|gate| gate.stages.len()).sum::<usize>();
        for step in plan.steps().values() {
            match &step.kind {
                StepKind::Change { op, .. } => drop(kinds.insert(format!("{:?}", op.verb()))),
                StepKind::Task(task) => {
                    wanted.0 += 1;
                    let name = if task.by_hand.is_some() { "by hand" } else { "task" };
                    kinds.insert(name.to_owned());
                }
                StepKind::Notice(_) => {
                    wanted.1 += 1;
                    kinds.insert("notice".to_owned());
                }
                StepKind::Confirm(_) => drop(kinds.insert("confirm".to_owned())),
                other => panic!("{other:?}"),
            }
            if step.gate.is_some() {
                kinds.insert("gated".to_owned());
            }
        }
    }
    assert_eq!(told(company), wanted, "everybody was told what was shown");
    let after: Accounts = simulation
        .after
        .iter()
        .map(|(id, snapshot)| {
            let Snapshot::Complete(all) = snapshot else { panic!("{id} is cut") };
            let accounts = all.accounts().values();
            (id.to_string(), accounts.map(|it| (it.user_name.to_string(), plain(it))).collect())
        })
        .collect();
    assert_eq!(after, real(company), "the accounts are what was shown");
    kinds
}

/// Runs whatever there is.
fn settle(company: &Company) {
    for _ in 0..5 {
        let done = company.run();
        done.runs.iter().for_each(|report| drop(agree(company, &report.view)));
    }
}

#[test]
fn a_whole_life_is_what_was_shown() {
    let mut company = company();
    let mut seen = BTreeSet::new();
    // Hired, a week ahead: staged.
    let attributes = [("team", "red"), ("title", "Admin"), ("manager", "M1")];
    company.hire("E1", "2026-03-06", &attributes);
    seen.extend(paired(&company));
    // The first day, with administrative access behind two stages, and an account that people make.
    company.clock.set("2026-03-06T09:00:00Z".parse().unwrap());
    seen.extend(paired(&company));
    // Another team: one licence for another, one duty for another, an account that goes.
    company.clock.advance(TimeDelta::days(10));
    let account = |company: &Company, change: &dyn Fn(&mut AccountState)| {
        company.targets["t"].out_of_band(|world| {
            let mut all = world.accounts.values_mut();
            change(all.find(|it| it.external_id == Some(person("E1"))).unwrap());
        });
    };
    let mut made =
        AccountState::new("u1".parse().unwrap(), "e1@example.test", AccountStatus::Active);
    made.external_id = Some(person("E1"));
    made.holdings = ["group/desk".parse().unwrap()].into();
    company.targets["u"].out_of_band(|world| world.accounts.insert(made.id.clone(), made));
    company.say("E1", &[("team", "blue"), ("title", "")]);
    seen.extend(paired(&company));
    // The last day, with everything that can be alive.
    company.clock.advance(TimeDelta::days(10));
    account(&company, &|account| {
        account.credentials = CredentialClass::ALL.map(|class| (class, 2)).into();
        account.mailbox = Some(Mailbox::default());
        account.owns = ["doc".into(), "flow".into()].into();
    });
    company.last_day("E1", "2026-03-20");
    seen.extend(paired(&company));
    // People do what no call does, and say so.
    company.targets["u"].out_of_band(|world| {
        for account in world.accounts.values_mut() {
            account.status = AccountStatus::Disabled;
            account.holdings.clear();
        }
    });
    for view in block_on(company.engine.views()).unwrap() {
        for step in view.steps.iter().filter(|step| step.state == "a person has it") {
            let by = person("M1");
            block_on(company.engine.complete_task(&view.run, &step.id, &by, "done")).unwrap();
        }
    }
    // The archive, and the end.
    company.clock.advance(TimeDelta::days(31));
    seen.extend(paired(&company));
    company.clock.advance(TimeDelta::days(60));
    seen.extend(paired(&company));

    let mut all: BTreeSet<String> = Verb::ALL.iter().map(|verb| format!("{verb:?}")).collect();
    // No policy asks for a delegate: that is for whoever calls a provider themselves.
    all.remove("SetMailbox(Delegate)");
    let others = ["task", "by hand", "notice", "confirm", "gated"];
    all.extend(others.map(ToOwned::to_owned));
    let missing: BTreeSet<_> = all.difference(&seen).cloned().collect();
    assert_eq!(missing, BTreeSet::new(), "every kind of step was compared");
}

impl Company {
    /// How many entries all journals have.
    fn store_len(&self) -> usize {
        use jml_core::journal::JournalStore as _;
        let runs = block_on(self.store.runs()).unwrap();
        runs.iter().map(|run| self.entries(run).len()).sum()
    }
}

#[test]
fn a_simulated_journal_is_never_taken_for_a_real_one() {
    let mut company = company();
    company.hire("E1", "2026-02-06", &[("team", "x"), ("title", ""), ("manager", "M1")]);
    let batch = company.look();
    let simulation = block_on(company.engine.simulate(&batch)).unwrap();
    assert_eq!(simulation.runs[0].view.mode, jml_core::journal::RunMode::Simulated);
    let mut opened = company.entries(&company.run().runs[0].view.run).remove(0);
    assert!(jml_evidence::certificate::certificate(std::slice::from_ref(&opened)).is_none());
    if let Fact::Opened { mode, .. } = &mut opened.fact {
        *mode = jml_core::journal::RunMode::Simulated;
    }
    let mut ledger = jml_diff::Ledger::default();
    ledger.record(&[opened]);
    assert_eq!(ledger, jml_diff::Ledger::default());
}
