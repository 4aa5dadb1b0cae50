"""The program as its user has it: real processes, real files, in a folder that goes afterwards.

Every test file runs by itself (python3 test/e2e/commands_test.py build/nudge) or from CTest, which
gives the path of the program in NUDGE_PROGRAM. NUDGE_LONG=1 asks for the long forms.
"""

import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

LONG = os.environ.get("NUDGE_LONG", "") not in ("", "0")
PATIENCE = 300  # s, for one command; far beyond what any takes on a busy machine

# Small enough that first weights take seconds. The learner is not niced: on a busy machine it
# would wait for everything else.
QUICK = ["--set", "demo.demonstrations=3", "--set", "learner.base_steps=60",
         "--set", "learner.nice=0", "--set", "learner.full_steps=40"]
# The figures at the end of a demo are not what these tests are about.
SHORT_DEMO = ["--headless", "--real-time", "0", "--set", "demo.starts=1", *QUICK]

_program = os.environ.get("NUDGE_PROGRAM", "")


def program():
    return _program


def environment(**changes):
    """Ours, without settings of Nudge that the person who runs the tests may have."""
    clean = {k: v for k, v in os.environ.items() if not (k.startswith("NUDGE_") and "__" in k)}
    clean.pop("JOURNAL_STREAM", None)  # what the program prints is ours alone
    if os.environ.get("NUDGE_SANITIZE"):  # whose shadow is more than any learner may take
        clean["NUDGE_LEARNER__MEMORY_MIB"] = "0"
    clean.update(changes)
    return clean


class Outcome:
    def __init__(self, arguments, code, out, err):
        self.arguments, self.code, self.out, self.err = arguments, code, out, err

    def json(self):
        return json.loads(self.out)

    def lines(self):
        return [json.loads(line) for line in self.out.splitlines()]

    def __str__(self):
        return (f"nudge {' '.join(map(str, self.arguments))}\nexit code {self.code}\n"
                f"stdout:\n{self.out[-4000:]}\nstderr:\n{self.err[-4000:]}")


def nudge(*arguments, before=(), cwd=None, env=None, own=None):
    """Runs the program to its end. `before`: a command that starts it, such as setpriv."""
    command = [*before, own or program(), *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, env=env or environment(), text=True,
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE)
    return Outcome(arguments, done.returncode, done.stdout, done.stderr)


def start(*arguments, own=None, log=None):
    """Starts the program and comes back at once. The caller ends it."""
    return subprocess.Popen([own or program(), *map(str, arguments)], env=environment(),
                            stdin=subprocess.DEVNULL, stdout=log or subprocess.DEVNULL,
                            stderr=subprocess.STDOUT if log else subprocess.DEVNULL)


def learners(state):
    """Process ids of the learners that work for this state folder."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
            ended = (entry / "stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
        except OSError:
            continue  # it ended while we looked
        if b"learn" in words and any(str(state).encode() in word for word in words) and not ended:
            found.append(int(entry.name))
    return found


def kill_a_learner(state, killed, pause):
    """Kills one that is not among `killed`, `pause()` seconds after it was seen, and adds it. False:
    there was none, or it ended first."""
    alive = [pid for pid in learners(state) if pid not in killed]
    if not alive:
        time.sleep(0.02)
        return False
    time.sleep(pause())
    try:
        os.kill(alive[0], signal.SIGKILL)
    except ProcessLookupError:
        return False
    killed.append(alive[0])
    return True


def wait_until(condition, what, patience=60):
    end = time.monotonic() + patience
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"waited {patience} s in vain for: {what}")
        time.sleep(0.01)


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def end(process):
    if process.poll() is None:
        process.send_signal(signal.SIGKILL)
    process.wait()


def events(state):
    """All events of a log, oldest first. The payload is parsed."""
    outcome = nudge("log", "--state", state, "tail", "-n", 1_000_000)
    if outcome.code != 0:
        raise AssertionError(str(outcome))
    rows = outcome.lines()
    for row in rows:
        row["payload"] = json.loads(row["payload"])
    return rows


class Case(unittest.TestCase):
    """A folder for each test, and checks that show what the program said."""

    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory(prefix="nudge-test-")
        self.folder = pathlib.Path(self.temporary.name)
        self.addCleanup(self.temporary.cleanup)

    def copy_of(self, state, name="state"):
        """The ballast is left out: the log makes another when it is opened to write."""
        return shutil.copytree(state, self.folder / name,
                               ignore=shutil.ignore_patterns("ballast"))

    def check(self, outcome, code, *said):
        """It ended with this code, and told the person all of `said`."""
        self.assertEqual(outcome.code, code, str(outcome))
        for text in said:
            self.assertIn(text, outcome.err if code != 0 else outcome.out + outcome.err,
                          str(outcome))
        self.assertNotIn("internal error", outcome.err, str(outcome))
        return outcome

    def check_whole(self, state):
        outcome = nudge("log", "--state", state, "--json", "verify")
        self.assertEqual(outcome.code, 0, str(outcome))
        self.assertTrue(outcome.json()["ok"])
        return outcome.json()


class Prepared:
    """State folders that several tests start from; made once for each test file."""

    def __init__(self):
        self.temporary = None
        self.folder = None

    def make(self):
        self.temporary = tempfile.TemporaryDirectory(prefix="nudge-test-")
        self.folder = pathlib.Path(self.temporary.name)

    def drop(self):
        self.temporary.cleanup()

    def trained(self, name="trained"):
        """A log with three demonstrations and first weights, confirmed."""
        state = self.folder / name
        outcome = nudge("train", "--state", state, "--record", 3, "--json",
                        "--set", "learner.base_steps=60")
        if outcome.code != 0:
            raise AssertionError(str(outcome))
        return state

    def worked(self, name="worked", episodes=2):
        """What a short demo leaves behind: demonstrations, weights, corrections."""
        out = self.folder / name
        outcome = nudge("demo", *SHORT_DEMO, "--out", out, "--episodes", episodes,
                        "--corrected", episodes)
        if outcome.code not in (0, 1):  # too few starts to call it better
            raise AssertionError(str(outcome))
        return out / "state"

    def learned(self, enough):
        """As worked(), long enough for these rows of `weights ls`: how many versions a short demo
        makes depends on how fast the machine learns."""
        rows = []
        for episodes in (2, 4, 8, 16):
            state = self.worked(f"learned-{episodes}", episodes)
            rows = nudge("weights", "--state", state, "--json", "ls").json()
            if enough(rows):
                return state
        raise AssertionError(f"nothing was learned in 16 episodes: {rows}")


def main():
    """unittest.main() with the program's path as an optional first argument."""
    global _program
    if len(sys.argv) > 1 and os.access(sys.argv[1], os.X_OK) and not sys.argv[1].startswith("-"):
        _program = sys.argv.pop(1)
    if not _program:
        sys.exit("name the program: NUDGE_PROGRAM=build/nudge, or as the first argument")
    _program = str(pathlib.Path(_program).resolve())
    unittest.main(module="__main__", verbosity=2)
