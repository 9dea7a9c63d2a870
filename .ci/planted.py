"""Plants bugs in a copy of the sources, one at a time, and sees that the tests catch each.

A test that cannot fail is a defect. Without an argument: bugs in the engine, and whether the crash harness
catches each. A driver that ignores whether its journal is durable, a machine that takes what was under way
for done, one that sends before it has written down, one that does not read back what is in doubt, one that
counts a crash as an attempt.

`planted.py connectors [NAME...]`: bugs in connectors, of the kinds that real ones have, and whether the
connector's own tests catch each.
"""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
MACHINE = "jml-engine/src/machine/"
BUGS = [
    ("ignore durability", "jml-engine/src/drive.rs",
     ".map_err(|source| DriveError::Journal { run: run.clone(), source })?;", ".unwrap_or_default();"),
    ("assume in-flight success", MACHINE + "state.rs",
     "*self = Self::Backoff { attempt, retry_at, doubt: true, parked: false };",
     "let _ = (attempt, retry_at); *self = Self::Ended(StepEnd::Verified { already: false });"),
    ("apply before record", MACHINE + "decide.rs",
     "self.note(now, Actor::Engine, Fact::Intended { step: step_id, attempt, key });",
     "self.note(now, Actor::Engine, Fact::Intended { step: step_id, attempt, key }); self.send(id, attempt);"),
    ("skip read-back", MACHINE + "decide.rs",
     "if satisfied {\n            let account", "if satisfied && !state.doubt() {\n            let account"),
    ("count a crash as an attempt", MACHINE + "state.rs",
     "let attempt = attempt.saturating_sub(1);", ""),
]
# By connector: what it is, where, and the text before and after.
CONNECTORS = {
    "okta": [
        ("sessions end, tokens stay", "requests.rs",
         '.query("oauthTokens", tokens)', '.query("oauthTokens", tokens && false)'),
        ("the deprovisioned are not listed", "requests.rs",
         '.query("filter", everybody).query("limit", size)', '.query("q", &everybody[..0]).query("limit", size)'),
        ("deactivated is taken for deleted", "lib.rs",
         "match self.client.change(cx, requests::delete(id.as_str())).await {",
         "match Err(Error::new(ErrorKind::NotFound, id.as_str())) {"),
        ("deactivated, and nothing is said to be done", "lib.rs",
         "other => other.map_err(Error::partly),", "other => other,"),
        ("a group rule puts them back, and nobody looks", "leave.rs",
         "if groups.iter().any(|group| group.id == key.id) {", "if groups.is_empty() {"),
    ],
    "entra": [
        ("the member is deleted, and not the membership", "requests.rs",
         'path!["groups", group, what, user, "$ref"]', 'path!["groups", group, what, user]'),
        ("a member already is a failure", "answers.rs",
         'if message.starts_with("One or more added object references already exist") =>',
         'if message.starts_with("One or more object references already exist") =>'),
        ("consents stay", "leave.rs",
         "self.client.change_each(cx, each).await.map_err(Error::partly)?;", "let _: Vec<_> = each;"),
        ("sessions have ended, and nothing is said to be done", "leave.rs",
         "self.client.change_each(cx, each).await.map_err(Error::partly)?;",
         "self.client.change_each(cx, each).await?;"),
        ("half an exchange is said to be none", "access.rs",
         "other => other.map_err(Error::partly),", "other => other,"),
        ("pages stop after the first", "pages.rs", "value.extend(page.value);", "let _ = page.value;"),
    ],
    "google": [
        ("a throttle of 403 is a refusal", "answers.rs",
         "Verdict::of(ErrorKind::RateLimited)", "Verdict::of(ErrorKind::PermissionDenied)"),
        ("pages stop after the first", "lib.rs", "if next.is_none() {", "if next != token || next.is_none() {"),
        ("a member already is a failure", "answers.rs",
         "Verdict::of(ErrorKind::AlreadyExists)", "Verdict::of(ErrorKind::Conflict)"),
        ("backup codes are gone, and nothing is said to be done", "change.rs",
         "if matches!(codes, Ok(true)) { error.partly() } else { error }", "error"),
        ("backup codes outlive the block", "change.rs",
         "if user.is_live() { self.end_codes(cx, id.as_str()).await } else { Ok(false) }", "Ok::<bool, Error>(false)"),
    ],
    "jumpcloud": [
        ("a block is a refusal", "answers.rs", "(failure.status == 403 && plain)", "(failure.status == 429 && plain)"),
        ("a filter is believed", "lib.rs",
         "if !found.results.iter().all(|it| it.says(field, value)) {",
         "if found.results.iter().any(|it| it.says(field, \"\\n\")) {"),
        ("a bond that is there is a failure", "edges.rs",
         "if self.holds(cx, id.as_str(), key).await? {", "if !self.holds(cx, id.as_str(), key).await? {"),
        ("whoever reports to the user keeps a manager", "lib.rs",
         "requests::delete(id, reports)", "requests::delete(id, reports && false)"),
        ("a deletion meanwhile hides somebody", "window.rs",
         "let overlap = u32::from(place.last.is_some());",
         "let place = Place { last: None, ..place }; let overlap = 0;"),
    ],
    "scim": [
        ("members are taken out in the other way", "requests.rs",
         'json!({ "op": "remove", "path": format!("members[value eq {}]", quoted(user)) })',
         'json!({ "op": "remove", "path": "members", "value": it })'),
        ("strangers become members", "lib.rs",
         "if matches!(change.op, Operation::Grant { .. }) {", "if change.op.makes_account() {"),
        ("an account of somebody else is taken for theirs", "lib.rs",
         'let nobodys = |it: &Resource| it.text("externalId").is_none();', "let nobodys = |_: &Resource| true;"),
        ("the version is not sent", "lib.rs",
         "Expect::Version(version) if self.able.etag => Some(version.as_str()),",
         "Expect::Version(version) if !self.able.etag => Some(version.as_str()),"),
        ("a bulk answer is read by its order", "lib.rs",
         "it.id.as_deref() == Some(&number)", "it.id.as_deref() != Some(&number)"),
    ],
}


def cargo(copy, target, *what):
    env = dict(os.environ, CARGO_TARGET_DIR=str(target))
    return subprocess.run(["cargo", "test", "--quiet", *what], cwd=copy, env=env, capture_output=True, text=True)


def synced(copy):
    """The tracked files, in a folder; what is the same there stays, so that it is not built again."""
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True).stdout
    names = [name for name in files.decode().split("\0") if name and (ROOT / name).is_file()]
    for name in names:
        there = copy / name
        if not there.is_file() or there.read_bytes() != (ROOT / name).read_bytes():
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, there)
    for there in [it for it in copy.rglob("*") if it.is_file()]:
        if str(there.relative_to(copy)) not in names:
            there.unlink()


def plant(copy, bugs, test):
    """The names of the bugs that nothing catches."""
    escaped = []
    calm = test()
    if calm.returncode != 0:
        print(calm.stdout[-2000:], calm.stderr[-2000:], file=sys.stderr)
        sys.exit("without a planted bug, the tests fail")
    for name, path, good, bad in bugs:
        text = (copy / path).read_text()
        if text.count(good) != 1:
            sys.exit(f"{name}: `{good}` stands {text.count(good)} times in {path}")
        (copy / path).write_text(text.replace(good, bad))
        run = test()
        (copy / path).write_text(text)
        caught = run.returncode != 0 and "test result: FAILED" in run.stdout
        if run.returncode != 0 and not caught:
            print(run.stderr[-2000:], file=sys.stderr)
            sys.exit(f"{name}: the planted bug does not compile")
        print(f"{name}: {'caught' if caught else 'ESCAPED'}", flush=True)
        if not caught:
            escaped.append(name)
    return escaped


def engine():
    with tempfile.TemporaryDirectory() as folder:
        copy = pathlib.Path(folder) / "copy"
        synced(copy)
        return plant(copy, BUGS, lambda: cargo(copy, ROOT / "target" / "planted",
                                               "-p", "jml-engine", "--test", "it", "crash::"))


def connectors(chosen):
    """In a folder that stays, with what CI has built already."""
    copy, escaped = ROOT / "target" / "planted-connectors", []
    synced(copy)
    for name in chosen or CONNECTORS:
        began = time.monotonic()
        bugs = [(f"{name}: {bug}", f"jml-connectors/{name}/src/{path}", good, bad)
                for bug, path, good, bad in CONNECTORS[name]]
        escaped += plant(copy, bugs, lambda: cargo(copy, ROOT / "target", "-p", f"jml-connector-{name}", "--test", "it"))
        print(f"{name}: {len(bugs)} planted, {time.monotonic() - began:.0f} s", flush=True)
    return escaped


def main():
    match sys.argv[1:]:
        case []:
            escaped = engine()
        case ["connectors", *chosen] if all(name in CONNECTORS for name in chosen):
            escaped = connectors(chosen)
        case _:
            sys.exit(f"planted.py, or planted.py connectors [{'|'.join(CONNECTORS)}]...")
    sys.exit(f"escaped: {escaped}" if escaped else 0)


main()
