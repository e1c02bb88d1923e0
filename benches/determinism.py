"""The determinism bench: one network, one input, many honest runs; how many results?

Stock engines and settings beside Rebut's instruction sets and threads. For each run: elements whose bits differ
from the first run of the same engine, and the largest difference.
Usage: cargo build --release && python benches/determinism.py [--models encoder-b1,mlp-1024] [--json FILE]
Needs numpy, onnx, onnxruntime (models/requirements.txt) and tract 0.23 from PyPI.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "target" / "bench-models"
onnxruntime.set_default_logger_severity(3)


def model_path(name):
    shipped = ROOT / "models" / f"{name}.onnx"
    return shipped if shipped.exists() else FOLDER / f"{name}.onnx"


def inputs_of(path):
    values = np.random.default_rng(1)
    shape = lambda one: [size.dim_value for size in one.type.tensor_type.shape.dim]
    return {one.name: values.uniform(-1, 1, shape(one)).astype(np.float32) for one in onnx.load(path).graph.input}


def stock(path, inputs):
    levels = onnxruntime.GraphOptimizationLevel
    for label, level in (("all", levels.ORT_ENABLE_ALL), ("basic", levels.ORT_ENABLE_BASIC), ("none", levels.ORT_DISABLE_ALL)):
        for threads in (1, 2):
            options = onnxruntime.SessionOptions()
            options.graph_optimization_level = level
            options.intra_op_num_threads = threads
            session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
            yield f"onnxruntime, optimisations {label}, {threads} threads", session.run(None, inputs)[0]
    try:
        import tract
    except ImportError:
        print("tract is not installed and left out", file=sys.stderr)
        return
    runnable = tract.onnx().load(str(path)).into_model().into_runnable()
    yield "tract", np.asarray(runnable.run(list(inputs.values()))[0].to_numpy())


def ours(path, inputs):
    flags = Path("/proc/cpuinfo").read_text()
    kinds = {"portable": True, "avx2": " avx2 " in flags, "avx512": " avx512bw " in flags}
    with tempfile.TemporaryDirectory() as folder:
        np.savez(f"{folder}/inputs.npz", **inputs)
        for kind in (kind for kind, there in kinds.items() if there):
            for threads in (1, 2, 4):
                subprocess.run(
                    [ROOT / "target/release/rebut", "--json", "run", path, "--input", f"{folder}/inputs.npz",
                     "--out", f"{folder}/out", "--isa", kind, "--threads", str(threads)],
                    check=True, stdout=subprocess.DEVNULL,
                )
                outputs = np.load(f"{folder}/out/outputs.npz")
                yield f"Rebut, {kind}, {threads} threads", outputs[outputs.files[0]]


def compare(name):
    path = model_path(name)
    inputs = inputs_of(path)
    rows = []
    for engine in (stock, ours):
        results, first = set(), None
        for label, found in engine(path, inputs):
            first = found if first is None else first
            differs = int((found.view(np.uint32) != first.view(np.uint32)).sum())
            rows.append({
                "model": name, "run": label, "elements": found.size, "differ": differs,
                "largest": float(np.abs(found - first).max() / np.abs(first).max()),
            })
            results.add(found.tobytes())
            print(f"{name:<14}{label:<48}{differs:>9} of {found.size}{differs / found.size:>8.1%}{rows[-1]['largest']:>10.1e}")
        print(f"{name:<14}different results: {len(results)}\n")
    return rows


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--models", default="encoder-b1,mlp-1024,resnet-18")
    parser.add_argument("--json")
    arguments = parser.parse_args()
    if not FOLDER.exists():
        subprocess.run([sys.executable, str(ROOT / "benches/models.py"), str(FOLDER)], check=True)
    rows = [row for name in arguments.models.split(",") for row in compare(name)]
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
