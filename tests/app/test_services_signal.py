"""The signal between threads that write and coroutines that wait."""

from __future__ import annotations

import asyncio
import threading

import pytest

from app.services import signal as signals
from app.services.signal import EVERYBODY, Signal


def test_a_change_before_the_wait_is_not_missed() -> None:
    signal = Signal()
    seen = signal.version()
    signal.notify()
    assert asyncio.run(signal.wait(seen, 60)) == signal.version() != seen


def test_a_thread_wakes_all_that_wait() -> None:
    signal = Signal()

    async def wait_for_it() -> list[int]:
        waiting = [asyncio.create_task(signal.wait(signal.version(), 60)) for _ in range(3)]
        await asyncio.sleep(0)
        threading.Thread(target=signal.notify).start()
        return await asyncio.gather(*waiting)

    assert asyncio.run(wait_for_it()) == [1, 1, 1]


def test_what_concerns_one_owner_wakes_nobody_else() -> None:
    signal = Signal()

    async def wait_as(owner: str) -> bool:
        seen = signal.version(owner)
        return await signal.wait(seen, 0.05, owner) != seen

    async def told(concerned: str) -> list[bool]:
        waiting = [asyncio.create_task(wait_as(owner)) for owner in ("alice", "bob", EVERYBODY)]
        await asyncio.sleep(0)
        signal.notify(concerned)
        return await asyncio.gather(*waiting)

    assert asyncio.run(told("alice")) == [True, False, False]
    assert asyncio.run(told(EVERYBODY)) == [True, True, True]


def test_when_there_have_been_too_many_owners_to_remember_all_look_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "MAX_OWNERS", 3)
    signal = Signal()
    for owner in ("alice", "bob", "carol"):
        seen = signal.version("dave")
        signal.notify(owner)
    assert signal.version("dave") > seen
    assert signal.version("carol") == signal.version("alice") == 3


def test_without_a_change_the_version_is_the_same_after_the_timeout() -> None:
    signal = Signal()
    assert asyncio.run(signal.wait(signal.version(), 0.01)) == 0


def test_a_loop_that_was_closed_while_waiting_does_not_stop_the_writer() -> None:
    signal = Signal()
    loop = asyncio.new_event_loop()
    task = loop.create_task(signal.wait(signal.version(), 60))
    loop.run_until_complete(asyncio.sleep(0))
    waiters = dict(signal._waiters)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(task)
    loop.close()
    signal._waiters = waiters
    signal.notify()
    assert signal.version() == 1


def test_a_cancellation_that_meets_a_change_is_not_swallowed() -> None:
    signal = Signal()

    async def cancel_while_waking() -> None:
        task = asyncio.create_task(signal.wait(signal.version(), 60))
        await asyncio.sleep(0)
        for waiter in signal._waiters:
            waiter.set_result(None)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel_while_waking())
