"""What a user would pick instead, from Python: sets, SQLite, DuckDB, polars. The same work on the same files.

peers.py FOLDER: the folder has templates.csv (t,e), has.csv (p,t), own.csv (p,e), held.csv (p,e), with names of
entitlements. Prints one line of JSON for each peer: the least time of a few, and the answer's counts and sum.
Loading is not timed.
"""
import csv
import gc
import json
import pathlib
import sqlite3
import sys
import time

MASK = (1 << 64) - 1


def number(name):
    return int(name[-5:])


def say(peer, spent, grants, revokes, keeps):
    """Grants and revokes are pairs of a person and a number."""
    total = sum((p + 1) * (e + 1) for p, e in grants) + 3 * sum((p + 1) * (e + 1) for p, e in revokes)
    print(json.dumps({"peer": peer, "seconds": spent[0], "cpu": spent[1], "grants": len(grants), "revokes": len(revokes),
                      "keeps": keeps, "sum": total & MASK}), flush=True)


def skip(peer, why):
    print(json.dumps({"peer": peer, "skipped": str(why)}), flush=True)


def least(times, work):
    """The least time by the wall, the least on a processor, and the answer."""
    wall, cpu, answer = float("inf"), float("inf"), None
    for _ in range(times):
        answer = None
        gc.collect()
        began, busy = time.perf_counter(), time.process_time()
        answer = work()
        wall, cpu = min(wall, time.perf_counter() - began), min(cpu, time.process_time() - busy)
    return (wall, cpu), answer


def rows(folder, name):
    with open(folder / f"{name}.csv", newline="", encoding="utf-8") as file:
        yield from list(csv.reader(file))[1:] if name != "held" else skip_first(csv.reader(file))


def skip_first(lines):
    next(lines)
    yield from lines


def python_sets(folder):
    templates, has, own, held = {}, {}, {}, {}
    # One object for each name, so that comparing two of them is comparing two addresses.
    for t, e in rows(folder, "templates"):
        templates.setdefault(int(t), set()).add(sys.intern(e))
    for p, t in rows(folder, "has"):
        has.setdefault(int(p), []).append(templates[int(t)])
    for p, e in rows(folder, "own"):
        own.setdefault(int(p), set()).add(sys.intern(e))
    for p, e in rows(folder, "held"):
        held.setdefault(int(p), set()).add(sys.intern(e))
    none = set()

    def work():
        grants, revokes, keeps = [], [], 0
        for p, sets in has.items():
            desired = set().union(*sets, own.get(p, none))
            now = held.get(p, none)
            gone = now - desired
            grants.append((p, desired - now))
            revokes.append((p, gone))
            keeps += len(now) - len(gone)
        return grants, revokes, keeps

    seconds, (grants, revokes, keeps) = least(3, work)

    def flat(lists):
        return [(p, number(e)) for p, found in lists for e in found]

    say("Python sets of str", seconds, flat(grants), flat(revokes), keeps)


def sqlite(folder):
    db = sqlite3.connect(":memory:")
    db.executescript("create table templates(t integer, e integer); create table has(p integer, t integer);"
                     "create table own(p integer, e integer); create table held(p integer, e integer);")
    for name in ("templates", "own", "held"):
        db.executemany(f"insert into {name} values(?, ?)", ((int(a), number(e)) for a, e in rows(folder, name)))
    db.executemany("insert into has values(?, ?)", ((int(p), int(t)) for p, t in rows(folder, "has")))
    db.execute("create index template on templates(t)")
    desired = "select h.p, t.e from has h join templates t on h.t = t.t union select p, e from own"

    def work():
        grants = db.execute(f"select * from ({desired}) except select p, e from held").fetchall()
        revokes = db.execute(f"select p, e from held except select * from ({desired})").fetchall()
        return grants, revokes

    seconds, (grants, revokes) = least(1, work)
    held = db.execute("select count(*) from held").fetchone()[0]
    say("SQLite in memory, EXCEPT both ways, numbers", seconds, grants, revokes, held - len(revokes))


DESIRED = "select h.p, t.e from has h join templates t using (t) union select p, e from own"
# Two ways to say it; the faster one counts.
DUCKDB = {
    "full join": [f"create or replace temp table diff as with d as ({DESIRED}) select coalesce(d.p, h.p) as p, "
                  "coalesce(d.e, h.e) as e, h.e is null as missing from d full join held h on d.p = h.p and d.e = h.e "
                  "where d.e is null or h.e is null"],
    "anti joins": [f"create or replace temp table d as {DESIRED}",
                   "create or replace temp table diff as select p, e, true as missing from d anti join held using (p, e) "
                   "union all select p, e, false from held anti join d using (p, e)"],
}


def duckdb(folder):
    import duckdb as engine
    for kind, change in (("names", "e"), ("numbers", "cast(right(e, 5) as integer) as e")):
        for threads in (1, 2):
            db = engine.connect(":memory:", config={"threads": threads})
            path = str(folder)
            db.execute(f"create table has as select cast(p as integer) as p, cast(t as integer) as t from '{path}/has.csv'")
            for name, key in (("templates", "t"), ("own", "p"), ("held", "p")):
                db.execute(f"create table {name} as select cast({key} as integer) as {key}, {change} from '{path}/{name}.csv'")
            best = (float("inf"), float("inf"))
            for how in DUCKDB.values():
                def work():
                    for statement in how:
                        db.execute(statement)
                best = tuple(map(min, best, least(3, work)[0]))
            found = db.execute("select p, e, missing from diff").fetchall()
            held = db.execute("select count(*) from held").fetchone()[0]
            of = number if kind == "names" else int
            grants = [(p, of(e)) for p, e, missing in found if missing]
            revokes = [(p, of(e)) for p, e, missing in found if not missing]
            threads = f"{threads} thread{'s' if threads > 1 else ''}"
            say(f"DuckDB, {kind}, {threads}", best, grants, revokes, held - len(revokes))
            db.close()


def polars(folder):
    import os
    os.environ.setdefault("POLARS_MAX_THREADS", "2")
    import polars as pl
    has = pl.read_csv(folder / "has.csv")
    for kind in ("names", "numbers"):
        tables = {name: pl.read_csv(folder / f"{name}.csv") for name in ("templates", "own", "held")}
        if kind == "numbers":
            last = pl.col("e").str.slice(-5).cast(pl.UInt32)
            tables = {name: table.with_columns(last) for name, table in tables.items()}
        templates, own, held = tables["templates"], tables["own"], tables["held"]

        def work():
            desired = pl.concat([has.join(templates, on="t").select("p", "e"), own]).unique()
            return desired.join(held, on=["p", "e"], how="anti"), held.join(desired, on=["p", "e"], how="anti")

        seconds, (grants, revokes) = least(3, work)
        of = number if kind == "names" else int
        pairs = [[(p, of(e)) for p, e in table.select("p", "e").iter_rows()] for table in (grants, revokes)]
        say(f"polars, {kind}, 2 threads", seconds, pairs[0], pairs[1], len(held) - len(revokes))


def main():
    folder = pathlib.Path(sys.argv[1])
    for name, peer in (("Python sets of str", python_sets), ("DuckDB", duckdb), ("polars", polars), ("SQLite", sqlite)):
        try:
            peer(folder)
        except ImportError as why:
            skip(name, why)
        gc.collect()


main()
