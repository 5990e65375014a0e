"""numbanet finds the CPU quota of a Linux control group, real or imitated by files in the formats of cgroup 1 and 2."""

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from numbanet.engines.cpu.quota import cpu_quota
from tests.helpers.engines import each


def process(folder, groups, mounts):
    """Writes files into the folder, which then imitates /proc/self.

    A mount is a tuple (root, mount point, type, options). The directory `root` of a file system of the type `type` appears at
    the mount point.
    """
    (folder / "cgroup").write_text("\n".join(groups))
    line = "31 23 0:28 {} {} rw,relatime shared:9 - {} cgroup rw{}"
    (folder / "mountinfo").write_text("\n".join(line.format(*mount) for mount in [("/", "/", "ext4", ""), *mounts]))
    return folder


def limits(folder, quotas):
    """Writes files that define quotas: cgroup version 2 has one file with two numbers, version 1 has one file per number."""
    for path, (time, period) in quotas.items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.name == "cpu.max":
            place.write_text(f"{time} {period}\n")
        else:
            place.write_text(f"{time}\n")
            (place.parent / "cpu.cfs_period_us").write_text(f"{period}\n")


V2 = [
    pytest.param("/", "/", {"cpu.max": (150_000, 100_000)}, 1.5, id="container"),
    pytest.param("/", "/", {"cpu.max": ("max", 100_000)}, math.inf, id="no quota"),
    pytest.param("/", "/", {}, math.inf, id="no controller"),
    pytest.param("/", "/", {"cpu.max": ("", "")}, math.inf, id="empty file"),
    pytest.param("/", "/", {"cpu.max": (100_000, 0)}, math.inf, id="no period"),
    pytest.param("/", "/a/b", {"a/cpu.max": (200_000, 100_000), "a/b/cpu.max": ("max", 100_000)}, 2, id="outer"),
    pytest.param("/", "/a/b", {"a/cpu.max": (200_000, 100_000), "a/b/cpu.max": (50_000, 100_000)}, 0.5, id="inner"),
    pytest.param("/a", "/a/b", {"cpu.max": (300_000, 100_000), "b/cpu.max": ("max", 100_000)}, 3, id="part of a tree"),
    pytest.param("/a", "/c", {"cpu.max": (300_000, 100_000)}, 3, id="another part"),
    pytest.param("/", "/../c", {"cpu.max": (300_000, 100_000), "../cpu.max": (1, 1)}, 3, id="outside of the namespace"),
]


@each("root, group, quotas, expected", V2)
def test_version_2(root, group, quotas, expected, tmp_path):
    point = tmp_path / "mounted"
    limits(point, quotas)
    assert cpu_quota(process(tmp_path, [f"0::{group}"], [(root, point, "cgroup2", "")])) == expected


V1 = [
    pytest.param("/docker/1", "/docker/1", {"cpu.cfs_quota_us": (50_000, 100_000)}, 0.5, id="container"),
    pytest.param("/", "/", {"cpu.cfs_quota_us": (-1, 100_000)}, math.inf, id="no quota"),
    pytest.param(
        "/", "/a/b", {"a/cpu.cfs_quota_us": (250_000, 100_000), "a/b/cpu.cfs_quota_us": (-1, 100_000)}, 2.5, id="outer"
    ),
]


@each("root, group, quotas, expected", V1)
def test_version_1_beside_version_2_without_a_controller(root, group, quotas, expected, tmp_path):
    point = tmp_path / "mounted"
    limits(point, quotas)
    groups = ["5:memory:/elsewhere", f"4:cpu,cpuacct:{group}", "1:cpuset:/", "0::/unified"]
    mounts = [("/", tmp_path / "memory", "cgroup", ",memory"), (root, point, "cgroup", ",cpu,cpuacct")]
    assert cpu_quota(process(tmp_path, groups, [*mounts, ("/", tmp_path / "unified", "cgroup2", "")])) == expected


def test_without_proc_there_is_no_quota(tmp_path):
    assert cpu_quota(tmp_path) == math.inf


@pytest.fixture
def group():
    """Yields a Linux control group (cgroup) without a quota, within a control group that has a quota of one CPU."""
    for base, quota in (("/sys/fs/cgroup/cpu", "cpu.cfs_quota_us"), ("/sys/fs/cgroup", "cpu.max")):
        outer = Path(base, f"numbanet-test-{os.getpid()}")
        inner = outer / "inner"
        try:
            inner.mkdir(parents=True)
            (outer / quota).write_text("100000")
            (outer / "cgroup.procs").touch()
        except OSError:
            for folder in (inner, outer):
                if folder.exists():
                    folder.rmdir()
            continue
        yield inner
        inner.rmdir()
        outer.rmdir()
        return
    pytest.skip("needs the right to make a control group")


SCRIPT = """
import numbanet
from numbanet.distributed.communicators import Share
class Node:
    def allgather(self, cores):
        return [cores]
print(numbanet.get_num_threads(), Share.of(Node()).threads)
"""


def test_the_number_of_threads_respects_the_quota_of_the_groups_around(group):
    shell = f'echo $$ > {group}/cgroup.procs && exec "{sys.executable}" -c "$0"'
    done = subprocess.run(["sh", "-c", shell, SCRIPT], capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["1", "1"], done.stderr
