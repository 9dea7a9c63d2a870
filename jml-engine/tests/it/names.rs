//! Sign-in names: nobody gets one that is, was or is about to be somebody else's.

use chrono::TimeDelta;
use jml_core::account::{AccountState, AccountStatus};

use crate::company::Company;
use crate::support::{account, person};

const POLICY: &str = r#"
version: "1"
sources: [hr]
attributes:
  email: { type: text }
  login: { type: text }
entitlements:
  t/group/staff: { title: Staff }
rules:
  staff: { title: Staff, when: always, grants: [t/group/staff] }
accounts:
  t: { user_name: login, on_taken: TAKEN }
leaver: { delete_after_days: 10 }
modes: { default: full }
brakes: { max_leavers_share: 100%, max_revokes_share: 100%, max_group_loss_share: 100% }
"#;

fn company(taken: &str) -> Company {
    Company::new(&POLICY.replace("TAKEN", taken), &["t"])
}

fn name(company: &Company, who: &str) -> Option<String> {
    Some(company.account(who, "t")?.user_name.to_string())
}

fn hire(company: &mut Company, who: &str, login: &str) {
    company.hire(who, "2025-01-06", &[("login", login)]);
}

#[test]
fn the_lowest_free_number() {
    let mut company = company("number");
    for who in ["E1", "E2", "E3"] {
        hire(&mut company, who, "ada@x.test");
    }
    // All in one batch, and an account of nobody in between.
    let room = AccountState::new(account("room"), "ADA2@x.test", AccountStatus::Active);
    company.targets["t"].out_of_band(|world| world.accounts.insert(room.id.clone(), room));
    company.run();
    let names: Vec<_> = ["E1", "E2", "E3"].map(|who| name(&company, who).unwrap()).into();
    assert_eq!(names, ["ada@x.test", "ada3@x.test", "ada4@x.test"]);
    // It is theirs; looking again renames nobody.
    assert_eq!(company.look().plans().count(), 0);
    company.say("E2", &[("login", "lovelace@x.test")]);
    company.run();
    assert_eq!(name(&company, "E2").as_deref(), Some("lovelace@x.test"));
}

#[test]
fn a_name_stays_with_who_had_it() {
    for taken in ["wait", "number"] {
        let mut company = company(taken);
        hire(&mut company, "E1", "ada");
        company.run();
        company.last_day("E1", "2026-03-01");
        company.run();
        company.clock.advance(TimeDelta::days(11));
        company.run();
        assert_eq!(company.account("E1", "t"), None, "deleted");
        hire(&mut company, "E2", "Ada");
        company.run();
        let wanted = if taken == "number" { Some("Ada2") } else { None };
        assert_eq!(name(&company, "E2").as_deref(), wanted);
        let batch = company.look();
        let planned = batch.planned.iter().find(|it| it.delta.identity == person("E2")).unwrap();
        let waits = planned.waits.iter().any(|wait| wait.why.contains("somebody else's"));
        assert_eq!(waits, taken == "wait");
        // The one who had it gets it again.
        let again = jml_core::identity::Engagement {
            id: "E1-2".parse().unwrap(),
            start: "2026-03-10".parse().unwrap(),
            end: None,
            ..company.person("E1").identity.engagements[0].clone()
        };
        company.person("E1").identity.engagements.push(again);
        company.run();
        assert_eq!(name(&company, "E1").as_deref(), Some("ada"));
    }
}

#[test]
fn a_rename_waits_for_a_name_that_is_free() {
    let mut company = company("wait");
    hire(&mut company, "E1", "ada");
    hire(&mut company, "E2", "bea");
    company.run();
    company.say("E2", &[("login", "ada")]);
    company.run();
    assert_eq!(name(&company, "E2").as_deref(), Some("bea"));
    assert!(company.look().planned[1].waits.iter().any(|wait| wait.what.contains("rename")));
}
