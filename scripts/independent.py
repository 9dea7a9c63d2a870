#!/usr/bin/env python3
"""Checks an evidence folder and a pack with libraries that nobody here wrote.

    independent.py LOG PACK VKEY [OSCAL_SCHEMA]

pymerkle rebuilds the tree, rfc8785 and jcs judge the bytes of records, cryptography the signatures, sd-jwt
the digests of disclosures, check-jsonschema the OSCAL file. Each accepts what is right and refuses what was
changed. Exits with 0 if all of that held.
"""
import base64
import glob
import json
import os
import subprocess
import sys
import tempfile

import jcs
import rfc8785
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pymerkle import InmemoryTree, InvalidProof, verify_consistency, verify_inclusion
from sd_jwt.common import SDJWTCommon

failed = 0


def check(what, right):
    global failed
    failed += not right
    print(("ok    " if right else "FAIL  ") + what)


def refuses(what, error, act):
    try:
        act()
    except error:
        check(what, True)
    else:
        check(what, False)


def read(*names):
    with open(os.path.join(*names), "rb") as file:
        return file.read()


def entries(log, size):
    out = []
    while len(out) < size:
        path = os.path.join(log, "tile/entries/%03d" % (len(out) // 256))
        if not os.path.isfile(path):
            path = "%s.p/%d" % (path, size - len(out))
        rest = read(path)
        while rest:
            length = int.from_bytes(rest[:2], "big")
            out.append(rest[2:2 + length])
            rest = rest[2 + length:]
    return out


log, pack, vkey = sys.argv[1:4]
name, key_id, encoded = vkey.strip().split("+", 2)
key = Ed25519PublicKey.from_public_bytes(base64.b64decode(encoded)[1:])


def signed(note):
    text, _, block = note.rpartition(b"\n\n")
    line = next(l for l in block.splitlines() if l.split(b" ")[1] == name.encode())
    raw = base64.b64decode(line.split(b" ")[2])
    assert raw[:4].hex() == key_id
    key.verify(raw[4:], text + b"\n")
    return text.decode().split("\n")


note = read(log, "checkpoint")
origin, size, root = signed(note)[:3]
size, root = int(size), base64.b64decode(root)
check("cryptography: the checkpoint is signed", origin == name)
changed = note.replace(b"\n%d\n" % size, b"\n%d\n" % (size + 1))
refuses("cryptography: another size is refused", InvalidSignature, lambda: signed(changed))

found = entries(log, size)
tree = InmemoryTree(algorithm="sha256")
for entry in found:
    tree.append_entry(entry)
check("pymerkle: %d entries have the root" % size, tree.get_root() == root)
for index in {0, 1, size // 3, size // 2, size - 1}:
    proof = tree.prove_inclusion(index + 1, size)
    verify_inclusion(tree.get_leaf(index + 1), root, proof)
wrong = bytes(b ^ 1 for b in root)
refuses("pymerkle: another root is refused", InvalidProof,
        lambda: verify_inclusion(tree.get_leaf(1), wrong, tree.prove_inclusion(1, size)))
# Our own proofs, through pymerkle's tree: the hashes must be the same ones.
for path in sorted(glob.glob(os.path.join(pack, "proofs", "*.tlog-proof")))[:50]:
    head = read(path).decode().split("\n\n")[0].split("\n")
    index = int(head[1].split()[1])
    ours = [base64.b64decode(line) for line in head[2:]]
    theirs = tree.prove_inclusion(index + 1, size).path
    if len(ours) + 1 != len(theirs) or not set(ours) < set(theirs):
        check("pymerkle: the proof of entry %d has the same hashes" % index, False)
        break
else:
    check("pymerkle: our inclusion proofs have its hashes", True)
for path in sorted(glob.glob(os.path.join(pack, "consistency", "*.txt")))[:20]:
    old = int(os.path.basename(path)[:-4])
    if not 0 < old < size:
        continue
    proof = tree.prove_consistency(old, size)
    verify_consistency(tree.get_root(old), root, proof)
check("pymerkle: the log continues what it was", True)
for what, change in [
    ("edit", lambda l: l[:5] + [l[5] + b" "] + l[6:]),
    ("swap", lambda l: l[:5] + [l[6], l[5]] + l[7:]),
    ("delete", lambda l: l[:5] + l[6:]),
    ("duplicate", lambda l: l[:6] + l[5:]),
    ("truncate", lambda l: l[:-1]),
]:
    other = InmemoryTree(algorithm="sha256")
    for entry in change(found):
        other.append_entry(entry)
    check("pymerkle: after %s the root is another" % what, other.get_root() != root)
refuses("pymerkle: another beginning is refused", InvalidProof,
        lambda: verify_consistency(wrong, root, tree.prove_consistency(size // 2, size)))

records = [json.loads(entry) for entry in found]
check("rfc8785: %d records are canonical" % size,
      all(rfc8785.dumps(record) == entry for record, entry in zip(records, found)))
check("jcs: so they are here",
      all(jcs.canonicalize(record) == entry for record, entry in zip(records, found)))
spaced = json.dumps(records[0]).encode()
check("rfc8785: another spelling is told from it", rfc8785.dumps(json.loads(spaced)) != spaced)

common = SDJWTCommon.__new__(SDJWTCommon)
count = 0
good = True
for path in glob.glob(os.path.join(pack, "disclosures", "*.txt")):
    record = records[int(os.path.basename(path)[:-4])]
    for line in read(path).splitlines():
        count += 1
        good = good and common._b64hash(line) in record["_sd"]
        good = good and common._b64hash(line[:-1] + bytes([line[-1] ^ 1])) not in record["_sd"]
check("sd-jwt: %d disclosures have their digests, changed ones have not" % count, good and count > 0)

if len(sys.argv) > 4:
    judge = os.path.join(os.path.dirname(sys.executable), "check-jsonschema")

    def valid(path):
        run = subprocess.run([judge, "--schemafile", sys.argv[4], path], capture_output=True, text=True)
        return run.returncode == 0, run.stdout + run.stderr

    path = os.path.join(pack, "oscal/assessment-results.json")
    good, said = valid(path)
    check("check-jsonschema: the OSCAL assessment results are valid", good)
    if not good:
        print(said[:2000])
    document = json.loads(read(path))
    del document["assessment-results"]["import-ap"]
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(document, file)
        file.flush()
        check("check-jsonschema: without its plan they are not", not valid(file.name)[0])
else:
    print("skipped: no OSCAL schema was given")
sys.exit(1 if failed else 0)
