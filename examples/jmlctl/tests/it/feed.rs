//! Feeds that are wrong: each row is named, and an unhealthy feed does nothing.

use crate::{Project, golden};

/// A project that knows its people and has an unhealthy feed to come.
fn settled() -> Project {
    let project = Project::new();
    project.expect(&["apply"], 4);
    project
}

fn refused(name: &str, csv: &[u8], code: i32) {
    let project = settled();
    let runs = project.json(&["status", "--json"])["runs"].as_array().unwrap().len();
    std::fs::write(project.path("hr.csv"), csv).unwrap();
    let said = project.expect(&["apply"], code);
    // Run names differ from time to time, what is said about the feed does not.
    let feed: Vec<&str> =
        said.lines().filter(|line| !line.contains("run r-") && !line.contains("waits:")).collect();
    golden(&format!("feed_{name}.txt"), &format!("{}\n", feed.join("\n")));
    let after = project.json(&["status", "--json"])["runs"].as_array().unwrap().len();
    assert_eq!(runs, after, "nothing is executed because of a bad feed");
}

fn csv() -> String {
    let project = Project::new();
    project.read("hr.csv")
}

#[test]
fn zero_rows() {
    let header = csv().lines().next().unwrap().to_owned();
    refused("zero_rows", format!("{header}\n").as_bytes(), 3);
}

#[test]
fn half_the_rows() {
    let text = csv();
    let half: Vec<&str> = text.lines().take(5).collect();
    refused("half_the_rows", format!("{}\n", half.join("\n")).as_bytes(), 3);
}

#[test]
fn duplicate_key() {
    let text = csv();
    let last = text.lines().last().unwrap();
    refused("duplicate_key", format!("{text}{last}\n").as_bytes(), 3);
}

#[test]
fn missing_zone() {
    refused("missing_zone", csv().replacen("Asia/Tokyo", "", 1).as_bytes(), 3);
}

#[test]
fn bad_date() {
    refused("bad_date", csv().replacen("2024-02-01", "2024-02-30", 1).as_bytes(), 3);
}

#[test]
fn not_utf8() {
    let mut bytes = csv().into_bytes();
    let at = bytes.windows(4).position(|w| w == b"Cleo").unwrap();
    bytes[at] = 0xff;
    refused("not_utf8", &bytes, 2);
}

#[test]
fn embedded_newline() {
    let text = csv().replacen("Dan Example", "\"Dan\nExample\"", 1);
    refused("embedded_newline", text.as_bytes(), 3);
}

#[test]
fn a_megabyte_in_one_field() {
    let text = csv().replacen("Eve Example", &"x".repeat(1 << 20), 1);
    refused("megabyte_field", text.as_bytes(), 3);
}

#[test]
fn unknown_column() {
    refused("unknown_column", csv().replacen("department", "departement", 1).as_bytes(), 2);
}
