"""What a GPU makes of a sweep: images/s of ResNet18 for CIFAR in bf16, at 5,000 and 1,024 images a point, as a share of the
device's measured peak of bf16 products; beside eager PyTorch in tf32 and bf16 in turn; memory over 1,000 points; a problem
file. Prints each figure beside its goal. Usage: tools/check-cuda --data cifar10:DIR"""

import argparse
import pathlib
import subprocess
import sys
import tempfile
import threading
import time

import torch

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = ROOT / "build" / "release" / "lossatlas"
# Multiplications and additions of a forward pass of resnet18-cifar on a 32x32 image: those of its
# convolutions and its linear layer.
OPERATIONS = 2 * 555_422_720


def peak(device, size=8192, rounds=20):
    """Operations a second of a bf16 product of two square matrices."""
    a, b = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    best = 0.0
    for _ in range(3):
        torch.cuda.synchronize(device)
        start = time.perf_counter()
        for _ in range(rounds):
            a @ b
        torch.cuda.synchronize(device)
        best = max(best, rounds * 2 * size**3 / (time.perf_counter() - start))
    return best


def lossatlas(*words):
    done = subprocess.run([BINARY, *map(str, words)], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr)
    return done.stderr


def sweep(options, checkpoint, out, samples, points, *words):
    """Images a second of a sweep, from its last line."""
    text = lossatlas("surface", "--checkpoint", checkpoint, "--arch", "resnet18-cifar", "--data", options.data, "--samples", samples,
                     "--grid", f"{points}x1", "--x=-0.1:0.1", "--y=0:0", "--device", options.device, "--out", out, "--force", *words)
    return int(text.split(" images/s")[0].split()[-1])


def used_memory():
    """MiB on the first device, by nvidia-smi."""
    text = subprocess.run(["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"], capture_output=True, text=True,
                          check=True).stdout
    return int(text.splitlines()[0])


def memory_over(work):
    """What is in use a fifth of the way through `work` and at its end, in MiB; sampled each second."""
    seen, is_done = [], threading.Event()

    def watch():
        while not is_done.wait(1):
            seen.append(used_memory())

    watcher = threading.Thread(target=watch)
    watcher.start()
    work()
    is_done.set()
    watcher.join()
    busy = seen[len(seen) // 5 : -1] or seen
    return busy[0], max(busy)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="cifar10:DIR")
    parser.add_argument("--device", default="cuda")
    options = parser.parse_args()
    on_gpu = options.device != "cpu"
    print(torch.cuda.get_device_name(options.device) if on_gpu else "CPU: only that the script runs")
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        few = [] if on_gpu else ["--engine", "fused"]
        bf16 = ["--dtype", "bf16"] if on_gpu else few
        lossatlas("train", "--arch", "resnet18-cifar", "--data", "synthetic:64", "--epochs", 0, "--out", folder / "run")
        checkpoint, out = folder / "run/checkpoints/epoch-0000.pt", folder / "s.h5"

        most = peak(options.device) if on_gpu else float("nan")
        print(f"bf16 peak          {most / 1e12:8.0f} T operations/s")
        rates = {}
        for samples, points in ((5000, 41), (1024, 201)) if on_gpu else ((50, 3), (20, 3)):
            rates[samples] = max(sweep(options, checkpoint, out, samples, points, *bf16) for _ in range(3 if on_gpu else 1))
            share = rates[samples] * OPERATIONS / most
            print(f"{samples:5} images/point {rates[samples]:8,} images/s, {share:6.1%} of the peak")
        large, small = rates.values()
        print(f"goals: 35 % of the peak; the smaller at 70 % of the larger: {small / large:.0%}")

        if on_gpu:
            first, last = memory_over(lambda: sweep(options, checkpoint, out, 256, 1001, *bf16))
            print(f"memory over 1,001 points: {first} MiB, at most {last} MiB; goal: the same")

        sys.path.insert(0, str(ROOT / "python"))
        import lossatlas as package

        model = torch.nn.Sequential(torch.nn.Linear(20, 64), torch.nn.GELU(), torch.nn.Linear(64, 3)).eval()
        inputs, labels = torch.randn(512, 20), torch.randint(0, 3, (512,))
        package.export_problem(model, "cross-entropy", (inputs, labels), folder / "p.lossatlas", quiet=True)
        lossatlas("surface", "--problem", folder / "p.lossatlas", "--grid", "1x1", "--x=0:0", "--y=0:0", "--device", options.device,
                  "--out", folder / "p.h5")
        centre = package.open(folder / "p.h5").values().item()
        expected = torch.nn.functional.cross_entropy(model(inputs), labels).item()
        print(f"a problem file: loss {centre:.6f}, PyTorch {expected:.6f}")
    if on_gpu:
        subprocess.run([ROOT / "tools/bench", "--data", options.data, "--device", "cuda", "--archs", "resnet18-cifar", "--samples", "5000",
                        "--points", "41", "--engines", "tf32,bf16", "--baselines", "eager-tf32,eager-bf16", "--rounds", "3"], check=True)
        print("goal: 2x eager")


if __name__ == "__main__":
    main()
