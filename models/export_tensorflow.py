"""Exports networks with TensorFlow's converter (tf2onnx) and runs them: random weights.

Not part of `.ci/run`: TensorFlow and what it brings are two gigabytes.

Usage: pip install tensorflow-cpu tf2onnx onnxruntime
       python models/export_tensorflow.py target/release/rebut FOLDER
"""

import sys
from pathlib import Path

import numpy as np
import tensorflow as tf
import tf2onnx
from tensorflow import keras
from tensorflow.keras import layers

from exported import check

tf.random.set_seed(5)


def convolutional():
    x = inputs = keras.Input((32, 32, 3))
    for width in (16, 32):
        x = layers.Conv2D(width, 3, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization()(x)
        x = layers.ReLU(max_value=6.0)(x)
        x = layers.DepthwiseConv2D(3, strides=2, padding="same")(x)
    x = layers.Conv2DTranspose(8, 3, strides=2, padding="same")(x)
    x = layers.UpSampling2D(2, interpolation="bilinear")(x)
    x = layers.AveragePooling2D(4)(layers.LeakyReLU()(x))
    x = layers.Flatten()(x)
    return keras.Model(inputs, layers.Dense(10, activation="softmax")(x))


def mobilenet():
    return keras.applications.MobileNetV2((64, 64, 3), weights=None, classes=10, classifier_activation=None)


def resnet():
    return keras.applications.ResNet50(weights=None, input_shape=(64, 64, 3), classes=10, classifier_activation=None)


def tanh_gelu(x):
    # The converter has no Erfc, which the exact form is written with.
    return keras.activations.gelu(x, approximate=True)


def transformer():
    inputs = keras.Input((12,), dtype="int32")
    places = keras.ops.cumsum(keras.ops.ones_like(inputs), axis=1) - 1
    x = layers.Embedding(100, 32)(inputs) + layers.Embedding(12, 32)(places)
    for _ in range(2):
        mixed = layers.MultiHeadAttention(4, 8)(x, x)
        x = layers.LayerNormalization()(x + mixed)
        x = layers.LayerNormalization()(x + layers.Dense(32)(layers.Dense(64, activation=tanh_gelu)(x)))
    return keras.Model(inputs, layers.Dense(7)(layers.GlobalAveragePooling1D()(x)))


def recurrent():
    inputs = keras.Input((9, 6))
    x = layers.Bidirectional(layers.LSTM(8, return_sequences=True, unroll=True))(inputs)
    return keras.Model(inputs, layers.Dense(3)(layers.GRU(5, unroll=True)(x)))


def calibrated(model):
    """With batch statistics as after training, so that random networks do not fade."""
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = 0.5
    if model.inputs[0].dtype == "float32":
        for _ in range(20):
            model(tf.random.normal([8, *model.inputs[0].shape[1:]]), training=True)
    return model


def export(folder, make):
    model = calibrated(make())
    shape = [2, *model.inputs[0].shape[1:]]
    kind = model.inputs[0].dtype
    values = np.random.default_rng(1)
    value = values.integers(0, 100, shape) if kind == "int32" else values.uniform(-1, 1, shape)
    path = folder / f"keras-{make.__name__}.onnx"

    @tf.function(input_signature=[tf.TensorSpec(shape, kind, name="x")])
    def call(x):
        return model(x, training=False)

    tf2onnx.convert.from_function(call, input_signature=call.input_signature, opset=17, output_path=str(path))
    np.savez(path.with_suffix(".npz"), x=value.astype(kind))
    return path


def main(rebut, folder):
    folder.mkdir(parents=True, exist_ok=True)
    good = True
    for make in (convolutional, mobilenet, resnet, transformer, recurrent):
        try:
            # Fifty random layers blow up the last bit, on either engine.
            good &= check(rebut, export(folder, make), 1e-4)
        except SystemExit as error:
            print(f"{make.__name__}: {error}")
            good = False
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1].split(), Path(sys.argv[2])))
