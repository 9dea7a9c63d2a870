//! `audit`: populations, samples, packs, coverage, timeliness.

use std::collections::BTreeSet;
use std::path::Path;

use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};
use jml_core::clock::Clock as _;
use jml_core::id::IdentityId;
use jml_core::nearest::nearest;
use jml_core::source::Feed;
use jml_engine::SystemClock;
use jml_evidence::controls::{Framework, State, coverage};
use jml_evidence::pack::{Pack, PackError, PackRequest};
use jml_evidence::population::Extract;
use jml_evidence::sla::{Preset, strictest};
use jml_evidence::store::{Hr, PopulationError};
use jml_evidence::timeliness::{figures, measured};
use jml_evidence::verify::{Directory, Trust, entries};
use serde_json::json;

use super::open;
use super::verify::kept;
use crate::cli::{Audit, Cli};
use crate::exit::{CONFIG, Failure, OK};
use crate::out::{BOLD, Out, styled};
use crate::project::Project;
use crate::render;

pub(super) fn audit(cli: &Cli, what: &Audit, out: &Out) -> Result<u8, Failure> {
    match what {
        Audit::Population { event, from, to } => population(cli, event, *from, *to, out),
        Audit::Sample { population, seed, size } => sample(cli, *population, seed, *size, out),
        Audit::Pack { population, sample, disclose, limits, earlier, title, out: dir } => {
            let project = open(&cli.config, true)?;
            let key = project.verifier()?;
            let sizes = earlier
                .iter()
                .map(|path| kept(path, &key).map(|(size, _)| size))
                .collect::<Result<_, _>>()?;
            let request = PackRequest {
                title: title.clone(),
                population: *population,
                sample: *sample,
                disclose: disclose.iter().cloned().collect(),
                earlier: sizes,
                presets: presets(limits)?,
                frameworks: Framework::all().collect(),
                trust: Trust::default(),
                at: SystemClock.now(),
            };
            pack(&project, &request, dir)?;
            if cli.json {
                out.json(&json!({ "version": 1, "pack": dir, "key": key.to_string() }));
            } else {
                let shown = dir.display();
                out.line(format!("the pack is in `{shown}`; {shown}/report.html is for people"));
                out.line("give it away together with this, on another way:");
                out.line(format!("  {key}"));
            }
            Ok(OK)
        }
        Audit::Coverage { framework } => show_coverage(cli, framework.as_deref(), out),
        Audit::Timeliness { limits } => show_timeliness(cli, limits, out),
    }
}

fn presets(names: &[String]) -> Result<BTreeSet<Preset>, Failure> {
    let known = Preset::ALL.map(Preset::as_str);
    let one = |name: &String| {
        Preset::parse(name).ok_or_else(|| {
            let text = format!("`{name}` is no set of limits; there are {}", known.join(", "));
            Failure::new(CONFIG, text)
        })
    };
    names.iter().map(one).collect()
}

fn wrong(error: PopulationError) -> Failure {
    match error {
        PopulationError::Store(e) => e.into(),
        other => Failure::new(CONFIG, other.to_string()),
    }
}

/// Who left, came or moved in a period, as the feed says it.
pub(crate) fn extract(
    feed: &Feed,
    path: &str,
    event: &str,
    from: NaiveDate,
    to: NaiveDate,
) -> Option<Hr> {
    let in_period = |day: NaiveDate| from <= day && day <= to;
    let people: BTreeSet<IdentityId> = feed
        .records
        .iter()
        .filter(|record| match event {
            "leaver" => {
                let cut = record.engagement.cut_off.map(|at| at.date_naive());
                // Access ends at the start of the day after the last one.
                let end = record.engagement.end.and_then(|end| end.succ_opt());
                cut.or(end).is_some_and(in_period)
            }
            "joiner" => in_period(record.engagement.start),
            _ => false,
        })
        .map(|record| record.identity.clone())
        .collect();
    // A feed says where people are, not that they moved.
    (event == "leaver" || event == "joiner").then(|| Hr {
        extract: Extract {
            system: feed.source.to_string(),
            query: format!("{event}s from {from} to {to} of {path}"),
            rows: feed.stats.rows,
            digest: feed.digest.to_hex(),
            extracted_at: feed.read_at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
        },
        people,
    })
}

/// The start of a day, UTC.
pub(crate) fn start_of(day: NaiveDate) -> DateTime<Utc> {
    day.and_time(NaiveTime::MIN).and_utc()
}

fn population(
    cli: &Cli,
    event: &str,
    from: NaiveDate,
    to: NaiveDate,
    out: &Out,
) -> Result<u8, Failure> {
    const EVENTS: [&str; 3] = ["joiner", "mover", "leaver"];
    if !EVENTS.contains(&event) {
        let hint = nearest(event, EVENTS).map(|it| format!("; did you mean `{it}`?"));
        let text = format!("`{event}` is no event{}", hint.unwrap_or_default());
        return Err(Failure::new(CONFIG, text));
    }
    let mut project = open(&cli.config, true)?;
    let now = SystemClock.now();
    let feed = project.read_feed(now)?.feed;
    let file = project.config.feed.path.display().to_string();
    let hr = extract(&feed, &file, event, from, to);
    let end = start_of(to) + TimeDelta::days(1);
    let sealed = project
        .evidence()?
        .with(|it| it.seal_population(event, start_of(from), end, hr.as_ref(), now))
        .map_err(wrong)?;
    if cli.json {
        out.json(&json!({
            "version": 1,
            "entry": sealed.entry,
            "population": sealed.body,
            "source_only": sealed.source_only,
        }));
        return Ok(OK);
    }
    let body = &sealed.body;
    out.line(format!(
        "{} runs of {} people are sealed as entry {}",
        body.members, body.people, sealed.entry
    ));
    if let (Some(both), Some(theirs), Some(ours)) = (body.matched, body.source_only, body.log_only)
    {
        out.line(format!(
            "  {both} are in the feed too, {theirs} only in the feed, {ours} only in the log"
        ));
    }
    for who in &sealed.source_only {
        out.line(format!("  only in the feed: {who}"));
    }
    out.line("ask the auditor for a seed now, then:");
    out.line(format!("  jmlctl audit sample {} --seed WORDS --size 25", sealed.entry));
    Ok(OK)
}

fn sample(cli: &Cli, population: u64, seed: &str, size: u64, out: &Out) -> Result<u8, Failure> {
    let project = open(&cli.config, true)?;
    let store = project.evidence()?;
    let now = SystemClock.now();
    let (drawn, entry) = store
        .with(|it| {
            let drawn = it.draw_sample(population, seed, size, now)?;
            Ok((drawn, it.log().size() - 1))
        })
        .map_err(wrong)?;
    if cli.json {
        out.json(&json!({ "version": 1, "entry": entry, "drawn": drawn }));
    } else {
        out.line(format!("{} runs are drawn, as entry {entry} says", drawn.len()));
        out.line(format!(
            "  jmlctl audit pack {population} --sample {entry} --disclose identity audit"
        ));
    }
    Ok(OK)
}

/// Makes a pack and writes it.
pub(crate) fn pack(project: &Project, request: &PackRequest, dir: &Path) -> Result<Pack, Failure> {
    let wrong = |error: PackError| match error {
        PackError::Store(e) => e.into(),
        other => Failure::new(CONFIG, other.to_string()),
    };
    let pack = project.evidence()?.with(|it| Pack::build(it, request)).map_err(wrong)?;
    pack.write_to(dir).map_err(wrong)?;
    Ok(pack)
}

fn log_of(project: &Project) -> Vec<Vec<u8>> {
    entries(&Directory::new(project.config.resolve(&project.config.evidence.dir)))
}

fn show_coverage(cli: &Cli, framework: Option<&str>, out: &Out) -> Result<u8, Failure> {
    let project = open(&cli.config, false)?;
    let chosen: BTreeSet<Framework> = match framework {
        None => Framework::all().collect(),
        Some(text) => {
            let slugs = Framework::all().map(Framework::slug);
            let hint = nearest(text, slugs).map(|it| format!("; did you mean `{it}`?"));
            let none = || {
                let text = format!("`{text}` is no framework{}", hint.unwrap_or_default());
                Failure::new(CONFIG, text)
            };
            [Framework::of_slug(text).ok_or_else(none)?].into()
        }
    };
    let log = log_of(&project);
    let covered = coverage(log.iter().map(Vec::as_slice), &chosen, None);
    if cli.json {
        let list: Vec<_> = covered
            .iter()
            .map(|(framework, controls)| {
                json!({ "framework": framework, "title": framework.title(), "controls": controls })
            })
            .collect();
        out.json(&json!({ "version": 1, "frameworks": list }));
        return Ok(OK);
    }
    for (framework, controls) in &covered {
        let count = |state| controls.iter().filter(|it| it.state == state).count();
        out.line(format!(
            "{:<22} {:>3} shown {:>3} in part {:>3} not by this system  ({})",
            framework.title(),
            count(State::Proven),
            count(State::Partly),
            count(State::NotHere),
            framework.slug()
        ));
        if framework.slug() != chosen.iter().next().map_or("", |it| it.slug()) || chosen.len() > 1 {
            continue;
        }
        for control in controls {
            let state = match control.state {
                State::Proven => "shown",
                State::Partly => "in part",
                State::NotHere => "not here",
            };
            out.line(styled(BOLD, format!("{} {state}: {}", control.id, control.title)));
            if !control.missing.is_empty() {
                out.line(format!("    missing: {}", control.missing.join(", ")));
            }
        }
    }
    Ok(OK)
}

fn show_timeliness(cli: &Cli, limits: &[String], out: &Out) -> Result<u8, Failure> {
    let project = open(&cli.config, false)?;
    let presets = presets(limits)?;
    let log = log_of(&project);
    let list = measured((0_u64..).zip(log.iter().map(Vec::as_slice)), None);
    let limit = |event: &str| strictest(&presets, event).map(|limit| limit.seconds);
    let figures = figures(&list, &limit);
    if cli.json {
        let rows: Vec<_> = figures
            .iter()
            .map(|((event, of, target), it)| {
                json!({ "event": event, "of": of, "target": target, "figures": it })
            })
            .collect();
        out.json(&json!({ "version": 1, "seconds": rows }));
        return Ok(OK);
    }
    let head = ["event", "access", "target", "runs", "in limit", "p50 s", "p95 s", "max s", "open"];
    let mut rows = vec![head.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()];
    let shown = |n: Option<i64>| n.map_or("-".to_owned(), |n| n.to_string());
    for ((event, of, target), it) in &figures {
        rows.push(vec![
            event.clone(),
            of.clone(),
            target.clone(),
            it.count.to_string(),
            it.within.map_or("-".to_owned(), |n| n.to_string()),
            shown(it.p50),
            shown(it.p95),
            shown(it.max),
            it.open.to_string(),
        ]);
    }
    out.line(render::table(rows));
    Ok(OK)
}
