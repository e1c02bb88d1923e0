"""Networks as exporters write them: random weights, every habit of PyTorch's and TensorFlow's files.

Shape arithmetic (Shape, Gather, Concat, Reshape), Constant nodes, If with a constant condition,
initialisers that are inputs too, external data, operator sets 9 to 21. Each is compared with
onnxruntime, run on every path with one to four threads, and left with its inputs beside it for the
dispute test (REBUT_DISPUTE_MODELS).

Usage: pip install numpy onnx onnxruntime && python models/exported.py target/release/rebut FOLDER
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnxruntime import quantization
from onnx import TensorProto, helper, numpy_helper

RANDOM = np.random.default_rng(3)
onnxruntime.set_default_logger_severity(3)


class Net:
    def __init__(self, name, opset, inputs, external=False, initialisers_as_inputs=False):
        self.name, self.opset, self.inputs, self.external = name, opset, inputs, external
        self.as_inputs = initialisers_as_inputs
        self.nodes, self.weights, self.count = [], [], 0

    def fresh(self, kind):
        self.count += 1
        return f"/{self.name}/{kind}_{self.count}"

    def weight(self, *shape, scale=None, value=None):
        if value is None:
            scale = scale or (1.0 / max(1, np.prod(shape[1:]) if len(shape) > 1 else shape[0])) ** 0.5
            value = RANDOM.normal(0, scale, shape).astype(np.float32)
        name = self.fresh("weight")
        self.weights.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def op(self, kind, *operands, outputs=1, **attributes):
        names = [self.fresh(kind) for _ in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(operands), names, name=names[0], **attributes))
        return names[0] if outputs == 1 else names

    def constant(self, value):
        """A Constant node, as PyTorch writes every literal."""
        return self.op("Constant", value=numpy_helper.from_array(np.asarray(value)))

    def size(self, x, axis):
        return self.op("Gather", self.op("Shape", x), self.constant(np.int64(axis)), axis=0)

    def sizes(self, *parts):
        """A shape put together at run time, as PyTorch's views are written."""
        raised = []
        for part in parts:
            value = self.constant(np.array([part], np.int64)) if isinstance(part, int) else None
            raised.append(value or self.unsqueeze(part, 0))
        return self.op("Concat", *raised, axis=0)

    def unsqueeze(self, x, axis):
        if self.opset < 13:
            return self.op("Unsqueeze", x, axes=[axis])
        return self.op("Unsqueeze", x, self.constant(np.array([axis], np.int64)))

    def linear(self, x, fan_in, fan_out):
        product = self.op("MatMul", x, self.weight(fan_in, fan_out, scale=fan_in**-0.5))
        return self.op("Add", product, self.weight(fan_out, scale=0.1))

    def norm(self, x, width):
        scale, shift = self.weight(value=np.ones(width, np.float32)), self.weight(width, scale=0.1)
        if self.opset >= 17:
            return self.op("LayerNormalization", x, scale, shift, axis=-1, epsilon=1e-5)
        mean = self.op("ReduceMean", x, axes=[-1], keepdims=1)
        apart = self.op("Sub", x, mean)
        square = self.op("Pow", apart, self.constant(np.float32(2)))
        spread = self.op("ReduceMean", square, axes=[-1], keepdims=1)
        root = self.op("Sqrt", self.op("Add", spread, self.constant(np.float32(1e-5))))
        return self.op("Add", self.op("Mul", self.op("Div", apart, root), scale), shift)

    def gelu(self, x, tanh=False):
        if not tanh:
            bent = self.op("Erf", self.op("Div", x, self.constant(np.float32(2**0.5))))
            bent = self.op("Add", bent, self.constant(np.float32(1)))
            return self.op("Mul", self.op("Mul", x, bent), self.constant(np.float32(0.5)))
        cube = self.op("Pow", x, self.constant(np.float32(3)))
        inner = self.op("Add", x, self.op("Mul", cube, self.constant(np.float32(0.044715))))
        bent = self.op("Tanh", self.op("Mul", inner, self.constant(np.float32(0.7978845834732056))))
        bent = self.op("Add", bent, self.constant(np.float32(1)))
        return self.op("Mul", self.op("Mul", x, self.constant(np.float32(0.5))), bent)

    def conv(self, x, fan_in, fan_out, kernel, stride=1, group=1, batch_norm=True, **more):
        weight = self.weight(fan_out, fan_in // group, kernel, kernel, scale=(2 / (fan_in // group * kernel**2)) ** 0.5)
        pad = more.pop("pad", kernel // 2)
        out = self.op(
            "Conv", x, weight, kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[pad] * 4,
            group=group, dilations=[1, 1],
        )
        if not batch_norm:
            return out
        numbers = [np.ones(fan_out), RANDOM.normal(0, 0.1, fan_out), RANDOM.normal(0, 0.1, fan_out), RANDOM.uniform(0.5, 1.5, fan_out)]
        return self.op("BatchNormalization", out, *[self.weight(value=n.astype(np.float32)) for n in numbers], epsilon=1e-5)

    def attention(self, x, width, heads, causal=None):
        depth = width // heads
        batch, length = self.size(x, 0), self.size(x, 1)
        query, key, value = self.op(
            "Split", self.linear(x, width, 3 * width), outputs=3, axis=2,
            **({"num_outputs": 3} if self.opset >= 18 else {"split": [width] * 3} if self.opset < 13 else {}),
        )
        shape = self.sizes(batch, length, heads, depth)
        query, key, value = (self.op("Reshape", one, shape) for one in (query, key, value))
        query = self.op("Transpose", query, perm=[0, 2, 1, 3])
        key = self.op("Transpose", key, perm=[0, 2, 3, 1])
        value = self.op("Transpose", value, perm=[0, 2, 1, 3])
        scores = self.op("Div", self.op("MatMul", query, key), self.constant(np.float32(depth**0.5)))
        if causal:
            past = self.constant(np.tril(np.ones((1, 1, 64, 64), bool)))
            zero, step = self.constant(np.array([0], np.int64)), self.constant(np.array([1], np.int64))
            end = self.unsqueeze(length, 0)
            for axis in (2, 3):
                past = self.op("Slice", past, zero, end, self.constant(np.array([axis], np.int64)), step)
            scores = self.op("Where", past, scores, self.constant(np.float32(-1e4)))
        mixed = self.op("MatMul", self.op("Softmax", scores, axis=3), value)
        mixed = self.op("Transpose", mixed, perm=[0, 2, 1, 3])
        mixed = self.op("Reshape", mixed, self.sizes(batch, length, width))
        return self.linear(mixed, width, width)

    def save(self, folder, outputs):
        inputs = [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(v.dtype), v.shape) for n, v in self.inputs.items()]
        if self.as_inputs:
            inputs += [helper.make_tensor_value_info(w.name, w.data_type, w.dims) for w in self.weights]
        results = [helper.make_tensor_value_info(one, TensorProto.FLOAT, None) for one in outputs]
        graph = helper.make_graph(self.nodes, self.name, inputs, results, self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=4 if self.opset < 13 else 8)
        path = folder / f"{self.name}.onnx"
        onnx.save(model, path, save_as_external_data=self.external, location=f"{self.name}.data", size_threshold=256)
        np.savez(folder / f"{self.name}.npz", **self.inputs)
        return path


def floats(*shape):
    return RANDOM.normal(0, 1, shape).astype(np.float32)


def resnet(folder):
    net = Net("resnet", 9, {"input": floats(1, 3, 32, 32)}, initialisers_as_inputs=True)
    x = net.op("Relu", net.conv("input", 3, 16, 7, 2))
    x = net.op("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    width = 16
    for out, stride in ((16, 1), (32, 2), (64, 2)):
        short = x if stride == 1 else net.conv(x, width, out, 1, stride)
        inner = net.op("Relu", net.conv(x, width, out, 3, stride))
        x = net.op("Relu", net.op("Add", net.conv(inner, out, out, 3), short))
        width = out
    x = net.op("GlobalAveragePool", x)
    batch = net.size(x, 0)
    x = net.op("Reshape", x, net.sizes(batch, -1))
    x = net.op("Gemm", x, net.weight(10, 64), net.weight(10, scale=0.1), transB=1)
    return net.save(folder, [x])


def mobilenet(folder):
    net = Net("mobilenet", 11, {"input": floats(1, 3, 32, 32)})
    six = (net.constant(np.float32(0)), net.constant(np.float32(6)))
    x = net.op("Clip", net.conv("input", 3, 16, 3, 2), *six)
    for fan_in, out, stride in ((16, 16, 1), (16, 24, 2), (24, 24, 1)):
        wide = net.op("Clip", net.conv(x, fan_in, 4 * fan_in, 1), *six)
        deep = net.op("Clip", net.conv(wide, 4 * fan_in, 4 * fan_in, 3, stride, group=4 * fan_in), *six)
        flat = net.conv(deep, 4 * fan_in, out, 1)
        x = net.op("Add", x, flat) if fan_in == out and stride == 1 else flat
    gate = net.op("HardSigmoid", net.conv(net.op("GlobalAveragePool", x), 24, 24, 1, batch_norm=False), alpha=1 / 6, beta=0.5)
    x = net.op("ReduceMean", net.op("Mul", x, gate), axes=[2, 3], keepdims=0)
    return net.save(folder, [net.op("Gemm", x, net.weight(10, 24), net.weight(10, scale=0.1), transB=1)])


def vit(folder):
    net = Net("vit", 17, {"pixels": floats(1, 3, 32, 32)})
    width = 48
    x = net.conv("pixels", 3, width, 8, 8, batch_norm=False, pad=0)
    batch = net.size(x, 0)
    x = net.op("Transpose", net.op("Reshape", x, net.sizes(batch, width, -1)), perm=[0, 2, 1])
    kind = net.op("Expand", net.weight(1, 1, width, scale=0.1), net.sizes(batch, -1 if False else 1, width))
    x = net.op("Add", net.op("Concat", kind, x, axis=1), net.weight(1, 17, width, scale=0.1))
    for _ in range(3):
        x = net.op("Add", x, net.attention(net.norm(x, width), width, 4))
        inner = net.gelu(net.linear(net.norm(x, width), width, 4 * width))
        x = net.op("Add", x, net.linear(inner, 4 * width, width))
    x = net.op("Gather", net.norm(x, width), net.constant(np.int64(0)), axis=1)
    return net.save(folder, [net.op("Gemm", x, net.weight(10, width), net.weight(10, scale=0.1), transB=1)])


def gpt2(folder):
    net = Net("gpt2", 14, {"input_ids": RANDOM.integers(0, 256, (1, 24))}, external=True)
    width = 64
    length = net.size("input_ids", 1)
    positions = net.op("Range", net.constant(np.int64(0)), length, net.constant(np.int64(1)))
    positions = net.op("Reshape", net.unsqueeze(positions, 0), net.sizes(-1, length))
    words = net.weight(256, width, scale=0.3)
    x = net.op("Add", net.op("Gather", words, "input_ids"), net.op("Gather", net.weight(64, width, scale=0.1), positions))
    for _ in range(3):
        x = net.op("Add", x, net.attention(net.norm(x, width), width, 4, causal=True))
        inner = net.gelu(net.linear(net.norm(x, width), width, 4 * width), tanh=True)
        x = net.op("Add", x, net.linear(inner, 4 * width, width))
    logits = net.op("MatMul", net.norm(x, width), net.op("Transpose", words, perm=[1, 0]))
    return net.save(folder, [logits])


def bert(folder):
    ids = RANDOM.integers(0, 200, (2, 16))
    net = Net("bert", 11, {"input_ids": ids, "attention_mask": (RANDOM.random((2, 16)) > 0.2).astype(np.int64)})
    width = 48
    x = net.norm(net.op("Add", net.op("Gather", net.weight(200, width, scale=0.3), "input_ids"), net.weight(1, 16, width, scale=0.1)), width)
    for _ in range(2):
        x = net.norm(net.op("Add", net.attention(x, width, 4), x), width)
        inner = net.gelu(net.linear(x, width, 4 * width))
        x = net.norm(net.op("Add", net.linear(inner, 4 * width, width), x), width)
    mask = net.op("Cast", net.unsqueeze("attention_mask", 2), to=TensorProto.FLOAT)
    pooled = net.op("ReduceSum", net.op("Mul", x, mask), axes=[1], keepdims=0)
    # A condition that is known at export, as scripted modules leave it.
    then = helper.make_graph([helper.make_node("Tanh", [pooled], ["then_out"])], "then", [], [helper.make_tensor_value_info("then_out", 1, None)])
    other = helper.make_graph([helper.make_node("Identity", [pooled], ["else_out"])], "else", [], [helper.make_tensor_value_info("else_out", 1, None)])
    return net.save(folder, [net.op("If", net.constant(np.bool_(True)), then_branch=then, else_branch=other)])


def unet(folder):
    net = Net("unet", 13, {"input": floats(1, 1, 32, 32)})
    one = net.op("Relu", net.conv("input", 1, 8, 3))
    two = net.op("Relu", net.conv(net.op("MaxPool", one, kernel_shape=[2, 2], strides=[2, 2]), 8, 16, 3))
    three = net.op("Relu", net.conv(net.op("MaxPool", two, kernel_shape=[2, 2], strides=[2, 2]), 16, 32, 3))
    up = net.op("ConvTranspose", three, net.weight(32, 16, 2, 2, scale=0.2), net.weight(16, scale=0.1), kernel_shape=[2, 2], strides=[2, 2])
    x = net.op("Relu", net.conv(net.op("Concat", up, two, axis=1), 32, 16, 3))
    wanted = net.op("Concat", net.sizes(net.size(x, 0), net.size(x, 1)), net.sizes(net.size(one, 2), net.size(one, 3)), axis=0)
    up = net.op("Resize", x, "", "", wanted, mode="linear", coordinate_transformation_mode="half_pixel")
    x = net.op("Relu", net.conv(net.op("Concat", up, one, axis=1), 24, 8, 3))
    return net.save(folder, [net.op("Sigmoid", net.conv(x, 8, 1, 1, batch_norm=False))])


def lstm(folder):
    net = Net("lstm", 21, {"input": floats(12, 2, 20)})
    hidden = 24
    y, _, _ = net.op("LSTM", "input", net.weight(2, 4 * hidden, 20, scale=0.2), net.weight(2, 4 * hidden, hidden, scale=0.2), net.weight(2, 8 * hidden, scale=0.1), outputs=3, hidden_size=hidden, direction="bidirectional")
    y = net.op("Transpose", y, perm=[0, 2, 1, 3])
    y = net.op("Reshape", y, net.constant(np.array([0, 0, -1], np.int64)))
    y, _ = net.op("GRU", y, net.weight(1, 3 * hidden, 2 * hidden, scale=0.2), net.weight(1, 3 * hidden, hidden, scale=0.2), outputs=2, hidden_size=hidden, linear_before_reset=1)
    last = net.op("Gather", net.op("Squeeze", y, net.constant(np.array([1], np.int64))), net.constant(np.int64(-1)), axis=0)
    return net.save(folder, [net.linear(last, hidden, 5)])


class Samples(quantization.CalibrationDataReader):
    def __init__(self, path):
        self.left = [dict(np.load(path.with_suffix(".npz")))]

    def get_next(self):
        return self.left.pop() if self.left else None


def quantised(folder):
    """Two of them in 8 bits: weights only, and with QuantizeLinear and DequantizeLinear around all."""
    paths = [folder / "bert-int8.onnx", folder / "unet-qdq.onnx"]
    for path, source in zip(paths, ("bert", "unet")):
        (folder / f"{path.stem}.npz").write_bytes((folder / f"{source}.npz").read_bytes())
    quantization.quantize_dynamic(folder / "bert.onnx", paths[0], weight_type=quantization.QuantType.QInt8)
    quantization.quantize_static(folder / "unet.onnx", paths[1], Samples(paths[1]), per_channel=True)
    return paths


def run(rebut, path, inputs, out, isa, threads):
    done = subprocess.run(
        [*rebut, "--json", "run", str(path), "--input", str(inputs), "--out", str(out), "--isa", isa, "--threads", str(threads)],
        stdout=subprocess.PIPE, text=True, check=False,
    )
    report = json.loads(done.stdout)
    if done.returncode != 0:
        sys.exit(f"{path}: {report}")
    return report


def check(rebut, path, tolerance=1e-5):
    inputs = path.with_suffix(".npz")
    options = onnxruntime.SessionOptions()
    # Without this, onnxruntime's sums of 8-bit products saturate at 16 bits on x86 CPUs without VNNI.
    options.add_session_config_entry("session.x64quantprecision", "1")
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    expected = session.run(None, dict(np.load(inputs)))
    out = path.with_suffix(".run")
    roots = {run(rebut, path, inputs, out, kind, threads)["trace_root"] for kind in ("portable", "avx2", "avx512") for threads in (1, 2, 4) if supported(rebut, kind)}
    found = np.load(out / "outputs.npz")
    error = max(float(np.abs(found[one.name] - value).max() / max(np.abs(value).max(), 1e-9)) for one, value in zip(session.get_outputs(), expected))
    print(f"{path.stem:<12} worst difference to onnxruntime {error:.1e} of the largest output, {len(roots)} trace root")
    return error < tolerance and len(roots) == 1


def check_batch(rebut, path, axis):
    """The same bits alone and in a batch of eight, on another file with a longer input."""
    model = onnx.load(path)
    given = dict(np.load(path.with_suffix(".npz")))
    for one in model.graph.input:
        if one.name in given:
            one.type.tensor_type.shape.dim[axis].dim_value = 8 * given[one.name].shape[axis]
    for one in model.graph.output:
        one.type.tensor_type.ClearField("shape")
    del model.graph.value_info[:]
    folder = path.with_suffix(".batch")
    folder.mkdir(exist_ok=True)
    onnx.save(model, folder / "batch.onnx")
    examples = [{name: np.roll(value, turn, -1) for name, value in given.items()} for turn in range(8)]
    np.savez(folder / "batch.npz", **{name: np.concatenate([one[name] for one in examples], axis) for name in given})
    run(rebut, folder / "batch.onnx", folder / "batch.npz", folder / "together", "portable", 2)
    together, alone = np.load(folder / "together" / "outputs.npz"), []
    for number, example in enumerate(examples):
        np.savez(folder / "one.npz", **example)
        run(rebut, path, folder / "one.npz", folder / "alone", "portable", 1)
        alone.append(dict(np.load(folder / "alone" / "outputs.npz")))
    same = all(together[name].tobytes() == np.concatenate([one[name] for one in alone]).tobytes() for name in together.files)
    print(f"{path.stem:<12} alone and in a batch of eight: {'the same bits' if same else 'OTHER BITS'}")
    return same


def supported(rebut, kind):
    flags = Path("/proc/cpuinfo").read_text()
    return {"portable": True, "avx2": " avx2 " in flags, "avx512": " avx512bw " in flags}[kind]


def main(rebut, folder):
    folder.mkdir(parents=True, exist_ok=True)
    paths = [make(folder) for make in (resnet, mobilenet, vit, gpt2, bert, unet, lstm)]
    good = [check(rebut, path) for path in paths]
    # A value on the border of two steps may fall to either side: some steps of 1/255.
    good += [check(rebut, path, 0.05) for path in quantised(folder)]
    # What is quantised by the range of its input (bert-int8) depends on the whole batch by definition.
    batched = [*paths, folder / "unet-qdq.onnx"]
    good += [check_batch(rebut, path, 1 if path.stem == "lstm" else 0) for path in batched]
    if not all(good):
        print("a difference is too large, or bits differ: see above")
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1].split(), Path(sys.argv[2])))
