"""CPU time and memory of process trees, read from /proc. Linux only."""

import os

TICKS = os.sysconf("SC_CLK_TCK")


def stat_fields(pid):
    """The fields of /proc/PID/stat behind the name, which may itself hold spaces and brackets."""
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
        return file.read().rsplit(")", 1)[1].split()


def tree(root):
    """The process and everything below it."""
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                children.setdefault(int(stat_fields(entry)[1]), []).append(int(entry))
            except OSError:
                continue  # gone meanwhile
    found, queue = [], [root]
    while queue:
        pid = queue.pop()
        found.append(pid)
        queue += children.get(pid, [])
    return found


def cpu_seconds(root):
    """User and system time of the tree, with what its ended children used."""
    ticks = 0
    for pid in tree(root):
        try:
            ticks += sum(int(field) for field in stat_fields(pid)[11:15])
        except OSError:
            continue
    return ticks / TICKS


def resident_mib(root):
    """Resident memory, summed over the processes of the tree."""
    kib = 0
    for pid in tree(root):
        try:
            with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
                kib += sum(int(line.split()[1]) for line in file if line.startswith("Rss:"))
        except OSError:
            continue
    return kib / 1024


def stolen_seconds():
    """CPU time that the host of a virtual machine gave to others since boot."""
    with open("/proc/stat", encoding="ascii") as file:
        return int(file.readline().split()[8]) / TICKS


def machine():
    """What to say about the machine next to its numbers."""
    with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
        names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    return f"{names[0] if names else 'unknown CPU'}, {os.cpu_count()} cores, Linux {os.uname().release}"
