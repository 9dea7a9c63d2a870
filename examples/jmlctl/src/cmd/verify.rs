//! `verify`: the evidence of a project, level by level.

use std::path::Path;

use jml_evidence::note::Checkpoint;
use jml_evidence::vault::open_all;
use jml_evidence::verify::{Directory, Trust, TrustReport, Verdict, verify as check};

use super::open;
use crate::cli::Cli;
use crate::exit::{CONFIG, Failure, OK, UNVERIFIED};
use crate::out::{BAD, GOOD, NOTE, Out, styled};
use crate::project::{Project, vault_key};

pub(super) fn verify(cli: &Cli, earlier: Option<&Path>, out: &Out) -> Result<u8, Failure> {
    let project = open(&cli.config, false)?;
    let report = verify_project(&project, earlier)?;
    if cli.json {
        out.json(&serde_json::json!({ "version": 1, "ok": report.is_ok(), "report": report }));
    } else {
        show(&report, out);
    }
    Ok(if report.is_ok() { OK } else { UNVERIFIED })
}

/// Verifies the evidence of a project with its own public key.
pub(crate) fn verify_project(
    project: &Project,
    earlier: Option<&Path>,
) -> Result<TrustReport, Failure> {
    let key = project.verifier()?;
    let earlier = earlier
        .map(|path| {
            let wrong = |e: String| Failure::new(CONFIG, format!("`{}`: {e}", path.display()));
            let note = std::fs::read_to_string(path).map_err(|e| wrong(e.to_string()))?;
            let text = key.open(&note).map_err(|e| wrong(e.to_string()))?;
            let checkpoint = Checkpoint::parse(text).map_err(|e| wrong(e.to_string()))?;
            Ok::<_, Failure>((checkpoint.size, checkpoint.root))
        })
        .transpose()?;
    let files = Directory::new(project.config.resolve(&project.config.evidence.dir));
    let opened = open_all(&files, &vault_key(&project.config)?)?;
    let trust = Trust { key: Some(key), earlier, opened: Some(opened), ..Trust::default() };
    Ok(check(&files, &trust))
}

/// Prints a report.
pub(crate) fn show(report: &TrustReport, out: &Out) {
    out.line(format!(
        "evidence log {}: {} records of {} runs, {} disclosures",
        report.origin, report.size, report.runs, report.disclosures
    ));
    for (level, verdict) in &report.levels {
        let head = format!("{level:?} {:<36}", level.title());
        match verdict {
            Verdict::Pass => out.line(format!("  {head} {}", styled(GOOD, "pass"))),
            Verdict::NotChecked(why) => {
                out.line(format!("  {head} {}: {why}", styled(NOTE, "not checked")));
            }
            Verdict::Fail(problems) => {
                out.line(format!("  {head} {}", styled(BAD, "FAIL")));
                problems.iter().for_each(|problem| out.line(format!("       {problem}")));
            }
        }
    }
}
