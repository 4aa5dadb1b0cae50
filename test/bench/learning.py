#!/usr/bin/env python3
"""How fast the simulated kitchen's policy learns from corrections, and what each part is worth.

usage: learning.py build/release/nudge RESULTS [--seeds N] [--only NAME...] [--ablations]
                   [--paraphrases] [--all] [--quick] [--list]

Runs one piece for each case and seed, one after the other, and leaves RESULTS/NAME-SEED.json. What
is there is not run again; a piece that was broken off is begun anew. Log and weights of a piece stay
in RESULTS/states, where other pieces look. learning_report.py makes tables and plots of the figures.
A piece takes minutes on one core; all seeds of all pieces take many hours.

  --seeds N      seeds 1 to N; 5 by default
  --only NAME    these pieces alone, as --list names them; what they stand on is run first
  --ablations    beside the cases, the variants of one
  --paraphrases  beside the cases, the same policies told their task in 20 other ways
  --all          both
  --quick        one case from state, one seed, few starts, one variant: to see that it works
  --list         names the pieces and runs none
"""

import argparse
import dataclasses
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

PHRASES = pathlib.Path(__file__).with_name("learning_paraphrases.json")
PARAPHRASES = 20  # of each instruction
EYES = ("policy.backbone=kitchen", "kitchen.random_looks=true")
PATIENCE = 3 * 3600  # s; a piece that takes longer hangs

# How the pieces are run: held-out starts of each point, and where a run ends.
FULL = {"demo.starts": 100, "demo.corrected": 25, "demo.episodes": 150}
QUICK = {"demo.starts": 10, "demo.corrected": 2, "demo.episodes": 12, "learner.base_steps": 600,
         "learner.full_steps": 200}
TAUGHT = ("put the mug in the sink", "put the sponge on the tray", "put the can in the sink")
LEFT = "put the pot on the left burner"
# Whatever was trained on the log is measured, good or bad.
NO_GATE = ("gate.max_change=100", "gate.demonstration_ratio=100", "gate.demonstration_slack=10",
           "gate.heldout_worse=10")


@dataclasses.dataclass(frozen=True)
class Piece:
    name: str
    title: str
    level: int
    settings: tuple = ()
    of: str = ""  # the piece that it is a variant of, compared with on the same starts
    kind: str = "campaign"  # or: log (trained on the log of `of`), shown, night, paraphrase, eyes
    log: str = ""  # of a night: the piece that recorded what the nightly training learns from
    eyes: str = ""  # the piece that makes the backbone
    group: str = "cases"


CASES = (
    Piece("state-1", "level 1 from state", 1),
    Piece("cameras-1", "level 1 from cameras", 1, (*EYES, "demo.demonstrations=8")),
    Piece("cameras-2", "level 2 from cameras", 2, (*EYES, "demo.demonstrations=10")),
    Piece("cameras-3", "level 3 from cameras", 3, (*EYES, "demo.demonstrations=30")),
    Piece("compose-4", "level 4 from cameras, three of six pairs corrected", 4,
          (*EYES, "demo.demonstrations=18", "demo.tasks=" + "; ".join(TAUGHT))),
)


def variant(name, title, *settings, of=CASES[1], group="ablations", **more):
    return Piece(name, title, of.level, (*of.settings, *settings), of=of.name, group=group, **more)


BY_STEP = ("learner.share_of=step", "learner.share_recovery=0.3333")
VARIANTS = (
    variant("behaviour-cloning", "plain behaviour cloning on the same frames", *BY_STEP,
            "learner.share_corrections=0.3333", "learner.share_demonstrations=0.3333",
            "learner.share_autonomous=0.3334", "learner.base_steps=10000", *NO_GATE, kind="log"),
    variant("hg-dagger", "HG-DAgger without weights", "learner.share_of=step",
            "learner.share_corrections=0.5", "learner.share_demonstrations=0.5",
            "learner.share_autonomous=0", "learner.share_recovery=0.5"),
    variant("successes", "with autonomous successes, a fifth of each batch",
            "learner.share_corrections=0.5", "learner.share_demonstrations=0.3",
            "learner.share_autonomous=0.2"),
    variant("negatives", "with negatives: before takeovers, and failures",
            "learner.before_takeover=negative", "learner.failures=negative"),
    variant("guidance", "with negatives and guidance 2 by the advantage token",
            "learner.before_takeover=negative", "learner.failures=negative", "policy.guidance=2"),
    variant("residual", "the head edits the chunks of a frozen base", "policy.reference=base"),
    variant("eyes-random", "eyes with random weights", eyes="backbone-none"),
    variant("eyes-actions", "eyes taught without object poses", eyes="backbone-actions"),
    variant("no-language", "told no instruction (level 3)", "policy.listens=false", of=CASES[3]),
    variant("left-only", "corrected on the left burner alone (level 3)", "demo.tasks=" + LEFT,
            of=CASES[3]),
    variant("wrong-random", "a fifth of all corrections random", "demo.wrong_share=0.2",
            "demo.wrong=random"),
    variant("wrong-adversarial", "a fifth of all corrections adversarial", "demo.wrong_share=0.2",
            "demo.wrong=adversarial"),
)
# What failed demonstrations are worth: three of four demonstrators let go too soon, and nobody
# corrects. The nightly training discards what failed, or judges its steps.
HASTY = Piece("hasty-3", "level 3 from cameras, ten demonstrations that went well", 3,
              (*EYES, "demo.everywhere=true", "demo.hasty_share=0.75"), kind="shown",
              group="nights")
DEMONSTRATIONS = 10  # of these, that went well


def night(name, title, of, *settings):
    return Piece(name, title, HASTY.level,
                 (*HASTY.settings, "nightly.steps=3000", "nightly.starts=0", *settings), of=of,
                 kind="night", log=HASTY.name, group="nights")


NIGHTS = (
    HASTY,
    night("night-discarded", "a night with failed demonstrations discarded", HASTY.name),
    night("night-judged", "a night with their steps judged", "night-discarded",
          "nightly.advantage=true"),
)
# What a micro-round is worth where the difficulty that it answers comes again in the same episode.
# A hand-back that was needed puts the robot where the policy knows what to do, and shows little.
AGAIN = tuple(
    Piece(f"again-{case.level}", f"{case.title}, the same difficulty again", case.level,
          (*case.settings, "demo.again=true", "demo.corrected=12", "demo.episodes=80",
           "demo.starts=20"), group="again") for case in CASES[1:4])
BACKBONES = (
    # Pictures are for the features' scale alone.
    Piece("backbone-none", "random eyes", 0, ("--supervision", "none", "--pictures", "1000"),
          kind="eyes"),
    Piece("backbone-actions", "eyes taught with the expert's actions", 0,
          ("--supervision", "actions"), kind="eyes"),
)
TOLD = tuple(
    Piece(f"told-{case.name}", f"{case.title}, in other words", case.level, case.settings,
          of=case.name, kind="paraphrase", group="paraphrases") for case in CASES[1:])
ALL = {piece.name: piece for piece in (*CASES, *VARIANTS, *NIGHTS, *AGAIN, *TOLD, *BACKBONES)}
QUICK_PIECES = (CASES[0], variant("hg-dagger", "HG-DAgger without weights",
                                  *ALL["hg-dagger"].settings[len(EYES):], of=CASES[0]))


def sets(settings):
    return [part for setting in settings for part in ("--set", setting)]


class Runner:
    def __init__(self, nudge, results, limits):
        self.nudge = str(pathlib.Path(nudge).resolve())
        self.results = results
        self.limits = limits
        (results / "states").mkdir(parents=True, exist_ok=True)
        self.version = subprocess.run([self.nudge, "--version"], check=True, text=True,
                                      stdout=subprocess.PIPE).stdout.strip()

    def file(self, piece, seed):
        return self.results / f"{piece.name}-{seed}.json"

    def state(self, name, seed):
        return self.results / "states" / f"{name}-{seed}" / "state"

    def backbone(self, name):
        return self.results / "states" / f"{name}-1.safetensors"

    def call(self, *arguments, codes=(0,)):
        """What the program printed as JSON. `codes`: those that are an answer."""
        environment = dict(os.environ, OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
        done = subprocess.run([self.nudge, *arguments, "--json"], text=True, env=environment,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=PATIENCE)
        if done.returncode not in codes:
            sys.exit(f"learning.py: nudge {arguments[0]} ended with {done.returncode}: "
                     f"{done.stderr.strip()[-2000:]}")
        return json.loads(done.stdout)

    def settings(self, piece, seed):
        limits = tuple(f"{key}={value}" for key, value in self.limits.items())
        own = piece.settings
        if piece.eyes:
            own = (*own, f"policy.backbone={self.backbone(piece.eyes)}")
        return (*limits, *own, f"kitchen.level={piece.level}", f"learner.seed={seed}")

    def campaign(self, piece, seed):
        out = self.state(piece.name, seed).parent
        shutil.rmtree(out, ignore_errors=True)
        result = self.call("demo", "--headless", "--real-time", "0", "--out", str(out), "--seed",
                           str(seed), *sets(self.settings(piece, seed)), codes=(0, 1))
        return {"points": result["points"], "instructions": result["instructions"],
                "micro_round_seconds": result["micro_round_seconds"],
                "full_round_seconds": result["full_round_seconds"],
                "hand_backs": result["hand_backs"],
                "core_type": result["core_type"]}

    def evaluation(self, piece, seed, state, *more):
        return self.call("eval", "--state", str(state), "--seed", str(seed), "--starts",
                         str(self.limits["demo.starts"]), *more, *sets(self.settings(piece, seed)))

    def log(self, piece, seed):
        """Trained on what another piece recorded; measured on that one's starts."""
        out = self.state(piece.name, seed)
        shutil.rmtree(out.parent, ignore_errors=True)
        shutil.copytree(self.state(piece.of, seed), out)
        trained = self.call("train", "--state", str(out), "--from", "log",
                            *sets(self.settings(piece, seed)))
        measured = self.evaluation(piece, seed, out, "--version-number", str(trained["version"]))
        shutil.rmtree(out.parent)
        return {"success": measured["success"], "instructions": measured["instructions"]}

    def shown(self, piece, seed):
        """Demonstrations, and a policy trained on those that went well."""
        out = self.state(piece.name, seed)
        shutil.rmtree(out.parent, ignore_errors=True)
        self.call("train", "--state", str(out), "--record", str(DEMONSTRATIONS),
                  *sets(self.settings(piece, seed)))
        measured = self.evaluation(piece, seed, out)
        return {"success": measured["success"], "instructions": measured["instructions"]}

    def night(self, piece, seed):
        """What a nightly training makes of another piece's state; refused: what was there."""
        out = self.state(piece.name, seed)
        shutil.rmtree(out.parent, ignore_errors=True)
        shutil.copytree(self.state(piece.log, seed), out)
        trained = self.call("train", "--nightly", "--state", str(out),
                            *sets(self.settings(piece, seed)))
        measured = self.evaluation(piece, seed, out)
        shutil.rmtree(out.parent)
        return {"success": measured["success"], "instructions": measured["instructions"],
                "outcome": trained["outcome"], "tasks": trained["tasks"]}

    def paraphrase(self, piece, seed):
        phrases = json.loads(PHRASES.read_text())
        state = self.state(piece.of, seed)
        canonical = self.evaluation(piece, seed, state)
        told = []
        for number in range(PARAPHRASES):
            say = [part for instruction in sorted(set(canonical["instructions"]))
                   for part in ("--say", f"{instruction}={phrases[instruction][number]}")]
            told.append(self.evaluation(piece, seed, state, *say)["success"])
        return {"success": canonical["success"], "instructions": canonical["instructions"],
                "told": told}

    def make_eyes(self, piece):
        return self.call("backbone", "train", "--out", str(self.backbone(piece.name)),
                         *piece.settings)

    def run(self, piece, seed):
        if piece.kind == "eyes":
            seed = 1  # the same for all
        file = self.file(piece, seed)
        definition = json.loads(json.dumps(dataclasses.asdict(piece) | {"limits": self.limits}))
        if file.exists():
            there = json.loads(file.read_text())
            if any(there.get(key) != value for key, value in definition.items()):
                sys.exit(f"learning.py: {file} was run with other settings; remove it, or choose "
                         "another folder")
            return
        if piece.kind in ("log", "night", "paraphrase"):
            self.run(ALL[piece.log or piece.of], seed)
        if piece.eyes:
            self.run(ALL[piece.eyes], seed)
        print(f"{piece.name}, seed {seed}: {piece.title}", file=sys.stderr, flush=True)
        began, load = time.monotonic(), os.getloadavg()[0]
        result = {"campaign": self.campaign, "log": self.log, "shown": self.shown, "night": self.night,
                  "paraphrase": self.paraphrase,
                  "eyes": lambda eyes, _: self.make_eyes(eyes)}[piece.kind](piece, seed)
        told = definition | {
            "seed": seed, "wall_seconds": time.monotonic() - began,
            "load": [load, os.getloadavg()[0]], "cpus": os.cpu_count(), "version": self.version,
            "result": result}
        part = file.with_suffix(".part")
        part.write_text(json.dumps(told) + "\n")
        part.replace(file)


def encoder_is_there():
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
    return (cache / "nudge/encoders/all-MiniLM-L6-v2/model.safetensors").exists()


def chosen(options):
    if options.only:
        unknown = [name for name in options.only if name not in ALL]
        if unknown:
            sys.exit(f"learning.py: no piece named {', '.join(unknown)}; see --list")
        return [ALL[name] for name in options.only]
    if options.quick:
        return QUICK_PIECES
    return (*CASES, *AGAIN, *((*VARIANTS, *NIGHTS) if options.ablations or options.all else ()),
            *(TOLD if options.paraphrases or options.all else ()))


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("nudge")
    parser.add_argument("results", type=pathlib.Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME")
    for flag in ("--ablations", "--paraphrases", "--all", "--quick", "--list"):
        parser.add_argument(flag, action="store_true")
    options = parser.parse_args()
    if options.list:
        for piece in ALL.values():
            print(f"{piece.name:20} {piece.title}")
        return
    pieces = chosen(options)
    if any(piece.kind == "paraphrase" for piece in pieces) and not encoder_is_there():
        sys.exit("learning.py: other words are understood by the sentence encoder alone; fetch it "
                 "with scripts/setup.sh --for words")
    runner = Runner(options.nudge, options.results.resolve(), QUICK if options.quick else FULL)
    for seed in range(1, (1 if options.quick else options.seeds) + 1):
        for piece in pieces:
            runner.run(piece, seed)


if __name__ == "__main__":
    main()
