//! Policy files: what is read, and what people are told when it is wrong.

use std::path::PathBuf;

use jml_core::policy_file::{json_schema, parse};
use proptest::prelude::*;

fn data(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name);
    std::fs::read_to_string(path).unwrap()
}

/// Compares with a golden file; `JML_UPDATE_GOLDEN=1` writes it.
pub(crate) fn golden(path: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("JML_UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, wanted, "{} differs; JML_UPDATE_GOLDEN=1 rewrites it", path.display());
}

fn broken(name: &str, from: &str, to: &str) {
    let text = data("policy.yaml");
    assert!(text.contains(from), "`{from}` is not in the sample");
    let errors = parse("policy.yaml", &text.replacen(from, to, 1)).unwrap_err();
    golden(&format!("tests/golden/policy/{name}.txt"), &errors.to_string());
}

#[test]
fn the_sample_is_read() {
    let policy = parse("policy.yaml", &data("policy.yaml")).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(policy.roles.len(), 2);
    assert_eq!(policy.brakes.max_leavers_permille, Some(50));
    assert!(policy.check().is_empty());
}

#[test]
fn toml_says_the_same() {
    let yaml = parse("policy.yaml", &data("policy.yaml")).unwrap_or_else(|e| panic!("{e}"));
    let toml = parse("policy.toml", &data("policy.toml")).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(yaml, toml);
}

#[test]
fn a_country_is_no_boolean() {
    let text = data("policy.yaml").replacen("[Lisbon]", "[NO, Y, off]", 1);
    parse("policy.yaml", &text).unwrap_or_else(|e| panic!("{e}"));
}

#[test]
fn attribute_typo() {
    broken("attribute_typo", "within: { department: platform }", "within: { departmnt: platform }");
}

#[test]
fn unknown_role() {
    broken("unknown_role", "roles: [platform-engineer]", "roles: [platfrom-engineer]");
}

#[test]
fn inheritance_cycle() {
    broken(
        "inheritance_cycle",
        "    version: 1\n",
        "    version: 1\n    inherits: [platform-engineer]\n",
    );
}

#[test]
fn bad_date() {
    let from = "level: { type: integer }";
    let text = data("policy.yaml")
        .replacen(from, "level: { type: integer }\n  born: { type: date }", 1)
        .replacen("present: manager", "lt: { born: 2026-02-30 }", 1);
    let errors = parse("policy.yaml", &text).unwrap_err();
    golden("tests/golden/policy/bad_date.txt", &errors.to_string());
}

#[test]
fn duplicate_id() {
    broken("duplicate_id", "  platform-engineer:\n", "  employee:\n");
}

#[test]
fn unknown_key() {
    broken("unknown_key", "sensitivity: critical", "sensitvity: critical");
}

#[test]
fn syntax_error() {
    broken("syntax_error", "roles: [employee]", "roles: [employee");
}

#[test]
fn type_mismatch() {
    broken("type_mismatch", "ge: { level: 4 }", "ge: { level: four }");
}

#[test]
fn privileged_overlap_is_refused() {
    broken("privileged_overlap", "owner: E0003", "owner: E0003, on_move: { overlap: 3 }");
}

#[test]
fn a_rule_for_nobody() {
    broken("rule_for_nobody", "- { present: manager }", "- { eq: { title: Clerk } }");
}

#[test]
fn several_errors_at_once() {
    let text = data("policy.yaml")
        .replacen("roles: [platform-engineer]", "roles: [nobody]", 1)
        .replacen("quorum: 1", "quorum: 0", 1)
        .replacen("max_revokes_share: 20%", "max_revokes_share: 120%", 1);
    let errors = parse("policy.yaml", &text).unwrap_err();
    assert_eq!(errors.diagnostics().len(), 3, "{errors}");
    golden("tests/golden/policy/several.txt", &errors.to_string());
}

#[test]
fn stages_of_a_gate() {
    let gate = "gates:\n  high:\n    title: High\n    sensitivity: privileged\n    stages:\n      \
                - approvers: { manager: manager }\n        quorum: 1\n        \
                escalate: { after_hours: 24, to: { manager: { attribute: boss, level: 2 } } }\n      \
                - { approvers: { named: [] }, qourum: 2 }\n    approvers: entitlement_owner\n";
    let text = data("policy.yaml");
    let (before, rest) = text.split_once("gates:\n").unwrap();
    let (_, after) = rest.split_once("\n\n").unwrap();
    let text = format!("{before}{gate}\n{after}");
    let errors = parse("policy.yaml", &text).unwrap_err();
    golden("tests/golden/policy/stages.txt", &errors.to_string());
}

#[test]
fn toml_errors_have_places_too() {
    let text = data("policy.toml").replacen("platform-engineer\"]", "platfrom-engineer\"]", 1);
    let errors = parse("policy.toml", &text).unwrap_err();
    golden("tests/golden/policy/unknown_role_toml.txt", &errors.to_string());
}

#[test]
fn the_schema_is_checked_in() {
    golden("../docs/policy.schema.json", &json_schema());
    serde_json::from_str::<serde_json::Value>(&json_schema()).unwrap();
}

proptest! {
    #[test]
    fn reading_never_panics(at in 0_usize..4000, with in ".{0,4}", cut in 0_usize..40) {
        let mut text: Vec<char> = data("policy.yaml").chars().collect();
        let at = at.min(text.len());
        let end = (at + cut).min(text.len());
        text.splice(at..end, with.chars());
        let text: String = text.into_iter().collect();
        if let Err(errors) = parse("policy.yaml", &text) {
            prop_assert!(!errors.to_string().is_empty());
        }
    }
}
