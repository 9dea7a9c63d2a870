"""Which crate may depend on which. Reads `cargo tree`; names every edge that should not be there."""
import subprocess
import sys

OURS = {"jml-core", "jml-diff", "jml-evidence", "jml-engine", "jml-engine-restate", "jml-connectors", "jml-connector-csv",
        "jml-connector-kit", "jml-connector-local", "jml-connector-okta",
        "jml-connector-entra", "jml-connector-google", "jml-connector-jumpcloud", "jml-connector-scim", "jml-testkit"}
RUNTIME = {"tokio", "reqwest", "hyper", "async-std", "smol"}
# Crate: (our crates it may have, crates it must not have)
RULES = {
    "jml-core": (set(), RUNTIME | {"rand", "getrandom", "rusqlite", "clap", "futures-timer"}),
    "jml-diff": ({"jml-core"}, RUNTIME | {"futures", "rusqlite", "clap"}),
    "jml-evidence": ({"jml-core"}, RUNTIME | {"rusqlite", "clap"}),
    "jml-engine": ({"jml-core", "jml-diff", "jml-evidence"}, RUNTIME | {"clap"}),
    # A host of the machine. The SDK brings a runtime and a server.
    "jml-engine-restate": ({"jml-core", "jml-diff", "jml-evidence", "jml-engine"}, {"clap", "reqwest"}),
    "jml-connectors": ({"jml-core", "jml-connector-csv", "jml-connector-local"}, {"clap"}),
    # No connector knows another one, or an engine; what they share is in the kit.
    "jml-connector-entra": ({"jml-core", "jml-connector-kit"}, {"clap", "rusqlite"}),
    "jml-connector-google": ({"jml-core", "jml-connector-kit"}, {"clap", "rusqlite"}),
    "jml-connector-jumpcloud": ({"jml-core", "jml-connector-kit"}, {"clap", "rusqlite"}),
    "jml-connector-okta": ({"jml-core", "jml-connector-kit"}, {"clap", "rusqlite"}),
    "jml-connector-scim": ({"jml-core", "jml-connector-kit"}, {"clap", "rusqlite"}),
    "jml-connector-csv": ({"jml-core"}, RUNTIME | {"rusqlite", "clap"}),
    "jml-connector-local": ({"jml-core"}, RUNTIME | {"clap"}),
    "jml-connector-kit": ({"jml-core"}, {"clap", "rusqlite", "native-tls", "openssl"}),
    # It runs behaviours on a runtime of its own; it talks to nobody.
    "jml-testkit": ({"jml-core"}, (RUNTIME - {"tokio"}) | {"clap", "rusqlite"}),
}


def tree(crate, *flags):
    out = subprocess.run(
        ["cargo", "tree", "-p", crate, "-e", "normal", "--prefix", "none", "-f", "{p}", *flags],
        check=True, capture_output=True, text=True).stdout
    return {line.split()[0] for line in out.splitlines() if line.strip()} - {crate}


bad = []
for crate, (allowed, banned) in RULES.items():
    found = tree(crate)
    bad += [f"{crate} depends on {other}" for other in sorted(found & OURS - allowed)]
    bad += [f"{crate} has {other} in its graph" for other in sorted(found & banned)]
bare = tree("jml-connectors", "--no-default-features")
bad += [f"jml-connectors without features has {other}" for other in sorted(bare & (RUNTIME | {"rusqlite"}))]
bare = tree("jml-connector-kit", "--no-default-features")
bad += [f"jml-connector-kit without features has {other}" for other in sorted(bare & RUNTIME)]
for line in bad:
    print("edge:", line, file=sys.stderr)
print(f"{len(RULES)} crates, {len(bad)} wrong edges")
sys.exit(bool(bad))
