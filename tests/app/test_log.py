"""The log is the least of a server's duties: where it cannot be written, everything else goes on."""

from __future__ import annotations

import os
import subprocess
import sys

from app.bootstrap import ROOT

PROGRAM = """
import logging
from app.engine import log
log.configure()
for number in range(3):
    log.get_logger().info("the engine works", number=number)
    logging.getLogger("library").warning("so does this")
log.flush()
print("went on")
"""


def test_nothing_ends_because_nobody_reads_the_log() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        ran = subprocess.run(
            [sys.executable, "-c", PROGRAM], cwd=ROOT, stdout=subprocess.PIPE, stderr=writer, text=True, check=False
        )
    finally:
        os.close(writer)
    assert ran.stdout == "went on\n"
