#!/usr/bin/env python3
"""The log shows whether somebody changed it: by the program, and by what its documentation says alone.

And what one person taught can be taken out of learning.
"""

import hashlib
import json
import os
import pathlib
import sqlite3
import struct

import live_test
import program
from live_test import LiveCase
from program import Case, Prepared, nudge, wait_until

prepared = Prepared()


def setUpModule():
    live_test.setUpModule()
    prepared.make()
    prepared.state = prepared.learned(lambda rows: len(rows) > 1)


def tearDownModule():
    live_test.tearDownModule()
    prepared.drop()


def number(value):
    return struct.pack("<Q", value & (2**64 - 1))


def text(value):
    data = value.encode()
    return number(len(data)) + data


def links(log):
    """Sequence, stored link and link as docs/reference/log-format.md makes it, of each event."""
    database = sqlite3.connect(log / "log.db")
    digest = lambda data: hashlib.blake2b(data, digest_size=32).digest()  # noqa: E731
    (later,) = database.execute("SELECT linked_later FROM chain").fetchone()
    link = digest(text("nudge-log-chain-1") + number(later))
    runs = database.execute("SELECT first_sequence, last_sequence, episode, first_offset, "
                            "end_offset, digest FROM runs ORDER BY first_sequence").fetchall()
    files = dict(database.execute("SELECT episode, file FROM segments"))
    for run in runs:
        data = (log / "segments" / files[run[2]]).read_bytes()
        at, made = run[3], bytes(32)
        while at < run[4]:
            (size,) = struct.unpack_from("<I", data, at + 4)
            made = digest(made + data[at:at + size])
            at += size
        assert made == run[5], run
    for row in database.execute(
            "SELECT sequence, id, kind, subject, episode, policy_step, control_tick, time_ns, "
            "wall_time_ns, boot, actor, role, weights, payload_version, payload, link FROM events "
            "ORDER BY sequence"):
        between = []
        while runs and runs[0][0] < row[0]:
            between.append(runs.pop(0))
        data = link + number(len(between))
        for run in between:
            data += b"".join(map(number, run[:5])) + number(1) + run[5]
        for value in row[:-1]:
            data += text(value) if isinstance(value, str) else number(value)
        link = digest(data)
        yield row[0], row[-1], link
    database.close()


class Chain(Case):
    def tamper(self, state, sql):
        database = sqlite3.connect(state / "log/log.db")
        database.executescript(sql)
        database.close()

    def test_is_what_the_documentation_says(self):
        state = self.copy_of(prepared.state)
        seen = 0
        for sequence, stored, made in links(state / "log"):
            self.assertEqual(stored, made, sequence)
            seen += 1
        self.assertGreater(seen, 20)

    def test_a_changed_event_is_named(self):
        state = self.copy_of(prepared.state)
        fifth = [row[0] for row in links(state / "log")][4]
        self.tamper(state, f"UPDATE events SET actor = 'nobody' WHERE sequence = {fifth}")
        outcome = self.check(nudge("log", "--state", state, "verify"), 65)
        self.assertIn(f"PROBLEM event {fifth} ", outcome.out)
        self.assertIn(f"the first that is not as it was: {fifth}", outcome.out)
        told = nudge("log", "--state", state, "verify", "--json").json()
        self.assertEqual(told["first_bad"], fifth)

    def test_a_log_that_was_cut_off_shows_against_a_head_alone(self):
        state = self.copy_of(prepared.state)
        head = self.check(nudge("log", "--state", state, "head"), 0).out
        kept = self.folder / "heads"
        kept.write_text(head)
        self.check(nudge("log", "--state", state, "verify", "--heads", kept), 0, "whole")
        last = json.loads(head)["sequence"]
        self.tamper(state, f"DELETE FROM events WHERE sequence > {last - 3};"
                           f"DELETE FROM runs WHERE last_sequence > {last - 3}")
        outcome = self.check(nudge("log", "--state", state, "verify", "--heads", kept), 65)
        self.assertIn("the log is cut off", outcome.out)

    def test_a_head_that_was_changed_or_is_anothers_is_refused(self):
        state = self.copy_of(prepared.state)
        head = self.check(nudge("log", "--state", state, "head"), 0).out
        kept = self.folder / "heads"
        kept.write_text(head.replace('"sequence":', '"sequence":1'))
        self.check(nudge("log", "--state", state, "verify", "--heads", kept), 65, "signature")
        kept.write_text(head)
        self.check(nudge("log", "--state", state, "verify", "--heads", kept, "--key", "00" * 32), 77,
                   "another key")

    def test_lines_that_are_no_heads_are_told_and_passed_over(self):
        state = self.copy_of(prepared.state)
        head = self.check(nudge("log", "--state", state, "head"), 0).out
        refused = '{"type":"about:blank","title":"Unauthorized","status":401}'
        kept = self.folder / "heads"
        kept.write_text(f"{head}{refused}\n\n{head}")
        self.check(nudge("log", "--state", state, "verify", "--heads", kept), 0, "2 signed", "line 2",
                   "passed over")
        kept.write_text(refused)
        self.check(nudge("log", "--state", state, "verify", "--heads", kept), 65, "holds no head")

    def test_keys_are_their_owners_alone(self):
        state = self.copy_of(prepared.state)
        self.check(nudge("log", "--state", state, "head"), 0)
        for name in ("audit/signing.key", "keys/signing.key"):
            self.assertEqual(os.stat(state / name).st_mode & 0o777, 0o600, name)
        self.assertFalse((state / "weights/signing.key").exists())


class Withdrawal(Case):
    def test_marks_the_weights_and_new_ones_are_without(self):
        state = self.copy_of(prepared.state)
        rows = nudge("weights", "--state", state, "ls", "--json").json()
        self.assertTrue(all(row["withdrawn"] == [] for row in rows))
        # Who corrected; the demonstrations, which first weights need, are another's.
        rows = program.events(state)
        works = {e["episode"] for e in rows
                 if e["kind"] == "episode_started" and e["payload"]["purpose"] == 0}
        who = next(e["actor"].split("#")[0] for e in rows
                   if e["kind"] == "span_opened" and e["episode"] in works)
        outcome = self.check(nudge("log", "--state", state, "withdraw", "--supervisor", "nobody"), 66)
        self.assertIn(who, outcome.err)
        self.check(nudge("log", "--state", state, "withdraw", "--supervisor", who, "--as", "eve"), 0)
        rows = nudge("weights", "--state", state, "ls", "--json").json()
        self.assertTrue(any(row["withdrawn"] == [who] for row in rows), rows)
        self.check(nudge("weights", "--state", state, "ls"), 0, "withdrawn")
        made = self.check(nudge("train", "--state", state, "--from", "log", "--json", "--set",
                                "learner.base_steps=60"), 0).json()
        rows = {row["version"]: row for row in
                nudge("weights", "--state", state, "ls", "--json").json()}
        self.assertEqual(rows[made["version"]]["withdrawn"], [])
        acts = [e["actor"] for e in program.events(state) if e["kind"] == "corrections_withdrawn"]
        self.assertEqual(acts, ["eve"])
        self.check(nudge("log", "--state", state, "withdraw", "--supervisor", who, "--undo"), 0)
        self.check_whole(state)


class Live(LiveCase):
    def test_the_daemon_signs_heads_and_withdraws_for_engineers(self):
        daemon = self.daemon()
        daemon.send("label", episode=1, span=0, value="success")
        wait_until(lambda: daemon.request("GET", "/api/v1/log/head")[0] == 200, "a signed head")
        code, head = daemon.request("GET", "/api/v1/log/head")
        self.assertEqual(json.loads(head)["format"], "nudge-log-head-1")
        self.assertEqual(nudge("log", "--state", daemon.state, "head").out.strip(), head.decode())
        withdraw = ["log", "--state", daemon.state, "withdraw", "--supervisor"]
        taught = self.check(nudge(*withdraw, "nobody"), 66).err
        who = taught.rsplit(": ", 1)[1].strip().split(", ")[0]
        self.check(nudge(*withdraw, who), 0)
        self.assertEqual(daemon.stop(), 0)
        said = [e["payload"]["supervisor"] for e in program.events(daemon.state)
                if e["kind"] == "corrections_withdrawn"]
        self.assertEqual(said, [who])
        kept = self.folder / "heads"
        kept.write_bytes(head + b"\n" + (daemon.state / "audit/head.json").read_bytes())
        self.check(nudge("log", "--state", daemon.state, "verify", "--heads", kept), 0, "2 signed")

    def test_heads_are_exported_and_a_place_that_does_not_take_them_is_told(self):
        place = self.folder / "elsewhere"
        kept = place / "robot.heads"
        daemon = self.daemon(None, "--set", f"log.heads_file={kept}")
        wait_until(lambda: "robot.heads" in daemon.status()["storage"], "a word about the heads")
        self.assertTrue(daemon.status()["recording"])
        wait_until(lambda: daemon.request("GET", "/readyz", token="")[0] == 200, "that it is ready")
        self.assertIn(b"nudge_log_heads_waiting 1\n", daemon.request("GET", "/metrics")[1])
        self.assertEqual(daemon.send("label", episode=1, span=0, value="success")[0], 200)
        place.mkdir()
        wait_until(kept.exists, "the file of heads")
        wait_until(lambda: daemon.status()["storage"] == "", "that all is well")
        self.assertEqual(daemon.stop(), 0)
        heads = kept.read_text().splitlines()
        self.assertGreaterEqual(len(heads), 2)  # of the start and of the end
        self.assertEqual(heads[-1], (daemon.state / "audit/head.json").read_text().strip())
        self.check(nudge("log", "--state", daemon.state, "verify", "--heads", kept), 0, "whole",
                   f"{len(heads)} signed")

    def test_secrets_are_in_no_log_and_no_process_list(self):
        daemon = self.daemon()
        secrets = json.loads((daemon.state / "run/tokens.json").read_text())["tokens"].values()
        wait_until(lambda: program.learners(daemon.state), "a learner")
        lines = b""
        for process in [daemon.process.pid, *program.learners(daemon.state)]:
            lines += pathlib.Path(f"/proc/{process}/cmdline").read_bytes()
            lines += pathlib.Path(f"/proc/{process}/environ").read_bytes()
        lines += (daemon.state / "learner.log").read_bytes() + daemon.errors().encode()
        for secret in [daemon.token, *secrets]:
            self.assertNotIn(secret.encode(), lines)

    def test_the_learner_is_in_its_sandbox(self):
        daemon = self.daemon()
        log = daemon.state / "learner.log"
        wait_until(lambda: log.exists() and "sandbox:" in log.read_text(), "the sandbox")
        (learner,) = program.learners(daemon.state)
        status = pathlib.Path(f"/proc/{learner}/status").read_text()
        self.assertIn("NoNewPrivs:\t1", status)
        self.assertIn("CapEff:\t0000000000000000", status)
        if "no seccomp" not in log.read_text():
            self.assertIn("Seccomp:\t2", status)


if __name__ == "__main__":
    program.main()
