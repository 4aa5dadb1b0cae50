#!/usr/bin/env python3
"""openpi's own Python package at the daemon's port, unmodified, in an environment that is made for
it. NUDGE_OPENPI_PYTHON names a Python that has the package already."""

import atexit
import functools
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

import openpi_test
import program
from program import PATIENCE, free_port, wait_until

# What a robot's program is made of: openpi's client, and its broker of chunks.
ROBOT = """
import json, sys, time
import numpy
from openpi_client.action_chunk_broker import ActionChunkBroker
from openpi_client.websocket_client_policy import WebsocketClientPolicy
client = WebsocketClientPolicy("127.0.0.1", int(sys.argv[1]))
policy = ActionChunkBroker(client, action_horizon=3)
print(json.dumps(client.get_server_metadata()["hil"]), flush=True)
seen = {"observation/image": numpy.zeros((224, 224, 3), numpy.uint8),
        "observation/wrist_image": numpy.zeros((224, 224, 3), numpy.uint8),
        "observation/state": numpy.zeros(8), "prompt": "put it down"}
while True:
    answer = policy.infer(seen)
    print(json.dumps({"source": answer["hil"]["source"], "actions": answer["actions"].tolist()}),
          flush=True)
    time.sleep(0.05)
"""


@functools.cache
def openpis_python():
    """A Python with openpi's package; none: it is not to be had here, and why."""
    named = os.environ.get("NUDGE_OPENPI_PYTHON")
    if named:
        return named, ""
    place = tempfile.mkdtemp(prefix="nudge-openpi-")
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    python = str(pathlib.Path(place) / "bin/python")
    for command in ([sys.executable, "-m", "venv", place],
                    [python, "-m", "pip", "install", "--quiet", "--timeout", "10", "--retries", "1",
                     "openpi-client", "typing_extensions", "dm-tree"]):
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
        if done.returncode != 0:
            return None, (done.stderr.strip().splitlines() or ["it failed"])[-1]
    return python, ""


@unittest.skipUnless(openpi_test.HAS_PACKAGES, "needs python3-websockets and python3-msgpack")
class Unmodified(openpi_test.Proxy):
    def test_openpis_client_and_broker_work_as_they_are(self):
        python, why = openpis_python()
        if python is None:
            self.skipTest(f"openpi-client could not be installed: {why}")
        self.upstream = openpi_test.Upstream(free_port())
        self.addCleanup(self.upstream.leave)
        self.begin("--set", f"openpi.upstream=ws://127.0.0.1:{self.upstream.port}")
        robot = subprocess.Popen([python, "-c", ROBOT, str(self.port)], stdout=subprocess.PIPE,
                                 text=True, stdin=subprocess.DEVNULL)
        self.addCleanup(robot.stdout.close)
        self.addCleanup(program.end, robot)
        self.assertEqual(json.loads(robot.stdout.readline())["horizon"], 10)

        def next_answer():
            return json.loads(robot.stdout.readline())
        self.assertEqual(next_answer()["source"], "hold")
        self.start(self.person())
        wait_until(lambda: next_answer()["source"] == "upstream", "the upstream's chunks")
        rows = {tuple(row) for chunk in list(self.upstream.chunks) for row in chunk.tolist()}
        for _ in range(6):
            answer = next_answer()
            rows |= {tuple(row) for chunk in list(self.upstream.chunks) for row in chunk.tolist()}
            self.assertEqual(len(answer["actions"]), 7, "one row at a time")
            if answer["source"] == "upstream":
                self.assertIn(tuple(answer["actions"]), rows)


def load_tests(loader, tests, pattern):
    """Not those of the class that this one builds on."""
    return unittest.TestSuite([Unmodified("test_openpis_client_and_broker_work_as_they_are")])


if __name__ == "__main__":
    program.main()
