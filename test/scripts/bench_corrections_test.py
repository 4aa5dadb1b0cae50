"""What the benchmarks take for the time from a correction to weights that have learned from it."""

import json
import pathlib
import sqlite3
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "bench"))
import corrections  # noqa: E402

MICRO, FULL = 0, 1


class Corrections(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.state = pathlib.Path(folder.name)
        (self.state / "log").mkdir()
        self.log = sqlite3.connect(self.state / "log/log.db")
        self.addCleanup(self.log.close)
        self.log.execute("CREATE TABLE events (sequence INTEGER PRIMARY KEY, kind TEXT, "
                         "time_ns INTEGER, payload TEXT)")
        self.sequence = 0

    def event(self, seconds, kind, /, **payload):
        self.sequence += 1
        self.log.execute("INSERT INTO events VALUES (?, ?, ?, ?)",
                         (self.sequence, kind, int(1e9 * seconds), json.dumps(payload)))
        self.log.commit()
        return self.sequence

    def correction(self, begin, end, span=1, kind=0, steps=5):
        self.event(begin, "span_opened", span=span, kind=kind, first_step=10)
        return self.event(end, "span_closed", span=span, last_step=9 + steps)

    def live(self, seconds, version, kind, prefix):
        self.event(seconds, "candidate_received", hash=f"h{version}", prefix=prefix)
        self.event(seconds, "weights_accepted", hash=f"h{version}", version=version, kind=kind)
        self.event(seconds, "weights_live", version=version)

    def delays(self):
        return {name: [round(delay, 6) for delay in found]
                for name, found in corrections.delays(self.state).items()}

    def test_each_kind_of_round_is_measured_from_the_corrections_end(self):
        learned = self.correction(1, 2)
        self.live(2.25, 7, MICRO, learned)
        self.live(6, 8, FULL, learned)
        self.assertEqual(self.delays(), {"micro": [0.25], "full": [4]})

    def test_only_the_first_answer_of_a_kind_counts(self):
        learned = self.correction(1, 2)
        self.live(3, 7, MICRO, learned)
        self.live(4, 8, MICRO, learned)
        self.assertEqual(self.delays()["micro"], [1])

    def test_weights_that_did_not_learn_from_it_are_no_answer(self):
        learned = self.correction(1, 2)
        self.live(3, 7, MICRO, learned - 1)
        self.live(4, 8, MICRO, learned)
        self.assertEqual(self.delays()["micro"], [2])

    def test_an_answer_while_the_next_correction_is_made_is_nobodys(self):
        learned = self.correction(1, 2)
        self.event(3, "span_opened", span=2, kind=0, first_step=40)
        self.live(4, 7, MICRO, learned)
        self.assertEqual(self.delays()["micro"], [])

    def test_words_and_empty_takeovers_are_no_corrections(self):
        bent = self.correction(1, 2, kind=1)
        empty = self.correction(3, 4, span=2, steps=0)
        self.live(5, 7, MICRO, max(bent, empty))
        self.assertEqual(self.delays(), {"micro": [], "full": []})

    def test_what_went_live_again_without_being_new_is_no_answer(self):
        self.correction(1, 2)
        self.event(3, "weights_live", version=1)
        self.assertEqual(self.delays(), {"micro": [], "full": []})

    def test_a_kind_of_round_that_there_was_not_has_no_figures(self):
        learned = self.correction(1, 2)
        self.live(2.5, 7, MICRO, learned)
        self.assertEqual(corrections.figures(self.state),
                         {"micro": {"count": 1, "p50": 0.5, "p99": 0.5, "worst": 0.5}})


if __name__ == "__main__":
    unittest.main()
