#!/usr/bin/env python3
"""Corrections of an openpi policy that Nudge knows nothing of: a robot's program with openpi's own
client, a policy server with openpi's own package, people who take over, and the edit that is learned
from them. NUDGE_OPENPI_PYTHON names a Python that has the package already."""

import json
import subprocess
import threading
import unittest

import numpy

import openpi_client_test
import openpi_test
import program
from live_test import Daemon
from people import Person
from program import free_port, nudge, wait_until

# As openpi serves its policies: one map, then an answer to each observation, and a traceback in
# front of the end. The policy drives along x wherever it is. What it said stands in the answer
# twice, so that what became of it can be seen.
SERVER = """
import asyncio, sys, time, traceback
import numpy
import websockets
import websockets.asyncio.server
from openpi_client import msgpack_numpy

def infer(seen):
    chunk = numpy.zeros((10, 7), numpy.float32)
    chunk[:, 0] = 0.2 + 0.01 * numpy.sin(20 * seen["observation/state"][0] + numpy.arange(10))
    chunk[:, 6] = -1
    return {"actions": chunk, "said": chunk.copy(), "policy_timing": {"infer_ms": 40.0}}

async def serve(socket):
    pack = msgpack_numpy.Packer().pack
    await socket.send(pack({"model": "drives along x"}))
    while True:
        try:
            seen = msgpack_numpy.unpackb(await socket.recv())
            await asyncio.sleep(0.04)
            await socket.send(pack(infer(seen)))
        except websockets.ConnectionClosed:
            return
        except Exception:
            await socket.send(traceback.format_exc())
            await socket.close(code=1011, reason="Internal server error.")
            raise

async def main():
    async with websockets.asyncio.server.serve(serve, "127.0.0.1", int(sys.argv[1]),
                                               compression=None, max_size=None) as server:
        print("ready", flush=True)
        await server.serve_forever()

asyncio.run(main())
"""

# Begins anew wherever it is told to.
ROBOT = """
import json, select, sys, time
import numpy
from openpi_client.action_chunk_broker import ActionChunkBroker
from openpi_client.websocket_client_policy import WebsocketClientPolicy

client = WebsocketClientPolicy("127.0.0.1", int(sys.argv[1]))
policy = ActionChunkBroker(client, action_horizon=2)
state, place = numpy.zeros(8), None
image = numpy.zeros((224, 224, 3), numpy.uint8)
while True:
    if select.select([sys.stdin], [], [], 0)[0]:
        place = float(sys.stdin.readline())
        client.infer({"endpoint": "reset"})
        policy.reset()
        state = numpy.zeros(8)
        state[1] = place
    answer = policy.infer({"observation/image": image, "observation/wrist_image": image,
                           "observation/state": state, "prompt": "put it down"})
    state[:2] += 0.005 * answer["actions"][:2]
    said = answer["said"].tolist() if "said" in answer else None
    print(json.dumps({"place": place, "actions": answer["actions"].tolist(), "said": said,
                      **answer["hil"]}), flush=True)
    time.sleep(0.05)
"""

SMALL = ["--set", "policy.hidden=64", "--set", "learner.base_steps=800",
         "--set", "learner.full_steps=400"]
# Places of the robot along y.
TAUGHT, LEFT_ALONE, TAUGHT_LATER = 0.5, -0.5, 0.0


class Robot:
    """The program in a process of its own, and what it was answered."""

    def __init__(self, python, port):
        self.process = subprocess.Popen([python, "-c", ROBOT, str(port)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.answers = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.answers.append(json.loads(line))

    def go_to(self, place):
        """Another episode, there."""
        self.process.stdin.write(f"{place}\n")
        self.process.stdin.flush()
        wait_until(lambda: self.answers and self.answers[-1]["place"] == place, "the new place")

    def next(self, count, accept, meanwhile=lambda: None):
        """So many of the answers to come that `accept`."""
        begun, found = len(self.answers), []
        def enough():
            meanwhile()
            found[:] = [a for a in self.answers[begun:] if accept(a)]
            return len(found) >= count
        wait_until(enough, f"{count} such answers; the last: {self.answers[-1:]}", patience=120)
        return found

    def leave(self):
        program.end(self.process)
        self.process.stdin.close()
        self._reader.join(60)
        self.process.stdout.close()


def of_policy(answer):
    return answer["state"] == "AUTO" and answer["said"] is not None


def edit_of(answers):
    """Mean over the answers of what was added to the upstream's numbers."""
    return numpy.mean([numpy.subtract(a["actions"], a["said"]) for a in answers], axis=0)


@unittest.skipUnless(openpi_test.HAS_PACKAGES, "needs python3-websockets and python3-msgpack")
class Learning(openpi_test.OpenpiCase):
    @classmethod
    def setUpClass(cls):
        cls.python, why = openpi_client_test.openpis_python()
        if cls.python is None:
            raise unittest.SkipTest(f"openpi-client could not be installed: {why}")

    def begin(self):
        self.daemon = Daemon(self.folder / "state", *self.settings)
        self.addCleanup(lambda: self.daemon.process.poll() is None and self.daemon.kill())
        self.robot = Robot(self.python, self.port)
        self.addCleanup(self.robot.leave)
        wait_until(lambda: self.robot.answers, "an answer")
        self.anna = Person("web", port=self.daemon.port, token=self.daemon.token, name="anna")
        self.addCleanup(self.anna.leave)

    def end(self):
        self.anna.leave()
        self.robot.leave()
        self.assertEqual(self.daemon.stop(), 0)

    def serve(self, port):
        server = subprocess.Popen([self.python, "-c", SERVER, str(port)], stdout=subprocess.PIPE,
                                  text=True)
        self.addCleanup(server.stdout.close)
        self.addCleanup(program.end, server)
        self.assertEqual(server.stdout.readline(), "ready\n")
        return server

    def work(self, count):
        """So many answers of the policy; a busy machine may end its work before."""
        return self.robot.next(count, of_policy, lambda: self.start(self.anna))

    def correct(self, count, action):
        """A takeover of so many answers, and back to the policy."""
        self.anna.make_action, self.anna.dead_man = lambda *_: action, True
        driven = self.robot.next(count, lambda a: a["source"] == "human",
                                 lambda: self.drive(self.anna))
        # Let go of, and not lost: who loses the link may have been driving blind.
        self.anna.dead_man = False
        self.wait_for_state("HOLD")
        self.anna.stop_commands()
        return driven

    def succeed(self):
        self.assertTrue(self.anna.ask("label", episode=0, span=0, value="success")["ok"])

    def test_corrections_change_what_an_upstream_makes_the_robot_do_and_only_where_they_were_made(self):
        port, self.port = free_port(), free_port()
        server = self.serve(port)
        robot = ["--set", "robot.driver=openpi", "--set", "openpi.preset=libero",
                 "--set", "policy.reference=upstream",
                 "--set", f"openpi.upstream=ws://127.0.0.1:{port}", *SMALL]
        self.settings = [*robot, "--set", f"openpi.port={self.port}", "--set", "openpi.gap_s=20",
                         "--set", "openpi.slow_takeover=true"]

        # 1. Nothing has been learned: bit for bit what the upstream said.
        self.begin()
        self.robot.go_to(LEFT_ALONE)
        for answer in self.work(60):
            self.assertEqual((answer["source"], answer["as_is"]), ("upstream", True))
            self.assertEqual(answer["actions"], answer["said"])
        self.succeed()
        for _ in range(3):
            self.robot.go_to(TAUGHT)
            self.work(4)
            self.correct(30, [0, 0.5, 0, 0, 0, 0, 0])
            for answer in self.work(6):
                self.assertEqual(answer["actions"], answer["said"])
            self.succeed()
        self.robot.go_to(LEFT_ALONE)
        self.work(40)
        self.succeed()
        self.assertEqual(self.status()["weights"]["live"], 0)
        self.end()

        # 2. The first training, and an engineer who promotes it.
        trained = nudge("train", "--state", self.folder / "state", *robot)
        self.assertEqual(trained.code, 0, str(trained))

        # 3. The same robot and the same upstream.
        self.begin()
        self.robot.go_to(TAUGHT)
        edited = edit_of(self.work(30))
        self.assertGreater(edited[1], 0.3, f"the person drove at 0.5 along y: {edited}")
        self.assertLess(edited[0], -0.1, f"and not along x: {edited}")
        self.assertEqual({a["source"] for a in self.robot.answers[-10:]}, {"edited"})
        self.robot.go_to(LEFT_ALONE)
        spared = edit_of(self.work(30))
        self.assertLess(numpy.abs(spared).max(), 0.1, f"nobody corrected anything there: {spared}")
        self.robot.go_to(TAUGHT_LATER)
        before = edit_of(self.work(30))

        # 4. And from then on while the robot works.
        live = self.status()["weights"]["live"]
        for _ in range(2):
            self.correct(30, [0, -0.5, 0, 0, 0, 0, 0])
            self.work(6)
            self.succeed()
            self.robot.go_to(TAUGHT_LATER)
        wait_until(lambda: self.status()["weights"]["live"] > live, "weights that learned from it",
                   patience=120)
        def moved():
            return edit_of(self.work(20))[1] < before[1] - 0.2
        wait_until(moved, "the new correction at work", patience=240)
        self.robot.go_to(LEFT_ALONE)
        spared = edit_of(self.work(30))
        self.assertLess(numpy.abs(spared).max(), 0.15, f"still nobody corrected anything: {spared}")

        # 5. Without the upstream there is nothing to edit; its return is enough to start again.
        program.end(server)
        self.wait_for_state("HOLD")
        self.assertIn("upstream", self.status()["robot_trouble"])
        self.robot.next(4, lambda a: a["source"] == "hold")
        self.serve(port)
        wait_until(lambda: self.status()["robot_trouble"] == "", "the upstream's return")
        self.assertEqual(self.status()["state"], "HOLD", "nothing resumes by itself")
        self.assertEqual({a["source"] for a in self.work(10)}, {"edited"})
        self.end()
        self.check_whole(self.folder / "state")


def load_tests(loader, tests, pattern):
    """Not those of the classes that this one builds on."""
    return loader.loadTestsFromTestCase(Learning)


if __name__ == "__main__":
    program.main()
