//! Laws of conditions: three-valued logic, traces that agree, and an analysis that is never wrong.

use std::collections::BTreeSet;

use chrono::DateTime;
use jml_core::attribute::{Assertion, AttributeValue, Attributes, Opinion};
use jml_core::id::{AttributeName, IdentityId, SourceId};
use jml_core::identity::{EngagementKind, Identity, IdentityKind};
use jml_core::policy::Policy;
use jml_core::rule::{Comparison, Condition, Satisfiable, Truth, View};
use proptest::prelude::*;

fn policy() -> Policy {
    let text =
        "version: \"1\"\nsources: [hr]\nattributes:\n  n: { type: integer }\n  t: { type: text }\n";
    jml_core::policy_file::parse_yaml("p", text).unwrap()
}

fn name(text: &str) -> AttributeName {
    AttributeName::new(text).unwrap()
}

fn texts() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just("a"), Just("ab"), Just("b")]
}

fn comparison() -> impl Strategy<Value = Comparison> {
    use Comparison as C;
    prop_oneof![Just(C::Eq), Just(C::Ne), Just(C::Lt), Just(C::Le), Just(C::Gt), Just(C::Ge)]
}

fn condition() -> impl Strategy<Value = Condition> {
    let number = (comparison(), 0_i64..4).prop_map(|(op, value)| Condition::Compare {
        attribute: name("n"),
        op,
        value: AttributeValue::Integer(value),
    });
    let within = proptest::collection::btree_set(texts(), 0..3).prop_map(|set| {
        let values: BTreeSet<_> = set.into_iter().map(AttributeValue::text).collect();
        Condition::In { attribute: name("t"), values }
    });
    let equal = texts().prop_map(|text| Condition::Compare {
        attribute: name("t"),
        op: Comparison::Eq,
        value: AttributeValue::text(text),
    });
    let begins = texts()
        .prop_map(|text| Condition::StartsWith { attribute: name("t"), prefix: text.into() });
    let present = prop_oneof![Just("n"), Just("t")]
        .prop_map(|attribute| Condition::Present { attribute: name(attribute) });
    let leaf = prop_oneof![number, within, equal, begins, present, Just(Condition::Always)];
    leaf.prop_recursive(3, 16, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Condition::All),
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Condition::Any),
            inner.prop_map(|part| Condition::Not(Box::new(part))),
        ]
    })
}

fn somebody(n: Option<i64>, t: Option<&str>) -> Identity {
    let mut attributes = Attributes::default();
    let now = DateTime::UNIX_EPOCH;
    let mut say = |attribute: &str, value| {
        let source = SourceId::new("hr").unwrap();
        let opinion = Opinion::Value(value);
        let word = Assertion { source, opinion, valid_from: now, recorded_at: now };
        attributes.assert(name(attribute), word);
    };
    if let Some(n) = n {
        say("n", AttributeValue::Integer(n));
    }
    if let Some(t) = t {
        say("t", AttributeValue::text(t));
    }
    let id = IdentityId::new("E1").unwrap();
    Identity { id, kind: IdentityKind::Person, attributes, engagements: Vec::new() }
}

fn everybody() -> Vec<Identity> {
    let numbers = [None, Some(-1), Some(0), Some(1), Some(2), Some(3), Some(4)];
    let texts = [None, Some("a"), Some("ab"), Some("abc"), Some("b"), Some("c")];
    let pairs = numbers.into_iter().flat_map(|n| texts.into_iter().map(move |t| (n, t)));
    pairs.map(|(n, t)| somebody(n, t)).collect()
}

fn truth(policy: &Policy, identity: &Identity, condition: &Condition) -> Truth {
    let engagement = EngagementKind::Employment;
    let view = View { policy, identity, engagement, at: DateTime::UNIX_EPOCH };
    let truth = condition.truth(&view);
    assert_eq!(condition.evaluate(&view).truth, truth, "a trace says what the short way says");
    truth
}

proptest! {
    #[test]
    fn what_is_proven_impossible_is(condition in condition()) {
        let policy = policy();
        let met = everybody().iter().any(|who| truth(&policy, who, &condition) == Truth::True);
        if condition.satisfiable(&policy) == Satisfiable::Never {
            prop_assert!(!met);
        }
    }

    #[test]
    fn kleene(a in condition(), b in condition()) {
        let policy = policy();
        let not = |c: &Condition| Condition::Not(Box::new(c.clone()));
        let all = Condition::All(vec![a.clone(), b.clone()]);
        let any = Condition::Any(vec![not(&a), not(&b)]);
        for who in everybody() {
            let of = |c: &Condition| truth(&policy, &who, c);
            prop_assert_eq!(of(&not(&all)), of(&any), "De Morgan");
            prop_assert_eq!(of(&not(&not(&a))), of(&a));
            if of(&a) == Truth::Unknown {
                prop_assert_eq!(of(&not(&a)), Truth::Unknown, "unknown never becomes true");
            }
        }
    }
}

#[test]
fn the_analysis_sees_what_people_get_wrong() {
    let policy = policy();
    let n = |op, value| Condition::Compare {
        attribute: name("n"),
        op,
        value: AttributeValue::Integer(value),
    };
    let t = |text| Condition::StartsWith { attribute: name("t"), prefix: text };
    for never in [
        Condition::All(vec![n(Comparison::Gt, 3), n(Comparison::Le, 3)]),
        Condition::All(vec![n(Comparison::Eq, 1), n(Comparison::Ne, 1)]),
        Condition::All(vec![t("a".into()), t("b".into())]),
        Condition::Any(Vec::new()),
        Condition::Not(Box::new(Condition::Always)),
    ] {
        assert_eq!(never.satisfiable(&policy), Satisfiable::Never, "{never:?}");
    }
}
