"""What scripts/bench.sh makes of its programs' figures."""

import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

REPORT = pathlib.Path(__file__).resolve().parents[1] / "bench" / "report.py"


def google(name, **counters):
    return {"context": {"num_cpus": 2, "mhz_per_cpu": 2600},
            "benchmarks": [{"name": name, "run_type": "iteration", "real_time": 1.0, **counters}]}


class BenchReport(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def figures(self, name, *rounds):
        for number, content in enumerate(rounds, 1):
            (self.folder / f"{name}-{number}.json").write_text(json.dumps(content))

    def report(self, *arguments):
        return subprocess.run([sys.executable, REPORT, self.folder, *arguments], text=True,
                              capture_output=True, timeout=60)

    def test_a_row_tells_the_median_of_all_rounds_and_their_range(self):
        self.figures("takeover", *({"cut_p50_ms": ms, "motion_worst_ms": 90.0} for ms in (9, 12, 31)))
        self.assertIn("| 12 (9 to 31) ms |  | met |", self.report().stdout)

    def test_what_misses_its_target_is_told_to_fall_short(self):
        self.figures("replay", google("BM_DurableSteps/real_time", items_per_second=20_000.0))
        self.assertIn("| 20,000 steps/s |  | **falls short** |", self.report().stdout)
        self.assertEqual(json.loads(self.report("--json").stdout)["short"],
                         ["durable steps of 424 bytes, 30 a commit"])

    def test_a_limit_stands_beside_what_it_bounds(self):
        self.figures("head", {"context": {"num_cpus": 2, "mhz_per_cpu": 2600}, "benchmarks": [
            {"name": "head_sample/64", "cpu_time": 60.0},
            {"name": "bare_products_of_a_sample/64", "cpu_time": 44.0}]})
        self.assertIn("| 60 µs | 44 µs: bare matrix products | met |", self.report().stdout)

    def test_a_path_of_several_parts_is_judged_by_their_sum(self):
        self.figures("swap", {"context": {"num_cpus": 2, "mhz_per_cpu": 2600}, "benchmarks": [
            {"name": "weights_path/parse1_publish2_load3:2", "p50_us": 9000.0},
            {"name": "weights_path/parse1_publish2_load3:3", "p50_us": 8000.0}]})
        self.figures("head", google("head_load_and_warm_up") | {"benchmarks": [
            {"name": "head_load_and_warm_up", "real_time": 4.0}]})
        self.assertIn("| 21 ms |  | **falls short** |", self.report().stdout)

    def test_what_was_not_measured_is_named_and_left_out(self):
        self.figures("takeover", {"cut_p50_ms": 9.0, "motion_worst_ms": 90.0})
        done = self.report()
        self.assertIn("not measured: durable steps", done.stderr)
        self.assertNotIn("durable steps", done.stdout)

    def test_what_stands_in_no_row_is_listed(self):
        self.figures("kitchen", google("BM_ControlTick/level:1"))
        self.assertIn("kitchen BM_ControlTick/level:1: real_time 1", self.report().stdout)

    def test_only_what_is_between_the_marks_of_the_page_changes(self):
        self.figures("takeover", {"cut_p50_ms": 9.0, "motion_worst_ms": 90.0})
        page = self.folder / "page.md"
        page.write_text("before\n<!-- figures: begin -->\nold\n<!-- figures: end -->\nafter\n")
        self.assertEqual(self.report("--page", page).returncode, 0)
        text = page.read_text()
        self.assertTrue(text.startswith("before\n") and text.endswith("\nafter\n"), text)
        self.assertIn("90 ms", text)
        self.assertNotIn("old", text)

    def test_what_grows_is_plotted_without_a_word_about_the_table(self):
        self.figures("growth", {"viewers": {n: {"messages_a_second": 50 * n, "cpu_s_a_minute": {
            "all": 1.0 + n, "io": n, "step": 1}} for n in (0, 1, 4)}})
        done = self.report("--plots", self.folder)
        self.assertTrue((self.folder / "bench-growth-viewers.png").exists(), done.stderr)
        self.assertNotIn("not measured", done.stderr)
        self.assertEqual(done.stdout, "")

    def test_the_page_names_the_machine_and_the_kernels_of_its_matrix_products(self):
        self.figures("head", {"context": {"num_cpus": 2, "mhz_per_cpu": 2600,
                                          "blas_core_type": "Haswell"},
                              "benchmarks": [{"name": "gate_check/1", "real_time": 9.0}]})
        page = self.folder / "page.md"
        page.write_text("<!-- figures: begin -->\n<!-- figures: end -->\n")
        self.report("--page", page)
        self.assertIn("2 CPUs of 2600 MHz, OpenBLAS as on Haswell", page.read_text())

    def test_a_folder_without_figures_is_refused(self):
        done = self.report()
        self.assertEqual(done.returncode, 1)
        self.assertIn("no figures", done.stderr)


if __name__ == "__main__":
    unittest.main()
