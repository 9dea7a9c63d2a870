"""House rules on tracked files: length, and words that do not belong here."""
import re
import subprocess
import sys

CAP = 800
# Paths of somebody's machine, hosts of package registries, marks of unfinished work.
WORDS = re.compile(
    r"(?<!items)/(?:work|farm|root|home)/[a-z]|crates\.io|index\.crates|pypi\.org|registry\.npmjs|debian\.org"
    r"|todo!\(|unimplemented!\(|#\[allow\(")
# What a connector leaves to the kit: waiting, trying again, talking, telling the time.
CONNECTOR = re.compile(r"^jml-connectors/(?!kit/|checks/|local/|csv/)[a-z]+/src/")
KITS = re.compile(r"\bsleep|tracing::|\blog::|print(?:ln)?!|Retry::|std::thread|SystemTime|Instant::now")
SELF = {".ci/house.py", "Cargo.lock"}

names = subprocess.run(["git", "ls-files"], check=True, capture_output=True, text=True).stdout.split("\n")
bad = []
for name in filter(None, names):
    try:
        with open(name, encoding="utf-8") as file:
            lines = file.read().split("\n")
    except (UnicodeDecodeError, FileNotFoundError, IsADirectoryError):
        continue
    if name.endswith(".rs") and len(lines) > CAP:
        bad.append(f"{name} has {len(lines)} lines, at most {CAP} are allowed")
    if name.endswith(".rs") and not lines[0].startswith(("//!", "#![doc")):
        bad.append(f"{name} does not say in its first line what it is for")
    if name in SELF:
        continue
    for number, line in enumerate(lines, 1):
        if CONNECTOR.match(name) and KITS.search(line):
            bad.append(f"{name}:{number}: a connector leaves this to the kit: {line.strip()[:80]}")
        if WORDS.search(line):
            bad.append(f"{name}:{number}: {line.strip()[:100]}")
for line in bad:
    print("house:", line, file=sys.stderr)
print(f"{len(names) - 1} files, {len(bad)} problems")
sys.exit(bool(bad))
