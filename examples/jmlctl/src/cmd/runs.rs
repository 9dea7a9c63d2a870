//! Commands about runs: approve, done, resume, show, status.

use futures::executor::block_on;
use jml_core::id::{GateId, IdentityId, RunId, StepId};
use jml_core::journal::Decision;
use jml_engine::view::{RunView, dot};
use jml_engine::{EngineError, RunReport, Vote};

use serde_json::json;

use super::open;
use crate::cli::Cli;
use crate::exit::{CONFIG, Failure, OK, WAITING};
use crate::out::Out;
use crate::render;

fn wrong(error: impl std::fmt::Display) -> Failure {
    Failure::new(CONFIG, error.to_string())
}

fn not_taken(error: EngineError) -> Failure {
    match error {
        EngineError::NotTaken(_) | EngineError::NoRun(_) => wrong(error),
        other => other.into(),
    }
}

fn shown(reports: &[RunReport], json: bool, out: &Out) -> u8 {
    if json {
        let views: Vec<&RunView> = reports.iter().map(|report| &report.view).collect();
        out.json(&render::views_json(&views));
    } else {
        render::reports(reports).iter().for_each(|line| out.line(line));
    }
    if reports.iter().any(|report| !report.view.gates.is_empty()) { WAITING } else { OK }
}

pub(super) fn approve(
    cli: &Cli,
    run: &str,
    gate: &str,
    by: &str,
    why: &str,
    refuse: bool,
    out: &Out,
) -> Result<u8, Failure> {
    let project = open(&cli.config, true)?;
    let (run, gate) = (RunId::new(run).map_err(wrong)?, GateId::new(gate).map_err(wrong)?);
    let by = IdentityId::new(by).map_err(wrong)?;
    let decision = if refuse { Decision::Refused } else { Decision::Approved };
    let vote = Vote { run: &run, gate: &gate, by: &by, decision, why };
    let decided = project.engine.decide(&vote, &project.policy, &project.facts);
    let report = block_on(decided).map_err(not_taken)?;
    Ok(shown(&[report], cli.json, out))
}

pub(super) fn done(
    cli: &Cli,
    run: &str,
    step: &str,
    by: &str,
    proof: &str,
    out: &Out,
) -> Result<u8, Failure> {
    let project = open(&cli.config, true)?;
    let (run, step) = (RunId::new(run).map_err(wrong)?, StepId::new(step).map_err(wrong)?);
    let by = IdentityId::new(by).map_err(wrong)?;
    let report =
        block_on(project.engine.complete_task(&run, &step, &by, proof)).map_err(not_taken)?;
    Ok(shown(&[report], cli.json, out))
}

pub(super) fn resume(cli: &Cli, out: &Out) -> Result<u8, Failure> {
    let project = open(&cli.config, true)?;
    let reports = block_on(project.engine.resume())?;
    if reports.is_empty() && !cli.json {
        out.line("nothing was interrupted");
    }
    Ok(shown(&reports, cli.json, out))
}

/// One run as it went, or its plan as a graph.
pub(super) fn show(cli: &Cli, run: &str, graph: bool, out: &Out) -> Result<u8, Failure> {
    let project = open(&cli.config, false)?;
    let run = RunId::new(run).map_err(wrong)?;
    if graph {
        let plan = block_on(project.engine.plan(&run)).map_err(not_taken)?;
        dot(&plan).lines().for_each(|line| out.line(line));
        return Ok(OK);
    }
    let view = block_on(project.engine.view(&run)).map_err(not_taken)?;
    let moments = block_on(project.engine.timeline(&run)).map_err(not_taken)?;
    if cli.json {
        out.json(&json!({ "version": 1, "run": view, "timeline": moments }));
        return Ok(OK);
    }
    for moment in moments {
        let step = moment.step.map_or_else(String::new, |step| format!(" {step}"));
        let at = moment.at.format("%Y-%m-%d %H:%M:%S");
        out.line(format!("{at}  {:<8}{step}  {}", moment.by, moment.what));
    }
    view.waits.iter().for_each(|wait| out.line(format!("waits: {wait}")));
    Ok(OK)
}

pub(super) fn status(cli: &Cli, out: &Out) -> Result<u8, Failure> {
    let project = open(&cli.config, false)?;
    let views = block_on(project.engine.views())?;
    let open: Vec<&RunView> = views.iter().filter(|view| view.outcome.is_none()).collect();
    let waiting = open.iter().any(|view| !view.gates.is_empty());
    if cli.json {
        out.json(&render::views_json(&views.iter().collect::<Vec<_>>()));
    } else {
        let (runs, people) = (views.len(), project.facts.people.len());
        out.line(format!("{people} people known, {runs} runs, {} open", open.len()));
        for view in &open {
            out.line(format!("{} {} run {}", view.identity, view.kind.as_str(), view.run));
            for gate in &view.gates {
                let stage = match gate.stage {
                    (_, 1) => String::new(),
                    (stage, of) => format!(", stage {stage} of {of}"),
                };
                out.line(format!(
                    "  gate {}: {}{stage}; {} may decide until {}",
                    gate.id,
                    gate.title,
                    render::panel(&gate.approvers),
                    gate.expires
                ));
                gate.grants.iter().for_each(|grant| out.line(format!("    {grant}")));
            }
            let waits = view.waits.iter().filter(|wait| !wait.starts_with("gate "));
            waits.for_each(|wait| out.line(format!("  waits: {wait}")));
        }
        let closed = views.iter().rev().filter(|view| view.outcome.is_some()).take(10);
        let rows: Vec<Vec<String>> = closed
            .map(|view| {
                vec![
                    view.made_at.format("%Y-%m-%d %H:%M").to_string(),
                    view.identity.to_string(),
                    view.kind.as_str().to_owned(),
                    view.outcome.map(|o| format!("{o:?}").to_lowercase()).unwrap_or_default(),
                    format!("{} steps", view.steps.len()),
                ]
            })
            .collect();
        if !rows.is_empty() {
            out.line("latest closed runs:");
            out.line(render::table(rows));
        }
    }
    Ok(if waiting { WAITING } else { OK })
}
