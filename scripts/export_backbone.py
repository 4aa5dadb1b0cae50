#!/usr/bin/env python3
"""Exports a PyTorch module as a backbone: TorchScript that `policy.backbone` names.

usage: scripts/export_backbone.py FILE.py:NAME --out BACKBONE.pt --proprioception N
           [--camera NAME=WIDTHxHEIGHT]... [--nudge PROGRAM]

NAME in FILE.py is a torch.nn.Module, or what makes one when it is called without arguments. Its
forward() is

    def forward(self, pictures: List[Tensor], proprioception: Tensor, instruction: str) -> Tensor

pictures: one for each --camera, in that order, uint8 [height, width, 3], RGB; proprioception: float32
[N]; it gives 1 to 512 features, float32. It must be what torch.jit.script() can compile.

The features of a fixed probe are stored beside it. The program makes them again whenever it loads the
file, and refuses one whose features differ. With --nudge that is done at once: what PyTorch and the
program make of the probe is compared.

Exit codes: 0 exported (and the same in the program); 1 the program refuses it; 2 it cannot be
exported.
"""

import argparse
import importlib.util
import json
import pathlib
import re
import subprocess
import sys

MOST_FEATURES = 512
MOST_VALUES = 256
MOST_CAMERAS = 16


class Unfit(Exception):
    """Why it cannot be exported, for people."""


def camera(text):
    found = re.fullmatch(r"([^=]{1,64})=(\d{1,4})x(\d{1,4})", text)
    if not found or not int(found[2]) or not int(found[3]):
        raise argparse.ArgumentTypeError(f"'{text}' is none such as front=128x128")
    return {"name": found[1], "width": int(found[2]), "height": int(found[3])}


def load(place):
    import torch

    path, _, name = place.rpartition(":")
    if not path or not pathlib.Path(path).is_file():
        raise Unfit(f"'{place}' should be FILE.py:NAME, with a file that is there")
    specification = importlib.util.spec_from_file_location("backbone_to_export", path)
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module
    specification.loader.exec_module(module)
    made = getattr(module, name, None)
    if made is None:
        raise Unfit(f"{path} has no {name}")
    if not isinstance(made, torch.nn.Module):
        made = made()
    if not isinstance(made, torch.nn.Module):
        raise Unfit(f"{name} of {path} is no torch.nn.Module, and makes none")
    return made.eval()


def probe(cameras, values):
    """What the program shows a backbone when it loads it."""
    import torch

    pictures = []
    for each in cameras:
        y = torch.arange(each["height"]).view(-1, 1, 1)
        x = torch.arange(each["width"]).view(1, -1, 1)
        channel = torch.arange(3).view(1, 1, -1)
        pictures.append(((7 * x + 13 * y + 29 * channel + x * y) % 256).to(torch.uint8))
    measured = torch.tensor([0.1 * (i % 11) - 0.5 for i in range(values)], dtype=torch.float32)
    return pictures, measured, "probe"


def export(module, cameras, values, out):
    """Writes the file; gives the number of features."""
    import torch

    if len(cameras) > MOST_CAMERAS or values > MOST_VALUES:
        raise Unfit(f"at most {MOST_CAMERAS} cameras and {MOST_VALUES} values of proprioception")
    try:
        scripted = torch.jit.script(module)
    except Exception as error:
        raise Unfit(f"torch.jit.script() cannot compile it: {error}") from error
    asked = ["Tensor[]", "Tensor", "str"]
    schema = scripted.forward.schema
    has = [str(argument.type) for argument in schema.arguments[1:]]
    if [kind.replace("List[Tensor]", "Tensor[]") for kind in has] != asked:
        raise Unfit(f"its forward() takes {has}, and should take {asked}")
    with torch.inference_mode():
        features = scripted(*probe(cameras, values))
    if not isinstance(features, torch.Tensor) or not 1 <= features.numel() <= MOST_FEATURES:
        raise Unfit(f"it must make 1 to {MOST_FEATURES} features")
    features = features.to(torch.float32).flatten()
    if not bool(torch.isfinite(features).all()):
        raise Unfit("it makes features that are not finite")
    about = {"nudge_backbone": 1, "features": features.numel(), "proprioception": values,
             "cameras": cameras, "probe": features.tolist(), "exporter": torch.__version__}
    torch.jit.save(scripted, str(out), _extra_files={"nudge.json": json.dumps(about)})
    return features.numel()


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("module", metavar="FILE.py:NAME")
    parser.add_argument("--out", required=True, type=pathlib.Path)
    parser.add_argument("--proprioception", required=True, type=int, metavar="N")
    parser.add_argument("--camera", action="append", default=[], type=camera)
    parser.add_argument("--nudge", help="the program, to see that it makes the same features")
    chosen = parser.parse_args(arguments)
    try:
        made = export(load(chosen.module), chosen.camera, chosen.proprioception, chosen.out)
    except Unfit as unfit:
        print(f"{chosen.module}: {unfit}", file=sys.stderr)
        return 2
    except ImportError as error:
        print(f"this needs PyTorch (pip install torch): {error}", file=sys.stderr)
        return 2
    print(f"{chosen.out}: {made} features", file=sys.stderr)
    if not chosen.nudge:
        return 0
    done = subprocess.run(
        [chosen.nudge, "doctor", "--json", "--set", f"policy.backbone={chosen.out}"],
        stdout=subprocess.PIPE, text=True)
    found = [check for check in json.loads(done.stdout)["checks"] if check["name"] == "backbone"]
    print(f"{chosen.nudge}: {found[0]['detail']}", file=sys.stderr)
    return 0 if found[0]["state"] == "ok" else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
