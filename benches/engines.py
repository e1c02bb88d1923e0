"""The engine benchmark: every engine in a process of its own, rounds interleaved, same threads.

Prints a table and writes JSON. Ratios above 1 say that onnxruntime is slower; tract (one thread only)
and stock burn (the networks that `burn_worker` writes out) stand beside it.
Usage: cargo build --release -p inference --example engine_worker --example burn_worker
       python benches/engines.py [--rounds 15] [--threads 1,2] [--models a,b] [--json FILE]
Needs numpy, onnx, onnxruntime (models/requirements.txt) and tract 0.23 from PyPI.
"""

import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "target" / "bench-models"
MODELS = ["digits-cnn", "digits-transformer", "encoder-b1", "encoder-b8", "mlp-1024", "resnet-18", "decoder-step"]
OURS = ["plain", "committed", "sequential", "verify", "subtrace"]


def model_path(name):
    shipped = ROOT / "models" / f"{name}.onnx"
    return shipped if shipped.exists() else FOLDER / f"{name}.onnx"


class Worker:
    """An engine that answers one line with one line."""

    def __init__(self, command, **environment):
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
            env=os.environ | environment,
        )
        assert self.process.stdout.readline().strip() == "ready", command

    def ask(self, line):
        # onnxruntime's threads go on spinning when they are done: who is not asked stands still.
        self.process.send_signal(signal.SIGCONT)
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().strip()
        self.process.send_signal(signal.SIGSTOP)
        return answer

    def close(self):
        self.process.send_signal(signal.SIGCONT)
        self.process.stdin.close()
        self.process.wait()


def peer(path, threads):
    """onnxruntime as a worker; the same inputs by shape, other values."""
    import numpy
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    values = numpy.random.default_rng(1)
    inputs = {
        one.name: values.uniform(-1, 1, one.shape).astype(numpy.float32)
        for one in session.get_inputs()
    }
    print("ready", flush=True)
    for line in sys.stdin:
        if line.strip() == "memory":
            status = Path("/proc/self/status").read_text().splitlines()
            peak = next(one for one in status if one.startswith("VmHWM:"))
            print(int(peak.split()[1]) * 1024, flush=True)
            continue
        started = time.perf_counter()
        session.run(None, inputs)
        print((time.perf_counter() - started) * 1e3, flush=True)


def tract_peer(path):
    """tract as a worker: its own optimiser, one thread."""
    import numpy
    import onnx
    import tract

    runnable = tract.onnx().load(path).into_model().into_runnable()
    values = numpy.random.default_rng(1)
    inputs = [
        values.uniform(-1, 1, [size.dim_value for size in one.type.tensor_type.shape.dim]).astype(numpy.float32)
        for one in onnx.load(path).graph.input
    ]
    print("ready", flush=True)
    for _ in sys.stdin:
        started = time.perf_counter()
        runnable.run(inputs)
        print((time.perf_counter() - started) * 1e3, flush=True)


BURN = ["mlp-1024", "encoder-b1", "encoder-b8"]


def peers(name, path, threads):
    """The engines that this network and number of threads have."""
    started = {"onnxruntime": Worker([sys.executable, __file__, "--peer", path, "--threads", str(threads)])}
    if threads == 1:
        try:
            started["tract"] = Worker([sys.executable, __file__, "--tract", path])
        except AssertionError:
            print(f"{name}: tract does not load it, or is not installed", file=sys.stderr)
    if name in BURN:
        worker = str(ROOT / "target/release/examples/burn_worker")
        started["burn"] = Worker([worker, name], RAYON_NUM_THREADS=str(threads))
    return started


def measure(name, threads, rounds):
    path = str(model_path(name))
    ours = Worker([str(ROOT / "target/release/examples/engine_worker"), path, str(threads)])
    others = peers(name, path, threads)
    theirs = others["onnxruntime"]
    times = {line: [] for line in [*others, *OURS]}
    order, shuffle = list(times), random.Random(7)
    for number in range(rounds + 2):
        for line in order[number % len(order):] + order[: number % len(order)]:
            answer = float(others.get(line, ours).ask(line))
            if number >= 2:
                times[line].append(answer)
    ours.close()
    # Peak memory of what both do: loading and inference, with commitment.
    ours = Worker([str(ROOT / "target/release/examples/engine_worker"), path, str(threads)])
    for line in ["plain", "committed", "committed"]:
        ours.ask(line)
    memory = {"onnxruntime": int(theirs.ask("memory")), "rebut": int(ours.ask("memory"))}
    ours.close()
    for other in others.values():
        other.close()
    rounds_of = list(zip(times["onnxruntime"], times["plain"], times["committed"], times["sequential"]))
    return {
        "model": name,
        "threads": threads,
        "median_ms": {key: statistics.median(value) for key, value in times.items()},
        "minimum_ms": {key: min(value) for key, value in times.items()},
        "ratio": statistics.median(peer / plain for peer, plain, _, _ in rounds_of),
        "commit_pipelined": statistics.median(both / plain - 1 for _, plain, both, _ in rounds_of),
        "commit_sequential": statistics.median(turn / plain - 1 for _, plain, _, turn in rounds_of),
        "peak_bytes": memory,
    }


def figure(median, engine):
    return f"{median[engine]:>10.2f}" if engine in median else f"{'–':>10}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--json")
    parser.add_argument("--peer", help=argparse.SUPPRESS)
    parser.add_argument("--tract", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peer:
        return peer(arguments.peer, int(arguments.threads))
    if arguments.tract:
        return tract_peer(arguments.tract)
    if not FOLDER.exists():
        subprocess.run([sys.executable, str(ROOT / "benches/models.py"), str(FOLDER)], check=True)
    results = []
    head = ["model", "threads", "ort ms", "tract ms", "burn ms", "plain ms", "ratio", "min ratio", "+commit", "in turn", "verify ms", "layer ms", "MB ort", "MB rebut"]
    print(("{:<20}" + "{:>10}" * (len(head) - 1)).format(*head))
    for name in arguments.models.split(","):
        for threads in map(int, arguments.threads.split(",")):
            one = measure(name, threads, arguments.rounds)
            results.append(one)
            median, least = one["median_ms"], one["minimum_ms"]
            print(
                f"{name:<20}{threads:>10}{median['onnxruntime']:>10.2f}"
                f"{figure(median, 'tract')}{figure(median, 'burn')}{median['plain']:>10.2f}"
                f"{one['ratio']:>10.2f}{least['onnxruntime'] / least['plain']:>10.2f}"
                f"{one['commit_pipelined']:>10.1%}{one['commit_sequential']:>10.1%}"
                f"{median['verify']:>10.2f}{median['subtrace']:>10.2f}"
                f"{one['peak_bytes']['onnxruntime'] / 1e6:>10.0f}{one['peak_bytes']['rebut'] / 1e6:>10.0f}",
                flush=True,
            )
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
