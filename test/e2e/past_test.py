#!/usr/bin/env python3
"""What people see of the past, and what they say of it late: over the port, against the log."""

import http.client
import json
import time

import live_test
import program
from live_test import UNLIMITED, LiveCase
from people import Person
from program import wait_until

CAMERAS = ["--set", "sim.cameras=true"]
# A busy machine is no lost link.
SLOW_LINK = ["--set", "authority.fresh_ms=500", "--set", "authority.lease_ms=2000"]
QUICK_ROUNDS = ["--set", "learner.full_steps=40"]


def setUpModule():
    live_test.setUpModule()


def tearDownModule():
    live_test.tearDownModule()


class Past(LiveCase):
    def get(self, daemon, path):
        code, data = daemon.request("GET", path)
        while code == 429:  # whoever waits for something asks more often than is served
            time.sleep(0.1)
            code, data = daemon.request("GET", path)
        self.assertEqual(code, 200, data[:300])
        return json.loads(data)

    def episode(self, daemon, number):
        return self.get(daemon, f"/api/v1/episodes/{number}")

    def counts(self, daemon):
        return self.get(daemon, "/api/v1/learning")["dataset"]["steps"]

    def say(self, daemon, kind, **fields):
        code, ack = daemon.send(kind, **fields)
        self.assertEqual((code, ack.get("ok")), (200, True), ack)

    def steps(self, daemon, count):
        """Lets the episode go on for this many policy steps."""
        until = daemon.status()["episode"]["step"] + count
        wait_until(lambda: daemon.status()["episode"]["step"] >= until, f"{count} policy steps")

    def wait_for_counts(self, daemon, condition, what):
        wait_until(lambda: condition(self.counts(daemon)), what)

    def corrected(self, *arguments):
        """A daemon in whose running episode somebody drove, and the episode's number."""
        daemon = self.daemon(None, *CAMERAS, *SLOW_LINK, *UNLIMITED, *QUICK_ROUNDS,
                             *arguments)
        self.say(daemon, "hand_back")
        daemon.wait_for("AUTO")
        self.steps(daemon, 4)
        number = daemon.status()["episode"]["id"]
        person = Person("web", port=daemon.port, token=daemon.token, name="anna")
        self.addCleanup(person.leave)
        # On a busy machine a link may be lost before it is given up.
        for _ in range(20):
            wait_until(lambda: person.take_over()["ok"], "the lease")
            wait_until(lambda: self.driven(daemon, number) >= 15 or
                       daemon.status()["state"] not in ("TAKEOVER", "HUMAN"), "15 steps")
            person.ask("release")
            person.stop_commands()
            if self.driven(daemon, number) >= 15:
                break
        daemon.wait_for("HOLD")
        wait_until(lambda: daemon.send("hand_back")[0] == 200, "a hand-back that is accepted")
        daemon.wait_for("AUTO")
        self.steps(daemon, 4)
        wait_until(lambda: self.episode(daemon, number)["spans"][-1]["reason"], "the span's end")
        return daemon, number

    def driven(self, daemon, number):
        """Steps of the newest span."""
        spans = self.episode(daemon, number)["spans"]
        return spans[-1]["last_step"] - spans[-1]["first_step"] + 1 if spans else 0

    def check_agrees(self, told):
        """Who drove at each step, against the spans that say when a person did."""
        source = told["step"]["source"]
        self.assertGreater(len(source), 20)
        for span in told["spans"]:
            self.assertEqual(span["actor"]["name"].split("#")[0], "anna")
            covered = source[span["first_step"]:span["last_step"] + 1]
            self.assertLessEqual(set(covered), {"human"})
        self.assertGreater(len(covered), 10)
        driven = {i for i, who in enumerate(source) if who == "human"}
        # Behind the last command of a lost link nobody drives any more.
        spans = {i for span in told["spans"]
                 for i in range(span["first_step"],
                                span["last_step"] + (20 if span["reason"] == "link_lost" else 1))}
        self.assertLessEqual(driven, spans)
        self.assertIn("policy", source)
        for name, column in told["step"].items():
            self.assertEqual(len(column), len(source), name)
        seconds = told["step"]["seconds"]
        self.assertEqual(seconds, sorted(seconds))

    def test_an_episode_can_be_looked_at_while_it_runs_and_after_a_restart(self):
        daemon, number = self.corrected()
        told = self.episode(daemon, number)
        self.check_agrees(told)
        self.assertFalse(told["ended"])
        self.assertTrue(told["recorded"])
        self.assertFalse(told["damaged"])
        self.assertEqual([c["name"] for c in told["cameras"]], ["front", "wrist"])
        span = told["spans"][-1]

        connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=30)
        self.addCleanup(connection.close)
        for camera in ("front", "wrist"):
            connection.request("GET", f"/api/v1/episodes/{number}/frames/{camera}/"
                               f"{span['first_step'] + 2}",
                               headers={"Authorization": f"Bearer {daemon.token}"})
            answer = connection.getresponse()
            jpeg = answer.read()
            self.assertEqual(answer.status, 200, jpeg[:300])
            self.assertEqual(answer.getheader("Content-Type"), "image/jpeg")
            self.assertIn("immutable", answer.getheader("Cache-Control"))
            self.assertEqual((jpeg[:3], jpeg[-2:]), (b"\xff\xd8\xff", b"\xff\xd9"))
        path = f"/api/v1/episodes/{number}/frames/front"
        for wrong in (f"/api/v1/episodes/{number + 5}", f"{path}/99999", f"{path}/x",
                      f"/api/v1/episodes/{number}/frames/rear/3"):
            self.assertEqual(daemon.request("GET", wrong)[0], 404, wrong)
        self.assertEqual(daemon.request("GET", f"{path}/3", token="")[0], 401)

        # What is said is folded as it comes, and from the start after a restart: equally.
        self.say(daemon, "label", episode=number, value="success")
        self.say(daemon, "undo", seconds=0.3)
        self.assertEqual(daemon.stop(), 0)
        again = self.daemon(daemon.state, *CAMERAS)
        after = self.episode(again, number)
        self.assertTrue(after["ended"])
        self.assertEqual(after["outcome"], "success")
        self.assertEqual(len(after["discarded"]), 1)
        self.check_agrees(after)
        count = len(told["step"]["source"])
        for name, column in told["step"].items():
            self.assertEqual(after["step"][name][:count], column, name)
        self.assertEqual(after["spans"], told["spans"])
        self.assertEqual(after["events"][:len(told["events"])], told["events"])
        kinds = [event["kind"] for event in after["events"]]
        for kind in ("episode_started", "span_opened", "span_closed", "label", "steps_discarded",
                     "episode_ended"):
            self.assertIn(kind, kinds)
        row = self.get(again, "/api/v1/episodes")["episodes"][-1]
        self.assertEqual(row["id"], number)
        self.assertGreater(row["takeover_after_s"], 0)
        self.assertGreater(row["started_ms"], 0)
        again.stop()
        self.check_whole(daemon.state)

    def test_what_is_said_of_a_correction_moves_its_steps_whenever_it_is_said(self):
        # Autonomous steps after which the episode ends by itself, and the next begins.
        daemon, number = self.corrected("--set", "robot.episode_steps=40")
        def span_now():
            return self.episode(daemon, number)["spans"][-1]

        span = span_now()
        self.wait_for_counts(daemon, lambda c: c["correction"] > 10, "corrections in the dataset")
        all_of_it = self.counts(daemon)["correction"]
        middle = span["first_step"] + 5

        def said_and_taken_back():
            self.say(daemon, "label", span=span["id"], value="discard")
            self.wait_for_counts(
                daemon, lambda c: c["correction"] <= all_of_it - 10 and c["discarded"] > 10,
                "the span taken out")
            self.assertEqual(span_now()["label"], "discard")
            self.say(daemon, "label", span=span["id"], value="none")
            self.wait_for_counts(daemon, lambda c: c["correction"] == all_of_it, "it put back")
            self.say(daemon, "split", span=span["id"], step=middle)
            self.wait_for_counts(
                daemon, lambda c: 0 < c["recovery"] <= 5 and
                c["recovery"] + c["correction"] == all_of_it, "a recovery and a correction")
            self.assertEqual(span_now()["correction_from"], middle)
            self.say(daemon, "split", span=span["id"], step=span["first_step"])
            self.wait_for_counts(daemon, lambda c: c["recovery"] == 0, "the split taken back")

        said_and_taken_back()
        self.say(daemon, "label", episode=number, value="discard")
        self.wait_for_counts(daemon, lambda c: c["correction"] == 0, "the episode taken out")
        self.say(daemon, "label", episode=number, value="none")
        self.wait_for_counts(daemon, lambda c: c["correction"] == all_of_it, "it put back")

        wait_until(lambda: daemon.status()["episode"]["id"] > number, "the next episode")
        said_and_taken_back()
        self.say(daemon, "label", episode=number, value="failure")
        self.assertEqual(self.episode(daemon, number)["outcome"], "failure")
        newer = daemon.status()["episode"]["id"]
        wrong = daemon.send("label", episode=newer, span=span["id"], value="success")
        self.assertEqual(wrong[0], 400, wrong)
        self.assertEqual(daemon.send("split", span=span["id"], step=span["last_step"] + 9)[0], 400)
        self.assertEqual(daemon.send("split", span=span["id"] + 50, step=1)[0], 404)

        # Undo means the end of the episode that runs.
        self.steps(daemon, 8)
        self.say(daemon, "undo", seconds=0.5)
        newest = daemon.status()["episode"]["id"]
        undone = [told["discarded"] for told in (self.episode(daemon, newer),
                                                 self.episode(daemon, newest))
                  if told["discarded"]][-1][0]
        self.assertEqual(undone["last_step"] - undone["first_step"], 4)

        # What came of it: a round that learned from one corrected episode, and what was said of it.
        wait_until(lambda: self.get(daemon, "/api/v1/learning")["rounds"], "a round")
        learning = self.get(daemon, "/api/v1/learning")
        self.assertEqual(learning["rounds"][0]["corrections"]["episodes"], 1)
        self.assertGreater(learning["rounds"][0]["loss"], 0)
        self.assertEqual(learning["dataset"]["supervisors"][0]["name"], "anna")
        self.assertEqual(learning["dataset"]["episodes"]["failure"], 1)
        given = [version for version in self.get(daemon, "/api/v1/weights")["versions"]
                 if version["loss"] is not None]
        accepted = [r for r in learning["rounds"] if r["verdict"] == "accepted"]
        self.assertGreaterEqual(len(given), len(accepted))
        self.assertEqual(daemon.stop(), 0)
        self.check_whole(daemon.state)


if __name__ == "__main__":
    program.main()
