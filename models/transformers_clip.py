"""transformers' `CLIPTextModel`, imported with the modules that its code uses and without those that it only names.

A plain import runs 1,900 modules: generation, quantizers, losses with scipy's optimisers, tensor parallelism, torch's
compiler. None of them takes part in a text encoder, and together they take more than torch itself. Here the package's
own files in `READ` run under a package name of ours, and the other modules are hollow: each name that is imported from
them is there, is false, decorates by leaving things as they are, and fails when anything else is asked of it.

The ordinary `transformers` stays as it is, imported or not, so that both can be in one process.
"""

from __future__ import annotations

import builtins
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.metadata import version
from importlib.util import find_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import torch

from models.torchvision_guard import declare_missing_operators

if TYPE_CHECKING:
    from transformers.models.clip.configuration_clip import CLIPTextConfig
    from transformers.models.clip.modeling_clip import CLIPTextModel

KNOWN = "5.23.0"  # the version whose modules were looked at; any other is imported plainly
THEIRS, OURS = "transformers", "transformers_clip"
READ = frozenset(
    {
        "activations",
        "configuration_utils",
        "distributed.mixin",
        "generation.configuration_utils",
        "initialization",
        "integrations.heterogeneity",
        "integrations.heterogeneity.configuration_utils",
        "integrations.sdpa_attention",
        "masking_utils",
        "modeling_layers",
        "modeling_outputs",
        "modeling_utils",
        "models.clip.configuration_clip",
        "models.clip.modeling_clip",
        "utils",
        "utils.constants",
        "utils.generic",
        "utils.hub",
        "utils.import_utils",
        "utils.logging",
        "utils.output_capturing",
        "utils.quantization_config",
        "utils.versions",
    }
)
HOLLOW = ("torch._dynamo", "torch.nn.attention.flex_attention", "torch.distributed.tensor")  # what those files import

_LOCK = threading.Lock()  # checkpoints are loaded by several threads


@cache
def clip_classes() -> tuple[type[CLIPTextConfig], type[CLIPTextModel]]:
    """Return transformers' `CLIPTextConfig` and `CLIPTextModel`."""
    if version(THEIRS) != KNOWN:
        declare_missing_operators()
        from transformers.models.clip.configuration_clip import CLIPTextConfig
        from transformers.models.clip.modeling_clip import CLIPTextModel

        return CLIPTextConfig, CLIPTextModel
    with _LOCK, _uncompiled():
        if OURS not in sys.modules:
            sys.meta_path.append(_Finder())
        module = _import(f"{THEIRS}.models.clip.modeling_clip", fromlist=("CLIPTextModel",))
    return module.CLIPTextConfig, module.CLIPTextModel


@contextmanager
def _uncompiled() -> Iterator[None]:
    """Let the decorator with which their code marks functions for torch's compiler do nothing, which imports it."""
    marker = torch.compiler.allow_in_graph
    torch.compiler.allow_in_graph = lambda function: function
    try:
        yield
    finally:
        torch.compiler.allow_in_graph = marker


class _Hollow:
    """What stands for a class or function that is never used. Nothing inherits from it or is an instance of it."""

    def __bool__(self) -> bool:
        return False

    def __call__(self, *values: Any, **options: Any) -> Any:
        """Decorate, with or without options, by leaving things as they are."""
        return values[0] if len(values) == 1 and not options and callable(values[0]) else self

    def __getitem__(self, parameters: Any) -> _Hollow:
        return self

    def __or__(self, other: Any) -> _Hollow:
        return self

    __ror__ = __or__

    def __instancecheck__(self, instance: Any) -> bool:
        return False

    def keys(self) -> tuple[str, ...]:
        return ()

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[type, ...]:
        return ()


class _HollowModule(ModuleType):
    """A module in which any name is found that is not a module itself."""

    def __getattr__(self, name: str) -> _Hollow:
        if name.startswith("__") or _is_module(f"{self.__name__}.{name}"):
            raise AttributeError(name)
        return _Hollow()


class _HollowLoader(Loader):
    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _HollowModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        module.__dict__["__version__"] = KNOWN


class _FileLoader(SourceFileLoader):
    """Run a file of transformers with our `import`, so that its modules find each other by either name."""

    def exec_module(self, module: ModuleType) -> None:
        module.__dict__["__builtins__"] = vars(builtins) | {"__import__": _import}
        super().exec_module(module)


class _Finder(MetaPathFinder):
    """Find the modules of the package under our name: the files that are read, and the hollow ones."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        package, _, rest = fullname.partition(".")
        if package != OURS:
            return None
        if rest not in READ:
            return ModuleSpec(fullname, _HollowLoader(), is_package=True)
        place = _place(fullname)
        file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
        spec = spec_from_file_location(fullname, file, loader=_FileLoader(fullname, str(file)))
        if spec is not None and place.is_dir():
            spec.submodule_search_locations = []  # there is nothing to search: this finder knows all of it
        return spec


def _is_module(fullname: str) -> bool:
    place = _place(fullname)
    return place.is_dir() or place.with_suffix(".py").is_file()


def _place(fullname: str) -> Path:
    """The folder of a package under our name, or the file of a module without its suffix."""
    return _root().joinpath(*fullname.split(".")[1:])


@cache
def _root() -> Path:
    spec = find_spec(THEIRS)  # finds the package without importing it
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def _import(
    name: str,
    globals_: dict[str, Any] | None = None,
    locals_: dict[str, Any] | None = None,
    fromlist: Sequence[str] = (),
    level: int = 0,
) -> ModuleType:
    """Do what `import` does in the files that are read."""
    if level == 0 and name.startswith(HOLLOW):
        return _HollowModule(name)
    if level == 0 and name.partition(".")[0] == THEIRS:
        name = OURS + name.removeprefix(THEIRS)
    return __import__(name, globals_, locals_, fromlist, level)
