"""Puts the proxy tests' strategies where these tests find them."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "proxy"))
