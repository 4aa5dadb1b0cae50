"""From a correction's end to the first action of weights that have learned from it, as the log of a
state folder tells it: the clock is the daemon's, and nobody else has to look."""

import json
import pathlib
import sqlite3

from quantile import quantile

TAKEOVER, PROVISIONAL, FULL = 0, 0, 1  # docs/reference/events.md
KINDS = ("span_opened", "span_closed", "candidate_received", "weights_accepted", "weights_live")


def delays(state):
    """Seconds, of micro-rounds and of full rounds, from each correction that had such an answer
    before the next one began. No daemon has the log open."""
    path = pathlib.Path(state, "log/log.db").resolve().as_uri()
    database = sqlite3.connect(f"{path}?mode=ro", uri=True)
    try:
        rows = database.execute(
            "SELECT sequence, kind, time_ns, payload FROM events WHERE kind IN (?, ?, ?, ?, ?) "
            "ORDER BY sequence", KINDS).fetchall()
    finally:
        database.close()
    found = {PROVISIONAL: [], FULL: []}
    learned_to, kind_of = {}, {}  # by hash: the log up to there; by version
    spans = {}  # takeovers that are open, with their first step
    ended = None  # the newest correction's end: (sequence, time, kinds without an answer yet)
    for sequence, kind, time_ns, payload in rows:
        data = json.loads(payload)
        if kind == "span_opened" and data["kind"] == TAKEOVER:
            spans[data["span"]], ended = data["first_step"], None
        elif kind == "span_closed" and data["span"] in spans:
            if data["last_step"] >= spans.pop(data["span"]):
                ended = (sequence, time_ns, {PROVISIONAL, FULL})
        elif kind == "candidate_received":
            learned_to[data["hash"]] = data["prefix"]
        elif kind == "weights_accepted":
            kind_of[data["version"]] = (data["kind"], learned_to.get(data["hash"], 0))
        elif kind == "weights_live" and ended and data["version"] in kind_of:
            made, prefix = kind_of[data["version"]]
            if made in ended[2] and prefix >= ended[0]:
                ended[2].discard(made)
                found[made].append(1e-9 * (time_ns - ended[1]))
    return {"micro": found[PROVISIONAL], "full": found[FULL]}


def figures(state):
    """Of each kind of round that there was: how many, p50, p99 and the worst, in seconds."""
    return {name: {"count": len(seconds), "p50": quantile(seconds, 0.5),
                   "p99": quantile(seconds, 0.99), "worst": max(seconds)}
            for name, seconds in delays(state).items() if seconds}
