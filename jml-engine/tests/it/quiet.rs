//! When nothing happens: which condition leaves everybody out, and what else keeps a batch quiet.

use jml_core::clock::Clock as _;
use jml_core::explain::explain_empty;
use jml_core::time::TzdbZones;

use crate::company::Company;

/// Valid, and for nobody: the team is called otherwise, and so is the attribute with the sign-in name.
const POLICY: &str = r#"
version: "1"
sources: [hr]
attributes:
  email: { type: text }
  login: { type: text }
  team: { type: text }
  level: { type: text }
entitlements:
  t/group/staff: { title: Staff }
  t/group/lead: { title: Leads }
rules:
  marketing:
    title: Marketing
    when: { all: [ { eq: { team: Marketing } }, { present: email } ] }
    grants: [t/group/staff]
  lead: { title: Leads, when: { eq: { level: lead } }, grants: [t/group/lead] }
accounts:
  t: { user_name: login }
"#;

fn said(company: &Company) -> String {
    let at = company.clock.now();
    let empty = explain_empty(&company.policy, &company.facts, &TzdbZones, at);
    let why: Vec<String> =
        company.look().why_nothing().into_iter().map(|line| format!("batch: {line}\n")).collect();
    format!("{empty}{}", why.concat())
}

#[test]
fn a_policy_for_nobody_says_so() {
    let mut company = Company::new(POLICY, &["t"]);
    assert_eq!(
        said(&company),
        "nobody is known: no feed was taken in yet\n\
         `rules.lead.when` holds for nobody:\n  level = lead: yes for 0, no for 0, unknown for 0\n\
         `rules.marketing.when` holds for nobody:\n  team = Marketing: yes for 0, no for 0, unknown for 0\n  email is present: yes for 0, no for 0, unknown for 0\n\
         `accounts.t.when` holds for nobody:\n  everybody: yes for 0, no for 0, unknown for 0\n\
         batch: 0 of 0 people have what they should have\n"
    );
    for (number, team) in ["marketing", "marketing", "Mktg", "Sales", "Ops"].iter().enumerate() {
        company.hire(&format!("E{number}"), "2025-01-06", &[("team", team)]);
    }
    company.hire("E9", "2025-01-06", &[]);
    company.last_day("E9", "2025-12-31");
    assert_eq!(
        said(&company),
        "6 people are known: 5 at work, 1 gone\n\
         `accounts.t.user_name = login` has no value for any of 5 people: nobody gets an account\n\
         `rules.lead.when` holds for nobody:\n  level = lead: yes for 0, no for 0, unknown for 5\n\
         `rules.marketing.when` holds for nobody:\n  team = Marketing: yes for 0, no for 5, unknown for 0; found instead: marketing (2), Mktg (1), Ops (1)\n  email is present: yes for 5, no for 0, unknown for 0\n\
         batch: 6 of 6 people have what they should have\n"
    );
    // As soon as something happens there is nothing to explain.
    company.say("E0", &[("login", "e0"), ("team", "Marketing"), ("level", "lead")]);
    assert_eq!(
        said(&company),
        "6 people are known: 5 at work, 1 gone\nevery condition of the policy holds for somebody\n"
    );
}
