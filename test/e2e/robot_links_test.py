#!/usr/bin/env python3
"""The link between the daemon and a robot in another process breaks: the robot holds by itself, and
the daemon lets nobody drive until an engineer has looked.

Judged by the robot's own clock and ticks, and by the daemon's log. The long form tries each way 100
times.
"""

import os
import random
import re
import signal
import struct
import time

import chaos
import live_test
import program
from live_test import LiveCase
from program import free_port
from people import steady_ns
from program import end, wait_until
from watch import FRESH, LATEST_TICK, TICK, TIMES, Place, distribution, say, stop_process

chance = random.Random(int.from_bytes(os.urandom(4), "big"))


def setUpModule():
    live_test.setUpModule()


def tearDownModule():
    live_test.tearDownModule()


class RemoteRobot(LiveCase):
    """A robot in a process of its own, and a proxy that sees what it says and is told."""

    OBSERVATION, ACTION = 2, 18
    STANDING = 4

    def setUp(self):
        super().setUp()
        self.port = free_port()
        self.seen = []  # (tick, sent ns, applied, stands, proprioception): what the robot said
        self.told = []  # (sequence, ns): actions on their way to the robot
        self.proxy = chaos.Proxy("teleop", self.port, on_up=self.hear, on_down=self.tell)
        self.addCleanup(self.proxy.close)
        self.robot = None
        self.begin_robot()
        self.place = Place(self, "state", "--set", "robot.driver=remote", "--set",
                           f"ports.robot={self.port}")

    def begin_robot(self):
        self.robot = program.start("robot", "--port", self.proxy.port, "--wait", program.PATIENCE)
        self.addCleanup(end, self.robot)

    def hear(self, piece):
        kind, = struct.unpack_from("<H", piece[1], 6)
        if kind != self.OBSERVATION:
            return
        tick, _, sent, applied, flags, size = struct.unpack_from("<QqqQIH", piece[1], 16)
        values = struct.unpack_from(f"<{size}f", piece[1], 16 + 44)
        self.seen.append((tick, sent, applied, bool(flags & self.STANDING), values))

    def tell(self, piece):
        kind, = struct.unpack_from("<H", piece[1], 6)
        if kind == self.ACTION:
            self.told.append((struct.unpack_from("<Q", piece[1], 16)[0], steady_ns()))

    def drive(self, i):
        """The policy drives, or a person; gives the person."""
        if i % 2 == 0:
            self.place.hand_back()
            return None
        person = self.place.person("web", "engineer")
        self.place.let_drive(person)
        return person

    def clear_fault(self):
        daemon = self.place.daemon
        wait_until(lambda: daemon.status()["state"] == "HOLD" or
                   daemon.send("reset_fault")[0] == 200, "the end of the fault")
        daemon.wait_for("HOLD")

    def test_a_daemon_that_is_stopped_leaves_a_robot_that_holds_by_itself(self):
        found = []
        for i in range(TIMES):
            person = self.drive(i)
            time.sleep(0.2 + chance.random() * 0.2)
            daemon = self.place.daemon.process
            stopped = stop_process(daemon)
            time.sleep(1)
            went_on = steady_ns()
            daemon.send_signal(signal.SIGCONT)
            found.append((stopped, went_on))
            # The gap in the loop is a fault, or the episode was over; never silently back to work.
            self.place.watcher.wait_for("FAULT_HOLD", "HOLD")
            self.check_stays(15)
            if person:
                person.leave()
            self.clear_fault()
        self.place.close()
        holds = [self.own_hold(*when) for when in found]
        times = [after for after in holds if after is not None]
        say(f"robot alone: {distribution(times)} ms from its newest action to its own hold")
        self.assertGreaterEqual(len(times), TIMES * 3 // 5)

    def test_operators_see_the_robots_port(self):
        def taken():
            text = self.place.daemon.request("GET", "/metrics")[1].decode()
            return int(float(re.search(
                r'nudge_port_messages_total\{port="robot",kind="observation"\} (\S+)', text)[1]))
        wait_until(lambda: taken() > 5, "the robot's observations among the figures")

    def check_stays(self, ticks):
        """Nobody acts, so nothing begins to move."""
        begun = self.place.watcher.newest_tick()
        self.place.watcher.wait_for_tick(begun + ticks)
        for state in self.place.watcher.between(begun, begun + ticks):
            self.assertIn(state["state"], ("HOLD", "FAULT_HOLD"))

    def own_hold(self, stopped, went_on):
        """ms from the last action to the first observation of a robot that stands."""
        quiet = [o for o in self.seen if stopped <= o[1] < went_on]
        if not quiet or quiet[0][3]:
            return None  # the episode had just ended
        # The daemon may have been stopped with actions on their way: until they were applied.
        last = max(o[2] for o in quiet)
        heard = min(o[1] for o in self.seen if o[2] == last and o[1] >= stopped - 100_000_000)
        moving = [o for o in quiet if o[1] >= heard and not o[3]]
        standing = next(o for o in quiet if o[3])
        times = [o[1] for o in quiet if heard <= o[1] <= standing[1]]
        stalled = sum(max(0.0, (b - a) / 1e6 - TICK) for a, b in zip(times, times[1:]))
        after = (standing[1] - heard) / 1e6
        told = f"{after:.1f} ms after its newest action, of which {stalled:.1f} ms stalled"
        # Said with the next observation, which is at most a period away.
        self.assertLessEqual(after, FRESH + TICK + stalled + 2, told)
        self.assertLessEqual(len(moving), LATEST_TICK, told)
        self.assertTrue(all(o[3] for o in quiet if o[1] >= standing[1]), told)
        ends = quiet[-5:]
        moved = max(abs(a - b) for a, b in zip(ends[0][4], ends[-1][4]))
        self.assertLess(moved, 0.002, "m: the robot creeps")
        return after

    def test_a_robot_that_is_stopped_or_killed_is_a_fault_until_an_engineer_ends_it(self):
        last_seen = []
        for i in range(TIMES):
            person = self.drive(i)
            time.sleep(0.1 + chance.random() * 0.2)
            killed = i % 3 == 2
            self.robot.send_signal(signal.SIGKILL if killed else signal.SIGSTOP)
            self.place.watcher.wait_for("FAULT_HOLD")
            time.sleep(0.05)
            last_seen.append(self.seen[-1][1])
            if killed:
                end(self.robot)
                self.begin_robot()
            else:
                self.robot.send_signal(signal.SIGCONT)
            count = len(self.seen)
            wait_until(lambda: len(self.seen) > count + 5, "the robot's return")
            self.check_stays(15)
            self.assertEqual(self.place.watcher.state, "FAULT_HOLD")
            if person:
                person.leave()
            self.clear_fault()
        faults = [e for e in self.place.close() if e["kind"] == "authority_changed" and
                  e["payload"]["cause"] == "robot_stale"]
        ages = []
        for seen in last_seen:
            fault = next(e for e in faults if e["time_ns"] > seen)
            age = (fault["time_ns"] - seen) / 1e6
            stalled = self.place.watcher.stalled(seen, fault["time_ns"])
            if stalled is not None:
                self.assertLessEqual(age, FRESH + TICK + stalled + 3)
            ages.append(age)
        say(f"robot lost: {distribution(ages)} ms from its newest state to FAULT_HOLD")


if __name__ == "__main__":
    program.main()
