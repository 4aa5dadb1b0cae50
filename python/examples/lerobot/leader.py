#!/usr/bin/env python3
"""An SO-101 leader arm of LeRobot as a supervisor's device; without --port a simulated one."""

from __future__ import annotations

import argparse
import time
from typing import Any

import nudge
from nudge.lerobot import Leader


def arm_at(port: str | None) -> Any:
    """The leader arm at this serial port."""
    if port is None:
        from simulated import SimulatedLeader

        return SimulatedLeader()
    from lerobot.teleoperators.so_leader import SO101Leader, SO101LeaderConfig

    return SO101Leader(SO101LeaderConfig(port=port, id="leader", use_degrees=True))


def main() -> None:
    """Takes over, drives for some seconds, and lets go."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", help="serial port of the leader arm, /dev/ttyACM1")
    parser.add_argument("--state", required=True, help="the daemon's state folder")
    parser.add_argument("--address", default="http://127.0.0.1:8080")
    parser.add_argument("--endpoint", default="tcp://127.0.0.1:5572")
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args()
    token = nudge.token(options.state, "supervisor")
    robot = nudge.Daemon(options.address, token).robot()
    with nudge.Supervisor(robot["id"], token, options.endpoint, name="leader") as supervisor:
        leader = Leader(arm_at(options.port), supervisor, robot, degrees=True)
        end = time.monotonic() + options.seconds
        leader.drive(until=lambda _: time.monotonic() > end)
        supervisor.label("success")


if __name__ == "__main__":
    main()
