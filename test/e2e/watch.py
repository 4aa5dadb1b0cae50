"""What the tests of links share: a daemon that is watched at every control tick, in two lanes."""

import bisect
import json
import os
import re
import signal
import statistics
import sys
import threading

import live_test
from program import free_port
from people import Person, steady_ns
from program import LONG, events, wait_until

PORTS = ("web", "teleop")
TIMES = 100 if LONG else 3  # that a link is lost, at each port
FRESH, TICK = 200, 20  # ms, the defaults
LEASE = 250  # ms, less than usual, as is the time after it: the next driver comes soon
LATEST_TICK = FRESH // TICK + 1  # of the hold, after the tick that the last command echoed
HOLD, TAKEOVER, HUMAN, HANDBACK, AUTO, FAULT_HOLD, ESTOP = range(7)
BRISK = ["--set", f"authority.lease_ms={LEASE}", "--set", "authority.reacquire_s=0.25",
         "--no-learning"]


def say(text):
    if LONG or os.environ.get("NUDGE_FIGURES"):
        print(f"\n    {text}", end="", file=sys.stderr, flush=True)


def distribution(values):
    if not values:
        return "nothing was measured"
    ordered = sorted(values)
    rank = -(-len(ordered) * 99 // 100)
    return (f"{len(ordered)} times, median {statistics.median(ordered):.1f}, p99 "
            f"{ordered[rank - 1]:.1f}, worst {ordered[-1]:.1f}")


class Watcher:
    """Sees every control tick: a viewer at the teleop port, who comes back when cut off."""

    def __init__(self, daemon, port, token):
        self.daemon, self.port, self.token = daemon, port, token
        self.states = []  # as received, with rising ticks
        self.times = {}  # of ticks, ns
        self.person = None
        self.connect()

    def connect(self):
        self.person = Person("teleop", port=self.port, token=self.token, name="watcher",
                             on_state=self._note)

    def _note(self, state):
        self.states.append(state)
        self.times[state["tick"]] = state["now"]

    @property
    def state(self):
        return self.person.state["state"]

    def wait(self, condition, what):
        while True:
            try:
                return self.person.wait(condition, what)
            except ConnectionError:
                code = self.daemon.process.poll()
                if code is not None:
                    raise AssertionError(f"the daemon ended with {code} while waiting for {what}:\n"
                                         f"{self.daemon.errors()[-4000:]}") from None
                self.person.leave()
                self.connect()

    def wait_for(self, *states):
        self.wait(lambda: self.state in states, f"one of {states}")

    def newest_tick(self):
        return self.person.state["tick"]

    def wait_for_tick(self, tick):
        self.wait(lambda: self.newest_tick() >= tick, f"control tick {tick}")

    def between(self, first, last):
        """States of the ticks from `first` to `last`."""
        ticks = [state["tick"] for state in self.states]
        return self.states[bisect.bisect_left(ticks, first):bisect.bisect_right(ticks, last)]

    def time_of(self, tick, later=False):
        """When the tick was, ns; for one that was missed, its neighbour."""
        while tick not in self.times:
            tick += 1 if later else -1
        return self.times[tick]

    def stalled(self, first_ns, last_ns):
        """ms by which ticks came later than a period after each other, in this time. None: some of
        them were not seen, as without a network, and nobody can say."""
        seen = sorted((tick, t) for tick, t in self.times.items() if first_ns <= t <= last_ns)
        if not seen or seen[-1][0] - seen[0][0] + 1 > len(seen) or \
                last_ns - seen[-1][1] > 1.5e6 * TICK:
            return None
        steps = [(b - a) / 1e6 for (_, a), (_, b) in zip(seen, seen[1:])]
        return sum(max(0.0, step - TICK) for step in steps)


class Place:
    """A daemon, the tokens of its roles, and somebody who watches all of its ticks."""

    def __init__(self, case, name="state", *arguments):
        self.case = case
        self.teleop = free_port()
        self.daemon = case.daemon(case.copy_of(live_test.prepared.folder / "trained", name),
                                  "--set", f"ports.teleop={self.teleop}", *BRISK, *arguments)
        file = self.daemon.state / "run/tokens.json"
        self.tokens = json.loads(file.read_text())["tokens"]
        self.watcher = Watcher(self.daemon, self.teleop, self.tokens["viewer"])
        case.addCleanup(lambda: self.watcher.person.leave())
        self.hand_backs = 0

    def where(self, kind):
        return {"port": self.daemon.port if kind == "web" else self.teleop}

    def person(self, kind, role="supervisor", **more):
        where = {**self.where(kind), "token": self.tokens[role], **more}
        person = Person(kind, **where)
        self.case.addCleanup(person.leave)
        return person

    def hand_back(self):
        """The engineer's act; alone it may bring AUTO about."""
        def accepted():
            code, _ = self.daemon.send("hand_back")
            return code == 200
        wait_until(accepted, "a hand-back that is accepted")
        self.hand_backs += 1
        self.watcher.wait_for("AUTO")

    def let_drive(self, person):
        """Takes over as soon as the lease is free, and drives."""
        wait_until(lambda: person.take_over()["ok"], "the lease")
        self.watcher.wait_for("HUMAN")

    def refused(self):
        """Commands that moved nothing, by reason."""
        text = self.daemon.request("GET", "/metrics")[1].decode()
        return {reason: int(float(count)) for reason, count in
                re.findall(r'nudge_commands_refused_total\{reason="(\w+)"\} (\S+)', text)}

    def close(self):
        """The events of the log, after an orderly end."""
        self.watcher.person.leave()
        self.case.assertEqual(self.daemon.stop(), 0, self.daemon.errors()[-2000:])
        found = events(self.daemon.state)
        self.check_no_auto_without_an_act(found)
        return found

    def check_no_auto_without_an_act(self, found):
        changes = [e["payload"] for e in found if e["kind"] == "authority_changed"]
        for before, change in zip([None] + changes, changes):
            if change["to"] == AUTO:
                self.case.assertEqual((change["from"], before["to"]), (HANDBACK, HANDBACK))
        begun = [c for c in changes if c["to"] == HANDBACK]
        self.case.assertEqual(len(begun), self.hand_backs, changes)


def stop_process(process):
    """SIGSTOP; gives the time from which on none of its threads does anything."""
    process.send_signal(signal.SIGSTOP)
    # A busy machine takes its time to tell them all.
    os.waitpid(process.pid, os.WUNTRACED)
    return steady_ns()


def in_threads(act, each):
    """`act` for all of `each` at the same time; raises what the first of them raised."""
    failures = []

    def guarded(one):
        try:
            act(one)
        except BaseException as error:  # noqa: a failed assertion, too
            failures.append(error)
    threads = [threading.Thread(target=guarded, args=(one,)) for one in each]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
