#!/usr/bin/env python3
"""What grows with what: the whole program's time, memory and bytes against the work that it is given.

usage: growth.py build/release/nudge [AXIS...] [--seconds S] [--brief] [--maker build/bench/test/bench/make_log]
                 [--folder FOLDER] [--json FILE]

  log      10^4 to 5 x 10^6 steps in the log: from the start of the daemon to its first action, and to
           its learner having folded all of it; memory of both; each with the log's files out of the
           page cache, and once more. Needs make_log, and 1.3 GB in FOLDER
  viewers  0 to 32 people who watch the kitchen and both its cameras
  cameras  0 to 4 cameras of 64 to 640 pixels, of a robot that a person drives and one person watches
  head     layers of 128 to 1,024 units: memory, and CPU time of inference, while it learns

All of them without a name. Costs are CPU time, bytes and counts, which other work on the machine
hardly changes; seconds to the first action are wall time, and CPU time beside it. --brief is a short
form of everything, to see that it works.
"""

import argparse
import contextlib
import json
import multiprocessing
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

FOLDER = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(FOLDER.parent / "e2e"), str(FOLDER.parents[1] / "python" / "src")]
import cameras  # noqa: E402
import live  # noqa: E402
import program  # noqa: E402
import soak  # noqa: E402
from crowd import Crowd  # noqa: E402
from people import Person  # noqa: E402
from quantile import quantile  # noqa: E402

STEPS = (10_000, 100_000, 1_000_000, 5_000_000)
VIEWERS = (0, 1, 4, 8, 16, 32)  # the daemon lets 32 in
CAMERAS = ("0x0", "1x320", "2x320", "4x320", "2x64", "2x128", "2x640")  # how many, and how large
WIDTHS = (128, 256, 512, 1024)
HERTZ = 15  # of the cameras
BYTES_A_PIXEL = 0.35
POLL, PATIENCE = 0.01, 600  # s
THREADS = {"nudge-io": "io", "nudge-step": "step", "nudge-writer": "writer",
           "nudge-inference": "inference"}


def train(options, state, *settings):
    subprocess.run([options.program, "train", "--state", state, "--record", "15", "--json",
                    "--set", "learner.base_steps=300", *settings],
                   check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@contextlib.contextmanager
def daemon(options, state, *arguments):
    """One that runs until the end of the block."""
    with open(f"{state}.log", "a") as log:
        running = soak.Daemon(options.program, state, log, "--set", "ports.teleop=0", *arguments)
        try:
            yield running
        finally:
            running.process.send_signal(signal.SIGTERM)
            try:
                running.process.wait(60)
            finally:
                program.end(running.process)


def keep_driving(running):
    """The policy drives, whatever it trips over. The status before that."""
    status = running.status()
    if status["state"] == "FAULT_HOLD":
        running.say("reset_fault")
    elif status["state"] == "HOLD":
        running.say("hand_back")
    return status


def cost(running, seconds, tend=lambda: None):
    """Of this time: CPU seconds a minute, by thread; work of the ticks; memory at its end."""
    pid = running.process.pid
    work = soak.Histogram("nudge_tick_work_seconds")
    work.look(running.metrics())
    began, before = time.monotonic(), live.cpu_by_thread(pid)
    while time.monotonic() - began < seconds:
        tend()
        time.sleep(min(0.25, seconds))
    took, after = time.monotonic() - began, live.cpu_by_thread(pid)
    spent = {name: 60 * (after[name] - before.get(name, 0)) / took for name in after}
    memory = soak.process(pid)
    return {"cpu_s_a_minute": {"all": sum(spent.values()),
                               **{short: spent.get(name, 0) for name, short in THREADS.items()}},
            "work_us": work.look(running.metrics()),
            "resident_mib": memory["resident_mib"], "own_mib": memory["own_mib"]}


def seen_by(crowd, viewers):
    seen = crowd.report()
    return {"messages_a_second":
                (sum(seen["statuses"]) + sum(seen["pictures"])) / seen["seconds"],
            "bytes_a_second": sum(seen["bytes"]) / seen["seconds"],
            "statuses_a_second": min(seen["statuses"]) / seen["seconds"],
            "pictures_a_second": min(seen["pictures"], default=0) / seen["seconds"],
            "picture_age_ms": quantile(seen["ages_ms"], 0.5) if seen["ages_ms"] else None,
            } if viewers else {"messages_a_second": 0}


def by_viewers(options, folder):
    train(options, folder / "state")
    figures = {}
    for viewers in (0, 2) if options.brief else VIEWERS:
        with daemon(options, folder / "state", "--no-learning", "--set", "sim.cameras=true") as one:
            wait_until(lambda: keep_driving(one)["state"] == "AUTO", "the policy")
            crowd = Crowd(one.port, one.token, viewers, live.CAMERAS)
            try:
                time.sleep(min(1, options.seconds))
                crowd.report()
                figures[viewers] = {**cost(one, options.seconds, lambda: keep_driving(one)),
                                    **seen_by(crowd, viewers)}
            finally:
                crowd.leave()
    return figures


def picture(size):
    """As long as a JPEG of noise of so many pixels a side, which is all that the daemon looks at."""
    return b"\xff\xd8" + os.urandom(int(BYTES_A_PIXEL * size * size)) + b"\xff\xd9"


def by_cameras(options, folder):
    import nudge  # noqa: F401  (the robot's process needs it: what is missing is told here)
    figures = {}
    context = multiprocessing.get_context("fork")
    for point in ("2x64",) if options.brief else CAMERAS:
        number, size = map(int, point.split("x"))
        pictures = [picture(size) for _ in range(8)] if number else []
        state, port = folder / point, program.free_port()
        robot = context.Process(target=cameras.be_robot, args=(
            f"tcp://127.0.0.1:{port}", number, size, HERTZ, pictures), daemon=True)
        robot.start()
        try:
            with daemon(options, state, "--no-learning", "--set", "robot.driver=remote",
                        "--set", f"ports.robot={port}",
                        "--set", "robot.episode_steps=1000000") as one:
                person = Person("web", port=one.port, token=one.token, name="driver")
                crowd = Crowd(one.port, one.token, 1, cameras.names_of(number))
                try:
                    person.make_action = lambda *_: [0.1]
                    wait_until(lambda: person.take_over()["ok"], "the robot")
                    time.sleep(min(2, options.seconds))
                    crowd.report()
                    before, began = segment_bytes(one), time.monotonic()
                    figures[point] = cost(one, options.seconds)
                    written = segment_bytes(one) - before
                    figures[point] |= {
                        "cameras": number, "pixels": size,
                        "picture_bytes_a_second":
                            HERTZ * number * len(pictures[0]) if number else 0,
                        "log_bytes_a_second": written / (time.monotonic() - began),
                        **seen_by(crowd, 1)}
                finally:
                    crowd.leave()
                    person.leave()
        finally:
            if robot.is_alive():
                os.kill(robot.pid, signal.SIGKILL)
            robot.join()
    return figures


def segment_bytes(running):
    return live.value(running.metrics(), "nudge_log_segment_bytes")


def by_head(options, folder):
    figures = {}
    for width in (64,) if options.brief else WIDTHS:
        state, port = folder / str(width), program.free_port()
        layers = ("--set", f"policy.hidden={width}", "--set", "learner.nice=0")
        train(options, state, *layers)
        with daemon(options, state, *layers, "--set", f"ports.teleop={port}") as one:
            helper = subprocess.Popen(
                [options.program, "supervise", "--state", state, "--port", str(port)],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                learner = {"own_mib": 0, "resident_mib": 0}

                def tend():
                    keep_driving(one)
                    for pid in program.learners(state):
                        seen = soak.process(pid) or learner
                        for key in learner:
                            learner[key] = max(learner[key], seen[key])

                def rounds_so_far():
                    tend()
                    return json.loads(one.request("GET", "/api/v1/learning")[1])["rounds"]
                figures[width] = cost(one, options.seconds, tend)
                wait_until(lambda: options.brief or rounds_so_far(), "a round of learning")
                rounds = len(rounds_so_far())
            finally:
                helper.send_signal(signal.SIGTERM)
                helper.wait(60)
        weights = (state / "weights/1.safetensors").stat().st_size
        figures[width] |= {"weights_bytes": weights, "learner": learner, "rounds": rounds}
    return figures


def forget_files(state):
    """Has the page cache let go of the log's files."""
    os.sync()
    for path in (state / "log").rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)


def wait_until(condition, what):
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            sys.exit(f"growth.py: waited {PATIENCE} s in vain for {what}")
        time.sleep(POLL)


def start(options, state):
    """Seconds from the daemon's start until it serves, and until the policy's first action; and
    those of its learner until it has folded the log."""
    began = time.monotonic()
    with daemon(options, state) as one:
        served = time.monotonic() - began
        wait_until(lambda: keep_driving(one)["weights"]["playing"] > 0, "the first action")
        acted, spent = time.monotonic() - began, soak.process(one.process.pid)
    began = time.monotonic()
    with daemon(options, state) as one:
        serving = time.monotonic()
        wait_until(lambda: one.status()["learning"]["state"] == "idle", "the learner")
        folded = time.monotonic() - began
        pids = program.learners(state)
        learner = soak.process(pids[0]) if pids else None
        if learner is None:
            sys.exit(f"growth.py: the learner has ended; see {state}/learner.log")
        return {"served_s": served, "first_action_s": acted, "cpu_s": spent["cpu_s"],
                "resident_mib": spent["resident_mib"], "own_mib": spent["own_mib"],
                "learner": {"folded_s": folded, "after_the_daemon_served_s":
                            folded - (serving - began), **learner}}


def by_log(options, folder):
    figures = {}
    state = folder / "state"
    train(options, state)
    made = 0
    for steps in (1_000,) if options.brief else STEPS:
        subprocess.run([options.maker, state, str(steps - made)], check=True)
        made = steps
        forget_files(state)
        cold = start(options, state)
        figures[steps] = {"cold": cold, "warm": start(options, state),
                          "log_bytes": sum(f.stat().st_size for f in (state / "log").rglob("*")
                                           if f.is_file() and f.name != "ballast")}
    return figures


AXES = {"log": by_log, "viewers": by_viewers, "cameras": by_cameras, "head": by_head}


def show(what, content, indent=0):
    if isinstance(content, dict):
        print(f"{' ' * indent}{what}")
        for key, value in content.items():
            show(key, value, indent + 2)
    else:
        text = f"{content:.4g}" if isinstance(content, float) else content
        print(f"{' ' * indent}{what:24} {text}")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("axes", nargs="*", metavar="AXIS")
    parser.add_argument("--seconds", type=float, default=30, help="of each measurement")
    parser.add_argument("--brief", action="store_true")
    parser.add_argument("--maker", type=pathlib.Path, help="the program make_log")
    parser.add_argument("--folder", help="where the logs grow; by default that of temporary files")
    parser.add_argument("--json", type=pathlib.Path, help="leave the figures in this file")
    options = parser.parse_args()
    options.program = str(pathlib.Path(options.program).resolve())
    if unknown := [axis for axis in options.axes if axis not in AXES]:
        sys.exit(f"growth.py: no axis '{unknown[0]}'; there are {', '.join(AXES)}")
    axes = options.axes or [axis for axis in AXES if axis != "log" or options.maker]
    if "log" in axes and not options.maker:
        sys.exit("growth.py: the axis log needs --maker")
    figures = {}
    for axis in axes:
        with tempfile.TemporaryDirectory(prefix=f"nudge-growth-{axis}-", dir=options.folder) as folder:
            figures[axis] = AXES[axis](options, pathlib.Path(folder))
        show(axis, figures[axis])
        if options.json:
            options.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
