"""The engine's HTTP face: `POST /generate` streams one picture, closing the stream cancels it.

Listens before torch is imported, so that `GET /status` can say `loading`. Knows no user, no job row and no file of
pictures. Run as `python -m app.engine.server --socket PATH`.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket
import sys
import threading
from contextlib import suppress
from pathlib import Path

import uvicorn
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.engine.address import address
from app.engine.inputs import InputError, decode_inputs
from app.engine.log import configure, flush, get_logger
from app.engine.shelf import paths_of
from app.engine.stream import PictureStream
from app.engine.worker import RowSettings, Worker
from app.places import EMBEDDED
from models.recipe import Recipe, explain

BACKLOG = 128
SHUTDOWN_SECONDS = 1
WATCH_SECONDS = 1.0

log = get_logger()


def create_app(worker: Worker) -> Starlette:
    """Return the ASGI app in front of a worker, which the caller starts and stops."""

    async def healthz(request: Request) -> Response:  # noqa: ARG001
        return JSONResponse({"ok": True})

    async def status(request: Request) -> Response:  # noqa: ARG001
        return JSONResponse(worker.status())

    async def generate(request: Request) -> Response:
        try:
            body = await request.json()
            recipe = Recipe.model_validate(body["recipe"])
        except ValidationError as error:
            return _refusal(422, "invalid", "The recipe is invalid.", explain(error))
        except (ValueError, KeyError, TypeError):
            return _refusal(422, "invalid", 'The body must be a JSON object {"recipe": {...}}.')
        if path := body.get("path"):
            await asyncio.to_thread(worker.put, recipe.checkpoint, Path(str(path)))
        if not worker.knows(recipe.checkpoint):
            return _refusal(404, "checkpoint", f"There is no checkpoint {recipe.checkpoint!r}; choose another one.")
        try:
            inputs = await asyncio.to_thread(decode_inputs, recipe, body.get("inputs", {}))
        except InputError as error:
            wrong = [{"field": error.field, "message": str(error)}]
            return _refusal(422, "invalid", f"The recipe's pictures are wrong: {error}.", wrong)
        return PictureStream(worker, recipe, inputs, str(body.get("owner", "")))

    return Starlette(
        routes=[
            Route("/healthz", healthz),
            Route("/status", status),
            Route("/generate", generate, methods=["POST"]),
        ]
    )


def _refusal(status: int, code: str, message: str, fields: list[dict[str, str]] | None = None) -> Response:
    return JSONResponse({"code": code, "message": message, "fields": fields or []}, status_code=status)


def main(argv: list[str] | None = None) -> int:
    """Serve until SIGTERM, SIGINT or, with `--stop-with-stdin`, the end of standard input."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    configure()
    threading.excepthook = _end_with_thread
    try:
        paths = paths_of(arguments.checkpoint)
        path, listener = address(arguments.socket), listen(address(arguments.socket))
    except (OSError, ValueError) as error:
        parser.error(str(error))
    if arguments.stop_with_stdin:
        threading.Thread(target=_exit_at_end_of_stdin, name="parent", daemon=True).start()
    worker = Worker(
        paths,
        device=arguments.device,
        dtype=arguments.dtype,
        memory_gib=arguments.checkpoint_memory,
        rows=RowSettings(arguments.max_rows, arguments.batch_rows_exact, arguments.measurements),
        libraries=arguments.libraries,
    )
    worker.start()
    serve(create_app(worker), path, listener)
    if not worker.stop(SHUTDOWN_SECONDS):
        flush()
        os._exit(0)  # a step on the device cannot be interrupted, and nothing of it is worth waiting for
    return 0


def serve(app: Starlette, path: Path, listener: socket.socket) -> None:
    """Run until a signal comes or the socket's file is gone, which nobody could then reach; remove that file."""
    own = _identity(path)
    config = uvicorn.Config(
        app, log_config=None, access_log=False, lifespan="off", ws="none", timeout_graceful_shutdown=SHUTDOWN_SECONDS
    )
    server = uvicorn.Server(config)

    async def run() -> None:
        watch = asyncio.create_task(_stop_without_file(server, path))
        await server.serve(sockets=[listener])
        watch.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):  # uvicorn raises the signal again when it has shut down
        signal.signal(number, lambda *_: None)
    asyncio.run(run())
    if _identity(path) == own:
        path.unlink(missing_ok=True)


def listen(path: Path) -> socket.socket:
    """Take over `path`, for this user alone; whoever listened there before is no longer found."""
    path.parent.mkdir(parents=True, exist_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    own = path.with_name(f"{path.name}.{os.getpid()}")
    own.unlink(missing_ok=True)
    listener.bind(str(own))
    own.chmod(0o600)
    listener.listen(BACKLOG)
    own.replace(path)  # at once there, and only when it answers
    return listener


async def _stop_without_file(server: uvicorn.Server, path: Path) -> None:
    while await asyncio.to_thread(path.exists):
        await asyncio.sleep(WATCH_SECONDS)
    log.warning("the socket's file is gone; the engine stops", socket=str(path))
    server.should_exit = True


def _identity(path: Path) -> tuple[int, int] | None:
    with suppress(OSError):
        facts = path.stat()
        return facts.st_dev, facts.st_ino
    return None


def _end_with_thread(end: threading.ExceptHookArgs) -> None:
    """Without one of its threads the engine would say that it is ready, and do nothing: its parent starts it again."""
    assert end.exc_value is not None
    log.error("a thread failed; the engine ends", thread=end.thread and end.thread.name, exc_info=end.exc_value)
    flush()
    os._exit(1)


def _exit_at_end_of_stdin() -> None:
    """End with the parent, however it ended: the other end of the pipe is its alone."""
    with suppress(OSError):
        while os.read(sys.stdin.fileno(), 1024):
            pass
    os._exit(0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 -m app engine", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--socket", type=Path, required=True, metavar="PATH", help="Unix socket to listen on")
    parser.add_argument(
        "--checkpoint",
        action="append",
        default=[],
        metavar="[NAME=]PATH",
        help=f"file, diffusers folder, or {EMBEDDED}; may be given several times, the first is loaded at start",
    )
    parser.add_argument("--device", default="auto", metavar="NAME", help="auto, cpu, cuda or mps")
    parser.add_argument("--dtype", default="auto", metavar="NAME", help="auto, float32, bfloat16 or float16")
    parser.add_argument(
        "--checkpoint-memory",
        type=float,
        default=0.0,
        metavar="GIB",
        help="for loaded checkpoints; 0: half of all",
    )
    parser.add_argument("--max-rows", type=_positive, metavar="N", help="rows of a U-Net call at most")
    parser.add_argument(
        "--batch-rows-exact",
        type=int,
        default=0,
        metavar="N",
        help="rows of every U-Net call, filled up; 0: as they come",
    )
    parser.add_argument(
        "--measurements", type=Path, metavar="FILE", help="where what was measured of this machine is kept"
    )
    parser.add_argument("--libraries", type=Path, metavar="FOLDER", help="compile small networks, and keep that there")
    parser.add_argument("--stop-with-stdin", action="store_true", help="exit when standard input ends")
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number above 0")
    return int(text)


if __name__ == "__main__":
    status = main()
    flush()
    os._exit(status)  # taking torch apart would take seconds on a busy machine
