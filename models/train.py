"""Trains the two digit classifiers that the repository ships and writes them as ONNX.

Data: the UCI handwritten digits that scikit-learn carries (1,797 images of 8 x 8 pixels).
Usage: pip install -r models/requirements.txt && python models/train.py
Writes models/digits-cnn.onnx, models/digits-transformer.onnx, models/samples/*.npy and
models/accuracy.json. The seed is fixed; another JAX version may give other weights.
"""

import json
import math
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

HERE = pathlib.Path(__file__).parent
SEED = 7
OPSET = 17


def data():
    images, labels = load_digits(return_X_y=True)
    images = (images / 16.0).astype(np.float32).reshape(-1, 1, 8, 8)
    return train_test_split(images, labels, test_size=0.2, random_state=SEED, stratify=labels)


def shifted(rng, images):
    """Moves each image by up to one pixel, and scales its brightness a little."""
    padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)))
    rows, columns = rng.integers(0, 3, len(images)), rng.integers(0, 3, len(images))
    moved = np.stack([p[:, r : r + 8, c : c + 8] for p, r, c in zip(padded, rows, columns)])
    return (moved * rng.uniform(0.9, 1.1, (len(images), 1, 1, 1))).astype(np.float32)


def cnn_init(rng):
    def he(*shape):
        return (rng.normal(size=shape) * math.sqrt(2 / np.prod(shape[1:]))).astype(np.float32)

    return {
        "conv1_w": he(16, 1, 3, 3), "conv1_b": np.zeros(16, np.float32),
        "conv2_w": he(32, 16, 3, 3), "conv2_b": np.zeros(32, np.float32),
        "conv3_w": he(48, 32, 3, 3), "conv3_b": np.zeros(48, np.float32),
        "dense1_w": he(64, 768), "dense1_b": np.zeros(64, np.float32),
        "dense2_w": he(10, 64), "dense2_b": np.zeros(10, np.float32),
    }


def cnn(p, x):
    def conv(x, w, b):
        y = jax.lax.conv_general_dilated(x, w, (1, 1), "SAME")
        return jax.nn.relu(y + b[None, :, None, None])

    x = conv(x, p["conv1_w"], p["conv1_b"])
    x = conv(x, p["conv2_w"], p["conv2_b"])
    x = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")
    x = conv(x, p["conv3_w"], p["conv3_b"])
    x = x.reshape(len(x), -1)
    x = jax.nn.relu(x @ p["dense1_w"].T + p["dense1_b"])
    return x @ p["dense2_w"].T + p["dense2_b"]


WIDTH, HEADS, BLOCKS, HIDDEN, TOKENS, PATCH = 64, 4, 2, 128, 16, 4


def transformer_init(rng):
    def normal(*shape):
        return (rng.normal(size=shape) / math.sqrt(shape[0])).astype(np.float32)

    p = {
        "embed_w": normal(PATCH, WIDTH), "embed_b": np.zeros(WIDTH, np.float32),
        "position": (rng.normal(size=(TOKENS, WIDTH)) * 0.1).astype(np.float32),
        "norm_g": np.ones(WIDTH, np.float32), "norm_b": np.zeros(WIDTH, np.float32),
        "head_w": normal(WIDTH, 10), "head_b": np.zeros(10, np.float32),
    }
    for block in range(BLOCKS):
        for name in ("q", "k", "v", "o"):
            p[f"{block}_{name}_w"] = normal(WIDTH, WIDTH)
            p[f"{block}_{name}_b"] = np.zeros(WIDTH, np.float32)
        p[f"{block}_up_w"], p[f"{block}_up_b"] = normal(WIDTH, HIDDEN), np.zeros(HIDDEN, np.float32)
        p[f"{block}_down_w"], p[f"{block}_down_b"] = normal(HIDDEN, WIDTH), np.zeros(WIDTH, np.float32)
        for norm in ("norm1", "norm2"):
            p[f"{block}_{norm}_g"] = np.ones(WIDTH, np.float32)
            p[f"{block}_{norm}_b"] = np.zeros(WIDTH, np.float32)
    return p


def layer_norm(x, g, b):
    mean = x.mean(-1, keepdims=True)
    spread = ((x - mean) ** 2).mean(-1, keepdims=True)
    return (x - mean) / jnp.sqrt(spread + 1e-5) * g + b


def transformer(p, x):
    n = len(x)
    x = x.reshape(n, 4, 2, 4, 2).transpose(0, 1, 3, 2, 4).reshape(n, TOKENS, PATCH)
    x = x @ p["embed_w"] + p["embed_b"] + p["position"]
    for block in range(BLOCKS):
        y = layer_norm(x, p[f"{block}_norm1_g"], p[f"{block}_norm1_b"])
        q, k, v = (
            (y @ p[f"{block}_{name}_w"] + p[f"{block}_{name}_b"])
            .reshape(n, TOKENS, HEADS, WIDTH // HEADS).transpose(0, 2, 1, 3)
            for name in ("q", "k", "v")
        )
        weights = jax.nn.softmax(q @ k.transpose(0, 1, 3, 2) / math.sqrt(WIDTH // HEADS))
        y = (weights @ v).transpose(0, 2, 1, 3).reshape(n, TOKENS, WIDTH)
        x = x + y @ p[f"{block}_o_w"] + p[f"{block}_o_b"]
        y = layer_norm(x, p[f"{block}_norm2_g"], p[f"{block}_norm2_b"])
        y = jax.nn.gelu(y @ p[f"{block}_up_w"] + p[f"{block}_up_b"], approximate=False)
        x = x + y @ p[f"{block}_down_w"] + p[f"{block}_down_b"]
    x = layer_norm(x, p["norm_g"], p["norm_b"]).mean(1)
    return x @ p["head_w"] + p["head_b"]


def train(name, forward, p, epochs, rate, decay):
    train_x, test_x, train_y, test_y = data()
    rng = np.random.default_rng(SEED)

    def loss(p, x, y):
        logits = jax.nn.log_softmax(forward(p, x))
        smooth = jax.nn.one_hot(y, 10) * 0.95 + 0.005
        return -(logits * smooth).sum(-1).mean()

    @jax.jit
    def step(p, m, v, t, rate, x, y):
        g = jax.grad(loss)(p, x, y)
        m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, g)
        v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, g)
        scale = rate * jnp.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        p = jax.tree.map(
            lambda p, m, v: p - scale * m / (jnp.sqrt(v) + 1e-8) - rate * decay * p, p, m, v
        )
        return p, m, v

    zeros = jax.tree.map(jnp.zeros_like, p)
    m, v, t, batch = zeros, zeros, 0, 64
    for epoch in range(epochs):
        order = rng.permutation(len(train_x))
        now = rate * 0.5 * (1 + math.cos(math.pi * epoch / epochs))
        for first in range(0, len(order) - batch + 1, batch):
            t += 1
            chosen = order[first : first + batch]
            x = jnp.asarray(shifted(rng, train_x[chosen]))
            p, m, v = step(p, m, v, t, now, x, train_y[chosen])
    accuracy = float((np.asarray(forward(p, test_x)).argmax(1) == test_y).mean())
    print(f"{name}: test accuracy {accuracy:.4f} on {len(test_y)} images")
    return {key: np.asarray(value) for key, value in p.items()}


class Graph:
    """A little sugar over onnx.helper."""

    def __init__(self):
        self.nodes, self.weights, self.count = [], {}, 0

    def weight(self, name, value):
        self.weights[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def op(self, kind, *inputs, name=None, **attributes):
        self.count += 1
        name = name or f"{kind}_{self.count}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name=name, **attributes))
        return name

    def save(self, path, output):
        renamed = helper.make_node("Identity", [output], ["logits"], name="logits")
        graph = helper.make_graph(
            self.nodes + [renamed], path.stem,
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 1, 8, 8])],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 10])],
            list(self.weights.values()),
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
        model.ir_version = 8
        onnx.checker.check_model(model, full_check=True)
        onnx.save(model, path)


def write_cnn(p, path):
    g = Graph()
    x = "image"
    for index in (1, 2, 3):
        w, b = (g.weight(f"conv{index}_{s}", p[f"conv{index}_{s}"]) for s in "wb")
        x = g.op("Conv", x, w, b, name=f"conv{index}", kernel_shape=[3, 3], pads=[1, 1, 1, 1])
        x = g.op("Relu", x, name=f"relu{index}")
        if index == 2:
            x = g.op("MaxPool", x, name="pool", kernel_shape=[2, 2], strides=[2, 2])
    x = g.op("Flatten", x, name="flatten")
    for index in (1, 2):
        w, b = (g.weight(f"dense{index}_{s}", p[f"dense{index}_{s}"]) for s in "wb")
        x = g.op("Gemm", x, w, b, name=f"dense{index}", transB=1)
        if index == 1:
            x = g.op("Relu", x, name="relu4")
    g.save(path, x)


def write_transformer(p, path):
    g = Graph()

    def integers(*values):
        return g.weight("shape_" + "_".join(map(str, values)), np.array(values, np.int64))

    def linear(x, name, label):
        y = g.op("MatMul", x, g.weight(f"{name}_w", p[f"{name}_w"]), name=f"{label}_matmul")
        return g.op("Add", y, g.weight(f"{name}_b", p[f"{name}_b"]), name=f"{label}_bias")

    def norm(x, name, label):
        scale, bias = (g.weight(f"{name}_{s}", p[f"{name}_{s}"]) for s in "gb")
        return g.op("LayerNormalization", x, scale, bias, name=label, axis=-1, epsilon=1e-5)

    size = WIDTH // HEADS
    x = g.op("Reshape", "image", integers(1, 4, 2, 4, 2), name="patches_split")
    x = g.op("Transpose", x, name="patches_order", perm=[0, 1, 3, 2, 4])
    x = g.op("Reshape", x, integers(1, TOKENS, PATCH), name="patches")
    x = linear(x, "embed", "embed")
    x = g.op("Add", x, g.weight("position", p["position"]), name="embed_position")
    for block in range(BLOCKS):
        label = f"block{block}"
        y = norm(x, f"{block}_norm1", f"{label}_norm1")
        heads = []
        for name in ("q", "k", "v"):
            z = linear(y, f"{block}_{name}", f"{label}_{name}")
            z = g.op("Reshape", z, integers(1, TOKENS, HEADS, size), name=f"{label}_{name}_split")
            order = [0, 2, 3, 1] if name == "k" else [0, 2, 1, 3]
            heads.append(g.op("Transpose", z, name=f"{label}_{name}_heads", perm=order))
        q, k, v = heads
        scores = g.op("MatMul", q, k, name=f"{label}_scores")
        scale = g.weight("attention_scale", np.array(1 / math.sqrt(size), np.float32))
        scores = g.op("Mul", scores, scale, name=f"{label}_scaled")
        weights = g.op("Softmax", scores, name=f"{label}_softmax", axis=-1)
        y = g.op("MatMul", weights, v, name=f"{label}_mixed")
        y = g.op("Transpose", y, name=f"{label}_order", perm=[0, 2, 1, 3])
        y = g.op("Reshape", y, integers(1, TOKENS, WIDTH), name=f"{label}_merged")
        y = linear(y, f"{block}_o", f"{label}_o")
        x = g.op("Add", x, y, name=f"{label}_residual1")
        y = norm(x, f"{block}_norm2", f"{label}_norm2")
        y = linear(y, f"{block}_up", f"{label}_up")
        # GELU as exporters below opset 20 write it: x * 0.5 * (1 + erf(x / sqrt 2)).
        root = g.weight("root_two", np.array(math.sqrt(2), np.float32))
        one, half = (g.weight(n, np.array(c, np.float32)) for n, c in (("one", 1), ("half", 0.5)))
        e = g.op("Erf", g.op("Div", y, root, name=f"{label}_gelu_div"), name=f"{label}_gelu_erf")
        e = g.op("Add", e, one, name=f"{label}_gelu_add")
        y = g.op("Mul", g.op("Mul", y, e, name=f"{label}_gelu_mul"), half, name=f"{label}_gelu")
        y = linear(y, f"{block}_down", f"{label}_down")
        x = g.op("Add", x, y, name=f"{label}_residual2")
    x = norm(x, "norm", "norm")
    x = g.op("ReduceMean", x, name="pooled", axes=[1], keepdims=0)
    x = linear(x, "head", "head")
    g.save(path, x)


def measure(path):
    _, test_x, _, test_y = data()
    session = onnxruntime.InferenceSession(str(path))
    found = [session.run(None, {"image": x[None]})[0].argmax() for x in test_x]
    return float((np.array(found) == test_y).mean()), len(test_y)


def main():
    report = {}
    tasks = [
        ("digits-cnn", cnn, cnn_init, write_cnn, 60, 2e-3, 1e-2),
        ("digits-transformer", transformer, transformer_init, write_transformer, 200, 2e-3, 2e-2),
    ]
    for name, forward, init, write, epochs, rate, decay in tasks:
        p = train(name, forward, init(np.random.default_rng(SEED)), epochs, rate, decay)
        path = HERE / f"{name}.onnx"
        write(p, path)
        accuracy, count = measure(path)
        report[name] = {"test_accuracy": accuracy, "test_images": count, "bytes": path.stat().st_size}
    (HERE / "accuracy.json").write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report, indent=2))
    _, test_x, _, test_y = data()
    (HERE / "samples").mkdir(exist_ok=True)
    for digit in range(10):
        index = int(np.flatnonzero(test_y == digit)[0])
        np.save(HERE / "samples" / f"digit-{digit}.npy", test_x[index][None])


if __name__ == "__main__":
    main()
