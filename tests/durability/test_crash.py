"""Ten cycles of crash.py; the full figure comes from `python -m durability.crash --cycles 200`."""
import os
import random

from durability import crash


def test_kill_under_load(tmp_path, capsys):
    seed = int(os.environ.get("WIDEYE_TEST_SEED") or random.SystemRandom().randrange(2**32))
    cycles = int(os.environ.get("WIDEYE_CRASH_CYCLES") or 10)
    with capsys.disabled():
        print(f"\ncrash test: WIDEYE_TEST_SEED={seed}")
        print(crash.report(crash.run(tmp_path / "data", cycles, seed, check_every=5)))
