#!/usr/bin/env python3
"""calibrate_gate.sh in small, to see that its pieces work together: a few candidates, a few starts.

usage: gate_quick.py build/release/nudge build/bench/test/bench/gate_calibration .../probation_calibration
"""

import json
import pathlib
import subprocess
import sys
import tempfile

FOLDER = pathlib.Path(__file__).resolve().parent


def output(*command):
    return subprocess.run(list(map(str, command)), check=True, stdout=subprocess.PIPE,
                          text=True).stdout


def main(program, calibration, probation):
    with tempfile.TemporaryDirectory(prefix="nudge-gate-") as name:
        folder = pathlib.Path(name)
        results = folder / "results"
        results.mkdir()
        state = folder / "state"
        output(program, "train", "--state", state, "--record", 15, "--json",
               "--set", "learner.base_steps=300")
        before = sorted(path.name for path in (state / "weights").iterdir())
        (results / "small.jsonl").write_text(output(calibration, state, 4, "scaled"))
        assert before == sorted(path.name for path in (state / "weights").iterdir()), "weights changed"
        (results / "probation.json").write_text(output(probation))
        page = output(sys.executable, FOLDER / "gate_report.py", results)
        assert "all actions are larger or smaller" in page and "## Probation" in page, page
        rates = json.loads(output(sys.executable, FOLDER / "gate_report.py", results, "--json"))
        assert set(rates) == {"small"}, rates


if len(sys.argv) != 4:
    sys.exit(__doc__)
main(*sys.argv[1:])
