#!/usr/bin/env python3
"""Links that break while somebody drives: the robot holds, whatever happened to the link.

The robot of a lost person stands within FRESH plus one control tick of the tick that their newest
command echoed. This is judged by the daemon's own ticks and steady clock, as the log and the states
tell them: a busy machine may stall any process, and a stalled daemon has no ticks in which it could
move a robot. Each way of losing a link is tried 3 times at each port, with NUDGE_LONG=1 100 times.
"""

import fcntl
import json
import os
import pathlib
import random
import signal
import socket
import struct
import subprocess
import sys
import time

import live_test
import people
import program
from live_test import LiveCase
from people import Person, steady_ns
from program import LONG, end, environment, wait_until
from watch import (FAULT_HOLD, FRESH, HOLD, HUMAN, LATEST_TICK, LEASE, PORTS, TICK, TIMES, Place,
                   distribution, in_threads, say, stop_process)

LINK_LOST = 1  # reason of a closed span
# The port to be tested by the copy of this program that runs in a network of its own.
PRIVATE_PORT = os.environ.get("NUDGE_TEST_NETWORK", "")
chance = random.Random(int.from_bytes(os.urandom(4), "big"))


def setUpModule():
    if PRIVATE_PORT:
        live_test.prepared.folder = pathlib.Path(os.environ["NUDGE_TEST_PREPARED"])
    else:
        live_test.setUpModule()


def tearDownModule():
    if not PRIVATE_PORT:
        live_test.tearDownModule()


class Loss:
    """One link that was lost while somebody drove."""

    def __init__(self, epoch, sent, cut_at):
        self.epoch = epoch
        self.cut_at = cut_at
        self.sent = [command for command in sent if command[2] <= cut_at]
        self.last = self.sent[-1]  # (sequence, echoed tick, ns when it left)


class Judge:
    """Compares what was lost with what the log says."""

    def __init__(self, case, place, found):
        self.case, self.place = case, place
        self.watcher = place.watcher
        self.changes = [e for e in found if e["kind"] == "authority_changed"]
        self.opened = {e["payload"]["epoch"]: e for e in found if e["kind"] == "span_opened"}
        self.closed = {e["payload"]["span"]: e for e in found if e["kind"] == "span_closed"}
        self.after_echo, self.after_sent, self.in_ticks = [], [], []

    def judge(self, loss):
        """False: the machine stalled, and the link was lost before it was cut."""
        case = self.case
        opened = self.opened[loss.epoch]
        held = next(e for e in self.changes if e["sequence"] > opened["sequence"] and
                    e["payload"]["from"] == HUMAN)
        change = held["payload"]
        if held["time_ns"] < loss.cut_at or change["to"] == FAULT_HOLD:
            return False
        case.assertEqual((change["to"], change["cause"]), (HOLD, "command_stale"))
        _, echoed, sent_at = loss.last
        ticks = held["control_tick"] - echoed
        age = (held["time_ns"] - self.watcher.time_of(echoed)) / 1e6
        stalled = self.watcher.stalled(self.watcher.time_of(echoed), held["time_ns"])
        told = f"held {ticks} ticks and {age:.1f} ms after the newest command's tick"
        case.assertLessEqual(ticks, LATEST_TICK, told)
        if stalled is not None:
            told += f", of which {stalled:.1f} ms stalled"
            case.assertLessEqual(age, FRESH + TICK + stalled + 2, told)
        # In every tick before, the newest command was still fresh enough.
        for state in self.watcher.between(echoed, held["control_tick"] - 1):
            fresh = (state["now"] - self.watcher.time_of(echoed)) / 1e6
            case.assertLessEqual(fresh, FRESH + 1, told)
        self.after_echo.append(age)
        self.after_sent.append((held["time_ns"] - sent_at) / 1e6)
        self.in_ticks.append(ticks)
        self.judge_span(loss, held, opened)
        return True

    def judge_span(self, loss, held, opened):
        case = self.case
        closed = self.closed[opened["payload"]["span"]]["payload"]
        case.assertEqual(closed["reason"], LINK_LOST)
        # The step in which the last command can have been taken at the latest; what people drove
        # after it is the echo of a command, and nobody's correction.
        taken = next((state["policy_step"] for state in self.watcher.states
                      if state["now"] >= loss.last[2] + 2 * TICK * 1_000_000), 0)
        case.assertLessEqual(closed["last_step"], max(taken, held["policy_step"] - 2))
        case.assertLess(closed["last_step"], held["policy_step"] - 1)

    def figures(self, what):
        say(f"{what}: {distribution(self.after_echo)} ms after the echoed tick "
            f"({distribution(self.in_ticks)} ticks); {distribution(self.after_sent)} ms after it "
            "was sent")


class Cuts(LiveCase):
    """Somebody drives, and their link is lost at a random moment."""

    def lose(self, what, lose_one):
        """Loses the link of each port TIMES times, and judges all of it."""
        def at(kind):
            place = Place(self, f"state-{kind}")
            losses = []
            for i in range(TIMES):
                # Half of them out of AUTO: that is where a lost link must not go back to.
                if i % 2 == 0:
                    place.hand_back()
                losses.append(lose_one(place, kind))
            self.judge(place, losses, f"{kind}, {what}")
        in_threads(at, PORTS)

    def judge(self, place, losses, what):
        judge = Judge(self, place, place.close())
        judged = [judge.judge(loss) for loss in losses]
        judge.figures(what)
        self.assertGreaterEqual(sum(judged), len(losses) * 3 // 5, "the machine stalled too often")

    def lose_person(self, place, kind, cut, stays):
        """`cut(person)` loses the link; `stays`: the person is still there afterwards."""
        instance = os.urandom(8).hex()
        person = place.person(kind, instance=instance)
        place.let_drive(person)
        time.sleep(0.1 + chance.random() * 0.2)
        cut(person)
        cut_at = steady_ns()
        loss = Loss(person.epoch, person.sent, cut_at)
        place.watcher.wait_for("HOLD", "FAULT_HOLD")
        if not stays:
            epoch, sequence = person.epoch, person.sequence
            person.leave()
            person = place.person(kind, instance=instance)
            person.epoch, person.sequence = epoch, sequence
        # Whoever is back drives on with the lease they had; that is no act, and moves nothing.
        self.assertNotIn(person.state["state"], ("AUTO", "HANDBACK"))
        person.drive(person.epoch)
        self.check_stands(place, 8)
        person.leave()
        return loss

    def check_stands(self, place, ticks, begun=0):
        """From this tick on, or from now."""
        begun = begun or place.watcher.newest_tick()
        place.watcher.wait_for_tick(begun + ticks)
        for state in place.watcher.between(begun, begun + ticks):
            self.assertIn(state["state"], ("HOLD", "FAULT_HOLD"))
            self.assertEqual(state["source"], "hold")

    def test_the_client_closes(self):
        self.lose("closed (FIN)", lambda place, kind:
                  self.lose_person(place, kind, Person.fin, stays=False))

    def test_the_client_resets(self):
        self.lose("reset (RST)", lambda place, kind:
                  self.lose_person(place, kind, Person.reset, stays=False))

    def test_the_client_goes_silent_and_its_connection_stays(self):
        self.lose("silent", lambda place, kind:
                  self.lose_person(place, kind, Person.go_silent, stays=False))

    def test_commands_stop_while_everything_else_goes_on(self):
        self.lose("no commands", lambda place, kind:
                  self.lose_person(place, kind, Person.stop_commands, stays=True))

    def test_the_client_is_stopped_and_goes_on_later(self):
        def stop_one(place, kind):
            told = place.daemon.state.parent / f"{kind}-{steady_ns()}.jsonl"
            with open(told, "wb") as out:
                driver = subprocess.Popen(
                    [sys.executable, people.__file__, kind, str(place.where(kind)["port"]),
                     place.tokens["supervisor"]], stdout=out)
            self.addCleanup(end, driver)

            def lines():
                # The last line may be half written.
                return [json.loads(line) for line in told.read_text().split("\n")[:-1]]

            def granted():
                epochs = [line for line in lines() if "epoch" in line]
                if epochs and not epochs[0]["ok"]:
                    raise PermissionError(epochs[0]["message"])
                return epochs and epochs[0]["epoch"]
            wait_until(granted, "the stopped driver's lease")
            place.watcher.wait_for("HUMAN")
            time.sleep(0.1 + chance.random() * 0.2)
            cut_at = stop_process(driver)
            place.watcher.wait_for("HOLD", "FAULT_HOLD")
            sent = [(line["sequence"], line["tick"], line["at"]) for line in lines()
                    if "sequence" in line]
            loss = Loss(granted(), sent, cut_at)
            # What waited in the sockets, and what is sent anew: neither is an act.
            driver.send_signal(signal.SIGCONT)
            self.check_stands(place, 8)
            end(driver)
            # The driver asks once only: the lease must be free for the next one.
            wait_until(lambda: steady_ns() > sent_again(lines()) + (LEASE + 100) * 1_000_000,
                       "the end of the lease")
            return loss

        def sent_again(lines):
            return max(line["at"] for line in lines if "at" in line)
        self.lose("SIGSTOP", stop_one)

    def test_the_network_interface_goes_down(self):
        if not PRIVATE_PORT:
            return self.again_in_a_network_of_its_own()
        set_loopback(True)

        def unplug(place, kind, seconds):
            person = place.person(kind)
            place.let_drive(person)
            time.sleep(0.1 + chance.random() * 0.2)
            set_loopback(False)
            loss = Loss(person.epoch, person.sent, steady_ns())
            time.sleep(seconds)
            set_loopback(True)
            back = place.daemon.status()
            self.check_stands(place, 20, back["tick"])
            person.leave()
            return loss
        place = Place(self)
        losses = []
        for i in range(TIMES):
            if i % 2 == 0:
                place.hand_back()
            # Short, and the connections live on with a backlog; long, and they are given up.
            losses.append(unplug(place, PRIVATE_PORT, 0.3 if i % 3 else 1.5))
        self.judge(place, losses, f"{PRIVATE_PORT}, interface down")

    def again_in_a_network_of_its_own(self):
        private = ["unshare", "-rn"]
        try:
            may = subprocess.run([*private, "true"], capture_output=True, text=True)
        except OSError as error:
            self.skipTest(f"there is no unshare(1): {error}")
        if may.returncode != 0:
            self.skipTest(f"this kernel gives us no network of our own: {may.stderr.strip()}")

        def at(kind):
            done = subprocess.run(
                [*private, sys.executable, __file__, ".".join(self.id().split(".")[-2:])],
                env=environment(NUDGE_PROGRAM=program.program(), NUDGE_TEST_NETWORK=kind,
                                NUDGE_TEST_PREPARED=str(live_test.prepared.folder)),
                capture_output=True, text=True, timeout=3600 if LONG else 300)
            self.assertEqual(done.returncode, 0, done.stderr)
            for line in done.stderr.splitlines():
                if "times, median" in line:
                    say(line.strip())
        in_threads(at, PORTS)


def set_loopback(up):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sh22x", b"lo", 0)
        flags = struct.unpack_from("h", fcntl.ioctl(any_socket, 0x8913, request), 16)[0]
        flags = flags | 1 if up else flags & ~1
        fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh22x", b"lo", flags))


if __name__ == "__main__":
    program.main()
