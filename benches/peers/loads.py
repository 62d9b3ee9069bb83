"""The loads. Each runs for some seconds against one contender and says how many requests were answered, how many
failed, and how fast."""

import json
import os
import re
import socket
import subprocess
import time

import measure

MICROSECONDS = {"us": 1, "ms": 1e3, "s": 1e6, "m": 6e7}


def microseconds(text):
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text).groups()
    return float(number) * MICROSECONDS[unit]


class Failed(Exception):
    """The load generator's output is not what was expected."""


def run(bench, words):
    if bench.load_cpu is not None:
        words = ["taskset", "-c", str(bench.load_cpu), *words]
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return done.stdout


def field(pattern, text):
    found = re.search(pattern, text, re.MULTILINE)
    if not found:
        raise Failed(f"no {pattern!r} in: {text[-400:]}")
    return found[1]


def wrk(bench, contender, scheme, path, connections, seconds):
    port = contender.https_port if scheme == "https" else contender.http_port
    words = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-H", f"Host: {contender.host}"]
    text = run(bench, [*words, f"{scheme}://127.0.0.1:{port}{path}"])
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    failed = sum(map(int, errors.groups())) if errors else 0
    other = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    return {
        "requests": int(field(r"(\d+) requests in", text)),
        "failed": failed + (int(other[1]) if other else 0),
        "per_second": float(field(r"Requests/sec:\s+([\d.]+)", text)),
        "p50_us": microseconds(field(r"^\s+50%\s+(\S+)", text)),
        "p99_us": microseconds(field(r"^\s+99%\s+(\S+)", text)),
    }


def h1(bench, contender, seconds):
    """HTTP/1.1, 64 keep-alive connections"""
    return wrk(bench, contender, "http", contender.path, 64, seconds)


def tls(bench, contender, seconds):
    """HTTP/1.1 over TLS 1.3, 64 keep-alive connections"""
    return wrk(bench, contender, "https", contender.path, 64, seconds)


def big(bench, contender, seconds):
    """1 MiB bodies, 16 keep-alive connections"""
    return wrk(bench, contender, "http", "/1m", 16, seconds)


def h2tls(bench, contender, seconds):
    """HTTP/2 over TLS, 8 connections with 32 streams each"""
    url = f"https://127.0.0.1:{contender.https_port}{contender.path}"
    text = run(bench, ["h2load", "-t1", "-c8", "-m32", f"-D{seconds}", url])
    return {
        "requests": int(field(r"requests: .*?(\d+) succeeded", text)),
        "failed": int(field(r"requests: .*?(\d+) failed", text)),
        "per_second": float(field(r"finished in [\d.]+s, ([\d.]+) req/s", text)),
    }


def handshake(bench, contender, seconds):
    """A full TLS 1.3 handshake and one request per connection, 16 at a time, no resumption"""
    text = run(bench, [bench.handshakes, str(contender.https_port), contender.host, "16", str(seconds)])
    found = json.loads(text)
    return {
        "requests": found["ok"],
        "failed": found["failed"] + found["resumed"],
        "per_second": found["per_second"],
        "p50_us": found["p50_us"],
        "p99_us": found["p99_us"],
    }


def memory(contender, connections, settle=2.0):
    """RSS of a fresh process, and with idle keep-alive connections that made one request each."""
    time.sleep(settle)
    at_rest = measure.resident_mib(contender.process.pid)
    request = f"GET {contender.path} HTTP/1.1\r\nHost: {contender.host}\r\n\r\n".encode()
    sockets = []
    try:
        for _ in range(connections):
            connection = socket.create_connection(("127.0.0.1", contender.http_port), timeout=10)
            sockets.append(connection)
            ask(connection, request)
        time.sleep(settle)
        idle = measure.resident_mib(contender.process.pid)
        for connection in sockets[:: max(1, connections // 100)]:
            ask(connection, request)  # still alive, or this raises
    finally:
        for connection in sockets:
            connection.close()
    return {"rest_mib": at_rest, "idle_mib": idle, "kib_each": (idle - at_rest) * 1024 / connections}


def ask(connection, request):
    """One request whose answer has a body of 1 KiB."""
    connection.sendall(request)
    answer = b""
    while len(answer.split(b"\r\n\r\n", 1)[-1]) < 1024 or b"\r\n\r\n" not in answer:
        data = connection.recv(65536)
        if not data:
            raise Failed("an idle connection was closed")
        answer += data
    if not answer.startswith(b"HTTP/1.1 200"):
        raise Failed(f"bad answer: {answer[:60]!r}")


#: Every load but memory, by the name of its suite.
LOADS = {"h1": h1, "tls": tls, "h2tls": h2tls, "handshake": handshake, "big": big}


def build_handshakes(here, work):
    """The handshake load is a small C program: no packaged tool does full handshakes without resumption."""
    target = os.path.join(work, "handshakes")
    source = os.path.join(here, "handshakes.c")
    if not os.path.exists(target) or os.path.getmtime(target) < os.path.getmtime(source):
        words = ["cc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", target, source, "-lssl", "-lcrypto"]
        subprocess.run(words, check=True)
    return target
