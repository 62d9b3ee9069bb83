"""Rounds become a Markdown table: median, minimum, ratios of the medians, and how far the rounds are apart."""

import statistics

PEERS = ("envoy", "nginx")


def ratio(value, peer):
    return f"{value / peer:.2f}" if peer else "–"


def spread(values):
    """Half the distance between the quartiles, in per cent of the median: the noise of this machine."""
    if len(values) < 3:
        return "–"
    low, middle, high = statistics.quantiles(values, n=4)
    return f"±{(high - low) / 2 / middle * 100:.0f} %" if middle else "–"


def row(*cells):
    return "| " + " | ".join(map(str, cells)) + " |"


def header(*cells):
    return [row(*cells), row("---", *["---:"] * (len(cells) - 1))]


def cpu_table(title, rounds):
    """`rounds`: label → results of each round; CPU per request is what counts."""
    medians = {label: statistics.median(one["cpu_us"] for one in found) for label, found in rounds.items()}
    lines = [f"### {title}", ""]
    lines += header("", "µs CPU per request", "minimum", "vs envoy", "vs nginx", "noise", "requests/s", "failed")
    for label, found in rounds.items():
        values = [one["cpu_us"] for one in found]
        lines.append(
            row(
                label,
                f"{medians[label]:.1f}",
                f"{min(values):.1f}",
                *(ratio(medians[label], medians.get(peer)) for peer in PEERS),
                spread(values),
                f"{statistics.median(one['per_second'] for one in found):,.0f}",
                sum(one["failed"] for one in found),
            )
        )
    return [*lines, "", *stolen_note(rounds)]


def stolen_note(rounds):
    """A virtual machine whose host was busy has numbers to be careful with."""
    worst = max(one["stolen_cores"] for found in rounds.values() for one in found)
    return [f"The host took away up to {worst:.2f} cores during a round.", ""] if worst >= 0.05 else []


def memory_table(title, rounds):
    idle = {label: statistics.median(one["idle_mib"] for one in found) for label, found in rounds.items()}
    lines = [f"### {title}", ""]
    lines += header(
        "", "MiB at rest", "MiB with idle connections", "KiB per connection", "vs envoy", "vs nginx", "noise"
    )
    for label, found in rounds.items():
        values = [one["idle_mib"] for one in found]
        lines.append(
            row(
                label,
                f"{statistics.median(one['rest_mib'] for one in found):.1f}",
                f"{idle[label]:.1f}",
                f"{statistics.median(one['kib_each'] for one in found):.2f}",
                *(ratio(idle[label], idle.get(peer)) for peer in PEERS),
                spread(values),
            )
        )
    return [*lines, ""]


def routes_table(title, rounds):
    """Contenders with many routes next to the same ones with a single route."""
    medians = {label: statistics.median(one["cpu_us"] for one in found) for label, found in rounds.items()}
    lines = [f"### {title}", ""]
    lines += header("", "µs CPU per request", "vs its own single route", "noise", "failed")
    for label, found in rounds.items():
        alone = medians.get(label.split(",")[0])
        values = [one["cpu_us"] for one in found]
        failed = sum(one["failed"] for one in found)
        lines.append(row(label, f"{medians[label]:.1f}", ratio(medians[label], alone), spread(values), failed))
    return [*lines, "", *stolen_note(rounds)]
