"""Exports networks with PyTorch's own exporters and runs them: random weights, both exporters.

Not part of `.ci/run`: PyTorch and what it brings are six gigabytes. What was found with it is kept
in `exported.py`, which writes the same habits without it.

Usage: pip install torch torchvision transformers onnxscript onnx onnxruntime
       python models/export_torch.py target/release/rebut FOLDER
"""

import sys
from pathlib import Path

import numpy as np
import torch
import torchvision
import transformers
from torch import nn

from exported import check

torch.manual_seed(5)


class UNet(nn.Module):
    """Two levels down and up, with transposed convolution and with resizing."""

    def __init__(self):
        super().__init__()

        def block(fan_in, fan_out):
            return nn.Sequential(
                nn.Conv2d(fan_in, fan_out, 3, padding=1), nn.GroupNorm(4, fan_out), nn.SiLU(),
                nn.Conv2d(fan_out, fan_out, 3, padding=1), nn.BatchNorm2d(fan_out), nn.ReLU(),
            )

        self.down = nn.ModuleList([block(3, 16), block(16, 32), block(32, 64)])
        self.rise = nn.ConvTranspose2d(64, 32, 2, stride=2)
        self.up = nn.ModuleList([block(64, 32), block(48, 16)])
        self.last = nn.Conv2d(16, 4, 1)

    def forward(self, x):
        first = self.down[0](x)
        second = self.down[1](nn.functional.max_pool2d(first, 2))
        x = self.down[2](nn.functional.max_pool2d(second, 2))
        x = self.up[0](torch.cat([self.rise(x), second], 1))
        x = nn.functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        return self.last(self.up[1](torch.cat([x, first], 1)))


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(50, 24)
        self.lstm = nn.LSTM(24, 32, num_layers=2, bidirectional=True, batch_first=True)
        self.gru = nn.GRU(64, 16, batch_first=True)
        self.out = nn.Linear(16, 5)

    def forward(self, tokens):
        x, _ = self.lstm(self.embedding(tokens))
        x, last = self.gru(x)
        return torch.log_softmax(self.out(last[-1]), -1)


class Logits(nn.Module):
    """A transformer of a library, its structure of outputs left out."""

    def __init__(self, inner, field, **fixed):
        super().__init__()
        self.inner, self.field, self.fixed = inner, field, fixed

    def forward(self, *inputs):
        names = ["input_ids", "attention_mask"][: len(inputs)]
        return getattr(self.inner(**dict(zip(names, inputs)), **self.fixed), self.field)


def image(size, batch=1):
    return (torch.rand(batch, 3, size, size),)


def tokens(count, length, batch=2):
    mask = torch.ones(batch, length, dtype=torch.int64)
    mask[-1, length * 2 // 3 :] = 0
    return torch.randint(0, count, (batch, length)), mask


def networks():
    yield "resnet18", torchvision.models.resnet18(), image(64)
    yield "mobilenet_v2", torchvision.models.mobilenet_v2(), image(64)
    yield "mobilenet_v3", torchvision.models.mobilenet_v3_small(), image(64)
    yield "efficientnet", torchvision.models.efficientnet_b0(), image(64)
    yield "convnext", torchvision.models.convnext_tiny(), image(64)
    vit = torchvision.models.VisionTransformer(32, 8, 3, 4, 64, 128, num_classes=10)
    nn.init.normal_(vit.heads.head.weight)  # it starts as zeros
    yield "vit", vit, image(32, 2)
    swin = torchvision.models.SwinTransformer([4, 4], 32, [2, 2], [2, 4], [4, 4], num_classes=10)
    yield "swin", swin, image(64)
    small = dict(vocab_size=200, n_positions=32, n_embd=48, n_layer=2, n_head=4)
    gpt2 = transformers.GPT2LMHeadModel(transformers.GPT2Config(**small))
    yield "gpt2", Logits(gpt2, "logits", use_cache=False), tokens(200, 12)
    small = dict(vocab_size=200, hidden_size=48, num_hidden_layers=2, num_attention_heads=4)
    small |= dict(intermediate_size=96, max_position_embeddings=32)
    bert = transformers.BertModel(transformers.BertConfig(**small))
    yield "bert", Logits(bert, "last_hidden_state"), tokens(200, 16)
    llama = transformers.LlamaConfig(**small, num_key_value_heads=2)
    yield "llama", Logits(transformers.LlamaForCausalLM(llama), "logits", use_cache=False), tokens(200, 10)
    yield "unet", UNet(), image(32)
    yield "lstm", Recurrent(), (torch.randint(0, 50, (2, 7)),)


def calibrated(network, inputs):
    """In inference mode, batch statistics as after training, so that random networks do not fade."""
    network.train()
    with torch.no_grad():
        for _ in range(30):
            network(*(torch.randn(8, *one.shape[1:]) if one.is_floating_point() else one for one in inputs))
    return network.eval()


def export(folder, name, network, inputs, dynamo):
    path = folder / f"{name}-{'dynamo' if dynamo else 'script'}.onnx"
    names = [f"in_{index}" for index in range(len(inputs))]
    options = {"dynamo": True, "verbose": False} if dynamo else {"dynamo": False, "opset_version": 17}
    torch.onnx.export(network, inputs, str(path), input_names=names, output_names=["out"], **options)
    np.savez(path.with_suffix(".npz"), **{name: one.numpy() for name, one in zip(names, inputs)})
    return path


def main(rebut, folder):
    folder.mkdir(parents=True, exist_ok=True)
    good = True
    for name, network, inputs in networks():
        network = calibrated(network, inputs)
        for dynamo in (False, True):
            try:
                path = export(folder, name, network, inputs, dynamo)
            except Exception as error:  # the exporter's own limits are not ours
                print(f"{name}: not exported (dynamo {dynamo}): {str(error).splitlines()[0][:150]}")
                continue
            try:
                good &= check(rebut, path)
            except SystemExit as error:
                print(f"{path.stem}: {error}")
                good = False
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1].split(), Path(sys.argv[2])))
