"""Runs the ONNX backend node tests through `rebut run` and compares the outputs.

Usage: pip install -r models/requirements.txt && python models/node_tests.py target/release/rebut
       [--refused]           prints each refusal
       [--table FILE]        writes the table by operator between its two marks in FILE
       [--check-table FILE]  fails when the table in FILE is another
Each test passes, is refused with a typed error, or is wrong. Exits 1 when one is wrong or crashes, or
when fewer than 94 % of those pass that are outside the families which are refused by name.
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
        if isinstance(expected, onnx.TensorProto):
            expected = onnx.numpy_helper.to_array(expected)
        expected = np.asarray(expected)
        actual = found[value.name]
        if actual.shape != expected.shape:
            return "wrong", f"{value.name}: shape {actual.shape}, expected {expected.shape}"
        # 16-bit floats are computed and given as binary32, so that the tests' own rounding is left out.
        half = expected.dtype == np.float16
        expected = expected.astype(np.float32) if half else expected
        if actual.dtype != expected.dtype:
            return "wrong", f"{value.name}: type {actual.dtype}, expected {expected.dtype}"
        # Magnitudes under 2^-40 are stored as zero.
        rtol, atol = (max(case.rtol, 2e-3), 2e-3) if half else (max(case.rtol, 1e-5), 1e-6)
        close = np.allclose(actual, expected, rtol=rtol, atol=atol, equal_nan=True)
        if not close:
            return "wrong", f"{value.name}: {actual.ravel()[:4]}, expected {expected.ravel()[:4]}"
    return "pass", ""


# What is refused on purpose, by what the error or the operator says.
FAMILIES = [
    ("element type: bfloat16", "bfloat16"),
    ("element type: 64-bit floats", "64-bit floats"),
    ("element type: unsigned 64-bit integers", "unsigned 64-bit"),
    ("element type: 4-bit and 8-bit floats, 2-bit and 4-bit integers, complex numbers", "data type|(BitCast)"),
    ("encoded images", "(ImageDecoder)"),
    ("strings", "strings|TfIdfVectorizer"),
    ("sequences, optionals, and element types that NumPy does not have (bfloat16, 8 and 4 bits)", "not a tensor|only tensors|Sequence|Optional|sequence"),
    ("tensors without elements", "no zero|is empty"),
    ("training: losses, dropout, statistics", "Loss)|dropout masks|training mode"),
    ("loops", "(Scan)|(Loop)"),
    ("shapes that depend on data", "depends on data|must be constant|(NonMaxSuppression)|(Unique)|(Compress)|(NonZero)"),
    ("random numbers", "(Bernoulli)|(Random|(Multinomial)"),
    ("operator sets before 6, other domains", "opset 1 |names no operator set|domain ai.onnx.preview|domain ai.onnx.ml"),
    ("masked scores that are not finite", "are not finite"),
    ("models without inputs", "has no input"),
]


def family(message):
    for name, signs in FAMILIES:
        if any(sign in message for sign in signs.split("|")):
            return name
    return None


def table(counts, families):
    """Markdown: tests by operator, and the families that are refused by name."""
    lines = ["| operator | pass | refused by name | not supported |", "| --- | --- | --- | --- |"]
    for operator in sorted(counts):
        one = counts[operator]
        lines.append(f"| {operator} | {one['pass']} | {one['family']} | {one['refused']} |")
    lines += ["", "| refused by name | tests |", "| --- | --- |"]
    lines += [f"| {name} | {families[name]} |" for name, _ in FAMILIES if families[name]]
    return "\n".join(lines)


MARKS = ("<!-- node tests: begin -->", "<!-- node tests: end -->")


def replaced(text, new):
    before, rest = text.split(MARKS[0])
    return f"{before}{MARKS[0]}\n{new}\n{MARKS[1]}{rest.split(MARKS[1])[1]}"


def operator_of(case):
    """The operator that a test is named after; expanded forms count with it."""
    wanted = case.name.removeprefix("test_").replace("_", "").lower()
    names = {node.op_type for node in case.model.graph.node}
    fits = [name for name in ALL_OPERATORS | names if wanted.startswith(name.lower())]
    return max(fits, key=len) if fits else sorted(names)[0] if names else "(none)"


ALL_OPERATORS = {schema.name for schema in onnx.defs.get_all_schemas()}


def main(rebut):
    counts = collections.Counter()
    by_operator = collections.defaultdict(collections.Counter)
    families = collections.Counter()
    for case in collect_testcases(None):
        with tempfile.TemporaryDirectory() as folder:
            try:
                outcome, reason = check(rebut, case, pathlib.Path(folder))
            except subprocess.TimeoutExpired:
                outcome, reason = "crashed", "over 60 s"
        named = family(reason) if outcome == "refused" else None
        if named:
            families[named] += 1
        counts["refused by name" if named else outcome] += 1
        by_operator[operator_of(case)]["family" if named else outcome] += 1
        if outcome in ("wrong", "crashed"):
            print(f"{outcome}: {case.name}: {reason}")
        elif "--refused" in sys.argv and outcome == "refused":
            print(f"refused: {case.name}: {reason[:150]}")
    share = counts["pass"] / (counts["pass"] + counts["refused"] + counts["wrong"] + counts["crashed"])
    print(json.dumps(counts), f"{share:.1%} of what is not refused by name")
    failed = counts["wrong"] + counts["crashed"] > 0 or share < 0.94
    for option in ("--table", "--check-table"):
        if option in sys.argv:
            path = pathlib.Path(sys.argv[sys.argv.index(option) + 1])
            new = replaced(path.read_text(), table(by_operator, families))
            if option == "--table":
                path.write_text(new)
            elif path.read_text() != new:
                print(f"{path}: the table of node tests is not up to date; write it with --table")
                failed = True
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
