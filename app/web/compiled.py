"""Templates kept in the form that runs, beside Python's own byte-code. Knows no template.

Compiling those of the first page took longer than importing FastAPI.
"""

from __future__ import annotations

import hashlib
import os
import sys
from contextlib import suppress
from importlib.metadata import version
from importlib.util import cache_from_source
from pathlib import Path

from jinja2 import FileSystemBytecodeCache
from jinja2.bccache import Bucket


class CompiledTemplates(FileSystemBytecodeCache):
    """Templates of a folder, compiled where Python would keep the modules of that folder compiled.

    They are compiled anew once a template has changed, or Jinja2, or the file `filters`, whose functions the compiler
    calls. Where nothing may be written, nothing is kept.
    """

    def __init__(self, folder: Path, filters: Path) -> None:
        super().__init__(os.path.dirname(cache_from_source(str(folder / "template.py"))))
        self._maker = hashlib.sha256(filters.read_bytes() + version("jinja2").encode()).hexdigest()

    def get_source_checksum(self, source: str) -> str:
        return super().get_source_checksum(self._maker + source)

    def dump_bytecode(self, bucket: Bucket) -> None:
        if sys.dont_write_bytecode:
            return
        with suppress(OSError):
            Path(self.directory).mkdir(parents=True, exist_ok=True)
            super().dump_bytecode(bucket)
