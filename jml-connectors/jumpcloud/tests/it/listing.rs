//! Listings while rows come and go.

use std::collections::{BTreeMap, BTreeSet};

use jml_connector_checks::start;
use jml_core::clock::Clock as _;
use jml_core::provider::{Cx, ListRequest, Provider as _, Row};
use serde_json::json;

use crate::world::{ENGINEERS, Place};

fn people(place: &Place, count: usize) -> Vec<String> {
    place.fake().with(|api| {
        let ids = (0..count).map(|number| {
            let name = format!("user{number}");
            let profile: BTreeMap<_, _> = [
                ("username".to_owned(), json!(name)),
                ("email".to_owned(), json!(format!("{name}@corp.test"))),
            ]
            .into();
            api.add_user(profile, "ACTIVATED", start())
        });
        let ids: Vec<String> = ids.collect();
        api.groups.get_mut(ENGINEERS).unwrap().members.extend(ids.iter().cloned());
        ids
    })
}

/// Whoever is deleted at any moment, those who stay are listed, and once.
#[tokio::test]
async fn deletions_hide_nobody() {
    for size in [1, 2, 3, 4] {
        for at in 1..4 {
            for gone in [vec![0], vec![0, 1, 2], vec![2, 3, 4], vec![0, 1, 2, 3, 4, 5, 6, 7]] {
                let place = Place::new(None);
                let ids = people(&place, 9);
                let provider = place.provider("t");
                let cx = Cx::new(place.clock.clone());
                for first in [ListRequest::accounts(), ListRequest::holdings()] {
                    let accounts = first == ListRequest::accounts();
                    let mut request = ListRequest { page_size: Some(size), ..first };
                    let (mut seen, mut pages) = (Vec::new(), 0);
                    loop {
                        let page = provider.list(&cx, &request).await.unwrap();
                        seen.extend(page.rows().iter().map(|row| match row {
                            Row::Account(state) => state.id.to_string(),
                            Row::Holding(row) => row.account.to_string(),
                            _ => String::new(),
                        }));
                        pages += 1;
                        // Behind the page that names the groups comes the first one of members.
                        if pages == at + usize::from(!accounts) {
                            let gone = gone.iter().map(|it| &ids[*it]);
                            place.fake().with(|api| gone.for_each(|it| api.forget_user(it)));
                        }
                        match page.next() {
                            Some(next) => request.cursor = Some(next.clone()),
                            None => break,
                        }
                    }
                    let set: BTreeSet<&String> = seen.iter().collect();
                    let what = format!("pages of {size}, {gone:?} go after {at}: {seen:?}");
                    let stays =
                        place.fake().with(|api| api.users.keys().cloned().collect::<Vec<_>>());
                    assert!(stays.iter().all(|it| set.contains(it)), "{what}");
                    // Where nothing tells the order, those who were seen may come again.
                    assert!(!accounts || set.len() == seen.len(), "{what}");
                }
            }
        }
    }
}

/// Large pages, and a place behind the hundredth row.
#[tokio::test]
async fn many_are_listed() {
    let place = Place::new(None);
    let ids = people(&place, 321);
    let cx = Cx::new(place.clock.clone());
    let snapshot = jml_core::provider::snapshot(&place.provider("t"), &cx).await.unwrap();
    let jml_core::provider::Snapshot::Complete(all) = snapshot else { panic!("incomplete") };
    assert_eq!(all.accounts().len(), ids.len());
    assert!(all.accounts().values().all(|it| it.holdings.len() == 1));
    assert_eq!(all.taken_at(), place.clock.now());
}
