#!/usr/bin/env python3
"""Sluice beside nginx, HAProxy and Envoy on this machine; README.md says what is measured and how to read it.

The contenders are interleaved (A B C A B C …), so that whatever else the machine does meets all of them. One backend,
an nginx, serves everybody. Everything listens on the loopback address and ends with this program.
"""

import argparse
import datetime
import os
import resource
import subprocess
import sys
import tempfile
import time

import contenders
import loads
import measure
import table

HERE = os.path.dirname(os.path.abspath(__file__))
KINDS = ("sluice", "envoy", "nginx", "haproxy")
SUITES = ("h1", "tls", "h2tls", "handshake", "big", "memory", "routes")
MANY_ROUTES = 10_000
WARM_UP_SECONDS = 1


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suites", default=",".join(SUITES), help=f"[{','.join(SUITES)}]")
    parser.add_argument("--contenders", default=",".join(KINDS), help=f"[{','.join(KINDS)}]")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4, help="of load per contender and round")
    parser.add_argument("--threads", type=int, default=1, help="traffic threads of every contender")
    parser.add_argument("--connections", type=int, default=5000, help="idle connections of the suite memory")
    parser.add_argument("--work", default=os.path.join(tempfile.gettempdir(), "sluice-bench-peers"))
    parser.add_argument("--out", default=os.path.join(HERE, "RESULTS.md"))
    return parser.parse_args()


class Bench:
    """What all contenders share: settings, certificate, backend, load programs."""

    def __init__(self, options):
        self.threads = options.threads
        self.work = os.path.abspath(options.work)
        os.makedirs(self.work, exist_ok=True)
        # One thread: the proxy has a core to itself, load and backend share the other. More: the kernel decides.
        pinned = options.threads == 1 and (os.cpu_count() or 1) >= 2
        self.proxy_cpu, self.load_cpu = (0, 1) if pinned else (None, None)
        self.certificate = os.path.join(self.work, "certificate.pem")
        self.key = os.path.join(self.work, "key.pem")
        self.both = os.path.join(self.work, "both.pem")
        self.make_certificate()
        self.handshakes = loads.build_handshakes(HERE, self.work)
        self.backend = None

    def make_certificate(self):
        names = f"subjectAltName=DNS:localhost,DNS:{contenders.MANY_HOST}"
        words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        words += [
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
            "-addext",
            names,
            "-keyout",
            self.key,
            "-out",
            self.certificate,
        ]
        subprocess.run(words, check=True, stderr=subprocess.DEVNULL)
        with open(self.both, "w", encoding="ascii") as both:
            for path in (self.certificate, self.key):
                with open(path, encoding="ascii") as file:
                    both.write(file.read())

    def start_backend(self):
        directory = os.path.join(self.work, "backend")
        os.makedirs(directory, exist_ok=True)
        # nginx's workers are another user when we are root.
        for path in (self.work, directory):
            os.chmod(path, 0o755)
        with open(os.path.join(directory, "1m.bin"), "wb") as file:
            file.write(os.urandom(1 << 20))
        values = {"WORK": directory, "BODY1K": "x" * 1024}
        config = contenders.render("backend.nginx.conf.in", os.path.join(directory, "nginx.conf"), values)
        words = [contenders.program("NGINX", "nginx"), "-p", directory, "-c", config, "-g", "daemon off;"]
        self.backend = contenders.Process(words, os.path.join(directory, "log"), self.load_cpu)
        self.backend.await_answer(contenders.BACKEND_PORTS[0])

    def stop(self):
        if self.backend:
            self.backend.stop()


def one_round(load, bench, contender, seconds):
    """What the load says, with the CPU time that the contender used meanwhile."""
    stolen = measure.stolen_seconds()
    before, start = measure.cpu_seconds(contender.process.pid), time.time()
    result = load(bench, contender, seconds)
    used, elapsed = measure.cpu_seconds(contender.process.pid) - before, time.time() - start
    result["cpu_us"] = used / max(1, result["requests"]) * 1e6
    result["stolen_cores"] = (measure.stolen_seconds() - stolen) / elapsed
    return result


def interleave(load, bench, field, options):
    """Label → results of every round; the first, short round warms up and does not count."""
    results = {contender.label: [] for contender in field}
    for number in range(options.rounds + 1):
        for contender in field:
            seconds = options.seconds if number else WARM_UP_SECONDS
            result = one_round(load, bench, contender, seconds)
            if number:
                results[contender.label].append(result)
    return results


def run_load(name, bench, field, options):
    load = loads.LOADS[name]
    return table.cpu_table(f"{name}: {load.__doc__}", interleave(load, bench, field, options))


def run_memory(bench, kinds, options):
    """Fresh processes in every round: memory grows with what was served before."""
    results = {}
    for _ in range(options.rounds):
        for index, kind in enumerate(kinds):
            contender = contenders.Contender(kind, index, bench)
            try:
                contender.start()
                results.setdefault(contender.label, []).append(loads.memory(contender, options.connections))
            finally:
                contender.stop()
    title = f"memory: a fresh process, and with {options.connections:,} idle keep-alive connections"
    return table.memory_table(title, results)


def run_routes(bench, kinds, options):
    """The last of many routes against a single one, for those whose routes are a list to look through."""
    with_lists = [kind for kind in kinds if kind in ("sluice", "envoy")]
    field = []
    try:
        for kind in with_lists:
            for routes in (1, MANY_ROUTES):
                contender = contenders.Contender(kind, len(field), bench, routes)
                contender.start()
                field.append(contender)
        results = interleave(loads.h1, bench, field, options)
    finally:
        for contender in field:
            contender.stop()
    return table.routes_table(f"routes: the last of {MANY_ROUTES:,} prefix routes on one host, HTTP/1.1", results)


def preface(options, kinds):
    versions = ", ".join(f"{kind} {contenders.version(kind)}" for kind in kinds)
    pinned = "the proxy on a core of its own" if options.threads == 1 else "not pinned"
    return [
        "# Sluice beside its peers",
        "",
        f"Written by `make bench-peers` on {datetime.date.today().isoformat()}: {measure.machine()}.",
        f"{versions}. {options.threads} traffic thread(s), {pinned}; {options.rounds} interleaved rounds of "
        f"{options.seconds} s.",
        "",
        "CPU per request is user and system time of the whole process tree; ratios are of medians; noise is half the",
        "distance between the quartiles. A difference smaller than the noise is none.",
        "",
    ]


def run(options):
    # Thousands of connections in the proxies and in the load: take what the system allows.
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    kinds, suites = options.contenders.split(","), options.suites.split(",")
    unknown = [name for name in kinds if name not in KINDS] + [name for name in suites if name not in SUITES]
    if unknown:
        raise contenders.Missing(f"no such contender or suite: {', '.join(unknown)}")
    bench, field, lines = Bench(options), [], preface(options, kinds)
    try:
        bench.start_backend()
        plain = [name for name in suites if name in loads.LOADS]
        if plain:
            for index, kind in enumerate(kinds):
                contender = contenders.Contender(kind, index, bench)
                field.append(contender)
                contender.start()
        for name in plain:
            show(lines, run_load(name, bench, field, options))
        for contender in field:
            contender.stop()
        if "memory" in suites:
            show(lines, run_memory(bench, kinds, options))
        if "routes" in suites:
            show(lines, run_routes(bench, kinds, options))
    finally:
        for contender in field:
            contender.stop()
        bench.stop()
    with open(options.out, "w", encoding="utf-8") as file:
        file.write("\n".join(lines).rstrip() + "\n")
    print(f"written to {options.out}")


def show(lines, more):
    lines += more
    print("\n".join(more), flush=True)


def main():
    try:
        run(arguments())
    except (contenders.Missing, loads.Failed, OSError, subprocess.CalledProcessError) as error:
        print(f"bench-peers: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
