#!/usr/bin/env python3
"""Loads a data set with LeRobot and reads every frame: load_with_lerobot.py FOLDER"""

import json
import pathlib
import sys

import numpy as np
import torch
from lerobot.datasets.lerobot_dataset import LeRobotDataset

folder = pathlib.Path(sys.argv[1])
info = json.loads((folder / "meta" / "info.json").read_text())
data = LeRobotDataset("local/check", root=folder)
assert len(data) == info["total_frames"], (len(data), info["total_frames"])
assert data.num_episodes == info["total_episodes"]
cameras = [key for key, f in info["features"].items() if f["dtype"] in ("image", "video")]
episode, frame = -1, 0
interventions = 0
for i in range(len(data)):
    item = data[i]
    frame = 0 if int(item["episode_index"]) != episode else frame + 1
    episode = int(item["episode_index"])
    assert int(item["index"]) == i and int(item["frame_index"]) == frame
    assert abs(float(item["timestamp"]) - frame / info["fps"]) < 1e-4
    assert item["action"].shape == tuple(info["features"]["action"]["shape"])
    assert torch.isfinite(item["action"]).all()
    assert isinstance(item["task"], str) and item["task"]
    interventions += bool(item["intervention"]) if "intervention" in item else 0
    for key in cameras:
        height, width, _ = info["features"][key]["shape"]
        assert item[key].shape == (3, height, width), (key, item[key].shape)
        assert 0.02 < float(item[key].mean()) < 0.98, key
for key in ("action", "observation.state", *cameras):
    stats = data.meta.stats[key]
    assert np.all(stats["min"] <= stats["mean"]) and np.all(stats["mean"] <= stats["max"]), key
    if "q50" in stats:
        assert np.all(stats["q01"] <= stats["q50"]) and np.all(stats["q50"] <= stats["q99"]), key
actions = torch.stack([data[i]["action"] for i in range(len(data))]).numpy()
assert np.allclose(data.meta.stats["action"]["mean"], actions.mean(0), atol=1e-4)
assert np.allclose(data.meta.stats["action"]["std"], actions.std(0), atol=1e-3)

# Chunks of actions, as policies train on them, and only some of the episodes.
chunks = LeRobotDataset("local/check", root=folder, episodes=[data.num_episodes - 1],
                        delta_timestamps={"action": [k / info["fps"] for k in range(4)]})
loader = torch.utils.data.DataLoader(
    torch.utils.data.Subset(chunks, range(min(8, len(chunks)))), batch_size=4,
    collate_fn=lambda rows: torch.stack([row["action"] for row in rows]))
for batch in loader:
    assert batch.shape[1:] == (4, info["features"]["action"]["shape"][0])
print(f"{folder.name}: {data.num_episodes} episodes, {len(data)} frames, {len(cameras)} cameras, "
      f"{interventions} interventions")
