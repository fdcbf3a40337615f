"""Runs plans with asynchronous work."""

import asyncio


class Result:
    """What came of a plan: jobs done (in order), failed with their last error, and skipped."""

    def __init__(self):
        self.done = []
        self.failed = {}
        self.skipped = []

    def text(self):
        """One line of text."""
        parts = [f"{len(self.done)} done"]
        if self.failed:
            parts.append(f"failed: {', '.join(sorted(self.failed))}")
        if self.skipped:
            parts.append(f"skipped: {', '.join(self.skipped)}")
        return "; ".join(parts)


async def attempt(work, name, tries):
    """Await the work until it succeeds, at most `tries` times; the last error, or None."""
    error = None
    for _ in range(tries):
        try:
            await work(name)
            return None
        except Exception as caught:
            error = str(caught)
    return error


async def run(plan, work, tries=1):
    """Run a plan, one job after another."""
    if tries < 1:
        raise ValueError("a job is tried at least once")
    result = Result()
    for name in plan.order():
        await _one(plan, work, name, tries, result)
    return result


async def run_levels(plan, work, tries=1, at_once=4):
    """Run a plan round by round, at most `at_once` jobs of a round at the same time."""
    result = Result()
    for names in plan.levels():
        for start in range(0, len(names), at_once):
            group = names[start : start + at_once]
            await asyncio.gather(*(_one(plan, work, name, tries, result) for name in group))
    return result


async def _one(plan, work, name, tries, result):
    if any(need in result.failed or need in result.skipped for need in plan.needs(name)):
        result.skipped.append(name)
        return
    error = await attempt(work, name, tries)
    if error is None:
        result.done.append(name)
    else:
        result.failed[name] = error
