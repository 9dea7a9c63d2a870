//! `verify`: the evidence of a project, level by level.

use std::path::Path;

use jml_evidence::merkle::Hash;
use jml_evidence::note::{Checkpoint, VerifierKey};
use jml_evidence::vault::open_all;
use jml_evidence::verify::{
    Directory, Level, Problem, Trust, TrustReport, Verdict, verify as check,
};

use super::open;
use crate::cli::{Cli, VerifyArgs};
use crate::exit::{CONFIG, Failure, OK, UNVERIFIED};
use crate::out::{BAD, GOOD, NOTE, Out, styled};
use crate::project::{Project, vault_key};

pub(super) fn verify(cli: &Cli, args: &VerifyArgs, out: &Out) -> Result<u8, Failure> {
    let key = |text: &String| {
        VerifierKey::parse(text.trim())
            .map_err(|e| Failure::new(CONFIG, format!("key `{text}`: {e}")))
    };
    let witnesses = args.witnesses.iter().map(key).collect::<Result<Vec<_>, _>>()?;
    let trust = Trust { witnesses, quorum: args.quorum, ..Trust::default() };
    let report = match (&args.pack, &args.key) {
        (Some(pack), Some(text)) => {
            if !pack.is_dir() {
                let text = format!("`{}` is no directory", pack.display());
                return Err(Failure::new(CONFIG, text));
            }
            let key = key(text)?;
            let earlier = args.earlier.as_deref().map(|path| kept(path, &key)).transpose()?;
            let files = Directory::new(pack);
            check(&files, &Trust { key: Some(key), earlier, ..trust })
        }
        _ => {
            let project = open(&cli.config, false)?;
            verify_project(&project, args.earlier.as_deref(), trust)?
        }
    };
    if cli.json {
        out.json(&serde_json::json!({ "version": 1, "ok": report.is_ok(), "report": report }));
    } else {
        show(&report, out);
    }
    Ok(if report.is_ok() { OK } else { UNVERIFIED })
}

/// Reads a checkpoint that was kept: size and root.
pub(super) fn kept(path: &Path, key: &VerifierKey) -> Result<(u64, Hash), Failure> {
    let wrong = |e: String| Failure::new(CONFIG, format!("`{}`: {e}", path.display()));
    let note = std::fs::read_to_string(path).map_err(|e| wrong(e.to_string()))?;
    let text = key.open(&note).map_err(|e| wrong(e.to_string()))?;
    let checkpoint = Checkpoint::parse(text).map_err(|e| wrong(e.to_string()))?;
    Ok((checkpoint.size, checkpoint.root))
}

/// Verifies the evidence of a project with its own keys.
pub(crate) fn verify_project(
    project: &Project,
    earlier: Option<&Path>,
    trust: Trust,
) -> Result<TrustReport, Failure> {
    let key = project.verifier()?;
    let earlier = earlier.map(|path| kept(path, &key)).transpose()?;
    let files = Directory::new(project.config.resolve(&project.config.evidence.dir));
    let trust = Trust { key: Some(key), earlier, ..trust };
    match open_all(&files, &vault_key(&project.config)?) {
        Ok(opened) => Ok(check(&files, &Trust { opened: Some(opened), ..trust })),
        Err(error) => {
            // A vault that does not open is a finding like any other.
            let mut report = check(&files, &trust);
            let problem = Problem { at: "vault".to_owned(), what: error.to_string() };
            match report.levels.get_mut(&Level::L1) {
                Some(Verdict::Fail(list)) => list.push(problem),
                _ => {
                    report.levels.insert(Level::L1, Verdict::Fail(vec![problem]));
                }
            }
            Ok(report)
        }
    }
}

/// Prints a report.
pub(crate) fn show(report: &TrustReport, out: &Out) {
    out.line(format!(
        "evidence log {}: {} records of {} runs, {} disclosures",
        report.origin, report.records, report.runs, report.disclosures
    ));
    if report.erased > 0 {
        out.line(format!(
            "  {} disclosures were erased, with a record that says so",
            report.erased
        ));
    }
    levels(report, out);
}

/// Prints the levels of a report.
pub(crate) fn levels(report: &TrustReport, out: &Out) {
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
