"""Operators of com.microsoft that onnxruntime's optimiser writes, weights that are not finite, and
16-bit floats: each against onnxruntime.

One node for each case of a table, and the networks of models/exported.py as onnxruntime's own optimiser
rewrites them. Two of the cases stay in FOLDER for the dispute test (REBUT_DISPUTE_MODELS): a mask of minus
infinity among the weights, and an optimised encoder.

Usage: pip install numpy onnx onnxruntime
       python models/vendor.py target/release/rebut FOLDER [FOLDER-OF-EXPORTED]
Exits 1 when an output differs by more than 1e-4 of the largest (1e-2 where onnxruntime computes in 16
bits; those are also compared with binary32, to 1e-5).
"""

import collections
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

RANDOM = np.random.default_rng(12)
onnxruntime.set_default_logger_severity(3)
MICROSOFT = "com.microsoft"
KINDS = {np.dtype(np.float32): TensorProto.FLOAT, np.dtype(np.float16): TensorProto.FLOAT16,
         np.dtype(np.int32): TensorProto.INT32, np.dtype(np.int64): TensorProto.INT64}


def normal(*shape, scale=1.0):
    return RANDOM.normal(0, scale, shape).astype(np.float32)


def one(operator, inputs, weights=(), outputs=1, domain=MICROSOFT, **attributes):
    """A model of one node. `inputs` and `weights` are arrays by name, None for what is absent, in the
    order of the operands: inputs first unless `weights` names places."""
    operands, values = [], []
    for name, array in [*inputs.items(), *dict(weights).items()]:
        operands.append(name if array is not None else "")
    names = [f"y{index}" for index in range(outputs)]
    node = helper.make_node(operator, operands, names, name="node", domain=domain, **attributes)
    values = [numpy_helper.from_array(array, name) for name, array in dict(weights).items() if array is not None]
    return [node], inputs, values, names


def save(path, nodes, inputs, weights, outputs, opset=17, kind=None):
    given = {name: array for name, array in inputs.items() if array is not None}
    graph = helper.make_graph(
        nodes, "g",
        [helper.make_tensor_value_info(name, KINDS[array.dtype], array.shape) for name, array in given.items()],
        [helper.make_tensor_value_info(name, kind, None) if kind else onnx.ValueInfoProto(name=name) for name in outputs],
        weights,
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset), helper.make_opsetid(MICROSOFT, 1)], ir_version=8
    )
    onnx.save(model, path)
    np.savez(path.with_suffix(".npz"), **given)
    return given


def attention(mask=None, heads=2, batch=2, length=6, width=8, bias=None, **attributes):
    weights = {"w": normal(width, 3 * width, scale=0.5), "b": normal(3 * width)}
    weights["m"] = mask
    if bias is not None:
        weights |= {"past": None, "bias": bias}
    return one("Attention", {"x": normal(batch, length, width)}, weights, num_heads=heads, **attributes)


def embedding(outputs=2, segments=True, mask=True, positions=False):
    ids = RANDOM.integers(0, 30, (2, 6)).astype(np.int32)
    kinds = RANDOM.integers(0, 2, (2, 6)).astype(np.int32) if segments else None
    seen = np.array([[1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 1, 1]], np.int32) if mask else None
    nodes = [helper.make_node(
        "EmbedLayerNormalization",
        ["ids", "kinds" if segments else "", "words", "places", "segments" if segments else "", "scale", "shift",
         "seen" if mask else "", *(["positions"] if positions else [])],
        [f"y{index}" for index in range(outputs)], name="node", domain=MICROSOFT, epsilon=1e-12,
    )]
    inputs = {"ids": ids, "kinds": kinds, "seen": seen}
    if positions:
        inputs["positions"] = RANDOM.integers(0, 9, (2, 6)).astype(np.int32)
    weights = {"words": normal(30, 16), "places": normal(9, 16), "scale": normal(16), "shift": normal(16)}
    if segments:
        weights["segments"] = normal(2, 16)
    return nodes, inputs, [numpy_helper.from_array(a, n) for n, a in weights.items()], [f"y{i}" for i in range(outputs)]


def heads(mask=None, bias=True, extra=None):
    inputs = {"q": normal(2, 5, 8), "k": normal(2, 7, 8), "v": normal(2, 7, 8)}
    weights = {"b": normal(24) if bias else None, "m": mask, "e": extra}
    return one("MultiHeadAttention", inputs, weights, num_heads=2)


def convolution(activation, parameters=None, addend=False):
    x, kernel, bias = normal(1, 3, 9, 8), normal(4, 3, 3, 3, scale=0.3), normal(4)
    weights = {"w": kernel, "b": bias}
    inputs = {"x": x}
    nodes, _, values, names = one(
        "FusedConv", inputs, weights, kernel_shape=[3, 3], pads=[1, 1, 1, 1], activation=activation,
        **({"activation_params": parameters} if parameters else {}),
    )
    if addend:
        inputs["z"] = normal(1, 4, 9, 8)
        nodes[0].input.append("z")
    return nodes, inputs, values, names


def masked_encoder():
    """Attention of one head written out, with a causal mask of minus infinity and an unused NaN."""
    mask = np.triu(np.full((12, 12), -np.inf, np.float32), 1)
    unused = np.full((12, 12), np.nan, np.float32)
    weights = {"wq": normal(16, 16, scale=0.3), "wk": normal(16, 16, scale=0.3), "wv": normal(16, 16, scale=0.3),
               "mask": mask, "unused": unused, "seen": np.zeros((12, 12), np.bool_)}
    nodes = [
        helper.make_node("MatMul", ["x", "wq"], ["q"], name="q"),
        helper.make_node("MatMul", ["x", "wk"], ["k"], name="k"),
        helper.make_node("MatMul", ["x", "wv"], ["v"], name="v"),
        helper.make_node("Transpose", ["k"], ["kt"], name="kt", perm=[1, 0]),
        helper.make_node("MatMul", ["q", "kt"], ["raw"], name="raw"),
        helper.make_node("Add", ["raw", "mask"], ["hidden"], name="hidden"),
        helper.make_node("Where", ["seen", "unused", "hidden"], ["scores"], name="scores"),
        helper.make_node("Softmax", ["scores"], ["share"], name="share", axis=-1),
        helper.make_node("MatMul", ["share", "v"], ["y0"], name="mixed"),
    ]
    return nodes, {"x": normal(12, 16)}, [numpy_helper.from_array(a, n) for n, a in weights.items()], ["y0"]


def pooled(infinite):
    """What is never finite meets only operators whose results are."""
    low = numpy_helper.from_array(np.array([-np.inf, -1.0, np.inf, 0.5], np.float32), "low")
    nodes = [helper.make_node("Max", ["x", "low"], ["a"], name="a"), helper.make_node("Min", ["a", "low"] if infinite else ["a", "x"], ["y0"], name="y")]
    return nodes, {"x": normal(3, 4)}, [low], ["y0"]


def windowed(operator, periodic):
    """A window of samples, weighed."""
    nodes = [
        helper.make_node(operator, ["size"], ["window"], name="window", periodic=periodic),
        helper.make_node("Mul", ["x", "window"], ["y0"], name="y"),
    ]
    return nodes, {"x": normal(2, 37)}, [numpy_helper.from_array(np.array(37, np.int64), "size")], ["y0"]


BATCH_MASK = np.array([4, 6], np.int32)
RANGE_MASK = np.array([4, 6, 1, 0], np.int32)
RAW_MASK = np.array([[1, 1, 1, 0, 0, 0], [1, 1, 1, 1, 1, 0]], np.int32)
CUBE_MASK = np.stack([np.tril(np.ones((6, 6), np.int32)), np.ones((6, 6), np.int32)])

CASES = {
    "FusedMatMul": lambda: one("FusedMatMul", {"a": normal(2, 3, 5)}, {"b": normal(5, 4)}, alpha=0.25),
    "FusedMatMul, turned": lambda: one("FusedMatMul", {"a": normal(2, 5, 3), "b": normal(2, 4, 5)}, transA=1, transB=1, alpha=0.3),
    "FusedGemm": lambda: one("FusedGemm", {"a": normal(3, 5)}, {"b": normal(4, 5), "c": normal(4)}, transB=1, alpha=0.5, activation="LeakyRelu", activation_alpha=0.2),
    "BiasGelu": lambda: one("BiasGelu", {"x": normal(3, 8)}, {"b": normal(8)}),
    "Gelu": lambda: one("Gelu", {"x": normal(3, 8)}),
    "FastGelu": lambda: one("FastGelu", {"x": normal(3, 8)}),
    "FastGelu, bias": lambda: one("FastGelu", {"x": normal(3, 8)}, {"b": normal(8)}),
    "QuickGelu": lambda: one("QuickGelu", {"x": normal(3, 8)}, alpha=1.702),
    "LayerNormalization": lambda: one("LayerNormalization", {"x": normal(2, 3, 8)}, {"s": normal(8), "b": normal(8)}, domain="", axis=-1, epsilon=1e-5),
    "SimplifiedLayerNormalization": lambda: one("SimplifiedLayerNormalization", {"x": normal(2, 3, 8)}, {"s": normal(8)}, domain="", axis=-1, epsilon=1e-5),
    "SkipLayerNormalization": lambda: one("SkipLayerNormalization", {"x": normal(2, 3, 8), "s": normal(2, 3, 8)}, {"g": normal(8), "b": normal(8), "c": normal(8)}, epsilon=1e-12),
    "SkipLayerNormalization, no shift": lambda: one("SkipLayerNormalization", {"x": normal(2, 3, 8), "s": normal(2, 3, 8)}, {"g": normal(8)}, epsilon=1e-5),
    "SkipLayerNormalization, sum": lambda: (
        [helper.make_node("SkipLayerNormalization", ["x", "s", "g", "b"], ["y0", "", "", "y1"], name="node", domain=MICROSOFT)],
        {"x": normal(2, 3, 8), "s": normal(2, 3, 8)},
        [numpy_helper.from_array(normal(8), "g"), numpy_helper.from_array(normal(8), "b")], ["y0", "y1"]),
    "SkipSimplifiedLayerNormalization": lambda: one("SkipSimplifiedLayerNormalization", {"x": normal(2, 3, 8), "s": normal(2, 3, 8)}, {"g": normal(8)}, epsilon=1e-6),
    "EmbedLayerNormalization": embedding,
    "EmbedLayerNormalization, no segments": lambda: embedding(segments=False, mask=False),
    "EmbedLayerNormalization, positions and sum": lambda: embedding(outputs=3, positions=True),
    "Attention": attention,
    "Attention, lengths": lambda: attention(BATCH_MASK),
    "Attention, from and to": lambda: attention(RANGE_MASK),
    "Attention, raw mask": lambda: attention(RAW_MASK),
    "Attention, mask of queries": lambda: attention(CUBE_MASK),
    "Attention, causal": lambda: attention(unidirectional=1),
    "Attention, bias and scale": lambda: attention(RAW_MASK, bias=normal(2, 2, 6, 6), scale=0.3),
    "MultiHeadAttention": heads,
    "MultiHeadAttention, lengths": lambda: heads(np.array([3, 7], np.int32)),
    "MultiHeadAttention, mask and bias": lambda: heads(np.array([[1] * 5 + [0] * 2, [1] * 7], np.int32), False, normal(2, 2, 5, 7)),
    "FusedConv": lambda: convolution("Relu"),
    "FusedConv, addend": lambda: convolution("Relu", addend=True),
    "FusedConv, clip": lambda: convolution("Clip", [-0.5, 0.75]),
    "FusedConv, leaky": lambda: convolution("LeakyRelu", [0.1]),
    "FusedConv, hard sigmoid": lambda: convolution("HardSigmoid", [0.2, 0.5]),
    "weights: minus infinity in a mask, NaN unused": masked_encoder,
    "weights: infinities under Max and Min": lambda: pooled(False),
    "weights: infinities that pass": lambda: pooled(True),
    "PRelu, one slope for each channel": lambda: one("PRelu", {"x": normal(2, 3, 4, 5)}, {"s": normal(3, 1, 1)}, domain=""),
    "Conv, three axes, groups": lambda: one("Conv", {"x": normal(2, 4, 5, 6, 7)}, {"w": normal(6, 2, 3, 2, 3), "b": normal(6)}, domain="", group=2, strides=[2, 1, 2], dilations=[1, 2, 1], pads=[1, 0, 2, 1, 1, 0]),
    "Conv, three axes, same": lambda: one("Conv", {"x": normal(1, 2, 5, 6, 7)}, {"w": normal(3, 2, 3, 3, 2)}, domain="", auto_pad="SAME_UPPER", strides=[2, 2, 1]),
    "ConvTranspose, three axes": lambda: one("ConvTranspose", {"x": normal(1, 4, 3, 4, 5)}, {"w": normal(4, 3, 3, 2, 3), "b": normal(6)}, domain="", group=2, strides=[2, 1, 2], pads=[1, 0, 1, 0, 1, 1], output_padding=[1, 0, 1]),
    "MaxPool, three axes": lambda: one("MaxPool", {"x": normal(2, 3, 7, 6, 5)}, domain="", kernel_shape=[3, 2, 2], strides=[2, 1, 2], dilations=[2, 1, 1], pads=[1, 1, 0, 1, 0, 1]),
    "AveragePool, three axes": lambda: one("AveragePool", {"x": normal(2, 3, 7, 6, 5)}, domain="", kernel_shape=[3, 2, 2], strides=[2, 1, 2], pads=[1, 1, 0, 1, 0, 1]),
    "GlobalMaxPool, three axes": lambda: one("GlobalMaxPool", {"x": normal(2, 3, 7, 6, 5)}, domain=""),
    "HannWindow": lambda: windowed("HannWindow", 1),
    "HammingWindow": lambda: windowed("HammingWindow", 0),
    "BlackmanWindow": lambda: windowed("BlackmanWindow", 1),
    "GlobalAveragePool, three axes": lambda: one("GlobalAveragePool", {"x": normal(2, 3, 7, 6, 5)}, domain=""),
}


def half():
    """Weights, input and output in 16 bits."""
    x, w, b = (normal(*shape).astype(np.float16) for shape in ((3, 8), (8, 5), (5,)))
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"], name="a"),
        helper.make_node("Add", ["a", "b"], ["c"], name="c"),
        helper.make_node("Softmax", ["c"], ["y0"], name="y", axis=-1),
    ]
    weights = [numpy_helper.from_array(w, "w"), numpy_helper.from_array(b, "b")]
    scores = x.astype(np.float32) @ w.astype(np.float32) + b.astype(np.float32)
    raised = np.exp(scores - scores.max(-1, keepdims=True))
    return (nodes, {"x": x}, weights, ["y0"]), raised / raised.sum(-1, keepdims=True)


def run(rebut, path):
    out = path.with_suffix(".run")
    done = subprocess.run(
        [*rebut, "--json", "run", str(path), "--input", str(path.with_suffix(".npz")), "--out", str(out)],
        stdout=subprocess.PIPE, text=True, check=False,
    )
    report = json.loads(done.stdout)
    if done.returncode != 0:
        return None, report["error"]["message"]
    return np.load(out / "outputs.npz"), ""


def difference(found, expected):
    """Of the largest finite output; what is not finite must be the same."""
    if found.shape != expected.shape:
        return float("inf")
    expected = expected.astype(np.float64)
    finite = np.isfinite(expected)
    if not np.array_equal(found[~finite], expected[~finite], equal_nan=True):
        return float("inf")
    apart = np.abs(found.astype(np.float64)[finite] - expected[finite])
    return float(apart.max(initial=0) / max(np.abs(expected[finite]).max(initial=0), 1e-9))


def check(rebut, path, name, given, tolerance=1e-4):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    expected = session.run(None, given)
    found, refusal = run(rebut, path)
    if found is None:
        print(f"{name}: REFUSED: {refusal}")
        return False
    worst = max(difference(found[one.name], value) for one, value in zip(session.get_outputs(), expected))
    good = worst <= tolerance
    print(f"{name:<46} {worst:.1e} of the largest output{'' if good else '  TOO FAR'}")
    return good


def optimised(rebut, folder, source):
    """A network as onnxruntime's optimiser rewrites it, and which operators it then has."""
    path = folder / f"{source.stem}-optimised.onnx"
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(path)
    onnxruntime.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])
    given = dict(np.load(source.with_suffix(".npz")))
    np.savez(path.with_suffix(".npz"), **given)
    model = onnx.load(path, load_external_data=False)
    own = collections.Counter(node.op_type for node in model.graph.node if node.domain)
    named = ", ".join(f"{count} {name}" for name, count in sorted(own.items()))
    return check(rebut, path, f"{source.stem}, optimised ({named or 'no operator of its own'})", given)


def main(rebut, folder, exported):
    folder.mkdir(parents=True, exist_ok=True)
    good = []
    for number, (name, make) in enumerate(CASES.items()):
        path = folder / f"case-{number}.onnx"
        if make is masked_encoder:
            path = folder / "masked.onnx"
        nodes, inputs, weights, outputs = make()
        given = save(path, nodes, inputs, weights, outputs)
        good.append(check(rebut, path, name, given))
    case, expected = half()
    given = save(folder / "half.onnx", *case, kind=TensorProto.FLOAT16)
    good.append(check(rebut, folder / "half.onnx", "16-bit floats, onnxruntime in 16 bits", given, 1e-2))
    found, _ = run(rebut, folder / "half.onnx")
    worst = difference(found["y0"], expected) if found is not None else float("inf")
    print(f"{'16-bit floats, computed in binary32':<46} {worst:.1e} of the largest output")
    good.append(worst <= 1e-5)
    if exported:
        good += [optimised(rebut, folder, exported / f"{name}.onnx") for name in ("bert", "vit", "resnet")]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1].split(), Path(sys.argv[2]), Path(sys.argv[3]) if len(sys.argv) > 3 else None))
