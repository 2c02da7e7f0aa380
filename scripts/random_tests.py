"""Run the property and fuzz tests on fresh random inputs until the time is over.

    python scripts/random_tests.py [MINUTES]    # 10 unless told

What fails is kept below findings/: the shrunk inputs, which the next search tries first, and the
output, with a line `@reproduce_failure(...)` to paste. Make an `@example` of it, which stays.
"""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FINDINGS = ROOT / "findings"
PYTEST = [sys.executable, "-m", "pytest", "-q", "-n", "auto", "--maxprocesses", "4"]
OPTIONS = ["-m", "hypothesis", "--hypothesis-profile", "random", "--timeout", "1800"]


def main() -> None:
    """Search round by round, each with a seed of its own; exit 1 if anything was found."""
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 10
    end, rounds, found = time.monotonic() + 60 * minutes, 0, 0
    FINDINGS.mkdir(exist_ok=True)
    while time.monotonic() < end:
        seed = random.SystemRandom().randrange(2**32)
        found += not search(seed, end)
        rounds += 1
    print(f"{rounds} rounds in {minutes:g} minutes: {found} with failures")
    sys.exit(found > 0)


def search(seed: int, end: float) -> bool:
    """Run all random tests with a seed, or as far as the time allows; tell whether they passed."""
    log = FINDINGS / f"{time.strftime('%Y%m%d-%H%M%S')}-{seed}.log"
    with log.open("w") as output:
        command = [*PYTEST, *OPTIONS, "--hypothesis-seed", str(seed)]
        tests = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT)
        try:
            tests.wait(max(end - time.monotonic(), 0))
        except subprocess.TimeoutExpired:
            tests.send_signal(signal.SIGINT)
            tests.wait()
    text = log.read_text(encoding="utf-8", errors="replace")
    passed = "\nFAILED " not in text and "\nERROR " not in text and tests.returncode in (0, 2)
    print(f"seed {seed}: {text.strip().splitlines()[-1].strip('= ')}", flush=True)
    if passed:
        log.unlink()
    else:
        print(text, f"kept in {log.relative_to(ROOT)}", sep="\n")
    return passed


if __name__ == "__main__":
    main()
