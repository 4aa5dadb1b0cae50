#!/usr/bin/env python3
"""The ports of ZeroMQ with CURVE: the real libzmq through pyzmq, keys that are added and revoked."""

import fcntl
import json
import os
import pathlib
import subprocess
import sys
import time
import unittest

import abuse
import live_test
import program
import zmtp
from live_test import LiveCase
from program import Case, PATIENCE, free_port, nudge, wait_until

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "python" / "src"))
try:
    import zmq
    import nudge as package
except ImportError:
    zmq = package = None


def setUpModule():
    live_test.setUpModule()


def tearDownModule():
    live_test.tearDownModule()


class Keys(Case):
    def test_a_pair_is_made_once_and_for_its_owner(self):
        file = self.folder / "arm.key"
        public = self.check(nudge("auth", "key", "make", file), 0).out.strip()
        self.assertEqual(len(public), 40)
        self.assertEqual(os.stat(file).st_mode & 0o777, 0o600)
        self.assertIn(public, file.read_text())
        self.check(nudge("auth", "key", "make", file), 73)

    def test_keys_are_added_listed_and_revoked(self):
        state = self.folder / "state"
        public = self.check(nudge("auth", "key", "make", self.folder / "a"), 0).out.strip()
        auth = ["auth", "--state", state, "key"]
        server = self.check(nudge(*auth, "server"), 0).out.strip()
        self.assertEqual(self.check(nudge(*auth, "server"), 0).out.strip(), server)
        self.check(nudge(*auth, "add", "anna", public, "--role", "engineer"), 0)
        self.check(nudge(*auth, "add", "anna", public), 73)
        self.check(nudge(*auth, "add", "ben", "short"), 64)
        self.assertEqual(nudge(*auth, "ls", "--json").json(),
                         [{"name": "anna", "role": "engineer", "key": public}])
        self.check(nudge(*auth, "revoke", "ben"), 66)
        self.check(nudge(*auth, "revoke", "anna"), 0)
        self.assertEqual(nudge(*auth, "ls", "--json").json(), [])
        for name in ("run/curve.key", "run/keys.json"):
            self.assertEqual(os.stat(state / name).st_mode & 0o777, 0o600, name)


    def test_two_changes_at_once_are_both_made(self):
        state = self.folder / "state"
        auth = ["auth", "--state", state, "key"]
        keys = {name: self.check(nudge("auth", "key", "make", self.folder / name), 0).out.strip()
                for name in ("anna", "bob")}
        begin = time.monotonic()
        self.check(nudge(*auth, "add", "anna", keys["anna"]), 0)
        # For a change that waits for nobody; one that waits gives up after 10 s.
        enough = min(1 + 3 * (time.monotonic() - begin), 8)
        # As a command does that revokes anna's: it reads, and another one comes before it writes.
        lock = os.open(state / "run", os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            kept = json.loads((state / "run/keys.json").read_text())
            adding = program.start(*auth, "add", "--", "bob", keys["bob"])
            self.addCleanup(program.end, adding)
            with self.assertRaises(subprocess.TimeoutExpired):
                adding.wait(enough)
            kept["keys"] = [key for key in kept["keys"] if key["name"] != "anna"]
            (state / "run/keys.json").write_text(json.dumps(kept))
        finally:
            os.close(lock)
        self.assertEqual(adding.wait(60), 0)
        self.assertEqual([row["name"] for row in nudge(*auth, "ls", "--json").json()], ["bob"])


@unittest.skipIf(package is None or not zmq.has("curve"), "needs pyzmq with CURVE")
class Teleop(LiveCase):
    def setUp(self):
        super().setUp()
        self.port = free_port()
        self.key = self.folder / "arm.key"
        self.public = self.check(nudge("auth", "key", "make", self.key), 0).out.strip()

    def start(self):
        daemon = self.daemon(None, "--set", f"ports.teleop={self.port}", "--set",
                             "ports.zmq_curve=true")
        self.auth = ["auth", "--state", daemon.state, "key"]
        self.server = self.check(nudge(*self.auth, "server"), 0).out.strip()
        return daemon

    def connect(self, **changes):
        keys = {"server_key": self.server, "key_file": str(self.key), "patience_s": 20.0, **changes}
        supervisor = package.Supervisor("kitchen", "no token", f"tcp://127.0.0.1:{self.port}",
                                        name="whoever", **keys)
        self.addCleanup(supervisor.close)
        return supervisor

    def test_who_somebody_is_follows_from_the_key(self):
        self.start()
        self.check(nudge(*self.auth, "add", "anna", self.public), 0)
        supervisor = self.connect()
        self.assertTrue(supervisor.welcome.name.startswith("anna#t"), supervisor.welcome)
        self.assertTrue(supervisor.stop().ok)

    def test_a_revoked_key_is_out_and_stays_out(self):
        self.start()
        self.check(nudge(*self.auth, "add", "anna", self.public), 0)
        supervisor = self.connect()
        supervisor.state(20)
        self.check(nudge(*self.auth, "revoke", "anna"), 0)
        # The daemon looks every 0.4 s; how long that takes here is this machine's own matter.
        program.wait_until(lambda: not supervisor.connected, "the end of the session")
        with self.assertRaises(package.NudgeError):
            self.connect(patience_s=2.0)

    def test_without_a_key_or_with_another_daemons_nobody_answers(self):
        self.start()
        with self.assertRaises(package.NudgeError):
            self.connect(patience_s=2.0)  # not added
        self.check(nudge(*self.auth, "add", "anna", self.public), 0)
        with self.assertRaises(package.NudgeError):
            self.connect(patience_s=2.0, server_key=self.public)
        with self.assertRaises(package.NudgeError):
            package.Supervisor("kitchen", "no token", f"tcp://127.0.0.1:{self.port}",
                               patience_s=2.0)  # in the clear
        self.connect()


class Audit(LiveCase):
    def test_the_log_tells_of_keys_that_came_and_went_while_a_daemon_ran_or_not(self):
        public = self.check(nudge("auth", "key", "make", self.folder / "a.key"), 0).out.strip()
        curve = ("--no-learning", "--set", "ports.zmq_curve=true")
        daemon = self.daemon(None, *curve)
        auth = ["auth", "--state", daemon.state, "key"]
        live = abuse.live_connection(daemon.port, daemon.token)
        self.check(nudge(*auth, "add", "anna", public), 0)
        end = time.monotonic() + 60
        while '"key_added"' not in str(live.receive()) and time.monotonic() < end:
            time.sleep(0.05)
        live.socket.close()
        daemon.stop()
        self.check(nudge(*auth, "revoke", "anna"), 0)
        self.check(nudge(*auth, "add", "eva", public, "--role", "engineer"), 0)
        self.daemon(daemon.state, *curve).stop()
        told = [(row["kind"], row["actor"], row["payload"]) for row in program.events(daemon.state)
                if row["kind"] in ("key_added", "key_removed")]
        self.assertEqual(told, [
            ("key_added", "nudge", {"name": "anna", "use": 1, "role": 2, "key": public}),
            ("key_removed", "nudge", {"name": "anna", "key": public}),
            ("key_added", "nudge", {"name": "eva", "use": 1, "role": 3, "key": public})])


class OurOwnPeers(LiveCase):
    """`nudge robot` and `nudge supervise`, as on another machine: with nothing but the keys."""

    def setUp(self):
        super().setUp()
        self.state = self.copy_of(live_test.prepared.folder / "trained")
        self.auth = ["auth", "--state", self.state, "key"]
        self.server = self.check(nudge(*self.auth, "server"), 0).out.strip()
        self.keys = {}
        for name, role in (("arm", "robot"), ("helper", "script"), ("stranger", None)):
            self.keys[name] = self.folder / f"{name}.key"
            public = self.check(nudge("auth", "key", "make", self.keys[name]), 0).out.strip()
            if role:
                self.check(nudge(*self.auth, "add", "--role", role, "--", name, public), 0)

    def with_keys(self, name, port):
        return ["--endpoint", f"tcp://127.0.0.1:{port}", "--server-key", self.server,
                "--key-file", self.keys[name]]

    def begin(self, *arguments):
        process = program.start(*arguments)
        self.addCleanup(program.end, process)
        return process

    def test_the_kitchen_is_a_robot_with_a_key(self):
        port = free_port()
        self.begin("robot", *self.with_keys("arm", port), "--wait", PATIENCE)
        daemon = self.daemon(self.state, "--set", "robot.driver=remote", "--set",
                             f"ports.robot={port}", "--set", "ports.zmq_curve=true")
        # On a busy machine the robot may be known before its first observation is there.
        wait_until(lambda: daemon.send("hand_back")[0] == 200, "the start")
        daemon.wait_for("AUTO")

    def test_a_key_that_was_not_added_opens_nothing(self):
        port = free_port()
        self.daemon(self.state, "--set", f"ports.teleop={port}", "--set", "ports.zmq_curve=true")
        self.check(nudge("supervise", *self.with_keys("stranger", port)), 69, "no daemon")

    def test_the_scripted_supervisor_acts_under_the_name_of_its_key(self):
        port = free_port()
        daemon = self.daemon(self.state, "--set", f"ports.teleop={port}", "--set",
                             "ports.zmq_curve=true", *live_test.UNLIMITED)
        self.begin("supervise", *self.with_keys("helper", port))
        daemon.send("hand_back")

        def driver():
            holder = daemon.status()["lease"]["holder"]
            if daemon.status()["state"] == "HOLD":
                daemon.send("hand_back")
            return holder is not None and holder["name"].startswith("helper#")

        program.wait_until(driver, "the scripted supervisor has taken over", 120)

    def test_half_a_pair_of_flags_is_refused(self):
        self.check(nudge("robot", "--server-key", self.server), 64, "--key-file")
        self.check(nudge("supervise", "--port", "5572", "--endpoint", "tcp://127.0.0.1:5572"), 64,
                   "--port")


class Refusals(LiveCase):
    def test_no_port_is_open_beyond_this_machine_in_clear(self):
        state = self.copy_of(live_test.prepared.folder / "trained")
        outcome = nudge("run", "--state", state, "--listen", "0.0.0.0:0", "--set", "ports.tls=off")
        self.assertNotEqual(outcome.code, 0, str(outcome))
        # The other ports cannot be asked to: beyond loopback they speak CURVE alone.
        port = free_port()
        self.daemon(state, "--set", "ports.zmq_address=0.0.0.0", "--set", f"ports.teleop={port}")
        with self.assertRaises(ConnectionError):
            zmtp.Dealer(port)


if __name__ == "__main__":
    program.main()
