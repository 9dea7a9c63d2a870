#!/usr/bin/env python3
"""Verifies an auditor's pack with Python's standard library and the openssl program.

    python3 verify.py PACK 'NAME+HASH+KEY' [EARLIER_CHECKPOINT]

Prints a line for each check and exits with 0 if none failed. It shares no code with the program that made
the pack.
"""
import base64
import csv
import hashlib
import json
import os
import subprocess
import sys
import tempfile

problems = []


def check(right, what):
    print(("ok    " if right else "FAIL  ") + what)
    if not right:
        problems.append(what)
    return right


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def read(*names):
    with open(os.path.join(*names), "rb") as file:
        return file.read()


def names_below(folder):
    for top, _, files in os.walk(folder):
        for name in files:
            yield os.path.relpath(os.path.join(top, name), folder).replace(os.sep, "/")


# --- signed notes (C2SP signed-note)

class Key:
    def __init__(self, text):
        self.name, self.id, encoded = text.strip().split("+", 2)
        key = base64.b64decode(encoded, validate=True)
        if len(key) != 33 or key[0] != 1:
            raise ValueError("not an Ed25519 key of a log")
        if sha256(self.name.encode() + b"\n" + key)[:4].hex() != self.id:
            raise ValueError("the key's hash is not its own")
        self.key = key[1:]

    def signed(self, note):
        """The text of a note that this key signed, or nothing."""
        text, _, block = note.rpartition("\n\n")
        text += "\n"
        for line in block.rstrip("\n").split("\n"):
            dash, name, encoded = (line.split(" ") + ["", ""])[:3]
            raw = base64.b64decode(encoded)
            if dash == "\u2014" and name == self.name and raw[:4].hex() == self.id:
                return text if self.openssl(text.encode(), raw[4:]) else None
        return None

    def openssl(self, message, signature):
        der = bytes.fromhex("302a300506032b6570032100") + self.key
        with tempfile.TemporaryDirectory() as folder:
            at = lambda name: os.path.join(folder, name)
            for name, content in [("key", der), ("text", message), ("sig", signature)]:
                with open(at(name), "wb") as file:
                    file.write(content)
            command = ["openssl", "pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", at("key"),
                       "-rawin", "-in", at("text"), "-sigfile", at("sig")]
            return subprocess.run(command, capture_output=True).returncode == 0


def checkpoint(note):
    origin, size, root = note.split("\n")[:3]
    return origin, int(size), base64.b64decode(root)


# --- the tree (RFC 6962)

def leaf_hash(entry):
    return sha256(b"\0", entry)


def node_hash(left, right):
    return sha256(b"\1", left, right)


def tree_hash(leaves):
    if not leaves:
        return sha256(b"")
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return node_hash(tree_hash(leaves[:split]), tree_hash(leaves[split:]))


def root_from(index, size, proof, leaf):
    """The root that an inclusion proof leads to (RFC 6962 section 2.1.1, from the leaf up)."""
    def climb(first, count, rest):
        if count == 1:
            return leaf if not rest else None
        if not rest:
            return None
        split = 1 << (count - 1).bit_length() - 1
        if index < first + split:
            below = climb(first, split, rest[:-1])
            return below and node_hash(below, rest[-1])
        below = climb(first + split, count - split, rest[:-1])
        return below and node_hash(rest[-1], below)
    return climb(0, size, proof) if 0 <= index < size else None


def consistent(old, old_root, new, new_root, proof):
    """RFC 6962 section 2.1.2: both roots follow from one proof."""
    if old == new:
        return not proof and old_root == new_root
    if old == 0:
        return not proof

    def climb(count, whole, want, rest):
        if want == count:
            if whole:
                return (old_root, old_root) if not rest else None
            return (rest[0], rest[0]) if len(rest) == 1 else None
        if not rest:
            return None
        split = 1 << (count - 1).bit_length() - 1
        if want <= split:
            below = climb(split, whole, want, rest[:-1])
            return below and (below[0], node_hash(below[1], rest[-1]))
        below = climb(count - split, False, want - split, rest[:-1])
        return below and (node_hash(rest[-1], below[0]), node_hash(rest[-1], below[1]))

    return climb(new, True, old, proof) == (old_root, new_root)


# --- the pack

def b64url(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def canonical(value):
    """RFC 8785 for records: no fractions, and only names in ASCII, so sorting them is simple."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()


def sample(root, n, seed, size):
    places, k = list(range(n)), 0
    for i in range(min(size, n)):
        left = n - i
        while True:
            x = int.from_bytes(sha256(b"jml-evidence/sample/v1\n", root, len(seed).to_bytes(4, "big"), seed,
                                      k.to_bytes(8, "big"))[:8], "big")
            k += 1
            if x < 2**64 - 2**64 % left:
                break
        places[i], places[i + x % left] = places[i + x % left], places[i]
    return places[:size]


def main(pack, vkey, earlier=None):
    key = Key(vkey)
    note = read(pack, "checkpoint").decode()
    if not check(key.signed(note) is not None, "the checkpoint is signed by the key"):
        return
    origin, size, root = checkpoint(note)
    check(origin == key.name, "the checkpoint is of the log that the key names")

    manifest = read(pack, "pack.json")
    text = key.signed(read(pack, "pack.sig").decode())
    right = "jml-evidence/pack/v1\n%s\nsha-256:%s\n" % (origin, hashlib.sha256(manifest).hexdigest())
    check(text == right, "the manifest is signed by the key")
    envelope = json.loads(read(pack, "statement.dsse.json"))
    kind, payload = envelope["payloadType"].encode(), base64.b64decode(envelope["payload"])
    encoded = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
    signed = any(key.openssl(encoded, base64.b64decode(it["sig"])) for it in envelope["signatures"])
    digest = json.loads(payload)["subject"][0]["digest"]["sha256"]
    check(signed and digest == hashlib.sha256(manifest).hexdigest(), "the in-toto statement is signed and fits")
    files = json.loads(manifest)["files"]
    there = set(names_below(pack)) - {"pack.json", "pack.sig", "statement.dsse.json"}
    check(there == set(files), "the manifest names every file and no other: %s" % (there ^ set(files) or "yes"))
    wrong = [name for name in sorted(there & set(files))
             if "sha-256:" + hashlib.sha256(read(pack, name)).hexdigest() != files[name]]
    check(not wrong, "every file is what the manifest names: %s" % (wrong or "yes"))

    records, runs, bad = {}, {}, []
    for name in sorted(n for n in there if n.startswith("records/")):
        index = int(name[len("records/"):-len(".json")])
        raw = read(pack, name)
        head, _, proven = read(pack, "proofs/%d.tlog-proof" % index).decode().partition("\n\n")
        lines = head.split("\n")
        proof = [base64.b64decode(line) for line in lines[2:]]
        good = (lines[:2] == ["c2sp.org/tlog-proof@v1", "index %d" % index] and proven == note
                and root_from(index, size, proof, leaf_hash(raw)) == root)
        record = json.loads(raw)
        if not good or canonical(record) != raw or record["origin"] != origin:
            bad.append(index)
        records[index] = (raw, record)
    check(not bad, "each of %d records is canonical and in the tree: %s" % (len(records), bad or "yes"))

    bad, count, used = [], 0, set()
    for name in sorted(n for n in there if n.startswith("disclosures/")):
        index = int(name[len("disclosures/"):-len(".txt")])
        for line in read(pack, name).decode().splitlines():
            digest = b64url(sha256(line.encode()))
            if digest not in records[index][1].get("_sd", []) or digest in used:
                bad.append(index)
            used.add(digest)
            count += 1
    check(not bad, "each of %d disclosures belongs to its record: %s" % (count, bad or "yes"))

    bad = []
    for index in sorted(records):
        raw, record = records[index]
        if "run" not in record:
            continue
        leaves = runs.setdefault(record["run"]["id"], [])
        closing = record["body"].get("closing")
        last = base64.b64encode(leaves[-1]).decode() if leaves else None
        if record["run"]["seq"] != len(leaves) or record["run"].get("prev") != last:
            bad.append(index)
        if closing:
            total = sha256(b"jml-evidence/run-root/v1\n", len(leaves).to_bytes(8, "big"), tree_hash(leaves))
            if closing["records"] != len(leaves) or base64.b64decode(closing["run_root"]) != total:
                bad.append(index)
        leaves.append(leaf_hash(raw))
    check(not bad, "each of %d runs is complete: %s" % (len(runs), bad or "yes"))

    with open(os.path.join(pack, "population.csv"), newline="") as file:
        rows = list(csv.DictReader(file))
    leaves = [bytes.fromhex(row["leaf_hash"]) for row in rows]
    total = sha256(b"jml-evidence/population/v1\n", len(leaves).to_bytes(8, "big"), tree_hash(leaves))
    for index, (_, record) in sorted(records.items()):
        if record["kind"] == "population.sealed":
            said = record["body"]["population"]
            check(said["members"] == len(rows) and base64.b64decode(said["members_root"]) == total,
                  "the population has the %d members that were sealed" % len(rows))
        if record["kind"] == "sample.drawn":
            said = record["body"]["sample"]
            entries = [int(row["entry"]) for row in rows]
            drawn = [entries[place] for place in
                     sample(total, len(rows), said["seed"].encode(), len(said["entries"]))]
            check(drawn == said["entries"], "the sample is what the seed draws")
            check(set(drawn) <= set(records), "every drawn run is in the pack")
            check(index > said["population"], "the seed came after the population")
    for row in rows:
        index = int(row["entry"])
        if index in records and leaf_hash(records[index][0]) != bytes.fromhex(row["leaf_hash"]):
            check(False, "member %d is another record" % index)

    if earlier:
        old = read(earlier).decode()
        if check(key.signed(old) is not None, "the earlier checkpoint is signed by the key"):
            _, old_size, old_root = checkpoint(old)
            path = os.path.join(pack, "consistency", "%d.txt" % old_size)
            if old_size == size:
                check(old_root == root, "the earlier checkpoint is this one")
            elif check(old_size < size and os.path.exists(path), "there is a proof from size %d" % old_size):
                proof = [base64.b64decode(line) for line in read(path).decode().split()]
                check(consistent(old_size, old_root, size, root, proof),
                      "the log continues the earlier checkpoint")
    print("%d records of %d in the log; %d problems" % (len(records), size, len(problems)))


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        check(False, "%s: %s" % (type(error).__name__, error))
    sys.exit(1 if problems else 0)
