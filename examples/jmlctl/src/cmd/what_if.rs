//! What another policy would do.

use std::collections::BTreeMap;
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use jml_core::clock::Clock as _;
use jml_core::entitlement::EntitlementRef;
use jml_core::facts::Facts;
use jml_core::policy::Policy;
use jml_core::time::TzdbZones;
use jml_diff::what_if::{Preview, PreviewInput, Snapshot, Tested, backtest, preview};
use jml_engine::SystemClock;
use jml_engine::brake::{Trip, judge_effects};
use serde_json::{Value, json};

use super::{open, prepare};
use crate::cli::Cli;
use crate::exit::{CONFIG, Failure, OK, STOPPED};
use crate::out::Out;
use crate::project::{Project, read_policy};
use crate::render;

/// Holds a proposed policy against the one in force: on everybody now, and on feeds of earlier days.
pub(super) fn what_if(
    cli: &Cli,
    proposed: &Path,
    history: Option<&Path>,
    at: Option<DateTime<Utc>>,
    out: &Out,
) -> Result<u8, Failure> {
    let mut project = open(&cli.config, false)?;
    let proposed = read_policy(proposed)?;
    let at = at.unwrap_or_else(|| SystemClock.now());
    let tested = match history {
        Some(folder) => replay(&project, &proposed, folder)?,
        None => Vec::new(),
    };
    let (news, batch) = prepare(&mut project, at, "what-if")?;
    let preview = preview(&PreviewInput {
        before: &project.policy,
        after: &proposed,
        facts: &project.facts,
        world: &batch.world,
        ledger: &batch.ledger,
        zones: &TzdbZones,
        at,
        threads: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
    })?;
    let [_, effects] = &preview.effects;
    let trips = judge_effects(&proposed.brakes, effects, &batch.world, &batch.recent_leavers, at);
    if cli.json {
        out.json(&in_json(&preview, &trips, &tested));
    } else {
        render::feed(&news).iter().for_each(|line| out.line(line));
        for (provider, error) in &batch.unread {
            out.line(format!(
                "`{provider}` could not be read, and nothing is planned there: {error}"
            ));
        }
        preview.to_string().lines().for_each(|line| out.line(line));
        for trip in &trips {
            out.line(format!("BRAKE {trip}"));
        }
        if history.is_some() {
            out.line("on earlier days, against the policy in force now:");
            tested.iter().for_each(|day| out.line(format!("  {day}")));
        }
        out.line("nothing was written");
    }
    Ok(if trips.is_empty() && news.issues.is_empty() { OK } else { STOPPED })
}

/// Feeds of earlier days, one after the other as they came, each judged by both policies.
fn replay(project: &Project, proposed: &Policy, folder: &Path) -> Result<Vec<Tested>, Failure> {
    let mut facts = Facts::default();
    let mut known: Vec<(DateTime<Utc>, Facts)> = Vec::new();
    for (day, path) in days(folder)? {
        let at = day.and_time(NaiveTime::MIN).and_utc();
        let feed = project.feed(path, at)?;
        let _: jml_core::facts::MergeReport = facts.merge(&feed, at);
        known.push((at, facts.clone()));
    }
    let in_force = &project.policy;
    let snapshots: Vec<Snapshot<'_>> =
        known.iter().map(|(at, facts)| Snapshot { at: *at, facts, in_force }).collect();
    Ok(backtest(&snapshots, proposed, &TzdbZones))
}

/// The feeds of a folder by their day.
fn days(folder: &Path) -> Result<BTreeMap<NaiveDate, PathBuf>, Failure> {
    let shown = folder.display();
    let wrong = |e: std::io::Error| Failure::new(CONFIG, format!("cannot read `{shown}`: {e}"));
    let mut days = BTreeMap::new();
    for entry in fs::read_dir(folder).map_err(wrong)? {
        let path = entry.map_err(wrong)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let day = name.strip_suffix(".csv").and_then(|day| day.parse().ok());
        let Some(day) = day else {
            let text = format!(
                "`{}` is not a day's feed: files here are named like 2026-03-31.csv",
                path.display()
            );
            return Err(Failure::new(CONFIG, text));
        };
        days.insert(day, path);
    }
    if days.is_empty() {
        return Err(Failure::new(CONFIG, format!("`{shown}` holds no feeds")));
    }
    Ok(days)
}

fn in_json(preview: &Preview, trips: &[Trip], tested: &[Tested]) -> Value {
    let [before, after] = &preview.effects;
    let effects = |it: &jml_diff::population::Effects| {
        json!({
            "grants": it.grants, "revokes": it.revoked(), "privileged_revokes": it.privileged,
            "creates": it.creates, "deletes": it.deletes, "leavers": it.leavers,
        })
    };
    let sum = |all: &BTreeMap<EntitlementRef, u64>| all.values().sum::<u64>();
    let days: Vec<Value> = tested
        .iter()
        .map(|day| {
            json!({
                "at": day.at, "people": day.people, "affected": day.affected,
                "gains": sum(&day.gains), "losses": sum(&day.losses), "conflicts": day.conflicts,
            })
        })
        .collect();
    json!({
        "version": 1, "policies": preview.versions, "at": preview.at, "people": preview.people,
        "gains": preview.gains, "losses": preview.losses, "conflicts": preview.conflicts,
        "effects": { "before": effects(before), "after": effects(after) },
        "brakes": trips, "history": days,
    })
}
