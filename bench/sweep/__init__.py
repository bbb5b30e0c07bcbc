"""What `bench/accuracy.py` is made of. The references and the samples are those of the tests."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tests"))
