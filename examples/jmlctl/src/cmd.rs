//! The commands.

pub(crate) mod audit;
mod doctor;
pub(crate) mod evidence;
mod init;
mod review;
mod runs;
pub(crate) mod verify;
mod what_if;

use std::collections::BTreeSet;
use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};
use futures::executor::block_on;
use jml_core::account::{AccountRef, AccountState};
use jml_core::clock::Clock as _;
use jml_core::desired::desired;
use jml_core::entitlement::EntitlementRef;
use jml_core::explain::{explain, explain_empty};
use jml_core::id::IdentityId;
use jml_core::nearest::nearest;
use jml_core::time::TzdbZones;
use jml_engine::brake::Override;
use jml_engine::{Batch, EngineError, Request, Selection, SystemClock};
use jml_evidence::store::Orphaned;
use serde_json::json;

use crate::cli::{Cli, Command};
use crate::exit::{CONFIG, Failure, OK, STOPPED, WAITING};
use crate::out::Out;
use crate::project::{FeedNews, Project, Time};
use crate::{demo, render};

/// Carries out the command and says how the program ends.
pub(crate) fn run(cli: &Cli, out: &Out) -> Result<u8, Failure> {
    match &cli.command {
        Command::Init { dir } => init::init(dir, cli.json, out),
        Command::Demo { dir, serve } => demo::demo(dir, *serve, cli.json, out),
        Command::Doctor => doctor::doctor(cli, out),
        Command::Plan { when, keeps } => plan(cli, when.at, *keeps, out),
        Command::WhatIf { policy, history, when } => {
            what_if::what_if(cli, policy, history.as_deref(), when.at, out)
        }
        Command::Explain { person, entitlement, when } => {
            explain_person(cli, person, entitlement.as_deref(), when.at, out)
        }
        Command::Simulate { when } => simulate(cli, when.at, out),
        Command::Apply { batch, by, why } => {
            apply(cli, batch.as_deref(), by.as_deref(), why.as_deref(), out)
        }
        Command::Approve { run, gate, by, why, refuse } => {
            runs::approve(cli, run, gate, by, why, *refuse, out)
        }
        Command::Done { run, step, by, proof } => runs::done(cli, run, step, by, proof, out),
        Command::Resume => runs::resume(cli, out),
        Command::Status => runs::status(cli, out),
        Command::Show { run, dot } => runs::show(cli, run, *dot, out),
        Command::Orphans { record } => orphans(cli, *record, out),
        Command::Verify(args) => verify::verify(cli, args, out),
        Command::Audit(what) => audit::audit(cli, what, out),
        Command::Review(what) => review::review(cli, what, out),
        Command::Evidence(what) => evidence::evidence(cli, what, out),
    }
}

fn open(config: &Path, writer: bool) -> Result<Project, Failure> {
    Project::open(config, Time::real(), writer)
}

/// Reads the feed and plans for everybody; writes nothing.
fn prepare(
    project: &mut Project,
    at: DateTime<Utc>,
    cause: &str,
) -> Result<(FeedNews, Batch), Failure> {
    let news = project.read_feed(at)?;
    let batch = block_on(project.engine.prepare(&Request {
        policy: &project.policy,
        facts: &project.facts,
        who: &Selection::All,
        hint: None,
        cause,
        at,
    }))?;
    Ok((news, batch))
}

/// Accounts without an owner, each with what a person has to decide.
fn orphans(cli: &Cli, record: bool, out: &Out) -> Result<u8, Failure> {
    let mut project = open(&cli.config, record)?;
    let now = SystemClock.now();
    let (_, batch) = prepare(&mut project, now, "orphans")?;
    let world = &batch.world;
    if record {
        let one = |(account, state): (&AccountRef, &AccountState)| Orphaned {
            account: account.clone(),
            status: state.status.as_str().to_owned(),
            entitlements: state.holdings.len() as u64,
        };
        let found: Vec<Orphaned> = world.orphans().iter().map(|(at, it)| one((at, it))).collect();
        project.evidence()?.with(|store| {
            store.orphans(&found, now)?;
            store.seal().map(drop)
        })?;
    }
    if cli.json {
        let disputed: Vec<_> = world
            .disputed()
            .iter()
            .map(|it| json!({ "account": it.account, "candidates": it.candidates }))
            .collect();
        let maybe: Vec<_> = world
            .maybe()
            .iter()
            .map(|(account, scores)| json!({ "account": account, "scores": scores }))
            .collect();
        let all: Vec<_> = world.orphans().keys().collect();
        out.json(&json!({ "version": 1, "orphans": all, "disputed": disputed, "maybe": maybe }));
        return Ok(OK);
    }
    for (at, state) in world.orphans() {
        let held = state.holdings.len();
        out.line(format!("{at} ({}): {}, holds {held}", state.user_name, state.status.as_str()));
        for it in world.disputed().iter().filter(|it| it.account == *at) {
            let who: Vec<&str> = it.candidates.iter().map(IdentityId::as_str).collect();
            out.line(format!("  could be that of {}; a person has to say", who.join(" or ")));
        }
        for (who, score) in world.maybe().get(at).into_iter().flatten() {
            out.line(format!("  perhaps that of {who} (score {score}); a person has to say"));
        }
    }
    out.line(format!("{} accounts belong to nobody known", world.orphans().len()));
    Ok(OK)
}

fn plan(cli: &Cli, at: Option<DateTime<Utc>>, keeps: bool, out: &Out) -> Result<u8, Failure> {
    let mut project = open(&cli.config, false)?;
    let at = at.unwrap_or_else(|| SystemClock.now());
    let (news, batch) = prepare(&mut project, at, "plan")?;
    if cli.json {
        out.json(&render::batch_json(&batch, Some(&news), &project.policy));
    } else {
        out.line(format!("plan for {at}, policy {}", project.policy.version));
        render::feed(&news).iter().for_each(|line| out.line(line));
        render::batch(&batch, keeps).iter().for_each(|line| out.line(line));
        let why = batch.why_nothing();
        if !why.is_empty() {
            out.line("why nothing happens:");
            why.iter().for_each(|line| out.line(format!("  {line}")));
            let empty = explain_empty(&project.policy, &project.facts, &TzdbZones, at);
            empty.to_string().lines().for_each(|line| out.line(format!("  {line}")));
        }
    }
    let stopped = !news.issues.is_empty() || !batch.brakes.tripped.is_empty();
    Ok(if stopped { STOPPED } else { OK })
}

fn explain_person(
    cli: &Cli,
    person: &str,
    entitlement: Option<&str>,
    at: Option<DateTime<Utc>>,
    out: &Out,
) -> Result<u8, Failure> {
    let mut project = open(&cli.config, false)?;
    let at = at.unwrap_or_else(|| SystemClock.now());
    project.read_feed(at)?;
    let known = project.facts.people.keys().map(IdentityId::as_str);
    let near = nearest(person, known);
    let facts = IdentityId::new(person).ok().and_then(|id| project.facts.people.get(&id));
    let Some(facts) = facts else {
        let hint = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
        return Err(Failure::new(CONFIG, format!("nobody is called `{person}`{hint}")));
    };
    let wanted: BTreeSet<EntitlementRef> = match entitlement {
        Some(text) => {
            let at = text.parse().map_err(|e| Failure::new(CONFIG, format!("{e}")))?;
            BTreeSet::from([at])
        }
        None => desired(&project.policy, facts, &TzdbZones, at)
            .entitlements()
            .into_iter()
            .cloned()
            .collect(),
    };
    let answers: Vec<_> = wanted
        .iter()
        .map(|entitlement| explain(&project.policy, facts, &TzdbZones, at, entitlement))
        .collect();
    if cli.json {
        let list: Vec<_> = answers
            .iter()
            .map(|a| json!({ "entitlement": a.entitlement, "claims": a.claims, "text": a.to_string() }))
            .collect();
        out.json(&json!({ "version": 1, "identity": person, "answers": list }));
    } else if answers.is_empty() {
        out.line(format!("`{person}` should have nothing at {at}."));
    } else {
        answers.iter().for_each(|answer| out.line(answer.to_string()));
    }
    Ok(OK)
}

fn simulate(cli: &Cli, at: Option<DateTime<Utc>>, out: &Out) -> Result<u8, Failure> {
    let mut project = open(&cli.config, false)?;
    let at = at.unwrap_or_else(|| SystemClock.now());
    let (news, batch) = prepare(&mut project, at, "simulate")?;
    let reports = block_on(project.engine.simulate(&batch))?.runs;
    if cli.json {
        let views: Vec<_> = reports.iter().map(|report| &report.view).collect();
        out.json(&render::views_json(&views));
    } else {
        out.line("simulated: nothing was written, and every gate was taken as agreed");
        render::feed(&news).iter().for_each(|line| out.line(line));
        render::reports(&reports).iter().for_each(|line| out.line(line));
    }
    Ok(OK)
}

fn apply(
    cli: &Cli,
    batch_name: Option<&str>,
    by: Option<&str>,
    why: Option<&str>,
    out: &Out,
) -> Result<u8, Failure> {
    let mut project = open(&cli.config, true)?;
    // Whatever was interrupted comes first.
    let mut reports = block_on(project.engine.resume())?;
    let now = SystemClock.now();
    let (news, batch) = prepare(&mut project, now, "apply")?;
    let quarantined = !news.issues.is_empty();
    if !quarantined {
        project.save()?;
    }
    block_on(project.engine.reseat(&project.policy, &project.facts))?;
    let released = match (batch_name, by, why) {
        (Some(batch), Some(by), Some(why)) => Some(Override {
            batch: batch.parse().map_err(|e| Failure::new(CONFIG, format!("{e}")))?,
            by: IdentityId::new(by).map_err(|e| Failure::new(CONFIG, e.to_string()))?,
            why: why.to_owned(),
            expires: now + TimeDelta::hours(1),
        }),
        _ => None,
    };
    if !cli.json {
        render::feed(&news).iter().for_each(|line| out.line(line));
        if quarantined {
            out.line("facts that were accepted before still count");
        }
    }
    let brakes = batch.brakes.clone();
    out.progress("running");
    let result = block_on(project.engine.execute(batch, released.as_ref()));
    out.done();
    let braked = match result {
        Ok(done) => {
            reports.extend(done.runs);
            for person in done.overtaken.iter().filter(|_| !cli.json) {
                out.line(format!("{person}: planned by another process meanwhile; apply again"));
            }
            false
        }
        Err(EngineError::Braked(_)) => true,
        Err(error) => return Err(error.into()),
    };
    if cli.json {
        let views: Vec<_> = reports.iter().map(|report| &report.view).collect();
        let feed = render::feed_json(&news);
        out.json(&json!({ "version": 1, "feed": feed, "brakes": brakes, "braked": braked, "runs": views }));
    } else {
        if braked {
            out.line("brakes tripped; nothing was run:");
            brakes.tripped.iter().for_each(|trip| out.line(format!("  {trip}")));
            let name = brakes.batch;
            out.line(format!("  if this is right: apply --override {name} --by WHO --why WHY"));
        }
        render::reports(&reports).iter().for_each(|line| out.line(line));
        out.line(format!("{} runs", reports.len()));
    }
    let waiting = reports.iter().any(|report| !report.view.gates.is_empty());
    Ok(match (braked || quarantined, waiting) {
        (true, _) => STOPPED,
        (false, true) => WAITING,
        (false, false) => OK,
    })
}
