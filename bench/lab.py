"""What the benchmarks share: the kit beside the repository, its Python packages, events, a server process, results.

Owns: where things are and how a server is started and looked at. Never does: ask questions or judge answers.
"""
import ctypes
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
KIT = os.environ.get("WIDEYE_BENCH_KIT", os.path.join(os.path.dirname(ROOT), "shared", "bench"))
VENV = os.environ.get("WIDEYE_BENCH_VENV", os.path.join(HERE, ".venv"))
PYTHON = os.path.join(VENV, "bin", "python")
DATA = os.environ.get("WIDEYE_BENCH_DATA", os.path.join(HERE, "data"))
RESULTS = os.path.join(HERE, "results")
ENV = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}


def enter(kit_needed=True):
    """Goes on in the kit's Python environment (made on first use), from where the kit's modules can be imported."""
    if kit_needed and not os.path.isdir(KIT):
        sys.exit(f"the benchmark kit is not at {KIT}; WIDEYE_BENCH_KIT names another place")
    if not os.path.exists(PYTHON):
        subprocess.check_call([sys.executable, "-m", "venv", VENV])
        subprocess.check_call([PYTHON, "-m", "pip", "install", "-q", "-r", os.path.join(KIT, "requirements.txt")])
    if os.path.realpath(sys.prefix) != os.path.realpath(VENV):
        os.execve(PYTHON, [PYTHON] + sys.argv, ENV)
    sys.dont_write_bytecode = True
    sys.path.insert(0, KIT)


def common(doc, rows=5_000_000):
    """Arguments that all benchmarks take."""
    import argparse
    p = argparse.ArgumentParser(description=doc.split("\n")[0])
    p.add_argument("--rows", type=int, default=rows)
    p.add_argument("--seed", type=int, default=42)
    p.add_argument("--data", help="events that generate.py made earlier (default: bench/data/ROWS, made if it is not there)")
    p.add_argument("--out", help="folder of the results (default: bench/results)")
    p.add_argument("--binary", default=os.path.join(ROOT, "target", "release", "wideye"))
    return p


def data_folder(args):
    """The folder with the events; makes them if need be."""
    folder = os.path.abspath(args.data or os.path.join(DATA, str(args.rows)))
    if not os.path.exists(os.path.join(folder, "manifest.json")):
        subprocess.check_call([PYTHON, os.path.join(KIT, "generate.py"), "--rows", str(args.rows), "--seed", str(args.seed), "--out", folder], env=ENV)
    with open(os.path.join(folder, "manifest.json")) as f:
        manifest = json.load(f)
    args.rows = manifest["rows"]
    return folder, manifest


def results_path(args, what):
    """One file per machine, number of events and benchmark."""
    model = next((x.split(":")[1] for x in open("/proc/cpuinfo") if x.startswith("model name")), "machine")
    name = re.sub(r"[^a-z0-9]+", "-", f"{os.cpu_count()} {model}".lower()).strip("-")
    folder = os.path.abspath(args.out or RESULTS)
    os.makedirs(folder, exist_ok=True)
    return os.path.join(folder, f"{name}-{args.rows}-{what}.json")


def version(binary):
    """Which code was measured."""
    def git(*command):
        return subprocess.run(["git", "-C", ROOT, *command], capture_output=True, text=True).stdout.strip()
    return {"commit": git("rev-parse", "--short", "HEAD") + ("+" if git("status", "--porcelain", "--untracked-files=no") else ""),
            "subject": git("log", "-1", "--format=%s"), "binary_bytes": os.path.getsize(binary)}


def amend(path, more):
    """Adds to a result that the kit wrote."""
    with open(path) as f:
        result = json.load(f)
    with open(path, "w") as f:
        json.dump(result | more, f, indent=1)
        f.write("\n")


def drop_caches():
    """Nothing of any file stays in memory, except what a process has mapped and touched."""
    os.sync()
    try:
        with open("/proc/sys/vm/drop_caches", "w") as f:
            f.write("3\n")
    except OSError as error:
        sys.exit(f"cannot drop the page cache ({error.strerror}): cold runs need root")


def warm_code(pid):
    """Reads the programs and libraries of a process again, so that a cold run is about data."""
    with open(f"/proc/{pid}/maps") as f:
        paths = {line.split(maxsplit=5)[5].strip() for line in f if " r-xp " in line and line.rstrip().count("/")}
    for path in paths:
        if os.path.isfile(path):
            with open(path, "rb") as f:
                while f.read(1 << 22):
                    pass


def cpu_seconds(pid):
    """CPU time of a process and its threads, also of those that have ended, to the nanosecond."""
    return time.clock_gettime_ns((~pid << 3) | 2) / 1e9


def memory_mb(pid, what="VmHWM"):
    with open(f"/proc/{pid}/status") as f:
        return int(re.search(what + r":\s+(\d+)", f.read())[1]) / 1e3


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


class Server:
    """The release binary on a folder: an empty one, or one that an earlier server filled."""

    def __init__(self, binary, folder, keep=False, env=None):
        if not os.path.exists(binary):
            sys.exit(f"no binary at {binary}: make build")
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
        self.binary, self.folder, self.env, self.url = binary, folder, env or {}, None
        self.start()

    def start(self):
        self.url = f"http://127.0.0.1:{free_port()}"
        with open(self.folder + ".log", "a") as log:
            self.process = subprocess.Popen([self.binary, "serve", "--data-dir", self.folder, "--listen", self.url[7:],
                                             "--otlp-grpc-listen", f"127.0.0.1:{free_port()}"], env=os.environ | self.env,
                                            stdout=subprocess.DEVNULL, stderr=log, preexec_fn=die_with_parent)
        for _ in range(1200):
            try:
                urllib.request.urlopen(self.url + "/readyz", timeout=1)
                return
            except OSError:
                if self.process.poll() is not None:
                    break
                time.sleep(.05)
        sys.exit(f"wideye did not start; see {self.folder}.log")

    @property
    def pid(self):
        return self.process.pid

    def kit_options(self):
        return ["--wideye-url", self.url, "--wideye-pid", str(self.pid), "--wideye-store", self.folder]

    def adapter(self, data, dataset="bench", connections=8):
        """The kit's client, in this process."""
        from wideye import Wideye
        return Wideye(data, os.cpu_count(), {"url": self.url, "dataset": dataset, "key": None, "pid": self.pid,
                                             "store": self.folder, "connections": connections})

    def rest(self, quiet_s=.5, limit_s=120):
        """Waits until nothing goes on in the background: under 2 % of a core for a while."""
        began = time.monotonic()
        while time.monotonic() - began < limit_s:
            before = cpu_seconds(self.pid)
            time.sleep(quiet_s)
            if cpu_seconds(self.pid) - before < .02 * quiet_s:
                return
        print(f"wideye was still busy after {limit_s} s", file=sys.stderr)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(120)
