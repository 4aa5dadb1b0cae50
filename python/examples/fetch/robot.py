#!/usr/bin/env python3
"""The Fetch arm of gymnasium-robotics as a robot: it picks a block up and takes it to a goal."""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
from collections.abc import Iterator
from typing import Any

import gymnasium
import gymnasium_robotics
import numpy as np

import nudge
from nudge.gymnasium import GymnasiumRobot

DONE = 0.05  # m, from the block to its goal, as the environment has it


class Fetch(GymnasiumRobot):
    """The robot `fetch`; it may be given starts to measure by, the same ones each time."""

    starts: Iterator[int] | None = None

    def reset(self, seed: int) -> None:
        """The next of the starts, or what the daemon has drawn, where there is something to do."""
        starts = itertools.count(seed) if self.starts is None else self.starts
        for start in starts:
            super().reset(start)
            if np.linalg.norm(ways(self.seen)[3:]) > DONE:
                return


def ways(seen: dict[str, Any]) -> list[float]:
    """From the tool to the block, and from the block to the goal.

    A policy that is told ways learns from far fewer examples than one that is told places: the same
    motion is right wherever the block lies.
    """
    block = seen["observation"][3:6]
    return [*(block - seen["observation"][:3]), *(seen["desired_goal"] - block)]


def make(cameras: bool) -> Fetch:
    """What it measures is its tool and fingers; it is told the ways that are left."""
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
        object_state=ways,
        proprioception_channels=[
            *(nudge.Channel(f"tool_{axis}", "m", 0, 2) for axis in "xyz"),
            *(nudge.Channel(f"finger_{side}", "m", 0, 0.05) for side in ("right", "left")),
        ],
        object_state_channels=[
            nudge.Channel(f"to_{what}_{axis}", "m", -1, 1)
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
