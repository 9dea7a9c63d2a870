"""Plants bugs in a copy of the sources, one in a crate at a time, and sees that the tests catch each.

A test that cannot fail is a defect. Without an argument: bugs in the engine, and whether the crash harness
catches each. A driver that ignores whether its journal is durable, a machine that takes what was under way
for done, one that sends before it has written down, one that does not read back what is in doubt, one that
counts a crash as an attempt.

`planted.py connectors [NAME...]`: bugs in connectors, of the kinds that real ones have, and whether the
connector's own tests catch each.
"""
import concurrent.futures
import itertools
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Seconds for the tests of one connector.
LIMIT = 300
MACHINE = "jml-engine/src/machine/"
# What it is, where, the text before and after. `PLANTED` is true while the bug is asked for, so that one build
# holds all of them.
BUGS = [
    ("ignore durability", "jml-engine/src/drive.rs",
     "stored.map_err(|source| DriveError::Journal { run: run.clone(), source })?;",
     "if !PLANTED { stored.map_err(|source| DriveError::Journal { run: run.clone(), source })?; }"),
    ("assume in-flight success", MACHINE + "state.rs",
     "*self = Self::Backoff { attempt, retry_at, doubt: true, parked: false };",
     "*self = if PLANTED { Self::Ended(StepEnd::Verified { already: false }) } "
     "else { Self::Backoff { attempt, retry_at, doubt: true, parked: false } };"),
    ("apply before record", MACHINE + "decide.rs",
     "self.note(now, Actor::Engine, Fact::Intended { step: step_id, attempt, key });",
     "self.note(now, Actor::Engine, Fact::Intended { step: step_id, attempt, key }); "
     "if PLANTED { self.send(id, attempt); }"),
    ("skip read-back", MACHINE + "decide.rs",
     "if satisfied {\n            let account", "if satisfied && !(PLANTED && state.doubt()) {\n            let account"),
    ("count a crash as an attempt", MACHINE + "state.rs",
     "let attempt = attempt.saturating_sub(1);",
     "let attempt = if PLANTED { attempt } else { attempt.saturating_sub(1) };"),
]
# By connector: what it is, where, and the text before and after.
CONNECTORS = {
    "okta": [
        ("sessions end, tokens stay", "requests.rs",
         '.query("oauthTokens", tokens)', '.query("oauthTokens", tokens && false)'),
        ("the deprovisioned are not listed", "requests.rs",
         '.query("filter", everybody).query("limit", size)', '.query("q", &everybody[..0]).query("limit", size)'),
        ("deactivated is taken for deleted", "lifecycle.rs",
         "let Some(user) = left else {", "let Some(user) = left.filter(|_| false) else {"),
        ("deactivated, and nothing is said to be done", "lifecycle.rs",
         "other => other.map_err(Error::partly),", "other => other,"),
        ("a group rule puts them back, and nobody looks", "leave.rs",
         "if !groups.iter().any(|it| it.id.as_str() == group) {", "if !groups.is_empty() {"),
        ("what is not found below somebody makes them absent", "lib.rs",
         "match self.below(cx, user.id.as_str(), whole).await {", "match whole {"),
        ("a role of a group is theirs", "answers.rs",
         'self.given_to.as_deref().is_none_or(|it| it == "USER")', "self.given_to.is_some() || self.role.is_none()"),
    ],
    "entra": [
        ("the member is deleted, and not the membership", "requests.rs",
         'path!["groups", group, what, user, "$ref"]', 'path!["groups", group, what, user]'),
        ("a member already is a failure", "classify.rs",
         '"One or more added object references already exist"', '"One or more object references already exist"'),
        ("an assignment of a group is taken for one of theirs", "access.rs",
         "if it.is_of(user) { &mut own }", "if it.is_of(user) || !user.is_empty() { &mut own }"),
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
         "let applied = error.applied().join(before);", "let applied = { let _ = before; error.applied() };"),
        ("backup codes outlive the block", "change.rs",
         "let codes = if user.is_live() {", "let codes = if user.is_live() && id.as_str().is_empty() {"),
        ("any refusal means that somebody is absent", "lib.rs",
         "self.directory.find(cx, requests::user(key)).await\n",
         "self.directory.find(cx, requests::user(key)).await.or_else(|e| "
         "if e.kind() == ErrorKind::Invalid { Ok(None) } else { Err(e) })\n"),
    ],
    "jumpcloud": [
        ("a block is a refusal", "answers.rs", "(failure.status == 403 && plain)", "(failure.status == 429 && plain)"),
        ("a filter is believed", "lib.rs",
         "if !found.results.iter().all(|it| it.says(field, value)) {",
         "if found.results.iter().any(|it| it.says(field, \"\\n\")) {"),
        ("a bond that is there is a failure", "edges.rs",
         "if self.holds(cx, id.as_str(), key).await? {\n                    Ok(Outcome", "if !self.holds(cx, id.as_str(), key).await? {\n                    Ok(Outcome"),
        ("whoever reports to the user keeps a manager", "lib.rs",
         "requests::delete(id, reports)", "requests::delete(id, reports && false)"),
        ("a deletion meanwhile hides somebody", "window.rs",
         "let overlap = u32::from(place.last.is_some());",
         "let place = Place { last: None, ..place }; let overlap = 0;"),
        ("a lost organisation makes everybody absent", "lib.rs",
         "match self.or_lost(cx, read).await {", "match read {"),
        ("what comes with a group is theirs", "lib.rs",
         "bound.iter().filter(|it| it.is_direct())", "bound.iter().filter(|it| it.is_direct() || it.node.id.len() > 9)"),
    ],
    "scim": [
        ("members are taken out in the other way", "requests.rs",
         'json!({ "op": "remove", "path": format!("members[value eq {}]", quoted(user)) })',
         'json!({ "op": "remove", "path": "members", "value": it })'),
        ("strangers become members", "lib.rs",
         "if matches!(change.op, Operation::Grant { .. }) && version.is_none() {", "if change.op.makes_account() {"),
        ("an account of somebody else is taken for theirs", "lib.rs",
         'named && it.text("externalId").is_none()', "named"),
        ("a filter is believed", "lib.rs",
         'let is = |it: &Resource| it.text("externalId") == Some(identity.as_str());', "let is = |_: &Resource| true;"),
        ("the version is not sent", "lib.rs",
         "Expect::Version(version) if self.able.etag => Some(version.as_str()),",
         "Expect::Version(version) if !self.able.etag => Some(version.as_str()),"),
        ("a bulk answer is read by its order", "bulk.rs",
         "rows.iter().find(|it| it.id.as_deref() == Some(&name))", "rows.get(number).filter(|_| !name.is_empty())"),
    ],
}


def tracked():
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True).stdout
    return [name for name in files.decode().split("\0") if name and (ROOT / name).is_file()]


def planted(copy, name, path, good, bad):
    """Plants a bug; the text before it."""
    text = (copy / path).read_text()
    if text.count(good) != 1:
        sys.exit(f"{name}: `{good}` stands {text.count(good)} times in {path}")
    (copy / path).write_text(text.replace(good, bad))
    return text


def engine():
    """The names of the bugs that nothing catches. All are built at once, and asked for one at a time."""
    escaped = []
    with tempfile.TemporaryDirectory() as folder:
        copy = pathlib.Path(folder) / "copy"
        for name in tracked():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
        for name, path, good, bad in BUGS:
            asked = f'std::env::var("JML_PLANTED").is_ok_and(|it| it == "{name}")'
            planted(copy, name, path, good, bad.replace("PLANTED", asked))

        def test(bug):
            env = dict(os.environ, CARGO_TARGET_DIR=str(ROOT / "target" / "planted"), JML_PLANTED=bug)
            what = ["cargo", "test", "--quiet", "-p", "jml-engine", "--test", "it", "crash::"]
            return subprocess.run(what, cwd=copy, env=env, capture_output=True, text=True)

        calm = test("none")
        if calm.returncode != 0:
            print(calm.stdout[-2000:], calm.stderr[-2000:], file=sys.stderr)
            sys.exit("without a planted bug, the tests fail")
        for name, *_ in BUGS:
            run = test(name)
            caught = run.returncode != 0 and "test result: FAILED" in run.stdout
            print(f"{name}: {'caught' if caught else 'ESCAPED'}", flush=True)
            if not caught:
                escaped.append(name)
    return escaped


def synced(copy):
    """The tracked files with their times, so that cargo builds nothing again that the workspace has built.
    Of tests, the connectors' own only."""
    own = tuple(f"jml-connectors/{name}/" for name in CONNECTORS)
    for name in tracked():
        if "/tests/" not in name or name.startswith(own):
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    # Whatever was planted when it was last built is not there any more.
    for name in CONNECTORS:
        (copy / "jml-connectors" / name / "src" / "lib.rs").touch()


def built(copy, what):
    """The connectors' test binaries.

    The features are those of the workspace, so that everything below is there already; what is planted is built
    in another profile, so that it never takes the place of the real thing. The copy must not lie in the target
    folder: cargo would take it for the source of what the workspace has built."""
    profile = [f"profile.dev.package.{package}.{setting}" for setting in ("opt-level=0", "debug=false")
               for package in ["jml-connector-checks", *(f"jml-connector-{name}" for name in CONNECTORS)]]
    run = subprocess.run(
        ["nice", "-n", "5", "cargo", "test", "--workspace", "--test", "it", "--no-run", "--message-format", "json",
         *(part for setting in profile for part in ("--config", setting))],
        cwd=copy, env=dict(os.environ, CARGO_TARGET_DIR=str(ROOT / "target")), capture_output=True, text=True)
    messages = [json.loads(line) for line in run.stdout.splitlines() if line.startswith("{")]
    if run.returncode != 0:
        errors = [it["message"]["rendered"] for it in messages if it["reason"] == "compiler-message"]
        print(*errors, run.stderr[-2000:], file=sys.stderr)
        sys.exit(f"does not compile: {what}")
    binaries = {}
    for it in messages:
        folder = pathlib.Path(it.get("manifest_path", ".")).parent
        if it["reason"] == "compiler-artifact" and it.get("executable") and folder.parent.name == "jml-connectors":
            binaries[folder.name] = pathlib.Path(it["executable"])
    return binaries


def run(binary, folder, hasty):
    """Whether the tests of a binary hold, and why not. In haste, the first that fails ends it."""
    env = {name: value for name, value in os.environ.items() if name not in ("JML_SCIM_SERVERS", "JML_UPDATE_GOLDEN")}
    # They wait more than they work, and a test that fails must not stand behind one that goes on for long.
    env["RUST_TEST_THREADS"] = "16"
    process = subprocess.Popen([binary], cwd=folder, env=env, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    late = threading.Timer(LIMIT, process.kill)
    late.start()
    said, failed = [], None
    for line in process.stdout:
        said.append(line)
        if found := re.match(r"test (\S+) \.\.\. FAILED", line):
            failed = failed or found[1]
            if hasty:
                process.kill()
    code = process.wait()
    hung = not late.is_alive()
    late.cancel()
    if hung:
        return False, None
    if code == 0:
        return True, "".join(said)
    return False, failed or f"exit code {code}" if hasty else "".join(said)


def connectors(chosen):
    """With what CI has built already. A round plants one bug in each connector, and its tests, which mostly wait,
    run while the next round is built."""
    with tempfile.TemporaryDirectory() as folder:
        return rounds(pathlib.Path(folder) / "copy", pathlib.Path(folder) / "binaries", chosen)


def rounds(copy, kept, chosen):
    began, escaped = time.monotonic(), []
    synced(copy)
    bugs = [[(name, f"{name}: {bug}", f"jml-connectors/{name}/src/{path}", good, bad)
             for bug, path, good, bad in CONNECTORS[name]] for name in chosen or CONNECTORS]
    calm = [(bug[0][0], f"{bug[0][0]}: nothing") for bug in bugs]
    turns = [calm, *([bug for bug in each if bug] for each in itertools.zip_longest(*bugs))]

    def judged(runs):
        for name, what, result in runs:
            holds, why = result.result()
            if what.endswith(": nothing"):
                if not holds:
                    print(why, file=sys.stderr)
                    sys.exit(f"{name}: without a planted bug, the tests fail")
            elif holds or why is None:
                print(f"{what}: {'ESCAPED' if holds else f'ESCAPED, no end within {LIMIT} s'}", flush=True)
                escaped.append(what)
            else:
                print(f"{what}: caught by {why}", flush=True)

    with concurrent.futures.ThreadPoolExecutor(len(bugs)) as pool:
        running = []
        for number, each in enumerate(turns):
            before = [(path, planted(copy, *bug[1:])) for bug in each if len(bug) > 2 and (path := bug[2])]
            binaries = built(copy, [bug[1] for bug in each])
            for path, text in before:
                (copy / path).write_text(text)
            judged(running)
            shutil.rmtree(kept, ignore_errors=True)
            kept.mkdir()
            running = []
            for name, what, *_ in each:
                binary = shutil.copy(binaries[name], kept / name)
                running.append((name, what, pool.submit(run, binary, copy / "jml-connectors" / name, number > 0)))
            print(f"round {number} of {len(turns) - 1} is built, {time.monotonic() - began:.0f} s", flush=True)
        judged(running)
    print(f"{sum(map(len, bugs))} planted, {len(escaped)} escaped, {time.monotonic() - began:.0f} s", flush=True)
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
