"""How many threads torch should use: one for each physical core that this process may use."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path

import torch

NICENESS = 5  # a third of the weight of a usual process, where both want the same core
SIBLINGS = "/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"
QUOTA = Path("/sys/fs/cgroup/cpu.max")


def set_threads() -> int:
    """Set torch's number of threads and return it. Never more than torch chose, so that OMP_NUM_THREADS holds.

    Pixels may depend on it in their last bits, so whoever makes pictures calls this.
    """
    threads = max(1, min(physical_cores(), torch.get_num_threads()))
    torch.set_num_threads(threads)
    return threads


def stand_back() -> None:
    """Let others go first on the cores: for this thread and those that torch starts from it, where that can be said.

    The networks take every core for long, and a page a few milliseconds of one.
    """
    with suppress(AttributeError, OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


def physical_cores() -> int:
    """Count the cores that are open to this process: hyper-threads of one core once, within a container's quota."""
    if not hasattr(os, "sched_getaffinity"):
        return os.cpu_count() or 1
    cores = {_siblings(cpu) for cpu in os.sched_getaffinity(0)}
    return max(1, min(len(cores), _quota()))


def _siblings(cpu: int) -> str:
    try:
        return Path(SIBLINGS.format(cpu)).read_text().strip()
    except OSError:
        return str(cpu)


def _quota() -> int:
    try:
        quota, period = QUOTA.read_text().split()
        return int(quota) // int(period) if quota != "max" else os.cpu_count() or 1
    except (OSError, ValueError, ZeroDivisionError):
        return os.cpu_count() or 1
