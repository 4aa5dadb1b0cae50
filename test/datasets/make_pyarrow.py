#!/usr/bin/env python3
"""Makes test/data/datasets/pyarrow-*.parquet anew: python3 make_pyarrow.py FOLDER (needs pyarrow)."""

import sys

import pyarrow as pa
import pyarrow.parquet as pq

folder = sys.argv[1]
rows = range(30)
words = [[] if i % 3 == 0 else None if i % 3 == 1 else
         [{"role": "user", "content": None}, {"role": "robot", "content": "x" * i}] for i in rows]
table = pa.table({
    "observation.state": pa.array([[float(i), i + .5, -i] for i in rows], pa.list_(pa.float32())),
    "action": pa.array([[float(i), 2.0 * i] for i in rows], pa.list_(pa.float32(), 2)),
    "timestamp": pa.array([i / 10 for i in rows], pa.float32()),
    "task_index": pa.array([i // 10 for i in rows], pa.int64()),
    "next.done": pa.array([i % 10 == 9 for i in rows]),
    "small": pa.array([i - 3 for i in rows], pa.int32()),
    "real": pa.array([None if i % 7 == 0 else i / 3 for i in rows], pa.float64()),
    "name": pa.array(["odd" if i % 2 else "even" for i in rows]),
    "image": pa.array([{"bytes": bytes([i] * (i + 1)), "path": None if i == 3 else f"frame-{i}.png"}
                       for i in rows], pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
    "words": pa.array(words, pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))),
})
small = {"row_group_size": 13, "data_page_size": 200}
pq.write_table(table, f"{folder}/pyarrow-v1.parquet", **small)
pq.write_table(table, f"{folder}/pyarrow-v2.parquet", data_page_version="2.0", **small)
pq.write_table(table, f"{folder}/pyarrow-plain.parquet", use_dictionary=False, compression="none")
pq.write_table(table, f"{folder}/pyarrow-zstd.parquet", compression="zstd")
