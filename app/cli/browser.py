"""Where this machine's Chromium is; the tests drive it, the program itself does not."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

VARIABLE = "MEZZOTINT_BROWSER"
# The first is Debian's Chromium without windows: the same engine draws a page in a third of the processor time.
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
PLACES = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)


def find_browser() -> Path | None:
    """The browser that `MEZZOTINT_BROWSER` names, else one of the usual names and places."""
    named = os.environ.get(VARIABLE)
    found = shutil.which(named) if named else next(filter(None, map(shutil.which, (*NAMES, *PLACES))), None)
    return Path(found) if found else None
