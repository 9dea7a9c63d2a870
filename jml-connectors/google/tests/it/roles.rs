//! Administrator roles, for the whole customer and for a unit of it.

use std::collections::BTreeSet;

use jml_core::entitlement::EntitlementKey;
use jml_core::provider::{Effect, ListRequest, Operation, Provider as _, Row};
use jml_testkit::fake::google::Assignment;

use crate::quirks::Office;

fn key(text: &str) -> EntitlementKey {
    text.parse().unwrap()
}

fn restricted(office: &Office, unit: &str) {
    office.place.fake().with(|api| {
        let (role, user) = ("31002".to_owned(), office.ada.to_string());
        let made = Assignment { role, user, unit: Some(unit.to_owned()) };
        api.assignments.insert(format!("a-{unit}"), made);
    });
}

async fn listed(office: &Office) -> Vec<EntitlementKey> {
    let (mut all, mut asked) = (Vec::new(), ListRequest::holdings());
    loop {
        let page = office.google.list(&office.cx(), &asked).await.unwrap();
        for row in page.rows() {
            if let Row::Holding(row) = row {
                all.push(row.entitlement.clone());
            }
        }
        match page.next() {
            Some(next) => asked.cursor = Some(next.clone()),
            None => return all,
        }
    }
}

/// Who administers a unit does not administer the customer, and the other way round.
#[tokio::test]
async fn a_role_for_a_unit_is_not_the_role() {
    let office = Office::new();
    restricted(&office, "u1");
    restricted(&office, "u2");
    let held = async || office.sees().await.holdings;
    let parts = [key("role/31002:u1"), key("role/31002:u2")];
    assert_eq!(held().await, parts.clone().into());
    let grant = |text: &str| Operation::Grant { entitlement: key(text) };
    let revoke = |text: &str| Operation::Revoke { entitlement: key(text) };
    assert_eq!(office.apply(grant("role/31002")).await.unwrap().effect, Effect::Changed);
    assert_eq!(office.apply(grant("role/31002")).await.unwrap().effect, Effect::Unchanged);
    let all: BTreeSet<EntitlementKey> = parts.iter().cloned().chain([key("role/31002")]).collect();
    assert_eq!(held().await, all);
    let rows = listed(&office).await;
    assert_eq!((rows.len(), rows.into_iter().collect::<BTreeSet<_>>()), (3, all));
    office.apply(revoke("role/31002:u1")).await.unwrap();
    assert_eq!(held().await, [key("role/31002"), key("role/31002:u2")].into());
    office.apply(revoke("role/31002")).await.unwrap();
    assert_eq!(held().await, [key("role/31002:u2")].into());
    office.apply(grant("role/31002:u3")).await.unwrap();
    assert_eq!(held().await, [key("role/31002:u2"), key("role/31002:u3")].into());
}
