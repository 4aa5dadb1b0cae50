#!/usr/bin/env python3
"""Who may drive, and with what: one lease that two fight for, and commands that are no numbers."""

import struct
import time

import live_test
import program
from live_test import LiveCase
from program import LONG, wait_until
from watch import AUTO, HUMAN, PORTS, TIMES, Place, in_threads, say


def setUpModule():
    live_test.setUpModule()


def tearDownModule():
    live_test.tearDownModule()


class Fight(LiveCase):
    def test_two_supervisors_fight_for_the_lease_and_one_of_them_has_it(self):
        place = Place(self)
        holders = []
        place.watcher.person.on_state = lambda state: (
            place.watcher._note(state), holders.append((state["epoch"], state["holder"])))
        sides = [place.person("web"), place.person("teleop")]
        until = time.monotonic() + (60 if LONG else 3)
        asked = {side: [] for side in sides}

        def fight(side):
            # 100 a second each: asking, driving a little, and letting go.
            begun = time.monotonic()
            while time.monotonic() < until:
                kind = ("takeover", "takeover", "release")[len(asked[side]) % 3]
                asked[side].append(side.tell(kind))
                if kind == "takeover" and side.state["mine"]:
                    side.drive(side.state["epoch"])
                time.sleep(max(0, begun + len(asked[side]) * 0.01 - time.monotonic()))
        in_threads(fight, sides)
        for side in sides:
            side.wait(lambda: all(name in side.acks for name in asked[side]),
                      "an answer to each message")
            side.stop_commands()
        answers = [side.acks[name] for side in sides for name in asked[side]]
        codes = {answer["code"] for answer in answers}
        self.assertLessEqual(codes, {"ok", "failed_precondition", "resource_exhausted"})
        busy = [a for a in answers if a["code"] == "failed_precondition" and a["holder"]]
        self.assertGreater(len(busy), 0)
        self.assertLessEqual({a["holder"] for a in busy}, {side.name for side in sides})
        place.watcher.wait_for("HOLD")
        for side in sides:
            self.assertIsNone(side.ended)
            side.leave()
        # Each epoch had one holder, and epochs only rose.
        self.assertEqual([epoch for epoch, _ in holders], sorted(epoch for epoch, _ in holders))
        by_epoch = {}
        for epoch, holder in holders:
            if holder:
                self.assertEqual(by_epoch.setdefault(epoch, holder), holder)
        found = place.close()
        held, newest = 0, 0
        for event in found:
            epoch = event["payload"].get("epoch")
            if event["kind"] == "lease_granted":
                self.assertEqual(held, 0, "granted before the one before had ended")
                self.assertGreater(epoch, newest)
                held = newest = epoch
            elif event["kind"] == "lease_ended":
                self.assertEqual(epoch, held)
                held = 0
        self.assertNotIn(AUTO, [e["payload"]["to"] for e in found
                                if e["kind"] == "authority_changed"])
        self.assertGreater(newest, 10)
        say(f"{len(answers)} requests, {len(busy)} times busy, {newest} grants")


class Grants(LiveCase):
    def test_whoever_is_told_of_their_lease_can_drive_at_once(self):
        place = Place(self)
        people_there = [place.person(kind, "engineer") for kind in PORTS]
        for person in people_there * (5 * TIMES):
            # The first command leaves in the moment in which the answer arrives.
            wait_until(lambda: person.take_over()["ok"], "the lease")
            place.watcher.wait_for("HUMAN")
            person.stop_commands()
            # A command that arrives with the release comes too late.
            place.watcher.wait_for_tick(place.watcher.newest_tick() + 2)
            self.assertTrue(person.ask("release")["ok"])
        # A machine that stalls may still bring a last command together with its release.
        refused = place.refused()
        self.assertLess(refused["not_holder"] + refused["wrong_epoch"], TIMES, refused)
        place.close()


class NotFinite(LiveCase):
    """Numbers that are none, in each joint: never applied, and never clamped into one that is."""

    JOINTS = 4
    # As a float holds them; 1e308 is one of the infinities there.
    BAD = {"NaN": 0x7fc00000, "signalling NaN": 0x7f800001, "-NaN": 0xffc00000,
           "+Inf": 0x7f800000, "-Inf": 0xff800000}
    SMALL = {"least": 0x00000001, "-least": 0x80000001, "denormal": 0x007fffff}
    LARGEST = 0x7f7fffff

    def setUp(self):
        super().setUp()
        self.place = Place(self)
        self.seen = []
        self.looker = self.place.person("web", "viewer", on_state=self.seen.append)
        self.left, self.joint, self.bits = 0, 0, 0

    def action(self, _, good):
        if self.left == 0:
            return good
        self.left -= 1
        # Raw bytes: Python's floats would make another NaN of it.
        return good[:self.joint] + [struct.pack("<I", self.bits)] + good[self.joint + 1:]

    def check_only_good_ones(self):
        for state in self.seen:
            for value in state["requested"] + state["executed"]:
                # What is not finite would be told as null.
                self.assertIsNotNone(value)
                self.assertLess(abs(value), 0.9, "a bad number became a motion")

    def some_ticks(self, count=5):
        self.place.watcher.wait_for_tick(self.place.watcher.newest_tick() + count)

    def test_binary_commands_are_refused_and_counted_and_hold_when_they_repeat(self):
        person = self.place.person("teleop")
        person.make_action = self.action
        for name, self.bits in self.BAD.items():
            for self.joint in range(self.JOINTS):
                with self.subTest(value=name, joint=self.joint):
                    self.left = 0
                    self.place.let_drive(person)
                    before = self.place.refused()["not_finite"]
                    # One is dropped, and the next good one drives on.
                    self.left = 1
                    wait_until(lambda: self.left == 0, "a bad command")
                    self.some_ticks()
                    self.assertEqual(self.place.watcher.state, "HUMAN")
                    self.assertLessEqual(self.place.refused()["not_finite"], before + 1)
                    self.left = 1_000
                    self.place.watcher.wait_for("HOLD")
                    self.some_ticks(1)
                    self.assertGreaterEqual(self.place.refused()["not_finite"], before + 3)
        person.leave()
        self.looker.leave()
        self.check_only_good_ones()
        causes = [e["payload"]["cause"] for e in self.place.close() if
                  e["kind"] == "authority_changed" and e["payload"]["from"] == HUMAN]
        self.assertEqual(causes, ["commands_not_finite"] * len(self.BAD) * self.JOINTS)

    def test_denormal_numbers_are_numbers_and_next_to_nothing(self):
        person = self.place.person("teleop")
        self.place.let_drive(person)
        person.make_action = lambda sequence, good: self.action(sequence, [0.0] * self.JOINTS)
        for self.bits in self.SMALL.values():
            for self.joint in range(self.JOINTS):
                self.left = 3
                wait_until(lambda: self.left == 0, "small commands")
                self.assertEqual(self.place.watcher.state, "HUMAN")
        self.some_ticks(8)
        person.leave()
        self.looker.leave()
        last = [state["executed"] for state in self.seen if state["source"] == "human"][-1]
        self.assertLess(max(abs(value) for value in last), 1e-37)
        self.assertEqual(self.place.refused()["not_finite"], 0)
        self.place.close()

    def test_the_largest_number_is_cut_and_flagged_and_soon_ends_in_hold(self):
        person = self.place.person("teleop")
        person.make_action = self.action
        self.bits = self.LARGEST
        for self.joint in range(self.JOINTS):
            self.left = 0
            self.place.let_drive(person)
            self.left = 1_000
            self.place.watcher.wait_for("HOLD")
        person.leave()
        self.looker.leave()
        for state in self.seen:
            self.assertLessEqual(max(abs(value) for value in state["executed"]), 1.0)
            if max(map(abs, state["requested"]), default=0) > 1:
                self.assertTrue(state["clamped"])
        causes = [e["payload"]["cause"] for e in self.place.close() if
                  e["kind"] == "authority_changed" and e["payload"]["from"] == HUMAN]
        self.assertEqual(causes, ["out_of_limits"] * self.JOINTS)

    def test_what_json_can_say_of_them_is_refused_and_the_robot_holds(self):
        person = self.place.person("web")
        line = person.wire.line

        def refusals():
            # What is no JSON is answered with a problem; what is none of our commands is counted.
            return self.place.refused()["malformed"] + len(person.refusals)

        def jog_with(bad, joint):
            action = ["0.1"] * self.JOINTS
            action[joint] = bad
            return (f'{{"type": "jog", "epoch": {person.epoch}, "sequence": {person.sequence + 1}, '
                    f'"tick": {person.state["tick"]}, "dead_man": true, '
                    f'"action": [{", ".join(action)}]}}')
        for bad in ("NaN", "Infinity", "-Infinity", "1e308", "-1e308", "1e999", "3.5e38", "null",
                    '"NaN"', "true", "[0.5]", '{"x": 1}'):
            with self.subTest(value=bad):
                self.place.let_drive(person)
                before = refusals()
                for joint in range(self.JOINTS):
                    person.order(lambda: line.send(jog_with(bad, joint)))
                wait_until(lambda: refusals() == before + self.JOINTS, "a refusal of each")
                self.assertEqual(self.place.watcher.state, "HUMAN")
                # Nothing but these: nobody drives.
                person.stop_commands()
                for joint in range(self.JOINTS):
                    person.order(lambda: line.send(jog_with(bad, joint)))
                self.place.watcher.wait_for("HOLD")
        self.assertIsNone(person.ended)
        person.leave()
        self.looker.leave()
        self.check_only_good_ones()
        causes = [e["payload"]["cause"] for e in self.place.close() if
                  e["kind"] == "authority_changed" and e["payload"]["from"] == HUMAN]
        self.assertEqual(set(causes), {"command_stale"})


if __name__ == "__main__":
    program.main()
