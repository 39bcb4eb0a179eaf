"""Best first: the pictures of one request in the order in which they show their prompt, once none is on its way."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from app.services.views import JobView


def best_first(jobs: Sequence[JobView]) -> list[JobView]:
    """Return jobs, of which those of one group stand together, with those of each group that `is_ranked` in order."""
    groups = (list(group) for _, group in groupby(jobs, lambda job: job.group))
    return [job for group in groups for job in (sorted(group, key=_place) if is_ranked(group) else group)]


def is_ranked(group: Sequence[JobView]) -> bool:
    """Whether the jobs of one request are over, and more than one came to a picture that can be compared."""
    is_over = all(job.status not in ("queued", "running") for job in group)
    return is_over and sum(_place(job) < 1 for job in group) > 1


def _place(job: JobView) -> float:
    """The lower, the nearer the front; 1 without a picture, or with one that nothing is known of."""
    return 1.0 if job.image is None or job.image.match is None else -job.image.match
