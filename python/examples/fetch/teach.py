#!/usr/bin/env python3
"""Stands for the person at the Fetch arm: demonstrates, watches, and takes over when it is stuck.

teach.py record    takes over, does the task, labels it: material for the first weights
teach.py correct   starts the policy, and takes over when the task does not get on
teach.py measure   lets the policy work alone, and counts; teaches nothing
"""

from __future__ import annotations

import argparse
import contextlib
import math
import time

import numpy as np
from numpy.typing import NDArray

import nudge
from nudge import Authority, State

FASTEST = 0.4  # of the full rate, as limits.max_rate in fetch.toml
STUCK_S = 1.5  # without progress: a person would reach for the stick
LONGEST_S = 30.0  # of an episode
LONGEST_ROUND_S = 60.0  # of learning
SEEN_S = 0.5  # until the learner has heard of what is on disk


def command(state: State) -> NDArray[np.float32]:
    """How somebody who knows the task would drive now, from what the robot says alone."""
    fingers = state.proprioception[3:]
    away, to_goal = state.object_state[:3], state.object_state[3:]
    beside, above = float(np.linalg.norm(away[:2])), -float(away[2])
    gripper = 1.0
    if beside < 0.02 and abs(above) < 0.02:
        gripper = -1.0
        closed = float(fingers.sum()) < 0.055  # the block is 5 cm wide
        way = to_goal if closed else np.zeros(3)
    elif beside < 0.01:
        way = away
    else:
        # From above: whoever comes from the side pushes it.
        way = away + np.array([0, 0, 0.06])
        if above < 0.04:
            way[:2] = 0
    return np.array([*np.clip(8 * way, -FASTEST, FASTEST), gripper], np.float32)


def left(state: State) -> float:
    """How much of the task is left, m: it falls while the task gets on."""
    to_block, to_goal = state.object_state[:3], state.object_state[3:]
    return float(np.linalg.norm(to_block) + 2 * np.linalg.norm(to_goal))


def look(supervisor: nudge.Supervisor) -> None:
    """A fault is looked at and ended, as by an engineer who stands beside the robot."""
    while (state := supervisor.state()).state == Authority.FAULT_HOLD:
        print(f"a fault at tick {state.tick}", flush=True)
        with contextlib.suppress(nudge.NudgeError):  # its cause may last
            supervisor.reset_fault()
        time.sleep(0.5)


def finish(supervisor: nudge.Supervisor) -> bool:
    """Takes over and drives until the episode is over. True: the robot calls it a success."""
    end = time.monotonic() + LONGEST_S
    episode = supervisor.state().episode

    def driven(state: State) -> NDArray[np.float32]:
        nonlocal episode
        episode = episode or state.episode  # it begins when somebody drives
        return command(state)

    while time.monotonic() < end:
        look(supervisor)
        with contextlib.suppress(nudge.NudgeError):  # another fault, in this moment
            supervisor.takeover()
            supervisor.drive(driven, timeout_s=end - time.monotonic())
        state = supervisor.wait_for(lambda state: state.state != Authority.HUMAN)
        if episode and state.episode != episode:
            supervisor.label("success" if state.last_success else "failure")
            return state.last_success
    supervisor.label("failure")
    with contextlib.suppress(nudge.NudgeError):  # it ended in this moment
        supervisor.end_episode()
    supervisor.wait_for(lambda state: state.episode == 0)
    return False


def record(supervisor: nudge.Supervisor, episodes: int) -> None:
    """Demonstrations by takeover."""
    for number in range(1, episodes + 1):
        success = finish(supervisor)
        print(f"demonstration {number}: {'success' if success else 'failure'}", flush=True)


def begin(supervisor: nudge.Supervisor) -> int:
    """Lets the policy start, and gives the episode's number."""
    while True:
        look(supervisor)
        with contextlib.suppress(nudge.NudgeError):
            supervisor.hand_back()
            break
    return supervisor.wait_for(lambda state: state.episode != 0).episode


def watch(supervisor: nudge.Supervisor) -> tuple[bool, bool, int]:
    """One episode, from its start to its end: success, whether it was corrected, weights."""
    episode = begin(supervisor)
    best, since, weights = np.inf, time.monotonic(), 0
    for state in supervisor.states():
        if state.episode != episode:
            supervisor.label("success" if state.last_success else "failure")
            return state.last_success, False, weights
        weights = state.weights or weights
        if left(state) < best - 0.01:
            best, since = left(state), time.monotonic()
        stuck = time.monotonic() - since > STUCK_S
        if stuck or state.state not in (Authority.HANDBACK, Authority.AUTO):
            break
    return finish(supervisor), True, weights


def correct(supervisor: nudge.Supervisor, daemon: nudge.Daemon, episodes: int) -> None:
    """Lets the policy work, and corrects it."""
    by_itself = 0
    for number in range(1, episodes + 1):
        wait_for_learner(daemon)
        success, corrected, weights = watch(supervisor)
        by_itself += success and not corrected
        print(
            f"episode {number}: {'success' if success else 'failure'}, "
            f"{'corrected' if corrected else 'alone'}, weights v{weights}; "
            f"{by_itself} of {number} alone",
            flush=True,
        )


def wait_for_learner(daemon: nudge.Daemon) -> None:
    """As whoever makes the scene ready: a takeover ends a round that is under way."""
    end = time.monotonic() + LONGEST_ROUND_S
    time.sleep(SEEN_S)
    while daemon.status()["learning"]["state"] == "training" and time.monotonic() < end:
        time.sleep(SEEN_S)


def measure(supervisor: nudge.Supervisor, episodes: int) -> None:
    """Lets the policy work alone. Nothing is labelled, so that nothing is learned from it."""
    successes = 0
    for _ in range(episodes):
        successes += alone(supervisor)
    low, high = interval(successes, episodes)
    print(f"{successes} of {episodes} alone, 95 % interval {low:.0%} to {high:.0%}", flush=True)


def alone(supervisor: nudge.Supervisor) -> bool:
    """One try of the policy. Where it is held, by the limits perhaps, it has failed."""
    episode = begin(supervisor)
    for state in supervisor.states():
        if state.episode != episode:
            return state.last_success
        if state.state in (Authority.HOLD, Authority.FAULT_HOLD):
            break
    look(supervisor)
    with contextlib.suppress(nudge.NudgeError):  # it ended in this moment
        supervisor.end_episode()
    supervisor.wait_for(lambda state: state.episode != episode)
    return False


def interval(successes: int, trials: int) -> tuple[float, float]:
    """Wilson's, of a share, 95 %."""
    z, share = 1.96, successes / trials
    middle, spread = (
        share + z * z / (2 * trials),
        z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials)),
    )
    scale = 1 + z * z / trials
    return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)


def main() -> None:
    """Does what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("record", "correct", "measure"))
    parser.add_argument("--state", required=True, help="the daemon's state folder")
    parser.add_argument("--episodes", type=int, default=20)
    parser.add_argument("--address", default="http://127.0.0.1:8080", help="of the page")
    parser.add_argument("--endpoint", default="tcp://127.0.0.1:5572")
    options = parser.parse_args()
    token = nudge.token(options.state, "engineer")
    with nudge.Supervisor("fetch", token, options.endpoint, name="teacher") as supervisor:
        if options.what == "record":
            record(supervisor, options.episodes)
        elif options.what == "measure":
            measure(supervisor, options.episodes)
        else:
            correct(supervisor, nudge.Daemon(options.address, token), options.episodes)


if __name__ == "__main__":
    main()
