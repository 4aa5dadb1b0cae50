"""What the tests share: the package, the real daemon, and a small simulated robot as its far side.

Every test file runs by itself (NUDGE_PROGRAM=build/release/nudge python3 python/tests/wire_test.py)
or from CTest.
"""

from __future__ import annotations

import contextlib
import pathlib
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "python" / "src"), str(ROOT / "test" / "e2e")]

import chaos  # noqa: E402
import numpy as np  # noqa: E402
import program  # noqa: E402
from live_test import Daemon as Process  # noqa: E402

import nudge  # noqa: E402
from nudge.wire import Floats  # noqa: E402

__all__ = [
    "GOLDEN",
    "ROOT",
    "SPEED",
    "Point",
    "Process",
    "RobotCase",
    "Running",
    "chaos",
    "golden",
    "main",
    "program",
]
GOLDEN = ROOT / "test" / "data"
PERIOD_S = 0.02
SPEED = 0.5  # m/s, of a full rate


def golden(name: str) -> bytes:
    """A golden file of the wire, which is written as a hex dump."""
    lines = (GOLDEN / "ports" / name).read_text().splitlines()
    return bytes.fromhex("".join(line[:48] for line in lines))


def point_spec(**changes: Any) -> nudge.RobotSpec:
    axes = ("x", "y")
    found: dict[str, Any] = {
        "id": "point",
        "action": [nudge.Channel(axis, "m/s", -SPEED, SPEED) for axis in axes],
        "proprioception": [nudge.Channel(axis, "m", -1, 1) for axis in axes],
        "object_state": [nudge.Channel(f"goal_{axis}", "m", -1, 1) for axis in axes],
    }
    return nudge.RobotSpec(**{**found, **changes})


class Point(nudge.Robot):
    """A point that goes where it is driven. What was done to it is written down."""

    def __init__(self, spec: nudge.RobotSpec | None = None) -> None:
        super().__init__(spec or point_spec())
        self.place = np.zeros(2, np.float32)
        self.goal = np.array([0.4, -0.2], np.float32)
        self.guard = threading.Lock()
        self.moves: list[tuple[int, Floats]] = []  # monotonic ns, action
        self.holds: list[int] = []  # monotonic ns
        self.estops: list[int] = []
        self.seeds: list[int] = []
        self.standing = True
        self.images: tuple[nudge.Image, ...] = ()
        self.success = False
        self.over, self.stopped = "", False
        self.trouble: Exception | None = None
        self.before_apply: Callable[[], None] = lambda: None

    def reset(self, seed: int) -> None:
        self.seeds.append(seed)
        self.success, self.over = False, ""
        self.place[:] = 0

    def observe(self) -> nudge.Observation:
        if self.trouble is not None:
            raise self.trouble
        return nudge.Observation(
            self.place,
            self.goal if self.spec.object_state else (),
            images=self.images,
            success=self.success,
            over=self.over,
            stopped=self.stopped,
        )

    def apply(self, action: Floats, deadline_ns: int) -> None:
        self.before_apply()
        with self.guard:
            self.moves.append((time.monotonic_ns(), action))
            self.standing = not action.any()
            self.place += action * np.float32(SPEED * PERIOD_S)

    def hold(self) -> None:
        with self.guard:
            self.holds.append(time.monotonic_ns())
            self.standing = True

    def estop(self) -> None:
        with self.guard:
            self.estops.append(time.monotonic_ns())
            self.standing = True


class Running:
    """A robot whose `run()` has a thread of its own. What it raised is in `error`."""

    def __init__(self, robot: nudge.Robot, port: int, **options: Any) -> None:
        self.robot, self.stop = robot, threading.Event()
        self.error: BaseException | None = None
        options.setdefault("patience_s", None)

        def run() -> None:
            try:
                robot.run(f"tcp://127.0.0.1:{port}", stop=self.stop, **options)
            except BaseException as error:
                self.error = error

        self.thread = threading.Thread(target=run, daemon=True)
        self.thread.start()

    def end(self) -> None:
        self.stop.set()
        self.thread.join(30)
        assert not self.thread.is_alive()


class RobotCase(program.Case):  # type: ignore[misc]
    """A daemon that drives a robot of this process."""

    def setUp(self) -> None:
        super().setUp()
        self.robot_port = program.free_port()
        self.teleop_port = program.free_port()
        self.state = self.folder / "state"
        self.arguments = [
            "--set", "robot.driver=remote",
            "--set", f"ports.robot={self.robot_port}",
            "--set", f"ports.teleop={self.teleop_port}",
            # A busy machine stalls threads for longer than a robot may be left alone.
            "--set", "authority.fresh_ms=500",
            "--no-learning",
        ]  # fmt: skip

    def serve(self, robot: nudge.Robot, port: int | None = None, **options: Any) -> Running:
        options = {"fresh_s": 0.5, "silence_s": 1.0, **options}  # likewise
        running = Running(robot, port or self.robot_port, **options)
        self.addCleanup(running.end)
        return running

    def start_daemon(self, *more: str) -> Process:
        """Its robot must run already: the daemon waits for one."""
        process = Process(self.state, *self.arguments, *more)
        self.addCleanup(lambda: process.process.poll() is None and process.kill())
        self.addCleanup(process.log.close)
        self.process = process
        self.daemon = nudge.Daemon(process.address)
        return process

    def supervisor(self, role: str = "engineer", **options: Any) -> nudge.Supervisor:
        options.setdefault("robot", "point")
        if "token" not in options:
            options["token"] = nudge.token(self.state, role)
        options.setdefault("patience_s", 30.0)
        found = nudge.Supervisor(endpoint=f"tcp://127.0.0.1:{self.teleop_port}", **options)
        self.addCleanup(found.close)
        return found

    def drive(
        self,
        supervisor: nudge.Supervisor,
        command: Callable[[nudge.State], Any],
        done: Callable[[], object],
    ) -> None:
        """Drives until it is done, again when the robot was taken away: a busy machine does that.

        An engineer, who may end faults.
        """
        end = time.monotonic() + program.PATIENCE
        while not done():
            self.assertLess(time.monotonic(), end, str(supervisor.state()))
            with contextlib.suppress(nudge.NudgeError):
                self.take_over(supervisor)
                supervisor.drive(lambda state: None if done() else command(state), timeout_s=60)

    def take_over(self, supervisor: nudge.Supervisor) -> None:
        """An engineer's takeover, who first ends the fault of a busy machine."""
        if supervisor.state().state == nudge.Authority.FAULT_HOLD:
            supervisor.reset_fault()
        supervisor.takeover()

    def wait_until(self, condition: Callable[[], object], what: str) -> None:
        program.wait_until(condition, what)

    def refused(self) -> dict[str, int]:
        """Commands that moved nothing, by reason."""
        found = {}
        for line in self.daemon.metrics().splitlines():
            if line.startswith("nudge_commands_refused_total{"):
                found[line.split('"')[1]] = round(float(line.rsplit(" ", 1)[1]))
        return found


main = program.main
