"""Work shared among processes, one a core: rendering is plain Python around a vector library."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import islice
from multiprocessing import get_context
from typing import TypeVar

from tqdm import tqdm

Job = TypeVar("Job")
Result = TypeVar("Result")
AHEAD = 4  # results a process that may wait to be taken: they are pictures, and memory is finite


def in_processes(
    work: Callable[[Job], Result], jobs: Sequence[Job], workers: int, title: str
) -> Generator[Result, None, None]:
    """Yield `work` of each job in their order, computed in `workers` processes, or in this one."""
    if workers <= 1 or len(jobs) <= 1:
        yield from (work(job) for job in tqdm(jobs, title))
        return
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        waiting = iter(jobs)
        asked: deque[Future[Result]] = deque(pool.submit(work, job) for job in islice(waiting, AHEAD * workers))
        with tqdm(total=len(jobs), desc=title) as bar:
            try:
                while asked:
                    result = asked.popleft().result()
                    asked.extend(pool.submit(work, job) for job in islice(waiting, 1))
                    bar.update()
                    yield result
            finally:  # whoever stops taking results waits for none
                pool.shutdown(wait=False, cancel_futures=True)
