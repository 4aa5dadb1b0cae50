#!/usr/bin/env python3
"""What cameras cost: a robot that sends four of them, and people who watch all of them.

usage: cameras.py build/release/nudge [--cameras N] [--size PIXELS] [--hertz H] [--viewers N]
                  [--seconds S] [--json]

A robot in a process of its own (python/, needs NumPy and pyzmq) shows N cameras of PIXELS by PIXELS
(4 of 320) H times a second (15), pictures of noise, which compress worst (web/'s development
packages encode them). Each of the viewers (3) takes every picture and says so, as the page does.
Printed are the pictures a second that each viewer got of each camera, their age when they arrived,
and the control ticks that were missed meanwhile, beside the same time without anybody watching.
"""

import argparse
import base64
import http.client
import json
import multiprocessing
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "test" / "e2e"))
sys.path.insert(0, str(ROOT / "python" / "src"))
from crowd import Crowd  # noqa: E402
from program import free_port  # noqa: E402
from quantile import quantile  # noqa: E402


def noise_jpegs(size, count):
    """JPEGs of noise, each different."""
    script = (
        "const {encode} = require('jpeg-js'); const n = %d;"
        "for (let i = 0; i < %d; i++) { const data = Buffer.alloc(n * n * 4);"
        "for (let k = 0; k < data.length; k++) data[k] = 96 + Math.random() * 64;"
        "console.log(encode({data, width: n, height: n}, 70).data.toString('base64')); }"
        % (size, count))
    done = subprocess.run(["node", "-e", script], cwd=ROOT / "web", capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"cameras.py: no pictures: {done.stderr.strip()}; run 'npm ci' in web/")
    return [base64.b64decode(line) for line in done.stdout.split()]


def names_of(cameras):
    return [f"camera{i}" for i in range(cameras)]


def be_robot(endpoint, cameras, size, hertz, jpegs):
    import nudge
    names = names_of(cameras)
    spec = nudge.RobotSpec(
        id="cameras",
        action=[nudge.Channel("x", "m/s", -0.5, 0.5)],
        proprioception=[nudge.Channel("x", "m", -1, 1)],
        object_state=[nudge.Channel("goal_x", "m", -1, 1)],
        cameras=[nudge.Camera(name, size, size) for name in names])
    shown = {"next": 0.0, "number": 0}

    def observe():
        images = []
        now = time.monotonic()
        if now >= shown["next"]:
            shown["next"] = max(shown["next"] + 1 / hertz, now)
            shown["number"] += 1
            images = [nudge.Image(name, jpeg=jpegs[(shown["number"] + i) % len(jpegs)])
                      for i, name in enumerate(names)]
        return nudge.Observation([0.0], [0.5], images)

    robot = nudge.Robot(spec, observe=observe, apply=lambda action, deadline: None,
                        hold=lambda: None)
    robot.run(endpoint, patience_s=None)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("program")
    parser.add_argument("--cameras", type=int, default=4)
    parser.add_argument("--size", type=int, default=320)
    parser.add_argument("--hertz", type=float, default=15)
    parser.add_argument("--viewers", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--json", action="store_true")
    flags = parser.parse_args()
    jpegs = noise_jpegs(flags.size, 8)

    with tempfile.TemporaryDirectory(prefix="nudge-cameras-") as folder:
        robot_port = free_port()
        daemon = subprocess.Popen(
            [flags.program, "run", "--state", f"{folder}/state", "--no-learning",
             "--set", "robot.driver=remote", "--set", f"ports.robot={robot_port}",
             "--set", "ports.http=0", "--set", "ports.teleop=0"],
            stdout=subprocess.PIPE, stderr=open(f"{folder}/errors", "wb"), text=True)
        robot = None
        try:
            context = multiprocessing.get_context("fork")
            robot = context.Process(target=be_robot, args=(
                f"tcp://127.0.0.1:{robot_port}", flags.cameras, flags.size, flags.hertz,
                jpegs))
            robot.start()
            address = daemon.stdout.readline().strip()
            if not address:
                sys.exit("cameras.py: the daemon did not start: " +
                         pathlib.Path(folder, "errors").read_text())
            port = int(address.split("/#")[0].rsplit(":", 1)[1])
            access = address.split("#token=")[1]

            def status():
                link = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
                link.request("GET", "/api/v1/status",
                             headers={"Authorization": f"Bearer {access}"})
                answer = json.loads(link.getresponse().read())
                link.close()
                return answer

            def spend(viewers):
                people = Crowd(port, access, viewers, names_of(flags.cameras))
                time.sleep(1)
                people.report()
                before = status()
                time.sleep(flags.seconds)
                after, seen = status(), people.report()
                people.leave()
                ages = seen["ages_ms"]
                rates = [count / seen["seconds"] for count in seen["pictures"]]
                return {"viewers": viewers, "ticks": after["tick"] - before["tick"],
                        "missed_ticks": after["missed_ticks"] - before["missed_ticks"],
                        "pictures_per_second": round(min(rates), 1) if rates else None,
                        "age_ms": {"p50": round(quantile(ages, 0.5), 1),
                                   "p95": round(quantile(ages, 0.95), 1)} if ages else None}

            time.sleep(2)
            result = {"cameras": flags.cameras, "size": flags.size, "hertz": flags.hertz,
                      "jpeg_bytes": round(sum(map(len, jpegs)) / len(jpegs)),
                      "runs": [spend(0), spend(flags.viewers)]}
        finally:
            if robot is not None and robot.is_alive():
                os.kill(robot.pid, signal.SIGKILL)
                robot.join()
            daemon.send_signal(signal.SIGTERM)
            daemon.wait(60)
    if flags.json:
        print(json.dumps(result))
        return
    print(f"{flags.cameras} cameras of {flags.size}x{flags.size}, {result['jpeg_bytes']} bytes a "
          f"picture, {flags.hertz:g} a second")
    for run in result["runs"]:
        text = f"{run['viewers']} viewers: {run['missed_ticks']} of {run['ticks']} ticks missed"
        if run["viewers"]:
            text += (f"; each got {run['pictures_per_second']} pictures a second of each camera, "
                     f"{run['age_ms']['p50']} ms old (p95 {run['age_ms']['p95']})")
        print(text)


if __name__ == "__main__":
    main()
