#!/usr/bin/env python3
"""Programs of the openpi protocol at the daemon's port, and a policy server behind it."""

import importlib.util
import time
import unittest

import program
from live_test import Daemon
from people import Person
from program import Case, events, free_port, nudge, wait_until

HAS_PACKAGES = all(importlib.util.find_spec(name) for name in ("websockets", "msgpack", "numpy"))
if HAS_PACKAGES:
    import msgpack
    import numpy
    import websockets
    from openpi_programs import Program, Refused, Upstream, libero, pack, unpack


@unittest.skipUnless(HAS_PACKAGES, "needs python3-websockets, python3-msgpack and python3-numpy: "
                                   "scripts/setup.sh --for test")
class OpenpiCase(Case):
    def begin(self, *more):
        self.port = free_port()
        self.daemon = Daemon(self.folder / "state", "--no-learning", "--set", "robot.driver=openpi",
                             "--set", "openpi.preset=libero", "--set", f"openpi.port={self.port}",
                             "--set", "openpi.gap_s=20", "--set", "openpi.slow_takeover=true", *more)
        self.addCleanup(lambda: self.daemon.process.poll() is None and self.daemon.kill())

    def program(self, **options):
        asks = Program(self.port, **options)
        self.addCleanup(asks.leave)
        return asks

    def person(self):
        person = Person("web", port=self.daemon.port, token=self.daemon.token, name="anna")
        person.make_action = lambda *_: [0.5, 0, 0, 0, 0, 0, 0]
        self.addCleanup(person.leave)
        return person

    def status(self):
        return self.daemon.status()

    def wait_for_state(self, state):
        wait_until(lambda: self.status()["state"] == state, f"{state}; it is {self.status()['state']}")

    def start(self, person):
        def started():
            # On a busy machine a chunk may not come within the two seconds of a hand-back.
            if self.status()["state"] == "HOLD":
                self.assertTrue(person.ask("hand_back")["ok"])
            return self.status()["state"] == "AUTO"
        wait_until(started, "the policy at work")

    def drive(self, person):
        """Takes over, and again where a busy machine made commands stale."""
        if self.status()["state"] not in ("TAKEOVER", "HUMAN"):
            self.assertTrue(person.take_over()["ok"])

    def driven(self, person, answers):
        def there():
            self.drive(person)
            return [a for a in answers() if a["hil"]["source"] == "human" and
                    abs(a["actions"][0, 0] - 0.5) < 1e-6]
        wait_until(there, "the person's command")
        return there()[-1]


class Server(OpenpiCase):
    def test_a_program_is_greeted_and_held_until_somebody_starts(self):
        self.begin()
        asks = self.program()
        about = asks.metadata["hil"]
        self.assertEqual((about["robot"], about["horizon"], about["action_size"]),
                         ("libero", 10, 7))
        self.assertAlmostEqual(about["hz"], 20, places=3)
        for _ in range(3):
            answer = asks.infer(libero())
            self.assertEqual(answer["actions"].shape, (10, 7))
            self.assertEqual(answer["hil"]["source"], "hold")
            # Nothing moves, and the gripper stays open.
            self.assertEqual(answer["actions"].tolist(), [[0, 0, 0, 0, 0, 0, -1]] * 10)

    def test_a_person_takes_over_lets_go_and_stops(self):
        self.begin()
        asks = self.program()
        asks.work()
        person = self.person()
        wait_until(asks.newest, "an answer")
        driven = self.driven(person, lambda: asks.answers)["actions"]
        # 200 ms of it, then standing still; the horizon stays.
        self.assertEqual(driven.shape, (10, 7))
        self.assertTrue((abs(driven[:4, 0] - 0.5) < 1e-6).all() and (driven[4:, 0] == 0).all(), driven)
        person.stop_commands()
        wait_until(lambda: asks.newest()["hil"]["source"] == "hold", "standing still")
        person.ask("stop")
        self.wait_for_state("ESTOP")
        wait_until(lambda: asks.newest()["hil"]["state"] == "ESTOP", "the stop at the program")
        self.assertEqual(asks.newest()["hil"]["source"], "hold")
        self.assertIsNone(asks.error)
        asks.rest()
        self.daemon.stop()
        spans = [e for e in events(self.daemon.state) if e["kind"] == "span_closed"]
        self.assertGreater(len(spans), 0)

    def test_what_cannot_be_promised_is_shown_and_slow_takeovers_are_refused(self):
        self.begin("--set", "openpi.slow_takeover=false")
        asks = self.program()
        asks.work(every=0.4)
        person = self.person()
        wait_until(lambda: len(asks.answers) > 2, "some answers")
        self.assertRegex(self.status()["caution"], r"within \d+ ms.*STOP does not end")
        refused = person.ask("takeover")
        self.assertEqual(refused["code"], "failed_precondition")
        self.assertIn("openpi.slow_takeover", refused["message"])

    def test_a_wrong_request_is_answered_with_text_and_1011(self):
        self.begin()
        asks = self.program()
        with self.assertRaisesRegex(Refused, "observation/state"):
            asks.infer({"prompt": "x"})
        with self.assertRaises(websockets.ConnectionClosed) as closed:
            asks.receive()
        self.assertEqual(closed.exception.code, 1011)
        again = self.program()
        again.send(b"\xc1 no msgpack")
        self.assertIn("MessagePack", again.receive())

    def test_health_is_answered_and_pages_are_not(self):
        self.begin()
        self.daemon.port, page = self.port, self.daemon.port
        answer = self.daemon.request("GET", "/healthz", token="")
        self.assertEqual((answer[0], answer[1]), (200, b"OK\n"))
        self.daemon.port = page
        with self.assertRaises(websockets.InvalidStatusCode) as refused:
            Program(self.port, origin="http://evil.example")
        self.assertEqual(refused.exception.status_code, 403)

    def test_a_key_is_asked_for_where_that_is_configured(self):
        self.begin("--set", "openpi.require_key=true")
        with self.assertRaises(websockets.InvalidStatusCode) as refused:
            Program(self.port)
        self.assertEqual(refused.exception.status_code, 401)
        key = (self.daemon.state / "run/openpi.key").read_text().strip()
        asks = self.program(extra_headers={"Authorization": f"Api-Key {key}"})
        self.assertEqual(asks.infer(libero())["hil"]["source"], "hold")

    def test_another_key_sends_away_who_came_with_the_one_before(self):
        self.begin("--set", "openpi.require_key=true")

        def with_key(key):
            return {"extra_headers": {"Authorization": f"Api-Key {key}"}}
        show = ["auth", "--state", self.daemon.state, "token", "show", "openpi"]
        key = nudge(*show).out.strip()
        asks = self.program(**with_key(key))
        self.assertEqual(asks.infer(libero())["hil"]["source"], "hold")
        self.check(nudge(*show[:4], "rotate", "openpi"), 0)
        with self.assertRaises(websockets.ConnectionClosed) as closed:
            asks.receive()
        self.assertEqual(closed.exception.code, 4401)
        with self.assertRaises(websockets.InvalidStatusCode):
            Program(self.port, **with_key(key))
        again = self.program(**with_key(nudge(*show).out.strip()))
        self.assertEqual(again.infer(libero())["hil"]["source"], "hold")

    def test_other_shapes_of_the_same_things_are_taken(self):
        self.begin()
        asks = self.program(path="/any/path")
        seen = libero(**{"observation/state": [0.5] * 8,
                         "observation/image": numpy.zeros((3, 224, 224), numpy.uint8)})
        del seen["observation/wrist_image"]
        self.assertEqual(asks.infer(seen)["actions"].shape, (10, 7))
        nested = {"observation": {"image": seen["observation/image"],
                                  "state": numpy.zeros(8, numpy.float32)}, "prompt": "x"}
        self.assertEqual(asks.infer(nested)["actions"].shape, (10, 7))
        text_keys = msgpack.packb({"observation/state": {
            "__ndarray__": True, "data": bytes(32), "dtype": "<f4", "shape": [8]}})
        asks.send(text_keys)
        self.assertIsInstance(asks.receive(), bytes)


class Proxy(OpenpiCase):
    def begin_with_upstream(self, *more, **upstream):
        self.upstream = Upstream(free_port(), **upstream)
        self.addCleanup(self.upstream.leave)
        self.begin("--set", f"openpi.upstream=ws://127.0.0.1:{self.upstream.port}", *more)
        self.asks = self.program()
        self.assertEqual(self.asks.metadata["reset_pose"], [0.25, 0.5])
        self.asks.work()
        self.anna = self.person()
        wait_until(self.asks.newest, "an answer")

    def passes_on(self):
        answer = self.asks.newest()
        return answer["hil"]["source"] == "upstream" and answer["hil"]["as_is"]

    def test_the_upstreams_chunks_are_passed_on_byte_for_byte(self):
        self.begin_with_upstream(dtype=numpy.float32)
        self.assertEqual(self.asks.newest()["hil"]["source"], "hold")
        self.start(self.anna)
        begun = len(self.asks.answers)
        wait_until(lambda: len(self.asks.answers) > begun + 20, "twenty answers")
        passed = [a for a in self.asks.answers[begun + 2:] if a["hil"]["source"] == "upstream"]
        self.assertGreater(len(passed), 10)
        known = {chunk.tobytes() for chunk in self.upstream.chunks}
        for answer in passed:
            self.assertEqual(answer["actions"].dtype, numpy.float32)
            self.assertIn(answer["actions"].tobytes(), known)
            self.assertEqual(answer["policy_timing"], {"infer_ms": 1.5})

    def test_an_upstream_that_goes_is_a_hold_and_its_return_is_enough_to_start_again(self):
        self.begin_with_upstream("--set", "openpi.answer_s=1")
        self.start(self.anna)
        wait_until(self.passes_on, "the upstream's chunks")
        self.upstream.close()
        self.wait_for_state("HOLD")
        wait_until(lambda: "upstream" in self.status()["robot_trouble"], "the reason")
        wait_until(lambda: self.asks.newest()["hil"]["source"] == "hold", "standing still")
        self.upstream.open()
        wait_until(lambda: self.status()["robot_trouble"] == "", "the upstream's return")
        self.assertEqual(self.status()["state"], "HOLD", "nothing resumes by itself")
        self.start(self.anna)
        wait_until(self.passes_on, "the upstream's chunks again")

    def test_an_upstream_that_is_slow_or_fails_is_a_hold(self):
        self.begin_with_upstream("--set", "openpi.answer_s=0.5")
        self.start(self.anna)
        wait_until(self.passes_on, "the upstream's chunks")
        self.upstream.delay = 3
        self.wait_for_state("HOLD")
        self.assertIn("not answered within 500 ms", self.status()["robot_trouble"])
        self.upstream.delay = 0
        wait_until(lambda: self.status()["robot_trouble"] == "", "the upstream's return")
        self.start(self.anna)
        wait_until(self.passes_on, "the upstream's chunks again")
        self.upstream.fails = True
        self.wait_for_state("HOLD")
        wait_until(lambda: "upstream" in self.status()["robot_trouble"], "the reason")

    def test_another_shape_of_chunk_is_a_hold_that_says_which(self):
        self.begin_with_upstream()
        self.start(self.anna)
        wait_until(self.passes_on, "the upstream's chunks")
        self.upstream.horizon = 16
        self.wait_for_state("HOLD")
        wait_until(lambda: "16 x 7" in self.status()["robot_trouble"], "the reason")
        self.assertEqual(self.asks.newest()["actions"].shape, (10, 7))
        self.upstream.horizon = 10
        wait_until(lambda: self.status()["robot_trouble"] == "", "the right shape")

    def test_pings_are_answered_while_the_upstream_works(self):
        self.begin_with_upstream()
        self.start(self.anna)
        wait_until(self.passes_on, "the upstream's chunks")
        self.asks.rest()
        self.upstream.delay = 1.5
        for _ in range(5):
            self.start(self.anna)  # a busy machine may have stalled the daemon into a hold
            begun = time.monotonic()
            self.asks.send(pack(libero()))
            self.asks.ping()
            heard = time.monotonic() - begun
            answer = unpack(self.asks.receive())
            if answer["hil"]["source"] == "upstream" and heard < 1.4:
                self.assertGreater(time.monotonic() - begun, 1.4)
                return
        self.fail(f"no pong before the answer: {heard} s")

    def test_a_person_takes_over_and_hands_back(self):
        self.begin_with_upstream()
        self.start(self.anna)
        wait_until(self.passes_on, "the upstream's chunks")
        self.driven(self.anna, lambda: self.asks.answers)
        self.anna.stop_commands()
        self.wait_for_state("HOLD")
        self.start(self.anna)
        wait_until(self.passes_on, "the upstream's chunks again")
        self.asks.rest()
        self.daemon.stop()
        found = events(self.daemon.state)
        self.assertGreater(len([e for e in found if e["kind"] == "span_opened"]), 0)

    def test_another_prompt_begins_another_episode(self):
        self.begin_with_upstream()
        self.start(self.anna)
        wait_until(self.passes_on, "the upstream's chunks")
        first = self.status()["episode"]["id"]
        self.asks.seen = libero("now the cup")
        wait_until(lambda: self.status()["episode"]["instruction"] == "now the cup", "the prompt")
        wait_until(lambda: self.status()["episode"]["id"] > first, "another episode")
        self.assertEqual(self.status()["state"], "AUTO")
        wait_until(self.passes_on, "the upstream's chunks")

    def test_a_program_that_goes_is_a_hold(self):
        self.begin_with_upstream()
        self.start(self.anna)
        wait_until(self.passes_on, "the upstream's chunks")
        self.asks.leave()
        self.wait_for_state("HOLD")
        self.assertIn("not connected", self.status()["robot_trouble"])
        again = self.program()
        again.work()
        wait_until(again.newest, "an answer")
        self.assertEqual(again.newest()["hil"]["source"], "hold", "nothing resumes by itself")
        self.start(self.anna)


if __name__ == "__main__":
    program.main()
