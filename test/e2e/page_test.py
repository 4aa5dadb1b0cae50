"""The page in a real browser, against a real daemon and the simulated kitchen.

Needs Chromium and web/'s development packages: scripts/setup.sh --for page; npm ci in web/; then
configure with -DNUDGE_PAGE_TESTS=ON. What a person does there is in web/e2e/.
"""

import os
import pathlib
import subprocess

import live_test
import program

# A browser that shares a busy computer gets no turn for longer than commands are fresh elsewhere.
BUSY = ["--set", "sim.cameras=true", "--set", "authority.fresh_ms=500"]
WEB = pathlib.Path(__file__).resolve().parents[2] / "web"


class Page(live_test.LiveCase):
    def visit(self, daemon, spec):
        shots = os.environ.get("NUDGE_SHOTS", str(self.folder / "shots"))
        done = subprocess.run(
            ["node", f"e2e/{spec}.spec.mjs"], cwd=WEB, text=True, capture_output=True, timeout=600,
            env={**os.environ, "NUDGE_BASE": f"http://127.0.0.1:{daemon.port}",
                 "NUDGE_TOKEN": daemon.token, "NUDGE_SHOTS": shots, "NUDGE_PATIENCE": "3"})
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(daemon.stop(), 0)
        self.check_whole(daemon.state)

    def test_somebody_takes_over_labels_speaks_rolls_back_and_stops(self):
        self.visit(self.daemon(None, "--set", "sim.cameras=true"), "page")

    def test_somebody_drives_and_lets_go_in_every_way(self):
        self.visit(self.daemon(None, *BUSY), "drive")

    def test_two_people_ask_for_and_pass_control(self):
        self.visit(self.daemon(None, *BUSY), "people")

    def test_nobody_meets_a_barrier(self):
        self.visit(self.daemon(None, *BUSY), "look")

    def test_a_link_that_breaks_leaves_the_robot_holding(self):
        # It kills its daemon and starts it again.
        state = self.copy_of(live_test.prepared.folder / "trained")
        done = subprocess.run(
            ["node", "e2e/link.spec.mjs"], cwd=WEB, text=True, capture_output=True, timeout=600,
            env={**program.environment(), "NUDGE_PROGRAM": program.program(), "NUDGE_STATE": str(state),
                 "NUDGE_PATIENCE": "3"})
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.check_whole(state)

    def test_somebody_looks_back_and_says_what_is_learned_from(self):
        # Corrected episodes with pictures, and the versions that were trained on them.
        out = self.folder / "worked"
        outcome = program.nudge("demo", *program.SHORT_DEMO, "--set", "sim.cameras=true", "--out", out,
                                "--episodes", 3, "--corrected", 3)
        self.assertIn(outcome.code, (0, 1), str(outcome))  # 1: too few starts to call it better
        self.visit(self.daemon(out / "state", "--set", "sim.cameras=true"), "story")


def setUpModule():
    live_test.setUpModule()


def tearDownModule():
    live_test.tearDownModule()


if __name__ == "__main__":
    program.main()
