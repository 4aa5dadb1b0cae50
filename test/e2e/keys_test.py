#!/usr/bin/env python3
"""The ports of ZeroMQ with CURVE: the real libzmq through pyzmq, keys that are added and revoked."""

import os
import pathlib
import sys
import time
import unittest

import live_test
import program
import zmtp
from live_test import LiveCase
from program import Case, free_port, nudge

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

    def test_a_revoked_key_is_out_within_a_second_and_stays_out(self):
        self.start()
        self.check(nudge(*self.auth, "add", "anna", self.public), 0)
        supervisor = self.connect()
        supervisor.state(20)
        self.check(nudge(*self.auth, "revoke", "anna"), 0)
        end = time.monotonic() + 20  # of a busy machine; the daemon looks every 0.4 s
        while supervisor.connected and time.monotonic() < end:
            time.sleep(0.05)
        self.assertFalse(supervisor.connected)
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
