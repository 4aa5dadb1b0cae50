#!/usr/bin/env python3
"""A robot in Python against the real daemon: it moves, and above all it stands still."""

from __future__ import annotations

import contextlib
import json
import signal
import threading
import time
from typing import Any

import numpy as np
import support
from support import SPEED, Point, RobotCase, Running, chaos, point_spec, program

import nudge
from nudge import Authority, Channel, Code, NudgeError

FRESH_S = 0.2


class Configured(RobotCase):
    """What the robot must be stands in the configuration: its hello is held against that."""

    def describe(self, spec: nudge.RobotSpec) -> list[str]:
        file = self.folder / "point.json"
        file.write_text(json.dumps(spec.to_json()))
        return ["--set", f"robot.spec={file}"]

    def test_a_robot_that_is_what_the_configuration_says_is_driven(self) -> None:
        robot = Point()
        self.serve(robot)
        self.start_daemon(*self.describe(robot.spec))
        self.drive(self.supervisor(), lambda _: (0.5, 0), lambda: len(robot.moves) > 3)

    def test_any_other_robot_is_refused_and_both_sides_are_told_the_field(self) -> None:
        spec = point_spec()
        x, y = spec.action
        faster = Channel("x", "m/s", -SPEED, 2 * SPEED)
        in_steps = Channel("x", "1/s", -SPEED, SPEED)
        to_places = Channel("x", "m/s", -SPEED, SPEED, absolute=True)
        a_hand = Channel("x", "m/s", -SPEED, SPEED, gripper=True)
        sees = [nudge.Camera("front", 64, 48)]
        others: dict[str, dict[str, Any]] = {
            "its id is 'other'": {"id": "other"},
            "action channel 0 goes from": {"action": [faster, y]},
            "action channel 0 is in 1/s, not in m/s": {"action": [in_steps, y]},
            "action channel 0 takes positions": {"action": [to_places, y]},
            "action channel 0 is a gripper": {"action": [a_hand, y]},
            "action channel 0 is 'y', not 'x'": {"action": [y, x]},
            "action has 1 channels, not 2": {"action": [x]},
            "object_state has 0 channels, not 2": {"object_state": []},
            "it has 1 cameras, not 0": {"cameras": sees},
            "its policy period is 200000000 ns": {"policy_period_ns": 200_000_000},
        }
        said_file = (self.folder / "said").open("wb")
        self.addCleanup(said_file.close)
        process = program.start(
            "run", "--state", self.state, *self.arguments, "--set", "ports.http=0",
            *self.describe(spec), log=said_file,
        )  # fmt: skip
        self.addCleanup(program.end, process)
        for said, change in others.items():
            with self.subTest(said), self.assertRaises(NudgeError) as caught:
                Point(point_spec(**change)).run(f"tcp://127.0.0.1:{self.robot_port}", patience_s=30)
            self.assertEqual(caught.exception.code, Code.FAILED_PRECONDITION)
            self.assertIn(said, str(caught.exception))
            self.assertIn("robot.spec", str(caught.exception))
        self.assertIn("refused one", (self.folder / "said").read_text())

    def test_the_log_prints_what_the_configuration_takes(self) -> None:
        robot = Point()
        self.serve(robot)
        self.start_daemon()
        self.process.stop()
        printed = program.nudge("log", "--state", self.state, "robot")
        self.assertEqual(json.loads(self.check(printed, 0).out), robot.spec.to_json())

    def test_a_file_that_describes_no_robot_stops_the_start(self) -> None:
        file = self.folder / "point.json"
        file.write_text('{"id": "point"}')
        for name, code, said in ((file, 64, "control_period_ns"), (self.folder / "no", 66, "no")):
            outcome = program.nudge(
                "run", "--state", self.state, *self.arguments, "--set", f"robot.spec={name}"
            )
            self.check(outcome, code, "robot.spec", said)
        outcome = program.nudge("config", "check", "--set", f"robot.spec={file}")
        self.check(outcome, 78, "robot: spec", "robot.driver")


class RoundTrip(RobotCase):
    def move(self, supervisor: nudge.Supervisor, robot: Point) -> None:
        """A person drives the robot until it has moved."""
        moved = len(robot.moves) + 5
        self.drive(supervisor, lambda _: (0.5, -0.25), lambda: len(robot.moves) >= moved)

    def test_a_person_drives_the_robot_and_it_holds_when_they_let_go(self) -> None:
        robot = Point()
        self.serve(robot)
        self.start_daemon()
        self.assertEqual(self.daemon.robot()["id"], "point")
        supervisor = self.supervisor()
        self.move(supervisor, robot)
        self.assertGreater(robot.place[0], 0)
        self.assertLess(robot.place[1], 0)
        self.wait_until(lambda: robot.standing, "the robot to stand")
        self.assertEqual(len(robot.seeds), 1)  # an episode began with a reset
        stats = robot.stats
        self.assertGreaterEqual(stats.sessions, 1)
        self.assertEqual(stats.bad_messages, 0)
        self.assertGreater(stats.actions, 0)

    def test_functions_are_as_good_as_a_subclass(self) -> None:
        point = Point()
        robot = nudge.Robot(
            point.spec,
            observe=point.observe,
            apply=point.apply,
            hold=point.hold,
            reset=point.reset,
        )
        self.serve(robot)
        self.start_daemon()
        self.move(self.supervisor(), point)
        self.assertGreater(point.place[0], 0)

    def test_stop_is_latched_until_a_person_resets_it(self) -> None:
        robot = Point()
        self.serve(robot)
        self.start_daemon()
        supervisor = self.supervisor()
        self.move(supervisor, robot)
        supervisor.stop()
        supervisor.wait_for(Authority.ESTOP)
        self.wait_until(lambda: robot.estops, "the robot's stop")
        with self.assertRaises(NudgeError) as caught:
            supervisor.takeover()
        self.assertEqual(caught.exception.code, Code.FAILED_PRECONDITION)
        supervisor.reset_stop()
        supervisor.wait_for(lambda state: state.state != Authority.ESTOP)
        self.move(supervisor, robot)

    def test_stop_can_be_pressed_on_the_robots_side(self) -> None:
        robot = Point()
        self.serve(robot)
        self.start_daemon()
        supervisor = self.supervisor()
        moves: list[int] = []  # when it was pressed
        pressing = threading.Thread(target=robot.press_stop)

        def command(_: nudge.State) -> tuple[float, float]:
            if len(robot.moves) >= 5 and not moves:
                pressing.start()
                pressing.join()
                moves.append(len(robot.moves))
            return (0.5, 0.5)

        self.drive(supervisor, command, lambda: moves)
        # It is a STOP like any other: shown, latched, and reset by a person.
        supervisor.wait_for(Authority.ESTOP)
        self.assertGreaterEqual(len(robot.estops), 1)
        # One apply() may have been under way.
        self.assertLessEqual(len(robot.moves), moves[0] + 1)
        supervisor.reset_stop()
        supervisor.wait_for(lambda state: state.state != Authority.ESTOP)
        self.move(supervisor, robot)

    def test_a_hold_that_comes_while_apply_runs_has_the_last_word(self) -> None:
        robot = Point()
        self.serve(robot)
        self.start_daemon()
        supervisor = self.supervisor()
        entered, let = threading.Event(), threading.Event()

        def stuck() -> None:
            if len(robot.moves) >= 5 and not entered.is_set():
                entered.set()
                let.wait(60)

        robot.before_apply = stuck
        self.drive(supervisor, lambda _: (1.0, 0.0), entered.is_set)
        before = len(robot.holds)
        self.wait_until(lambda: len(robot.holds) > before, "a hold while apply() runs")
        holds = len(robot.holds)
        let.set()
        self.wait_until(lambda: len(robot.holds) > holds, "the hold after apply()")
        self.assertTrue(robot.standing)

    def test_what_observe_raises_is_told_to_people_and_nobody_drives(self) -> None:
        robot = Point()
        self.serve(robot)
        self.start_daemon()
        robot.trouble = NudgeError(Code.UNAVAILABLE, "the arm's cable is loose")
        self.wait_until(
            lambda: "cable is loose" in self.daemon.status()["robot_trouble"], "the reason"
        )
        self.assertGreater(robot.stats.unobserved, 0)
        self.wait_until(lambda: self.daemon.status()["state"] == "FAULT_HOLD", "the fault")
        robot.trouble = None
        engineer = self.supervisor("engineer")
        self.wait_until(lambda: self.daemon.status()["robot_trouble"] == "", "its end")

        def ended() -> bool:
            with contextlib.suppress(NudgeError):  # not before the daemon has seen the robot again
                return engineer.reset_fault().ok
            return False

        self.wait_until(ended, "the end of the fault")

    def test_a_reset_that_fails_ends_in_hold_with_its_reason(self) -> None:
        class Stubborn(Point):
            def reset(self, seed: int) -> None:
                raise NudgeError(Code.FAILED_PRECONDITION, "the drawer is open")

        robot = Stubborn()
        self.serve(robot)
        self.start_daemon()
        supervisor = self.supervisor()
        self.drive(
            supervisor,
            lambda _: (1.0, 0.0),
            lambda: "drawer is open" in self.daemon.status()["robot_trouble"],
        )
        self.assertEqual(robot.moves, [])

    def test_pictures_arrive_as_they_were_encoded(self) -> None:
        robot = Point(point_spec(cameras=[nudge.Camera("front", 4, 2)]))
        robot.encoder = lambda pixels: b"\xff\xd8" + pixels.tobytes() + b"\xff\xd9"
        pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
        robot.images = (nudge.Image("front", pixels),)
        self.serve(robot)
        self.start_daemon()
        self.move(self.supervisor(), robot)
        self.process.stop()
        with nudge.LogReader(self.state) as reader:
            (episode,) = reader.episodes()
            self.assertEqual(episode.cameras, ("front",))
            self.assertEqual(episode.frame("front", 0), robot.encoder(pixels))
            self.assertIsNone(episode.frame("front", 1000))


class Driver:
    """Drives in a thread of its own, again and again, while it may and is not enough."""

    def __init__(self, case: RobotCase, supervisor: nudge.Supervisor) -> None:
        self.case, self.supervisor = case, supervisor
        self.enough = threading.Event()
        self.thread = threading.Thread(target=self._drive, daemon=True)
        self.thread.start()

    def _drive(self) -> None:
        while not self.enough.is_set():
            with contextlib.suppress(NudgeError):
                self.case.take_over(self.supervisor)
                self.supervisor.drive(lambda _: (0.1, 0.1))


class Silence(RobotCase):
    def begin(self, port: int | None = None) -> tuple[Point, nudge.Supervisor, Driver]:
        """Somebody drives, and comes back until told that it is enough."""
        robot = Point()
        self.serve(robot, port, fresh_s=None, silence_s=None)  # 200 ms
        self.start_daemon()
        supervisor = self.supervisor(patience_s=60)
        driver = Driver(self, supervisor)
        self.addCleanup(driver.enough.set)
        self.wait_until(lambda: len(robot.moves) > 10, "the robot to move")
        return robot, supervisor, driver

    def test_the_robot_holds_by_itself_when_the_daemon_is_stopped(self) -> None:
        robot, _, driver = self.begin()
        driver.enough.set()
        daemon = self.process.process
        own = robot.stats.own_holds
        daemon.send_signal(signal.SIGSTOP)
        self.addCleanup(daemon.send_signal, signal.SIGCONT)
        self.wait_until(lambda: robot.stats.own_holds > own, "its own hold")
        self.assertTrue(robot.standing)
        # And again after every further such time, though nothing moved it since.
        moves, own = len(robot.moves), robot.stats.own_holds
        self.wait_until(lambda: robot.stats.own_holds > own + 2, "further holds")
        self.assertEqual(len(robot.moves), moves)
        daemon.send_signal(signal.SIGCONT)
        # The gap was a fault: nobody drives before an engineer has looked.
        self.wait_until(
            lambda: self.daemon.status()["state"] in ("FAULT_HOLD", "HOLD"), "the daemon's hold"
        )
        self.assertTrue(robot.standing)

    def test_after_a_restart_of_the_daemon_the_robot_is_held_until_somebody_acts(self) -> None:
        robot, supervisor, driver = self.begin()
        driver.enough.set()
        self.process.kill()
        driver.thread.join(60)
        self.wait_until(lambda: robot.standing, "the hold")
        moves, sessions = len(robot.moves), robot.stats.sessions
        self.start_daemon()
        self.wait_until(lambda: robot.stats.sessions > sessions, "the new session")
        sent = robot.stats.observations
        self.wait_until(lambda: robot.stats.observations > sent + 50, "some ticks")
        self.assertIn(self.daemon.status()["state"], ("HOLD", "FAULT_HOLD"))
        # What the daemon sends in HOLD, if anything, moves nothing.
        self.assertTrue(all(not action.any() for _, action in robot.moves[moves:]))
        self.wait_until(lambda: supervisor.connected, "the supervisor's return")
        self.drive(supervisor, lambda _: (1.0, 0.0), lambda: len(robot.moves) > moves + 10)
        self.assertTrue(any(action.any() for _, action in robot.moves[moves:]))

    def test_actions_that_waited_on_the_way_are_refused_however_recently_they_arrived(self) -> None:
        proxy = chaos.Proxy("teleop", self.robot_port)
        self.addCleanup(proxy.close)
        robot, _, _ = self.begin(proxy.port)
        stale = robot.stats.stale_actions
        proxy.down.delay = 2 * FRESH_S  # all that is on its way takes longer than an action may
        self.wait_until(lambda: robot.stats.stale_actions > stale + 10, "refused actions")
        moved = [at for at, action in robot.moves if action.any()]
        self.assertTrue(robot.standing)
        # Nothing moved it once the delay was in force; what was on the way before is applied.
        self.assertLess(moved[-1], time.monotonic_ns())
        count = len(moved)
        stale = robot.stats.stale_actions
        self.wait_until(lambda: robot.stats.stale_actions > stale + 5, "more of them")
        self.assertEqual(len([at for at, action in robot.moves if action.any()]), count)


class Refused(RobotCase):
    def error_of(self, running: Running) -> NudgeError:
        running.thread.join(60)
        self.assertIsInstance(running.error, NudgeError)
        assert isinstance(running.error, NudgeError)
        return running.error

    def test_without_a_daemon_it_says_where_it_looked(self) -> None:
        error = self.error_of(self.serve(Point(), patience_s=0.3))
        self.assertEqual(error.code, Code.UNAVAILABLE)
        self.assertIn(f"127.0.0.1:{self.robot_port}", error.message)

    def test_a_second_robot_is_told_that_there_is_one(self) -> None:
        self.serve(Point())
        self.start_daemon()
        error = self.error_of(self.serve(Point(), patience_s=1))
        self.assertEqual(error.code, Code.FAILED_PRECONDITION)
        self.assertIn("refused", error.message)

    def test_another_spec_is_refused_with_the_first_difference(self) -> None:
        first = self.serve(Point())
        self.start_daemon()
        first.end()
        other = point_spec(object_state=[nudge.Channel(f"lamp_{i}", "m", 0, 1) for i in range(2)])

        def refused() -> bool:
            # Until the first one's session has ended, the other is busy's.
            running = self.serve(Point(other), patience_s=2)
            error = self.error_of(running)
            return "lamp" in error.message and error.code == Code.FAILED_PRECONDITION

        self.wait_until(refused, "the difference")

    def test_options_that_cannot_be_kept_are_refused(self) -> None:
        for options, what in (
            ({"silence_s": 0.02}, "silence"),
            ({"silence_s": 11}, "silence"),
            ({"fresh_s": 0.6}, "fresh"),
        ):
            with self.subTest(options), self.assertRaises(NudgeError) as caught:
                Point().run(**options)
            self.assertEqual(caught.exception.code, Code.INVALID_ARGUMENT)
            self.assertIn(what, caught.exception.message)

    def test_only_this_machine_is_connected_to(self) -> None:
        with self.assertRaises(NudgeError) as caught:
            Point().run("tcp://192.168.1.7:5571")
        self.assertIn("this machine", caught.exception.message)

    def test_a_spec_that_makes_no_sense_is_refused_where_it_is_made(self) -> None:
        channel = nudge.Channel("x", "m/s", -1, 1)
        for changes, what in (
            ({"id": ""}, "id"),
            ({"action": []}, "action channel"),
            ({"action": [channel] * 65}, "more than 64"),
            ({"action": [nudge.Channel("x", "m/s", 1, -1)]}, "lower bound first"),
            ({"action": [nudge.Channel("x", "m/s", 0, float("nan"))]}, "finite"),
            ({"action": [nudge.Channel("", "m/s", 0, 1)]}, "name"),
            ({"control_period_ns": 30_000_000}, "at most 20 ms"),
            ({"policy_period_ns": 50_000_001}, "multiple"),
            ({"cameras": [nudge.Camera("front", 0, 10)]}, "pixels"),
        ):
            with self.subTest(changes), self.assertRaises(NudgeError) as caught:
                point_spec(**changes)
            self.assertEqual(caught.exception.code, Code.INVALID_ARGUMENT)
            self.assertIn(what, caught.exception.message)

    def test_a_robot_without_a_hold_is_refused(self) -> None:
        point = Point()
        with self.assertRaises(NudgeError) as caught:
            nudge.Robot(point.spec, observe=point.observe, apply=point.apply)
        self.assertIn("hold()", caught.exception.message)


if __name__ == "__main__":
    support.main()
