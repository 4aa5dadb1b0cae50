#!/usr/bin/env python3
"""The Fetch arm of gymnasium-robotics as a robot: it picks a block up and takes it to a goal."""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
from collections.abc import Iterator

import gymnasium
import gymnasium_robotics

import nudge
from nudge.gymnasium import GymnasiumRobot


class Fetch(GymnasiumRobot):
    """The robot `fetch`; it may be given starts to measure by, the same ones each time."""

    starts: Iterator[int] | None = None

    def reset(self, seed: int) -> None:
        """The next of the starts, or whatever the daemon has drawn."""
        super().reset(seed if self.starts is None else next(self.starts))


def make(cameras: bool) -> Fetch:
    """What it measures is its tool and fingers; it is told block and goal."""
    gymnasium.register_envs(gymnasium_robotics)
    env = gymnasium.make(
        "FetchPickAndPlace-v4",
        render_mode="rgb_array" if cameras else None,
        width=128,
        height=128,
    )
    return Fetch(
        env,
        "fetch",
        proprioception=lambda seen: [*seen["observation"][:3], *seen["observation"][9:11]],
        object_state=lambda seen: [*seen["observation"][3:6], *seen["desired_goal"]],
        proprioception_channels=[
            *(nudge.Channel(f"tool_{axis}", "m", 0, 2) for axis in "xyz"),
            *(nudge.Channel(f"finger_{side}", "m", 0, 0.05) for side in ("right", "left")),
        ],
        object_state_channels=[
            nudge.Channel(f"{what}_{axis}", "m", 0, 2)
            for what in ("block", "goal")
            for axis in "xyz"
        ],
        # A step of the environment, 40 ms, moves the tool's target by up to 5 cm.
        action_channels=[
            *(nudge.Channel(f"tool_{axis}", "m/s", -1.25, 1.25) for axis in "xyz"),
            nudge.Channel("gripper", "1/s", -1, 1),
        ],
    )


def main() -> None:
    """Serves until it is interrupted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--endpoint", default="tcp://127.0.0.1:5571")
    parser.add_argument("--cameras", action="store_true", help="show the picture, rendered by EGL")
    parser.add_argument("--starts", type=int, help="number of the first start, to measure by")
    options = parser.parse_args()
    if options.cameras:
        os.environ.setdefault("MUJOCO_GL", "egl")
    with contextlib.suppress(KeyboardInterrupt):
        robot = make(options.cameras)
        if options.starts is not None:
            robot.starts = itertools.count(options.starts)
        robot.run(options.endpoint, patience_s=None)


if __name__ == "__main__":
    main()
