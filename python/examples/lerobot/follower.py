#!/usr/bin/env python3
"""An SO-101 follower arm of LeRobot as a robot of Nudge; without --port a simulated one."""

from __future__ import annotations

import argparse
import contextlib
from typing import Any

from nudge.lerobot import LeRobotRobot


def arm_at(port: str | None) -> Any:
    """The arm at this serial port."""
    if port is None:
        from simulated import SimulatedFollower

        return SimulatedFollower()
    from lerobot.robots.so_follower import SO101Follower, SO101FollowerConfig

    return SO101Follower(SO101FollowerConfig(port=port, id="follower", use_degrees=True))


def main() -> None:
    """Serves until it is interrupted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", help="serial port of the arm, /dev/ttyACM0")
    parser.add_argument("--endpoint", default="tcp://127.0.0.1:5571")
    options = parser.parse_args()
    robot = LeRobotRobot(arm_at(options.port), "so101", degrees=True, speed=0.5)
    with contextlib.suppress(KeyboardInterrupt):
        robot.run(options.endpoint, patience_s=None)


if __name__ == "__main__":
    main()
