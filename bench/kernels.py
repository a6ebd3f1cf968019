#!/usr/bin/env python3
"""Instructions that each kernel takes, counted by callgrind, against bench/kernels.json.

    make bench-kernels                          # fails if a kernel takes over 3 % more instructions than written down
    make bench-kernels ARGS=--accept            # writes down what was counted
    make bench-kernels ARGS="--only contrast"   # some kernels, by a part of their name

Counts do not depend on how busy the machine is; they do depend on the compiler and on which vector instructions the
processor has. With another compiler or processor than the baseline's the limit is 15 %.
"""
import argparse
import glob
import json
import os
import platform
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
BASELINE = os.path.join(HERE, "kernels.json")
CRATES = ["ingest", "store", "engine"]
COUNTED = "kernels::kernel::counted_kernel"  # in bench/kernel.rs; with a wildcard callgrind would not dump
LIMIT, LIMIT_ELSEWHERE = .03, .15
FEATURES = ["sse4_2", "avx", "avx2", "bmi2", "pclmulqdq"]  # those that valgrind passes on and our dependencies look for


# glibc fills and copies much memory with `rep stosb` and `rep movsb`, which count as an instruction a byte. Whether a vector has to
# be filled with zeros depends on whether the allocator has fresh memory: counts of the same code differed by 20 %.
COPY_IN_LOOPS = {"GLIBC_TUNABLES": "glibc.cpu.x86_rep_stosb_threshold=0x7fffffff:glibc.cpu.x86_rep_movsb_threshold=0x7fffffff"}

# Some hashes start from addresses. Not every container allows this; counts then differ a little more.
FIXED_ADDRESSES = ["setarch", "-R"]
if subprocess.run(FIXED_ADDRESSES + ["true"], stderr=subprocess.DEVNULL).returncode:
    FIXED_ADDRESSES = []


def environment():
    flags = next((x.split(":")[1].split() for x in open("/proc/cpuinfo") if x.startswith(("flags", "Features"))), [])
    rustc = subprocess.check_output(["rustc", "--version"], text=True, cwd=ROOT).strip()
    return {"rustc": rustc, "processor": " ".join([platform.machine()] + [f for f in FEATURES if f in flags])}


def build():
    """Paths of the bench executables, by crate."""
    command = ["cargo", "bench", "--locked", "--no-run", "--bench", "kernels", "--message-format=json-render-diagnostics"]
    for crate in CRATES:
        command += ["-p", crate]
    out = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout
    paths = {}
    for line in out.splitlines():
        message = json.loads(line)
        if message.get("reason") == "compiler-artifact" and message.get("executable") and message["target"]["name"] == "kernels":
            paths[os.path.basename(os.path.dirname(message["manifest_path"]))] = message["executable"]
    return [paths[c] for c in CRATES]


def count(executable, only):
    """(name, instructions, n, unit) of each kernel of a crate."""
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "out")
        run = subprocess.run(
            FIXED_ADDRESSES + ["valgrind", "--tool=callgrind", "--toggle-collect=" + COUNTED, "--dump-after=" + COUNTED,
             "--callgrind-out-file=" + out, executable, "--count"] + ([only] if only else []),
            cwd=ROOT, capture_output=True, text=True, env=os.environ | COPY_IN_LOOPS)
        if run.returncode:
            sys.exit(f"{executable} under valgrind ended with {run.returncode}:\n{run.stderr[-3000:]}")
        kernels = [line.split("\t") for line in run.stdout.splitlines()]
        dumps = [os.path.join(folder, f"out.{i + 1}") for i in range(2 * len(kernels))]
        if not all(map(os.path.exists, dumps)):
            sys.exit(f"callgrind made {len(glob.glob(out + '.*'))} dumps of {len(kernels)} kernels: is counted_kernel inlined?")
        # Of the two calls of each kernel the first one warmed up.
        return [(name, totals(dumps[2 * i + 1]), int(n), unit) for i, (name, n, unit) in enumerate(kernels)]


def totals(path):
    with open(path) as f:
        return int(re.search(r"^totals: (\d+)", f.read(), re.M)[1])


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--accept", action="store_true", help="write what was counted to bench/kernels.json")
    p.add_argument("--only", help="a part of the names of the kernels to count")
    args = p.parse_args()
    here = environment()
    base = {"kernels": {}}
    if os.path.exists(BASELINE):
        with open(BASELINE) as f:
            base = json.load(f)
    same = all(base.get(k) == v for k, v in here.items())
    limit = LIMIT if same else LIMIT_ELSEWHERE

    counted, bad, better = {}, [], []
    print(f"{'instructions':>13} {'per unit':>12}   before  change")
    for executable in build():
        more = [dict((k[0], k[1]) for k in count(executable, args.only)) for _ in range(2 if args.accept else 0)]
        for name, instructions, n, unit in count(executable, args.only):
            if args.accept:  # chance again: the middle one of three
                instructions = sorted([instructions] + [m[name] for m in more])[1]
            before = base["kernels"].get(name)
            for _ in range(2):  # hashes start from chance: the lowest of three counts
                if before and not args.accept and instructions > before["instructions"] * (1 + limit):
                    instructions = min([instructions] + [k[1] for k in count(executable, name) if k[0] == name])
            each = instructions / n
            counted[name] = {"instructions": instructions, "per_unit": round(each, 3), "unit": unit}
            change = instructions / before["instructions"] - 1 if before else None
            print(f"{instructions:13,} {each:12.2f} {'-' if change is None else format(before['per_unit'], '.2f'):>8} "
                  f"{'new' if change is None else format(change, '+.1%'):>7}  {name}, per {unit}", flush=True)
            if change is None:
                bad.append(f"{name} is new")
            elif change > limit:
                bad.append(f"{name}: {each:.2f} instructions per {unit}, {before['per_unit']:.2f} in the baseline: {change:+.1%}, at most {limit:+.0%}")
            elif change < -limit:
                better.append(name)
    gone = [] if args.only else [name for name in base["kernels"] if name not in counted]
    bad += [f"{name} is in the baseline, but no kernel has this name" for name in gone]

    if args.accept:
        if args.only and not same and base["kernels"]:
            sys.exit("the baseline is of another compiler or processor: count all kernels, without --only")
        kernels = {k: v for k, v in base["kernels"].items() if k not in gone} | counted
        with open(BASELINE, "w") as f:
            json.dump(here | {"kernels": kernels}, f, indent=1)
            f.write("\n")
        print(f"\nwritten to {os.path.relpath(BASELINE, ROOT)}; say in the commit why counts changed")
        return
    if not same:
        print(f"\nThe baseline is of {base.get('rustc')}, {base.get('processor')}; this is {here['rustc']}, {here['processor']}: limit {limit:.0%}.")
    if better:
        print(f"\nBetter by over {limit:.0%}; accept it so that it stays: {', '.join(better)}")
    if bad:
        print("\nNOT OK\n  " + "\n  ".join(bad))
        print("\nIf it is meant (it buys something worth more), accept it and say why in the commit: make bench-kernels ARGS=--accept")
        sys.exit(1)
    print(f"\n{len(counted)} kernels within {limit:.0%} of the baseline")


if __name__ == "__main__":
    main()
