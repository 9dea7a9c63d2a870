//! The CSV feed: every row is somewhere, and nothing panics. What people read is tested in jmlctl.
#![expect(clippy::unwrap_used, reason = "a test may stop")]

use std::collections::BTreeMap;

use chrono::DateTime;
use jml_connector_csv::CsvSource;
use jml_core::attribute::{AttributeDef, AttributeSchema, AttributeType, Opinion};
use jml_core::facts::Facts;
use jml_core::id::{AttributeName, SourceId};
use proptest::prelude::*;

fn source() -> CsvSource {
    let hr = SourceId::new("hr").unwrap();
    let def = |ty| AttributeDef { ty, sources: vec![hr.clone()], personal: false };
    let schema = AttributeSchema::new(BTreeMap::from([
        (AttributeName::new("title").unwrap(), def(AttributeType::Text)),
        (AttributeName::new("level").unwrap(), def(AttributeType::Integer)),
    ]));
    CsvSource::new(hr, "hr.csv", schema)
}

const HEADER: &str = "employee_id,engagement_id,kind,start,end,zone,title,level";

#[test]
fn several_engagements_of_one_person() {
    let csv = format!(
        "{HEADER}\nE1,a,employment,2020-01-01,2023-12-31,Europe/Berlin,Clerk,1\n\
         E1,b,employment,2024-01-01,,Europe/Berlin,Clerk,1\n\
         E2,,contract,2024-01-01,2024-06-30,Asia/Tokyo,,\n"
    );
    let feed = source().parse(csv.as_bytes(), DateTime::UNIX_EPOCH).unwrap();
    assert_eq!((feed.records.len(), feed.rejected.len()), (3, 0));
    let mut facts = Facts::default();
    let report = facts.merge(&feed, DateTime::UNIX_EPOCH);
    assert_eq!(report.joined.len(), 2);
    assert_eq!(facts.people.values().next().unwrap().identity.engagements.len(), 2);
    // An empty cell says that there is no value.
    let title = AttributeName::new("title").unwrap();
    assert_eq!(feed.records.last().unwrap().attributes.get(&title), Some(&Opinion::AssertedNull));
    // The same feed again says nothing new, and a shorter one makes nobody leave.
    let before = facts.clone();
    let again = facts.merge(&feed, DateTime::UNIX_EPOCH + chrono::TimeDelta::days(1));
    assert_eq!((again.unchanged, again.changed.len()), (3, 0));
    assert_eq!(facts, before);
    let short = format!("{HEADER}\nE2,,contract,2024-01-01,2024-06-30,Asia/Tokyo,,\n");
    let feed = source().parse(short.as_bytes(), DateTime::UNIX_EPOCH).unwrap();
    let report = facts.merge(&feed, DateTime::UNIX_EPOCH);
    assert_eq!(report.unseen.len(), 1);
    assert_eq!(facts, before);
}

#[test]
fn when_it_was_entered() {
    let head = "employee_id,kind,start,zone,entered_at\n";
    let read = |cell: &str| {
        let row = format!("{head}E1,employment,2024-01-08,Europe/Berlin,{cell}\n");
        source().parse(row.as_bytes(), DateTime::UNIX_EPOCH).unwrap()
    };
    let feed = read("2024-01-02T09:00:00+01:00");
    let entered = feed.records[0].engagement.entered_at.unwrap();
    assert_eq!(entered.to_rfc3339(), "2024-01-02T08:00:00+00:00");
    assert_eq!(read("").records[0].engagement.entered_at, None);
    assert_eq!(
        read("yesterday").rejected[0].to_string(),
        "line 2, column `entered_at`: `yesterday` is not an instant; write an instant like \
         2026-01-31T14:00:00+01:00"
    );
}

#[test]
fn rows_that_disagree_about_a_person_are_all_refused() {
    let csv = format!(
        "{HEADER}\nE1,a,employment,2020-01-01,2023-12-31,Europe/Berlin,Clerk,1\n\
         E1,b,employment,2024-01-01,,Europe/Berlin,Lead,1\n"
    );
    let feed = source().parse(csv.as_bytes(), DateTime::UNIX_EPOCH).unwrap();
    assert_eq!((feed.records.len(), feed.rejected.len()), (0, 2));
}

#[test]
fn a_byte_order_mark_is_fine_and_semicolons_are_named() {
    let csv = format!("\u{feff}{HEADER}\nE1,a,employment,2020-01-01,,Europe/Berlin,Clerk,1\n");
    assert_eq!(source().parse(csv.as_bytes(), DateTime::UNIX_EPOCH).unwrap().records.len(), 1);
    let error = source().parse(csv.replace(',', ";").as_bytes(), DateTime::UNIX_EPOCH).unwrap_err();
    assert!(error.to_string().contains("separated by `;`"), "{error}");
    let error = source().parse(b"employee_id,kind,start\n", DateTime::UNIX_EPOCH).unwrap_err();
    assert!(error.to_string().contains("column `zone` is missing"), "{error}");
}

proptest! {
    #[test]
    fn every_row_is_somewhere(rows in proptest::collection::vec("(E[0-9]|)(,([a-z0-9]|)){0,2},(employment|contract|x)?,(2024-0[1-9]-[0-4][0-9]|)?,(2025-01-01)?,(Europe/Berlin)?,.{0,6},[0-9x]?", 0..12)) {
        let csv = format!("{HEADER}\n{}\n", rows.join("\n"));
        if let Ok(feed) = source().parse(csv.as_bytes(), DateTime::UNIX_EPOCH) {
            let total = feed.records.len() + feed.rejected.len();
            prop_assert_eq!(total as u64, feed.stats.rows);
            prop_assert_eq!(feed.rejected.len() as u64, feed.stats.rejected);
        }
    }

    #[test]
    fn bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = source().parse(&bytes, DateTime::UNIX_EPOCH);
        let mut with_header = format!("{HEADER}\n").into_bytes();
        with_header.extend(bytes);
        let _ = source().parse(&with_header, DateTime::UNIX_EPOCH);
    }
}
