"""`keys`: make, list and revoke the API keys of a data folder; a running server knows of each change at once."""

from __future__ import annotations

import argparse
import sys
from contextlib import closing

from app.cli.flags import add_settings, settings_of
from app.cli.folder import require_folder
from app.services import keys
from app.services.errors import ServiceError
from app.services.store import Store


def main(argv: list[str]) -> int:
    """Run one of the three. Returns 1 if it was refused."""
    parser = argparse.ArgumentParser(prog="python3 -m app keys", description="Keys by which programs are known.")
    actions = parser.add_subparsers(dest="action", required=True, metavar="create | list | revoke")
    create = actions.add_parser("create", help="make a key and show it, this once")
    create.add_argument("--name", required=True, help="what it is for")
    listing = actions.add_parser("list", help="list the keys, without the keys themselves")
    revoke = actions.add_parser("revoke", help="end a key at once; its pictures stay")
    revoke.add_argument("key", metavar="NAME", help="its name or id")
    for action in (create, listing, revoke):
        add_settings(action, ("data",))
    arguments = parser.parse_args(argv)
    settings = settings_of(parser, arguments)
    require_folder(parser, settings)
    with closing(Store(settings)) as store:
        try:
            _run(store, arguments)
        except ServiceError as error:
            print(f"python3 -m app keys: {error.message}", file=sys.stderr)
            return 1
    return 0


def _run(store: Store, arguments: argparse.Namespace) -> None:
    match arguments.action:
        case "create":
            print(keys.create(store, arguments.name))
            print("Keep it: only its hash is stored, so it cannot be shown again.", file=sys.stderr)
        case "revoke":
            keys.revoke(store, arguments.key)
            print(f"{arguments.key} is revoked.", file=sys.stderr)
        case _:
            for key in keys.every(store):
                state = "valid" if key.revoked_at is None else f"revoked {key.revoked_at:%Y-%m-%d %H:%M}"
                print(f"{key.id}  {key.created_at:%Y-%m-%d %H:%M}  {state}  {key.name}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
