//! `demo`: one year of a made-up company, played through the public API.

mod calendar;
mod clock;
mod company;
mod story;
mod targets;

use std::fs;
use std::path::Path;

use jml_evidence::verify::{Directory, Trust, verify};

use crate::cmd::verify::{levels, show, verify_project};
use crate::exit::{CONFIG, Failure, OK, UNVERIFIED};
use crate::out::{BOLD, Out, styled};

/// Marks a directory that a demo may replace.
const MARK: &str = "made-by-jmlctl-demo";

pub(crate) fn demo(dir: &Path, serve: bool, json: bool, out: &Out) -> Result<u8, Failure> {
    let wrong = |what: String| Failure::new(CONFIG, what);
    if dir.exists() {
        let empty = fs::read_dir(dir).is_ok_and(|mut items| items.next().is_none());
        if !empty && !dir.join(MARK).exists() {
            let text = format!(
                "`{}` is there and no demo made it; name another with --dir",
                dir.display()
            );
            return Err(wrong(text));
        }
        fs::remove_dir_all(dir)
            .map_err(|e| wrong(format!("cannot replace `{}`: {e}", dir.display())))?;
    }
    let make = |name: &str, text: &str| {
        fs::write(dir.join(name), text).map_err(|e| wrong(format!("cannot write {name}: {e}")))
    };
    fs::create_dir_all(dir).map_err(|e| wrong(format!("cannot make `{}`: {e}", dir.display())))?;
    make(MARK, "This folder is replaced by the next `jmlctl demo`.\n")?;
    fs::create_dir_all(dir.join("outside")).map_err(|e| wrong(format!("cannot make it: {e}")))?;

    let quiet = Out::silent();
    let told = if json { &quiet } else { out };
    told.line(format!(
        "One year of a made-up company of about 200 people, played through the engine. Its targets are fakes \
         of Entra, Google Workspace, Okta, JumpCloud and a SCIM server, on this machine over TCP. Everything is \
         written to `{}`; nothing leaves it.",
        dir.display()
    ));
    let mut year = story::Year::begin(dir, told, out)?;
    year.play()?;
    let key = year.audit()?;
    let totals = year.finish()?;
    let report = verify_project(year.project(), None, Trust::default())?;
    let trust = Trust { key: Some(key), ..Trust::default() };
    let pack = verify(&Directory::new(dir.join("audit")), &trust);
    let ok = report.is_ok() && pack.is_ok();
    if json {
        out.json(
            &serde_json::json!({ "version": 1, "ok": ok, "totals": totals, "report": report }),
        );
    } else {
        out.line("");
        out.line(styled(BOLD, "Verification"));
        show(&report, out);
        // The nonces of records are random, so another sample is drawn each time.
        out.line(format!("the auditor's pack: the records of {} runs", pack.runs));
        levels(&pack, out);
        out.line("");
        out.line(styled(BOLD, "Where to look"));
        let shown = dir.display();
        out.line(format!("  {shown}/hr.csv            the feed as it was at the end of the year"));
        out.line(format!("  {shown}/policy.yaml       what follows from a job"));
        out.line(format!("  {shown}/state/journal.db  every run; any SQLite program opens it"));
        out.line(format!("  {shown}/evidence          the log; its keys are in {shown}/state"));
        out.line(format!("  {shown}/audit/report.html what an auditor reads; VERIFY.md beside it"));
        out.line(format!("  {shown}/outside           what somebody outside keeps, week by week"));
        out.line("Try:");
        for command in ["status", "verify"] {
            out.line(format!("  jmlctl --config {shown}/jml.toml {command}"));
        }
        out.line(format!(
            "  jmlctl verify --pack {shown}/audit --key \"$(cat {shown}/evidence/vkey)\""
        ));
        if serve {
            out.line("");
            out.line(styled(BOLD, "The targets stay until Ctrl-C"));
            for (name, url) in year.targets().addresses() {
                out.line(format!("  {name:10} {url}"));
            }
            out.line("In another terminal:");
            for command in ["doctor", "plan --at 2027-01-04T08:00:00Z", "explain E0043"] {
                out.line(format!("  jmlctl --config {shown}/jml.toml {command}"));
            }
        } else {
            out.line("The targets are gone with the demo; `jmlctl demo --serve` lets them stay, so that `doctor`, `plan` and `explain` have something to look at.");
        }
    }
    if serve {
        year.targets().stay();
        loop {
            std::thread::park();
        }
    }
    Ok(if ok { OK } else { UNVERIFIED })
}
