"""Runs the ONNX backend node tests through `rebut run` and compares the outputs.

Usage: pip install -r models/requirements.txt && python models/node_tests.py target/release/rebut
Each test passes, is refused with a typed error, or is wrong. Exits 1 when one is wrong or crashes.
"""

import collections
import json
import pathlib
import subprocess
import sys
import tempfile
import warnings

import numpy as np
import onnx
from onnx.backend.test.case.node import collect_testcases

warnings.filterwarnings("ignore")


def check(rebut, case, folder):
    inputs, outputs = case.data_sets[0]
    onnx.save(case.model, folder / "model.onnx")
    graph = case.model.graph
    names = [value.name for value in graph.input]
    arrays = {}
    for name, value in zip(names, inputs):
        if not isinstance(value, (np.ndarray, np.generic, int, float, bool)):
            return "refused", "not a tensor"
        arrays[name] = np.asarray(value)
    # What shapes depend on is fixed when the model is imported: first the short integer inputs, then
    # all but the first.
    small = [name for name in names[1:] if arrays[name].ndim <= 1 and arrays[name].dtype.kind == "i"]
    for fixed in ([], small, names[1:]):
        options = []
        for name in fixed:
            np.save(folder / f"{len(options)}.npy", arrays[name])
            options += ["--fix", f"{name}={folder / f'{len(options)}.npy'}"]
        free = {name: array for name, array in arrays.items() if name not in fixed}
        np.savez(folder / "inputs.npz", **free)
        done = subprocess.run(
            [rebut, "--json", "run", str(folder / "model.onnx"),
             "--input", str(folder / "inputs.npz"), "--out", str(folder / "out"), *options],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60,
        )
        message = done.stdout.decode() if done.returncode == 2 else ""
        if "depends on data" not in message and "must be constant" not in message:
            break
    if done.returncode == 2:
        return "refused", json.loads(done.stdout)["error"]["message"]
    if done.returncode != 0:
        return "crashed", done.stderr.decode()[-300:]
    found = np.load(folder / "out" / "outputs.npz")
    for value, expected in zip(graph.output, outputs):
        expected = np.asarray(expected)
        actual = found[value.name]
        if actual.shape != expected.shape:
            return "wrong", f"{value.name}: shape {actual.shape}, expected {expected.shape}"
        if actual.dtype != expected.dtype:
            return "wrong", f"{value.name}: type {actual.dtype}, expected {expected.dtype}"
        # Magnitudes under 2^-40 are stored as zero.
        close = np.allclose(actual, expected, rtol=max(case.rtol, 1e-5), atol=1e-6, equal_nan=True)
        if not close:
            return "wrong", f"{value.name}: {actual.ravel()[:4]}, expected {expected.ravel()[:4]}"
    return "pass", ""


def main(rebut):
    counts = collections.Counter()
    for case in collect_testcases(None):
        with tempfile.TemporaryDirectory() as folder:
            try:
                outcome, reason = check(rebut, case, pathlib.Path(folder))
            except subprocess.TimeoutExpired:
                outcome, reason = "crashed", "over 60 s"
        counts[outcome] += 1
        if outcome in ("wrong", "crashed"):
            print(f"{outcome}: {case.name}: {reason}")
        elif "--refused" in sys.argv and outcome == "refused":
            print(f"refused: {case.name}: {reason[:150]}")
    print(json.dumps(counts))
    return 1 if counts["wrong"] + counts["crashed"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
