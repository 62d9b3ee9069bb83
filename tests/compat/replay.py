#!/usr/bin/env python3
"""Replays recorded cases against a gateway and reports every difference; README.md explains the conventions.

    replay.py --command 'sluice run {dir}'                    one process per case
    replay.py --command 'sluice run {dir}' --reuse            one process whose files are replaced
    replay.py --cluster target/debug                          one cluster whose objects are replaced
    replay.py --dump DIR                                      only writes the directory of each case

A difference is "hard" unless it concerns only Envoy's own headers, ids, framing or the form of a refusal; soft ones
count with --soft. Exit status: 1 when there is a hard difference that intended.json does not give a reason for.
"""

import argparse
import fnmatch
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
NAMESPACE_MARK = "SLUICE_COMPAT_NAMESPACE"
COLUMNS = ("same", "different", "intended", "not run", "requests", "differing")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--command", help="the gateway; {dir} stands for its directory")
    parser.add_argument("--cluster", metavar="DIR", help="sluice-controller, sluice-gateway and sluice-test-plane")
    parser.add_argument("--dump", metavar="DIR", help="write the directory of each case and stop")
    parser.add_argument("--only", metavar="REGEX", help="cases by group/name [groups.txt]")
    parser.add_argument("--skip", metavar="REGEX", default="$^", help="cases to leave out, by group/name")
    parser.add_argument("--reuse", action="store_true", help="one process for all cases")
    parser.add_argument("--address", default="127.0.0.1", help="where the listeners are reached")
    parser.add_argument("--ready", metavar="URL", default="http://127.0.0.1:15021/healthz/ready")
    parser.add_argument("--ready-timeout", type=float, default=20, metavar="SECONDS")
    parser.add_argument("--settle", type=float, default=0.1, metavar="SECONDS", help="pause once ready")
    parser.add_argument("--grace", type=float, default=5, metavar="SECONDS", help="time to stop on SIGTERM")
    parser.add_argument("--no-netns", action="store_true", help="leave out cases that need addresses of their own")
    parser.add_argument("--intended", default=os.path.join(HERE, "intended.json"), metavar="FILE")
    parser.add_argument("--soft", action="store_true", help="count soft differences too")
    parser.add_argument("--show", type=int, default=6, metavar="N", help="differences printed per case")
    parser.add_argument("--keep-log", metavar="FILE", help="the gateway's output")
    parser.add_argument("--json", metavar="FILE", help="the result as JSON")
    options = parser.parse_args()
    if not options.command and not options.cluster and not options.dump:
        parser.error("--command, --cluster or --dump is needed")
    return options


def enter_network_namespace():
    """Re-executes this program in a network namespace of its own; false when the system does not allow one."""
    if os.environ.get(NAMESPACE_MARK):
        for line in ("link set lo up", *(f"addr add {own} dev lo" for own in own_addresses())):
            subprocess.run(["ip", *line.split()], check=True)
        return True
    unshare, ip = shutil.which("unshare"), shutil.which("ip")
    if not unshare or not ip:
        return False
    # Without root, a user namespace in which we are root will do where the system lets everybody make one.
    words = [unshare, "--net"] if os.geteuid() == 0 else [unshare, "--map-root-user", "--net"]
    trial = subprocess.run([*words, ip, "link", "set", "lo", "up"], capture_output=True, check=False)
    if trial.returncode != 0:
        return False
    os.environ[NAMESPACE_MARK] = "1"
    os.execv(unshare, [*words, sys.executable, *sys.argv])


def own_addresses():
    import objects

    return objects.OWN_ADDRESSES


def switched_on():
    """The patterns of groups.txt."""
    with open(os.path.join(HERE, "groups.txt"), encoding="utf-8") as file:
        lines = [line.split("#")[0].strip() for line in file]
    return [line for line in lines if line]


def load_cases(only, skip):
    directory = os.path.join(HERE, "cases")
    cases = []
    for name in sorted(os.listdir(directory)):
        with open(os.path.join(directory, name), encoding="utf-8") as file:
            cases += json.load(file)["cases"]
    if only:
        chosen = [case for case in cases if re.search(only, label(case))]
    else:
        patterns = switched_on()
        chosen = [case for case in cases if any(fnmatch.fnmatchcase(case["group"], p) for p in patterns)]
    return [case for case in chosen if not re.search(skip, label(case))]


def label(case):
    return f"{case['group']}/{case['name']}"


def excused_requests(entry, case):
    """The ids of the requests that may differ: all of the case when the entry of intended.json is a reason alone, those
    whose number is listed when it is {"reason": …, "requests": ["03", …]}."""
    if entry is None:
        return set()
    ids = [request["id"] for request in case["requests"]]
    if isinstance(entry, str):
        return set(ids)
    unknown = set(entry["requests"]) - {name.split(" ")[0] for name in ids}
    if unknown:
        raise SystemExit(f"intended.json: {label(case)} has no request {', '.join(sorted(unknown))}")
    return {name for name in ids if name.split(" ")[0] in entry["requests"]}


class Tally:
    """Counts per group, and what differed."""

    def __init__(self, options, intended):
        self.options, self.intended = options, intended
        self.rows, self.found, self.agreed = {}, {}, set()

    def row(self, case):
        return self.rows.setdefault(case["group"], dict.fromkeys(COLUMNS, 0))

    def add(self, case, differing, problems):
        """`differing`: request id → differences that count."""
        row = self.row(case)
        row["requests"] += len(case["requests"])
        row["differing"] += sum(bool(found) for found in differing.values())
        name = label(case)
        excused = excused_requests(self.intended.get(name), case)
        self.agreed |= {f"{name}, {request}" for request in excused if not differing[request]}
        found = [(request, *one) for request, several in differing.items() for one in several]
        unexcused = [one for one in found if one[0] not in excused]
        if unexcused:
            row["different"] += 1
            self.found[name] = unexcused
            self.tell(case, unexcused, problems)
        else:
            row["intended" if found else "same"] += 1

    def tell(self, case, found, problems):
        note = f"  ({'; '.join(map(str, problems))[:200]})" if problems else ""
        print(f"different  {label(case)}{note}")
        for request, _kind, field, recorded, observed in found[: self.options.show]:
            print(f"    {request[:60]}  {field}: recorded {recorded!r:.160}, got {observed!r:.160}")
        if len(found) > self.options.show:
            print(f"    … {len(found) - self.options.show} more")
        sys.stdout.flush()

    def total(self):
        return {column: sum(row[column] for row in self.rows.values()) for column in COLUMNS}

    def print_table(self):
        print("\n" + f"{'group':24}" + "".join(f"{column:>11}" for column in COLUMNS))
        for group, row in [*self.rows.items(), ("total", self.total())]:
            print(f"{group:24}" + "".join(f"{row[column]:11}" for column in COLUMNS))
        for name in sorted(self.agreed):
            print(f"note: {name}: is listed as intended to differ, but does not")


def replay(cases, options, tally, with_namespace):
    import backends
    import cluster
    import compare
    import objects
    import pki as keys
    import runner
    import target

    work = tempfile.mkdtemp(prefix="compat-pki-")
    pki = keys.Pki(work)
    farm = backends.Farm()
    objects.start_backends(farm, pki, with_namespace)
    if options.cluster:
        gateway = cluster.ClusterTarget(options, pki)
    else:
        gateway = (target.ReusedTarget if options.reuse else target.FreshTarget)(options, pki)
    try:
        for case in cases:
            if case.get("netns") and not with_namespace:
                tally.row(case)["not run"] += 1
                continue
            problems, got = [], {}
            try:
                problems = gateway.apply(case)
                got = runner.run_case(case, options.address, pki, farm, gateway)
            except Exception as error:  # the case counts as different; the others still run
                problems = [*problems, repr(error)]
            finally:
                gateway.finish_case()
            differing = {}
            for request in case["requests"]:
                want = case["recorded"].get(request["id"], {})
                found = compare.compare(want, got.get(request["id"], {"outcome": "not run"}), request, case)
                differing[request["id"]] = [one for one in found if options.soft or one[0] == compare.HARD]
            tally.add(case, differing, problems)
    finally:
        gateway.close()
        shutil.rmtree(work, ignore_errors=True)


def dump(cases, directory):
    import pki as keys
    import target

    pki = keys.Pki(tempfile.mkdtemp(prefix="compat-pki-"))
    for case in cases:
        target.write_case(case, os.path.join(directory, case["group"], case["name"]), pki)
    print(f"{len(cases)} cases written to {directory}")


def main():
    options = arguments()
    cases = load_cases(options.only, options.skip)
    if not cases:
        print("no case has such a name", file=sys.stderr)
        return 2
    if options.dump:
        dump(cases, options.dump)
        return 0
    with_namespace = not options.no_netns and enter_network_namespace()
    # Whoever is told to end ends what it has started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with open(options.intended, encoding="utf-8") as file:
        tally = Tally(options, json.load(file))
    replay(cases, options, tally, with_namespace)
    tally.print_table()
    total = tally.total()
    if total["not run"]:
        print(f"{total['not run']} cases need a network namespace of their own and were left out")
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"groups": tally.rows, "total": total, "differences": tally.found}, file, indent=1)
    return 1 if total["different"] else 0


if __name__ == "__main__":
    sys.exit(main())
