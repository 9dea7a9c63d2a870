"""Licences of everything that is built. The list is that of deny.toml."""
import json
import re
import subprocess
import sys

with open("deny.toml", encoding="utf-8") as file:
    block = file.read().split("allow = [", 1)[1].split("]", 1)[0]
ALLOWED = set(re.findall(r'"([^"]+)"', block))
meta = json.loads(subprocess.run(
    ["cargo", "metadata", "--format-version", "1", "--locked"], check=True, capture_output=True, text=True).stdout)


def fits(expression):
    """Whether some choice of an SPDX expression is allowed. `/` is an old spelling of OR."""
    text = expression.replace("/", " OR ").replace("(", "").replace(")", "")
    return any(all(part.strip() in ALLOWED for part in choice.split(" AND ")) for choice in text.split(" OR "))


bad = [f"{p['name']} {p['version']}: {p['license']}" for p in meta["packages"]
       if not p["license"] or not fits(p["license"])]
for line in bad:
    print("licence:", line, file=sys.stderr)
print(f"{len(meta['packages'])} packages, {len(bad)} with a licence that is not on the list")
sys.exit(bool(bad))
