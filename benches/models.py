"""Writes the networks of the engine benchmark as ONNX files with random weights.

Shapes are those of models people run; the operators are those that PyTorch's exporter writes.
Usage: python benches/models.py FOLDER
"""

import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

RANDOM = np.random.default_rng(7)


class Net:
    """A graph under construction."""

    def __init__(self, name, inputs):
        self.name, self.nodes, self.weights, self.count = name, [], [], 0
        self.inputs = [
            helper.make_tensor_value_info(key, TensorProto.FLOAT, shape) for key, shape in inputs
        ]

    def fresh(self, hint):
        self.count += 1
        return f"{hint}_{self.count}"

    def weight(self, array, hint="w"):
        name = self.fresh(hint)
        self.weights.append(numpy_helper.from_array(np.asarray(array, np.float32), name))
        return name

    def integers(self, values):
        name = self.fresh("i")
        self.weights.append(numpy_helper.from_array(np.asarray(values, np.int64), name))
        return name

    def op(self, kind, *operands, outputs=1, **attributes):
        names = [self.fresh(kind.lower()) for _ in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(operands), names, **attributes))
        return names[0] if outputs == 1 else names

    def random(self, *shape, scale=None):
        scale = scale or (2.0 / max(1, int(np.prod(shape[:-1])))) ** 0.5
        return self.weight(RANDOM.normal(0, scale, shape))

    def linear(self, x, fan_in, fan_out):
        product = self.op("MatMul", x, self.random(fan_in, fan_out))
        return self.op("Add", product, self.random(fan_out, scale=0.02))

    def layer_norm(self, x, width):
        scale, shift = self.weight(np.ones(width)), self.random(width, scale=0.02)
        return self.op("LayerNormalization", x, scale, shift, axis=-1, epsilon=1e-12)

    def gelu(self, x):
        scaled = self.op("Div", x, self.weight(2.0**0.5))
        bent = self.op("Add", self.op("Erf", scaled), self.weight(1.0))
        return self.op("Mul", self.op("Mul", x, bent), self.weight(0.5))

    def save(self, folder, output, shape):
        graph = helper.make_graph(
            self.nodes,
            self.name,
            self.inputs,
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, shape)],
            self.weights,
        )
        opset = [helper.make_opsetid("", 17)]
        model = helper.make_model(graph, opset_imports=opset, ir_version=9)
        onnx.checker.check_model(model)
        onnx.save(model, folder / f"{self.name}.onnx")


def attention(net, x, batch, sequence, width, heads, mask=None, past=None):
    depth = width // heads
    split = net.integers([batch, sequence, heads, depth])

    def head(name_x):
        return net.op("Reshape", net.linear(name_x, width, width), split)

    query = net.op("Transpose", head(x), perm=[0, 2, 1, 3])
    key = net.op("Transpose", head(x), perm=[0, 2, 3, 1])
    value = net.op("Transpose", head(x), perm=[0, 2, 1, 3])
    if past:
        key = net.op("Concat", past[0], key, axis=3)
        value = net.op("Concat", past[1], value, axis=2)
    scores = net.op("MatMul", query, key)
    scores = net.op("Div", scores, net.weight(depth**0.5))
    if mask:
        scores = net.op("Add", scores, mask)
    mixed = net.op("MatMul", net.op("Softmax", scores, axis=-1), value)
    mixed = net.op("Transpose", mixed, perm=[0, 2, 1, 3])
    mixed = net.op("Reshape", mixed, net.integers([batch, sequence, width]))
    return net.linear(mixed, width, width)


def encoder(folder, batch, layers=6, width=384, heads=12, sequence=128):
    net = Net(f"encoder-b{batch}", [("x", [batch, sequence, width]), ("mask", [batch, 1, 1, sequence])])
    x = "x"
    for _ in range(layers):
        mixed = attention(net, x, batch, sequence, width, heads, mask="mask")
        x = net.layer_norm(net.op("Add", mixed, x), width)
        wide = net.gelu(net.linear(x, width, 4 * width))
        x = net.layer_norm(net.op("Add", net.linear(wide, 4 * width, width), x), width)
    net.save(folder, x, [batch, sequence, width])


def perceptron(folder, layers=6, width=1024, batch=128):
    net = Net("mlp-1024", [("x", [batch, width])])
    x = "x"
    for _ in range(layers):
        x = net.layer_norm(net.gelu(net.linear(x, width, width)), width)
    net.save(folder, x, [batch, width])


def resnet(folder, size=224):
    net = Net("resnet-18", [("x", [1, 3, size, size])])

    def convolve(x, fan_in, fan_out, kernel, stride, relu=True, add=None):
        weight = net.weight(
            RANDOM.normal(0, (2.0 / (fan_in * kernel * kernel)) ** 0.5, (fan_out, fan_in, kernel, kernel))
        )
        pad = kernel // 2
        out = net.op(
            "Conv", x, weight, net.random(fan_out, scale=0.02),
            kernel_shape=[kernel, kernel], strides=[stride, stride], pads=[pad] * 4,
        )
        if add:
            out = net.op("Add", out, add)
        return net.op("Relu", out) if relu else out

    x = convolve("x", 3, 64, 7, 2)
    x = net.op("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    width = 64
    for stage, fan_out in enumerate([64, 128, 256, 512]):
        for block in range(2):
            stride = 2 if stage > 0 and block == 0 else 1
            short = x if stride == 1 else convolve(x, width, fan_out, 1, stride, relu=False)
            inner = convolve(x, width, fan_out, 3, stride)
            x = convolve(inner, fan_out, fan_out, 3, 1, add=short)
            width = fan_out
    x = net.op("Flatten", net.op("GlobalAveragePool", x), axis=1)
    x = net.op("Gemm", x, net.random(1000, 512, scale=0.04), net.random(1000, scale=0.02), transB=1)
    net.save(folder, x, [1, 1000])


def decoder_step(folder, layers=6, width=768, heads=12, past=255):
    depth = width // heads
    inputs = [("x", [1, 1, width])]
    for layer in range(layers):
        inputs += [(f"key_{layer}", [1, heads, depth, past]), (f"value_{layer}", [1, heads, past, depth])]
    net = Net("decoder-step", inputs)
    x = "x"
    for layer in range(layers):
        inner = net.layer_norm(x, width)
        mixed = attention(net, inner, 1, 1, width, heads, past=(f"key_{layer}", f"value_{layer}"))
        x = net.op("Add", x, mixed)
        wide = net.gelu(net.linear(net.layer_norm(x, width), width, 4 * width))
        x = net.op("Add", x, net.linear(wide, 4 * width, width))
    net.save(folder, net.layer_norm(x, width), [1, 1, width])


def main():
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    encoder(folder, 1)
    encoder(folder, 8)
    perceptron(folder)
    resnet(folder)
    decoder_step(folder)


if __name__ == "__main__":
    main()
