"""What test/bench/learning_report.py makes of the pieces' figures, and what learning.py runs."""

import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

BENCH = pathlib.Path(__file__).resolve().parents[1] / "bench"
sys.path.insert(0, str(BENCH))
import learning  # noqa: E402
import learning_report  # noqa: E402


def point(corrected, solved, starts=10, **more):
    return {"corrected_episodes": corrected, "successes": solved, "starts": starts,
            "success": [i < solved for i in range(starts)], "robot_seconds": 60.0 if corrected else 0,
            "interventions_per_100_steps": 2.0, "human_seconds_per_episode": 4.0} | more


def piece(name, seed, points, **more):
    known = learning.ALL[name]
    instructions = more.pop("instructions", ["lift the block"] * len(points[0]["success"]))
    return {"name": name, "title": known.title, "of": known.of, "kind": known.kind,
            "group": known.group, "settings": list(known.settings), "seed": seed,
            "limits": learning.FULL, "wall_seconds": 60.0, "load": [1.0, 2.0], "cpus": 2,
            "version": "nudge 1", "result": {"points": points, "instructions": instructions,
                                             "hand_backs": more.pop("hand_backs", [])}} | more


class LearningReport(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def keep(self, *pieces):
        for told in pieces:
            (self.folder / f"{told['name']}-{told['seed']}.json").write_text(json.dumps(told))

    def report(self, *arguments):
        done = subprocess.run([sys.executable, BENCH / "learning_report.py", self.folder, *arguments],
                              text=True, capture_output=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def test_a_cell_is_the_median_over_seeds_with_its_range(self):
        self.keep(*(piece("state-1", seed, [point(0, 5), point(5, solved)])
                    for seed, solved in enumerate((8, 9, 10), 1)))
        self.assertIn("| level 1 from state | 50 | 90 (80 to 100) |  |  |  |  | 3 |",
                      self.report().stdout)

    def test_a_run_that_ended_early_stands_with_its_last_point(self):
        self.keep(piece("state-1", 1, [point(0, 5), point(5, 8), point(7, 9)]),
                  piece("state-1", 2, [point(0, 5), point(5, 8), point(10, 9), point(15, 10)]))
        self.assertIn("| level 1 from state | 50 | 80 | 90 | 95 (90 to 100) |", self.report().stdout)

    def test_a_target_is_met_or_falls_short(self):
        self.keep(piece("state-1", 1, [point(0, 5), point(5, 10), point(15, 9)]))
        text = self.report().stdout
        self.assertIn("at least 95 % after 5 corrected episodes | 100 % | met |", text)
        self.assertIn("at least 98 % after 15 corrected episodes | 90 % | **falls short** |", text)

    def test_a_micro_round_is_judged_by_the_error_after_the_hand_back_each_by_its_steps(self):
        before_after = lambda steps, before, after: {
            "episode": 1, "steps": steps, "error_before": before, "error_after": after}
        points = [point(0, 5), point(5, 8)]
        self.keep(piece("state-1", 1, points, hand_backs=[before_after(10, 1.0, 0.5)]),
                  piece("state-1", 2, points, hand_backs=[before_after(30, 1.0, 0.5)]),
                  piece("cameras-1", 1, points, hand_backs=[before_after(10, 1.0, 1.0),
                                                            before_after(10, 0.5, 0.35)]))
        text = self.report().stdout
        self.assertIn("at least 30 % | -50 % (-50 to -50; 2 hand-backs) | met |", text)
        self.assertIn("at least 30 % | -10 % (-30 to +0; 2 hand-backs) | **falls short** |", text)

    def test_where_the_same_difficulty_comes_again_a_micro_round_is_judged_by_the_same_target(self):
        points = [point(0, 5), point(5, 8)]
        self.keep(piece("again-1", 1, points, hand_backs=[
            {"episode": 1, "steps": 10, "error_before": 1.0, "error_after": 0.6}]))
        text = self.report().stdout
        self.assertIn("level 1 from cameras, the same difficulty again: the micro-round cuts the error "
                      "after the hand-back by at least 30 % | -40 % (-40 to -40; 1 hand-backs) | met |",
                      text)
        self.assertNotIn("| level 1 from cameras, the same difficulty again | 50 |", text,
                         "it is no case of how fast a policy learns")

    def test_what_a_micro_round_did_before_the_takeover_stands_beside_it(self):
        one = {"episode": 1, "steps": 10, "error_before": 1.0, "error_after": 1.0}
        self.keep(piece("state-1", 1, [point(0, 5), point(5, 8)], hand_backs=[
            one | {"led_steps": 10, "led_error_before": 2.0, "led_error_after": 1.0},
            one | {"led_steps": 0, "led_error_before": 0.0, "led_error_after": 0.0}]))
        self.assertIn("| +0 % (+0 to +0; 2 hand-backs); before their takeovers -50 % (-50 to -50) |",
                      self.report().stdout)

    def test_people_s_work_is_compared_from_the_first_corrections_to_the_last(self):
        self.keep(piece("state-1", 1, [point(0, 5), point(5, 9), point(
            10, 9, human_seconds_per_episode=1.0, interventions_per_100_steps=0.5)]))
        text = self.report().stdout
        self.assertIn("human seconds an episode at least halved | 4.0 times fewer | met |", text)
        self.assertIn("| 2.00 → 0.50 | 4.00 → 1.00 | 2.0 | 10 |", text)

    def test_a_variant_is_compared_on_the_same_starts_of_the_same_seed(self):
        self.keep(piece("cameras-1", 1, [point(0, 5), point(25, 10)]),
                  piece("hg-dagger", 1, [point(0, 5), point(25, 8)]),
                  piece("hg-dagger", 2, [point(0, 5), point(25, 0)]))  # nothing to compare it with
        self.assertIn("| level 1 from cameras → HG-DAgger without weights | 100 → 80 | -20.0 (",
                      self.report().stdout)

    def test_what_stands_on_nothing_is_named(self):
        self.keep(piece("hg-dagger", 1, [point(0, 5), point(25, 8)]))
        self.assertIn("not measured: hg-dagger: beside cameras-1", self.report().stderr)

    def test_tasks_that_were_not_worked_on_are_compared_by_themselves(self):
        tasks = ["put the mug in the sink"] * 5 + ["put the can on the tray"] * 5
        taught = [True] * 5
        self.keep(piece("compose-4", 1, [
            point(0, 5, success=taught + [False] * 5), point(25, 8, success=taught + [True] * 5)],
            instructions=tasks))
        text = self.report().stdout
        self.assertIn("tasks never corrected, base → end | 0 → 100 | +100.0 (+100.0 to +100.0) | 1 |",
                      text)
        self.assertIn("lower bound above 0 points | +100.0 (+100.0 to +100.0) | met |", text)

    def test_other_words_are_measured_against_the_instruction_itself(self):
        told = [[True] * 8 + [False] * 2] * 19 + [[True] * 4 + [False] * 6]
        self.keep(piece("told-cameras-1", 1, [point(0, 5)], result={
            "success": [True] * 8 + [False] * 2, "instructions": [], "told": told}))
        self.assertIn("| 98 %; the worst phrase 50 % | met |", self.report().stdout)

    def test_an_interval_is_wide_where_seeds_differ_and_the_same_each_time(self):
        alike = learning_report.difference([[(False, True)] * 5 + [(True, True)] * 5] * 4)
        apart = learning_report.difference([[(False, True)] * 10, [(True, True)] * 10] * 2)
        self.assertEqual(alike[0], apart[0])
        self.assertGreater(apart[2] - apart[1], alike[2] - alike[1])
        self.assertEqual(apart, learning_report.difference([[(False, True)] * 10,
                                                            [(True, True)] * 10] * 2))

    def test_only_what_is_between_the_marks_of_the_page_changes(self):
        self.keep(piece("state-1", 1, [point(0, 5), point(5, 9)]))
        page = self.folder / "page.md"
        page.write_text("before\n<!-- figures: begin -->\nold\n<!-- figures: end -->\nafter\n")
        self.report("--page", page)
        text = page.read_text()
        self.assertTrue(text.startswith("before\n") and text.endswith("\nafter\n"), text)
        self.assertNotIn("old", text)


class Pieces(unittest.TestCase):
    def test_every_instruction_is_said_in_twenty_other_ways_all_different(self):
        phrases = json.loads(learning.PHRASES.read_text())
        all_of_them = [phrase for said in phrases.values() for phrase in said]
        self.assertEqual(len(all_of_them), 20 * len(phrases))
        self.assertEqual(len(set(all_of_them) | set(phrases)), len(all_of_them) + len(phrases))
        for task in (*learning.TAUGHT, learning.LEFT):
            self.assertIn(task, phrases)

    def test_what_a_piece_stands_on_is_one(self):
        for one in learning.ALL.values():
            with self.subTest(one.name):
                for other in filter(None, (one.of, one.eyes)):
                    self.assertIn(other, learning.ALL)

    def test_a_variant_keeps_what_it_varies_but_for_what_it_names(self):
        for one in learning.VARIANTS:
            with self.subTest(one.name):
                own = learning.ALL[one.of]
                self.assertEqual(one.settings[:len(own.settings)], own.settings)
                self.assertTrue(one.eyes or len(one.settings) > len(own.settings))


if __name__ == "__main__":
    unittest.main()
