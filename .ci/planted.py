"""Plants bugs in a copy of the engine, one at a time, and sees that the crash harness catches each.

A test that cannot fail is a defect. This proves that the crash tests can: a driver that ignores whether
its journal is durable, a machine that takes what was under way for done, one that sends before it has
written down, one that does not read back what is in doubt, one that counts a crash as an attempt.
"""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

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


def test(copy):
    env = dict(os.environ, CARGO_TARGET_DIR=str(ROOT / "target" / "planted"))
    return subprocess.run(["cargo", "test", "--quiet", "-p", "jml-engine", "--test", "it", "crash::"],
                          cwd=copy, env=env, capture_output=True, text=True)


def main():
    escaped = []
    with tempfile.TemporaryDirectory() as folder:
        copy = pathlib.Path(folder) / "copy"
        files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True).stdout
        for name in filter(None, files.decode().split("\0")):
            if (ROOT / name).is_file():
                (copy / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, copy / name)
        calm = test(copy)
        if calm.returncode != 0:
            print(calm.stdout[-2000:], calm.stderr[-2000:], file=sys.stderr)
            sys.exit("without a planted bug, the crash tests fail")
        for name, path, good, bad in BUGS:
            text = (copy / path).read_text()
            if text.count(good) != 1:
                sys.exit(f"{name}: `{good}` stands {text.count(good)} times in {path}")
            (copy / path).write_text(text.replace(good, bad))
            run = test(copy)
            (copy / path).write_text(text)
            caught = run.returncode != 0 and "test result: FAILED" in run.stdout
            if run.returncode != 0 and not caught:
                print(run.stderr[-2000:], file=sys.stderr)
                sys.exit(f"{name}: the planted bug does not compile")
            print(f"{name}: {'caught' if caught else 'ESCAPED'}")
            if not caught:
                escaped.append(name)
    sys.exit(f"escaped: {escaped}" if escaped else 0)


main()
