"""`nudge run`: the daemon in real time, driven through its ports as people and programs do."""

import http.client
import json
import os
import pathlib
import random
import re
import signal
import socket
import subprocess
import time
import unittest

import abuse
import program
from program import Case, PATIENCE, end, environment, events, free_port, nudge, wait_until

prepared = program.Prepared()
# A busy machine stalls threads for longer than a robot may be left alone; what is tested here is not
# how fast the machine is.
PATIENT = ["--set", "authority.watchdog_ms=800", "--set", "ports.http=0", "--set", "ports.teleop=0",
           "--set", "learner.nice=0"]
# First weights of three demonstrations run into the limits, which end in a HOLD of its own.
UNLIMITED = ["--set", "limits.clamps_to_hold=1023", "--set", "limits.clamp_window_ticks=1024"]


def setUpModule():
    prepared.make()
    prepared.trained()


def tearDownModule():
    prepared.drop()


class Daemon:
    """A daemon with the address and the tokens that its user would see."""

    def __init__(self, state, *arguments):
        self.state = state
        self.log = open(state.parent / f"{state.name}.err", "ab")
        self.process = subprocess.Popen(
            [program.program(), "run", "--state", str(state), *PATIENT, *arguments],
            env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.log,
            text=True)
        self.address = self.process.stdout.readline().strip()
        if not self.address:
            self.process.wait()
            raise AssertionError(f"the daemon did not start:\n{self.errors()}")
        self.port = int(self.address.split("/#")[0].rsplit(":", 1)[1])
        self.token = self.address.split("#token=")[1]

    def errors(self):
        return (self.state.parent / f"{self.state.name}.err").read_text()

    def request(self, method, path, body=None, token=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        sent = {"Authorization": f"Bearer {self.token if token is None else token}"}
        if token == "":
            sent = {}
        sent.update(headers or {})
        text = None
        if body is not None:
            text = json.dumps(body)
            sent["Content-Type"] = "application/json"
        connection.request(method, path, text, sent)
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        return answer.status, data

    def status(self):
        code, data = self.request("GET", "/api/v1/status")
        assert code == 200, (code, data)
        return json.loads(data)

    def send(self, kind, **fields):
        """A message of a person; gives the code and the ack."""
        fields.setdefault("id", f"test:{time.monotonic_ns()}")
        code, data = self.request("POST", "/api/v1/feedback", {"type": kind, **fields})
        return code, json.loads(data)

    def wait_for(self, state, patience=60):
        wait_until(lambda: self.status()["state"] == state, f"the state {state}", patience)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(60)
        self.process.stdout.close()
        self.log.close()
        return code

    def kill(self):
        end(self.process)
        self.process.stdout.close()
        self.log.close()


def memory_mib(pid):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) / 1024


class LiveCase(Case):
    def daemon(self, state=None, *arguments):
        state = state or self.copy_of(prepared.folder / "trained")
        daemon = Daemon(state, *arguments)
        self.addCleanup(lambda: daemon.process.poll() is None and daemon.kill())
        return daemon


class Control(LiveCase):
    def test_boots_into_hold_and_says_why(self):
        status = self.daemon().status()
        self.assertEqual(status["state"], "HOLD")
        self.assertEqual(status["why"], "boot")
        self.assertIn("Start", status["why_text"])

    def test_starts_works_and_is_stopped(self):
        daemon = self.daemon()
        code, ack = daemon.send("hand_back")
        self.assertEqual((code, ack["ok"]), (200, True), ack)
        daemon.wait_for("AUTO")
        wait_until(lambda: daemon.status()["weights"]["live"] == 1, "the first action of v1")
        code, ack = daemon.send("stop")
        self.assertEqual(code, 200, ack)
        daemon.wait_for("ESTOP")
        self.assertEqual(daemon.stop(), 0)
        # STOP outlives the restart; ending it never moves the robot.
        again = self.daemon(daemon.state)
        self.assertEqual(again.status()["state"], "ESTOP")
        self.assertEqual(again.send("hand_back")[0], 409)
        self.assertEqual(again.send("reset_stop")[0], 200)
        again.wait_for("HOLD")
        again.stop()
        self.check_whole(daemon.state)

    def test_records_what_the_robot_does_and_what_people_say(self):
        daemon = self.daemon()
        daemon.send("hand_back")
        daemon.wait_for("AUTO")
        wait_until(lambda: daemon.status()["episode"]["step"] >= 5, "five policy steps")
        self.assertEqual(daemon.send("label", episode=0, span=0, value="success")[0], 200)
        code, ack = daemon.send("words", text="lift the block gently", meant="instruction")
        self.assertEqual(code, 200)
        self.assertIn("instruction", ack["echo"])
        wait_until(lambda: daemon.status()["episode"]["instruction"] == "lift the block gently",
                   "the instruction in force")
        self.assertEqual(daemon.stop(), 0)
        kinds = [event["kind"] for event in events(daemon.state)]
        for kind in ("booted", "episode_started", "authority_changed", "weights_live", "label",
                     "words", "instruction_changed", "episode_ended"):
            self.assertIn(kind, kinds)
        self.assertGreater(self.check_whole(daemon.state)["steps"], 0)

    def test_a_message_that_is_sent_again_changes_nothing_and_gets_the_same_answer(self):
        daemon = self.daemon()
        daemon.send("hand_back")
        daemon.wait_for("AUTO")
        first = daemon.send("label", id="mine:1", episode=0, span=0, value="failure")
        second = daemon.send("label", id="mine:1", episode=0, span=0, value="failure")
        self.assertEqual(first, second)
        daemon.stop()
        labels = [event for event in events(daemon.state) if event["id"] == "mine:1"]
        self.assertEqual(len(labels), 1)


class Restarts(LiveCase):
    def test_is_killed_at_any_moment_and_starts_again_into_hold_with_all_that_was_acknowledged(self):
        state = self.copy_of(prepared.folder / "trained")
        kills = 50 if program.LONG else 4
        acknowledged = []
        for i in range(kills):
            daemon = self.daemon(state)
            self.assertEqual(daemon.status()["state"], "HOLD")
            daemon.send("hand_back")
            until = time.monotonic() + 0.4 + 0.37 * (i % 5)
            while time.monotonic() < until:
                name = f"kill:{i}:{time.monotonic_ns()}"
                code, _ = daemon.send("words", id=name, text="so far so good", meant="comment")
                if code == 200:
                    acknowledged.append(name)
            daemon.kill()
        self.check_whole(state)
        found = [event["id"] for event in events(state)]
        self.assertGreater(len(acknowledged), kills)
        for name in acknowledged:
            self.assertEqual(found.count(name), 1, name)

    def test_what_was_done_under_a_key_is_answered_and_not_done_again_after_a_kill(self):
        state = self.copy_of(prepared.folder / "trained")
        daemon = self.daemon(state, *UNLIMITED)

        def post(key, kind, **fields):
            code, data = daemon.request("POST", "/api/v1/feedback", {"type": kind, **fields},
                                        headers={"Idempotency-Key": f'"{key}"'})
            return code, json.loads(data)["ok"]

        acts = [("k-start", "hand_back", {}),
                ("k-words", "words", {"text": "so far so good", "meant": "comment"}),
                ("k-label", "label", {"episode": 1, "span": 0, "value": "failure"}),
                ("k-take", "takeover", {}), ("k-free", "release", {}),
                ("k-stop", "stop", {}), ("k-reset", "reset_stop", {}),
                ("k-promote", "promote", {"version": 1})]
        for key, kind, fields in acts:
            self.assertEqual(post(key, kind, **fields), (200, True), kind)
            if kind == "hand_back":
                daemon.wait_for("AUTO")
            if kind == "stop":
                daemon.wait_for("ESTOP")
        daemon.wait_for("HOLD")
        daemon.kill()
        daemon = self.daemon(state)
        for key, kind, fields in acts:
            if kind != "stop":  # a STOP stops, however often it is pressed
                self.assertEqual(post(key, kind, **fields), (200, True), kind)
        self.assertEqual(daemon.status()["state"], "HOLD")
        self.assertIsNone(daemon.status()["lease"]["holder"])
        daemon.stop()
        found = [event["id"] for event in events(state)]
        for key, kind, _ in acts:
            self.assertEqual(found.count(key), 1, kind)

    def test_outlives_its_learner(self):
        # Pauses before a restart double with each death, so a daemon sees only a few.
        moments = random.Random(1)
        for i in range(10 if program.LONG else 1):
            daemon = self.daemon(self.copy_of(prepared.folder / "trained", f"learner-{i}"),
                                 *UNLIMITED)
            daemon.send("hand_back")
            daemon.wait_for("AUTO")
            for _ in range(5 if program.LONG else 2):
                wait_until(lambda: program.learners(daemon.state), "a learner")
                before = program.learners(daemon.state)
                time.sleep(moments.uniform(0, 1.5))
                for pid in before:
                    os.kill(pid, signal.SIGKILL)
                wait_until(lambda: not program.learners(daemon.state), "its end")
                status = daemon.status()
                self.assertIn(status["state"], ("AUTO", "HANDBACK"), status["why"])
            wait_until(lambda: program.learners(daemon.state), "another learner")
            self.assertEqual(daemon.stop(), 0)
            self.check_whole(daemon.state)

    def test_outlives_the_scripted_supervisor_and_never_goes_on_by_itself(self):
        """It is killed at any moment, also while it drives: then the robot holds until somebody
        starts it again."""
        port = free_port()
        daemon = self.daemon(None, "--set", f"ports.teleop={port}", *UNLIMITED)
        moments = random.Random(2)
        driving = 0

        def drives():
            holder = daemon.status()["lease"]["holder"]
            return holder is not None and holder["role"] == "script"

        for i in range(50 if program.LONG else 3):
            helper = program.start("supervise", "--state", daemon.state, "--port", port)
            self.addCleanup(end, helper)
            if daemon.status()["state"] == "HOLD":
                # A dead driver's lease runs out within half a second.
                wait_until(lambda: daemon.send("hand_back")[0] == 200, "the start", patience=5)
            if i % 2 == 1:
                wait_until(drives, "the scripted supervisor has taken over")
            time.sleep(moments.uniform(0, 0.3 if i % 2 == 1 else 3))
            held = daemon.status()["state"] in ("TAKEOVER", "HUMAN")
            end(helper)
            if held:
                driving += 1
                wait_until(lambda: daemon.status()["state"] not in ("TAKEOVER", "HUMAN"), "an end")
            # Between our look and its death it may have handed back: then the policy drives.
            if daemon.status()["state"] not in ("AUTO", "HANDBACK"):
                daemon.wait_for("HOLD")
                time.sleep(0.3)
                self.assertEqual(daemon.status()["state"], "HOLD")
        print(f"killed while it had the robot: {driving} times", end=" ", flush=True)
        daemon.stop()
        self.check_whole(daemon.state)


class RemoteRobot(LiveCase):
    """The kitchen in a process of its own, on the other side of the robot port."""

    def setUp(self):
        super().setUp()
        self.port = free_port()
        self.robots = []
        self.addCleanup(lambda: [end(robot) for robot in self.robots])

    def robot(self):
        self.robots.append(program.start("robot", "--port", self.port, "--wait", PATIENCE))
        return self.robots[-1]

    def remote(self):
        # The robot first: a daemon is there for people once it knows its robot.
        robot = self.robot()
        daemon = self.daemon(None, "--set", "robot.driver=remote", "--set",
                             f"ports.robot={self.port}")
        return daemon, robot

    def test_works_through_the_whole_loop_and_holds_at_the_end_of_an_episode(self):
        daemon, _ = self.remote()
        self.assertEqual(daemon.status()["state"], "HOLD")
        self.assertEqual(daemon.send("hand_back")[0], 200)
        daemon.wait_for("AUTO")
        wait_until(lambda: daemon.status()["weights"]["live"] == 1, "the first action of v1")
        # Whoever resets its scene decides when it goes on.
        daemon.wait_for("HOLD", patience=120)
        self.assertEqual(daemon.stop(), 0)
        kinds = [event["kind"] for event in events(daemon.state)]
        self.assertIn("episode_ended", kinds)
        self.assertGreater(self.check_whole(daemon.state)["steps"], 0)

    def test_a_robot_that_is_killed_ends_in_a_fault_and_another_takes_its_place(self):
        daemon, robot = self.remote()
        for _ in range(50 if program.LONG else 2):
            daemon.send("hand_back")
            daemon.wait_for("AUTO")
            end(robot)
            daemon.wait_for("FAULT_HOLD")
            robot = self.robot()
            # The fault is reset by an act, once its cause is gone.
            wait_until(lambda: daemon.send("reset_fault")[0] == 200, "the robot is back")
            daemon.wait_for("HOLD")

    def test_a_daemon_that_is_stopped_leaves_a_robot_that_stands(self):
        daemon, robot = self.remote()
        daemon.send("hand_back")
        daemon.wait_for("AUTO")
        daemon.process.send_signal(signal.SIGSTOP)
        time.sleep(1)
        daemon.process.send_signal(signal.SIGCONT)
        # The loop's gap is a fault, or the episode ended meanwhile; never silently back to work.
        wait_until(lambda: daemon.status()["state"] in ("FAULT_HOLD", "HOLD"), "a standing robot")
        self.assertIsNone(robot.poll())


class BadInput(LiveCase):
    def test_a_port_that_is_taken_is_named(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            state = self.copy_of(prepared.folder / "trained")
            outcome = nudge("run", "--state", state, "--set", f"ports.http={port}", "--set",
                            "ports.teleop=0")
            self.check(outcome, 69, str(port), "ports.http")

    def test_two_daemons_on_one_log_the_second_is_told(self):
        daemon = self.daemon()
        outcome = nudge("run", "--state", daemon.state, *PATIENT)
        self.check(outcome, 69)
        self.assertEqual(daemon.status()["state"], "HOLD")

    def test_without_a_token_nothing_is_told_and_nothing_moves(self):
        daemon = self.daemon()
        for token in ("", "wrong"):
            self.assertEqual(daemon.request("GET", "/api/v1/status", token=token)[0], 401)
            self.assertEqual(daemon.request("POST", "/api/v1/feedback", {"type": "stop", "id": "x"},
                                            token=token)[0], 401)
        self.assertEqual(daemon.status()["state"], "HOLD")

    def test_another_page_of_the_browser_is_kept_out(self):
        daemon = self.daemon()
        evil = {"Origin": "http://evil.example"}
        self.assertEqual(daemon.request("GET", "/api/v1/status", headers=evil)[0], 403)
        self.assertEqual(daemon.request("GET", "/healthz", headers={"Host": "evil.example"})[0], 403)

    def test_garbage_costs_nothing_but_its_connection(self):
        daemon = self.daemon()
        daemon.send("hand_back")
        daemon.wait_for("AUTO")
        for garbage in (b"\0" * 1000, b"GET / HTTP/1.1\r\nHost: x" + b"y" * 100_000,
                        b"POST /api/v1/feedback HTTP/1.1\r\nContent-Length: 1000000000\r\n\r\n",
                        os.urandom(5000)):
            with socket.create_connection(("127.0.0.1", daemon.port), timeout=30) as peer:
                peer.sendall(garbage)
        deep = "[" * 100_000
        self.assertEqual(daemon.request("POST", "/api/v1/feedback", deep)[0], 413)
        half_open = [socket.create_connection(("127.0.0.1", daemon.port)) for _ in range(200)]
        self.assertEqual(daemon.status()["state"], "AUTO")
        for peer in half_open:
            peer.close()


    def test_abuse_takes_no_memory_and_the_supervisor_is_still_served(self):
        daemon = self.daemon(None, "--set", "sim.cameras=true", *UNLIMITED)
        daemon.send("hand_back")
        daemon.wait_for("AUTO")
        before = memory_mib(daemon.process.pid)
        with abuse.Abuse(daemon.port, daemon.token) as abused:
            for _ in range(120 if program.LONG else 8):
                time.sleep(0.5)
                code, ack = daemon.send("words", text="still there", meant="comment")
                self.assertEqual(code, 200, ack)
        self.assertGreater(abused.rounds, 10)
        self.assertGreater(abused.refused, 0)
        grown = 512 if os.environ.get("NUDGE_SANITIZE") else 64
        self.assertLess(memory_mib(daemon.process.pid) - before, grown)
        status = daemon.status()
        self.assertIn(status["state"], ("AUTO", "HANDBACK"), status["why"])
        self.assertEqual(daemon.stop(), 0)


class Operators(LiveCase):
    def test_tells_health_readiness_and_figures(self):
        daemon = self.daemon()
        self.assertEqual(daemon.request("GET", "/healthz", token="")[1], b"OK\n")
        wait_until(lambda: daemon.request("GET", "/readyz", token="")[0] == 200, "readiness")
        text = daemon.request("GET", "/metrics")[1].decode()
        self.assertIn("nudge_control_ticks_total", text)
        self.assertIn('nudge_port_connections{port="teleop"} 0', text)
        self.assertNotIn('port="robot"', text)  # it is in the daemon's process
        self.assertEqual(json.loads(daemon.request("GET", "/openapi.json")[1])["openapi"][:3], "3.1")

    def test_a_service_manager_is_told_when_it_is_ready_alive_and_stopping(self):
        path = self.folder / "notify"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(str(path))
            manager.settimeout(60)
            os.environ["NOTIFY_SOCKET"], os.environ["WATCHDOG_USEC"] = str(path), "300000"
            try:
                daemon = self.daemon()
            finally:
                del os.environ["NOTIFY_SOCKET"], os.environ["WATCHDOG_USEC"]
            self.assertTrue(manager.recv(4096).startswith(b"READY=1"))
            self.assertEqual(manager.recv(4096), b"WATCHDOG=1")
            daemon.process.send_signal(signal.SIGTERM)
            while manager.recv(4096) != b"STOPPING=1":
                pass
            self.assertEqual(daemon.process.wait(60), 0)


class Weights(LiveCase):
    def test_there_is_nothing_to_roll_back_to_before_the_second_version(self):
        daemon = self.daemon()
        code, ack = daemon.send("roll_back")
        self.assertEqual(code, 409, ack)
        self.assertIn("no earlier version", ack["message"])

    def test_without_weights_the_robot_holds_and_says_so(self):
        state = self.folder / "empty"
        daemon = self.daemon(state)
        daemon.send("hand_back")
        time.sleep(3)
        self.assertEqual(daemon.status()["state"], "HOLD")
        daemon.stop()


if __name__ == "__main__":
    program.main()
