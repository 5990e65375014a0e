"""Reads the CPU quota of Linux control groups, by which Docker (option --cpus) and Kubernetes limit a container's CPU time."""

import math
from collections.abc import Iterator
from pathlib import Path, PurePosixPath


def cpu_quota(process: Path = Path("/proc/self")) -> float:
    """Returns the CPU quota that Linux sets for a process, as a number of CPUs; infinity if there is no quota.

    The quota of a control group also limits the groups inside it, so the result is the smallest quota of all control groups
    that contain the process.

    Parameters
    ----------
    process : Path
        The folder of the process in the file system proc, such as /proc/self.
    """
    try:
        return min(_quotas(process), default=math.inf)
    except (OSError, ValueError):  # the system is not Linux, or hides these files
        return math.inf


def _quotas(process: Path) -> Iterator[float]:
    groups = [line.split(":", 2) for line in (process / "cgroup").read_text().splitlines()]
    for mount in (process / "mountinfo").read_text().splitlines():
        place, _, kind = mount.partition(" - ")
        (root, point), (system, *_, options) = place.split()[3:5], kind.split()
        for _, controllers, group in groups:
            if system == "cgroup2" and not controllers:
                yield from map(_quota_2, _folders(Path(point), root, group))
            elif system == "cgroup" and "cpu" in options.split(",") and "cpu" in controllers.split(","):
                yield from map(_quota_1, _folders(Path(point), root, group))


def _folders(point: Path, root: str, group: str) -> Iterator[Path]:
    """Yields the folders of a control group and of each group around it, out to the group `root`, whose folder is `point`."""
    inside = PurePosixPath(group)
    inside = inside.relative_to(root) if inside.is_relative_to(root) and ".." not in inside.parts else PurePosixPath()
    yield from (point / part for part in (inside, *inside.parents))


def _quota_2(group: Path) -> float:
    """Returns the quota of a control group of version 2. Its file cpu.max holds a time (or "max" for no quota) and a period."""
    return _ratio(*_words(group / "cpu.max"))


def _quota_1(group: Path) -> float:
    """Returns the quota of a control group of version 1, for which a time of -1 means that there is no quota."""
    return _ratio(*_words(group / "cpu.cfs_quota_us"), *_words(group / "cpu.cfs_period_us"))


def _words(file: Path) -> list[str]:
    try:
        return file.read_text().split()
    except (OSError, ValueError):
        return []


def _ratio(time: str = "", period: str = "", *_: str) -> float:
    return int(time) / int(period) if time.isdecimal() and period.isdecimal() and int(period) else math.inf
