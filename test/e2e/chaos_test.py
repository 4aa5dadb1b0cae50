#!/usr/bin/env python3
"""Somebody drives through a proxy that does what bad networks do.

Nothing that is old, doubled or out of order moves the robot, and it never goes back to work by
itself.
"""

import random
import socket
import struct
import time

import chaos
import live_test
import people
import program
import zmtp
from live_test import LiveCase
from program import LONG, wait_until
from watch import FRESH, HUMAN, PORTS, TIMES, Place, in_threads


def setUpModule():
    live_test.setUpModule()


def tearDownModule():
    live_test.tearDownModule()


class Chaos(LiveCase):
    """Somebody drives through a network that delays, loses, doubles and reorders."""

    @classmethod
    def setUpClass(cls):
        # One daemon for each port sees all of it, one after the other.
        cls.host = LiveCase()
        cls.host.setUp()
        cls.places = {kind: Place(cls.host, f"state-{kind}") for kind in PORTS}

    @classmethod
    def tearDownClass(cls):
        try:
            for place in cls.places.values():
                place.close()
        finally:
            cls.host.doCleanups()

    def through(self, kind):
        place = self.places[kind]
        proxy = chaos.Proxy(kind, place.where(kind)["port"])
        self.addCleanup(proxy.close)
        requests = []  # what moved the robot, as the daemon tells others
        looker = place.person("web", "viewer", on_state=lambda state: requests.append(state))
        return place, proxy, looker, requests

    def driver(self, place, proxy, kind):
        person = place.person(kind, port=proxy.port, served_port=place.daemon.port)
        place.let_drive(person)
        return person

    def check_moved_by(self, person, requests, watcher):
        """Only commands that were fresh, each at most once, moved the robot; gives how many."""
        commands = {round(people.signature(s), 4): (s, tick) for s, tick, _ in person.sent}
        newest = 0
        moved = [r for r in requests if r["epoch"] == person.epoch and r["source"] == "human"]
        for state in moved:
            sequence, echoed = commands[round(state["requested"][0], 4)]
            self.assertGreaterEqual(sequence, newest, "an older command came back")
            newest = sequence
            age = (watcher.time_of(state["tick"]) - watcher.time_of(echoed, later=True)) / 1e6
            self.assertLessEqual(age, FRESH + 1)
        return len(moved)

    def each_port(self, act):
        def at(kind):
            place, proxy, looker, requests = self.through(kind)
            act(kind, place, proxy, requests)
            looker.leave()
            proxy.close()
        in_threads(at, PORTS)

    def no_change(self, place, requests, seconds, *states):
        begun = place.watcher.newest_tick()
        time.sleep(seconds)
        for state in place.watcher.between(begun, 1 << 62) + requests:
            if state["tick"] >= begun:
                self.assertIn(state["state"], states)

    def test_delay_and_jitter_that_leave_commands_fresh_let_people_drive(self):
        def act(kind, place, proxy, requests):
            person = self.driver(place, proxy, kind)
            for weather in (proxy.up, proxy.down):
                weather.delay, weather.jitter = 0.01, 0.03
            time.sleep(5 if LONG else 0.7)
            self.assertGreater(self.check_moved_by(person, requests, place.watcher), 2)
            self.assertIn(place.watcher.state, ("HUMAN", "HOLD"))
            person.leave()
        self.each_port(act)

    def test_commands_that_are_late_never_move_the_robot(self):
        def act(kind, place, proxy, requests):
            person = self.driver(place, proxy, kind)
            proxy.up.delay = 0.3
            place.watcher.wait_for("HOLD")
            before = place.refused()
            self.no_change(place, requests, 0.6, "HOLD")
            # Soon they have no lease either: what is not stale first is refused for that.
            after = place.refused()
            self.assertGreater(after["stale"] + after["not_holder"],
                               before["stale"] + before["not_holder"] + 10)
            # Taking over works, however late; driving does not.
            epoch = person.epoch
            wait_until(lambda: person.take_over()["ok"], "the lease")
            self.assertGreater(person.epoch, epoch)
            self.no_change(place, requests, 0.6, "TAKEOVER", "HOLD")
            self.check_moved_by(person, requests, place.watcher)
            person.ask("release")
            person.leave()
        self.each_port(act)

    def test_commands_that_come_twice_or_out_of_order_are_refused_and_counted(self):
        def act(kind, place, proxy, requests):
            person = self.driver(place, proxy, kind)
            before = place.refused()["not_increasing"]
            proxy.up.reorder = proxy.up.duplicate = 0.3
            time.sleep(5 if LONG else 1)
            self.assertGreater(self.check_moved_by(person, requests, place.watcher), 5)
            self.assertGreater(place.refused()["not_increasing"], before + 3)
            self.assertIn(place.watcher.state, ("HUMAN", "HOLD"))
            person.leave()
        self.each_port(act)

    def test_a_dead_man_that_was_let_go_is_let_go_whatever_comes_with_it(self):
        def at(kind):
            place = Place(self, f"state-{kind}")
            person = place.person(kind)
            # An older press that was overtaken, and a newer one in the same tick.
            for pressed in (1, 3) * TIMES:
                place.let_drive(person)
                person.stop_commands()
                sequence, tick = person.sequence, person.state["tick"]

                def act():
                    rest = [0.0] * 3
                    person.wire.jog(person.epoch, sequence + 2, tick, False, [0.0] + rest)
                    person.wire.jog(person.epoch, sequence + pressed, tick, True, [0.2] + rest)
                person.order(act)
                place.watcher.wait_for("HOLD")
            person.leave()
            causes = [e["payload"]["cause"] for e in place.close() if
                      e["kind"] == "authority_changed" and e["payload"]["from"] == HUMAN]
            self.assertEqual(causes, ["dead_man_released"] * 2 * TIMES)
        in_threads(at, PORTS)

    def test_what_is_lost_for_a_while_ends_in_hold_and_stays_there(self):
        def act(kind, place, proxy, requests):
            for way in (proxy.up, proxy.down):
                person = self.driver(place, proxy, kind)
                way.lose = True
                place.watcher.wait_for("HOLD")
                time.sleep(0.2)
                way.lose = False
                self.no_change(place, requests, 0.4, "HOLD")
                self.check_moved_by(person, requests, place.watcher)
                person.leave()
        self.each_port(act)

    def test_a_backlog_moves_nothing_when_it_arrives(self):
        def act(kind, place, proxy, requests):
            for ways in ((proxy.up,), (proxy.down,), (proxy.up, proxy.down)):
                person = self.driver(place, proxy, kind)
                place.watcher.wait_for_tick(place.watcher.newest_tick() + 5)
                for way in ways:
                    way.stall = True
                place.watcher.wait_for("HOLD")
                time.sleep(0.3)
                for way in ways:
                    way.stall = False
                self.no_change(place, requests, 0.5, "HOLD")
                self.assertGreater(self.check_moved_by(person, requests, place.watcher), 0)
                person.leave()
        self.each_port(act)

    def test_a_backlog_that_arrives_at_a_new_takeover_moves_nothing(self):
        """The lease is renewed over another link, and then the old commands come."""
        def act(kind, place, proxy, requests):
            person = self.driver(place, proxy, kind)
            proxy.up.stall = True
            place.watcher.wait_for("HOLD")
            time.sleep(0.2)
            other = place.person("teleop")
            wait_until(lambda: other.ask("takeover")["ok"], "the lease")
            place.watcher.wait_for("TAKEOVER")
            proxy.up.stall = False
            self.no_change(place, requests, 0.4, "TAKEOVER")
            self.assertTrue(other.ask("release")["ok"])
            other.leave()
            person.leave()
        self.each_port(act)

    def test_connections_that_are_half_open_hold_the_robot_and_cost_nothing(self):
        def act(kind, place, proxy, requests):
            person = self.driver(place, proxy, kind)
            proxy.abandon()  # the daemon is not told
            place.watcher.wait_for("HOLD")
            person.leave()
            proxy.half_open = True
            lines = [socket.create_connection(("127.0.0.1", proxy.port)) for _ in range(20)]
            # And some at the daemon itself, which never say a word.
            lines += [socket.create_connection(("127.0.0.1", place.where(kind)["port"]))
                      for _ in range(20)]
            self.no_change(place, requests, 0.3, "HOLD")
            proxy.half_open, proxy.tells = False, True
            person = self.driver(place, proxy, kind)
            for line in lines:
                line.close()
            person.leave()
        self.each_port(act)

    def test_all_of_it_at_once(self):
        def act(kind, place, proxy, requests):
            weather = random.Random(7)
            end_at = time.monotonic() + (60 if LONG else 2.5)
            while time.monotonic() < end_at:
                proxy.up.clear()
                proxy.down.clear()
                if weather.random() < 0.3:
                    place.hand_back()
                person = self.driver(place, proxy, kind)
                for way in (proxy.up, proxy.down):
                    way.delay = weather.choice([0, 0.02, 0.15])
                    way.jitter = weather.choice([0, 0.05])
                    way.reorder = way.duplicate = weather.choice([0, 0.2])
                way = weather.choice([proxy.up, proxy.down])
                time.sleep(weather.random() * 0.3)
                way.lose, way.stall = weather.choice([(True, False), (False, True),
                                                      (False, False)])
                time.sleep(weather.random() * 0.5)
                way.lose = way.stall = False
                self.check_moved_by(person, requests, place.watcher)
                self.assertNotIn(place.watcher.state, ("AUTO", "HANDBACK", "FAULT_HOLD"))
                person.leave()
                place.watcher.wait_for("HOLD")
        self.each_port(act)


class Floods(LiveCase):
    def test_a_flood_that_breaks_off_costs_nothing_but_its_connection(self):
        """Many tiny messages and heartbeats, then a reset. With libzmq's ROUTER that ends the
        process (zeromq/libzmq issue 4364), token or not."""
        place = Place(self)
        person = place.person("teleop")
        # All that a connection may say at once, and much more than that.
        within = zmtp.frame(b"x") * 800 + zmtp.command(b"PING", b"\0\x0a") * 150
        for i in range(100 * TIMES):
            peer = zmtp.Dealer(place.teleop)
            with peer.socket:
                peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                       struct.pack("ii", 1, 0))
                try:
                    for _ in range(1 if i % 3 == 0 else 30):
                        peer.socket.sendall(within)
                except OSError:
                    pass  # cut off
            self.assertIsNone(place.daemon.process.poll(), "the daemon has gone")
        place.let_drive(person)
        person.leave()
        place.close()


if __name__ == "__main__":
    program.main()
