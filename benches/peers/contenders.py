"""The proxies that are compared, each started with the same task: host `localhost` (and any other), path `/`, 90 % to
127.0.0.1:9001 and 10 % to 127.0.0.1:9002, on one HTTP port and one HTTPS port with ALPN h2 and http/1.1, with
x-forwarded-for, x-forwarded-proto and x-request-id, without an access log."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

import istio

HERE = os.path.dirname(os.path.abspath(__file__))
BACKEND_PORTS = (9001, 9002)
FIRST_PORT = 10000

#: Where the last of many routes leads, for contenders that have many.
MANY_HOST = "one.example.com"


class Missing(Exception):
    """A program that is not installed, or did not come up."""


def program(variable, default):
    found = shutil.which(os.environ.get(variable, default))
    if not found:
        raise Missing(f"{default} is not installed (or set {variable})")
    return found


def render(template, target, values):
    with open(os.path.join(HERE, "conf", template), encoding="utf-8") as file:
        text = file.read()
    for name, value in values.items():
        text = text.replace(f"@{name}@", str(value))
    with open(target, "w", encoding="utf-8") as file:
        file.write(text)
    return target


def http_get(port, host="localhost", path="/"):
    with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
        head = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        connection.sendall(head.encode())
        answer = b""
        while data := connection.recv(65536):
            answer += data
        return answer


class Process:
    """A program in the background that ends with us."""

    def __init__(self, words, log, cpu=None):
        if cpu is not None:
            words = ["taskset", "-c", str(cpu), *words]
        with open(log, "w", encoding="utf-8") as file:
            self.running = subprocess.Popen(words, stdout=file, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        self.pid = self.running.pid

    def await_answer(self, port, host="localhost", path="/", seconds=60):
        end = time.time() + seconds
        while time.time() < end:
            if self.running.poll() is not None:
                break
            try:
                if http_get(port, host, path).startswith(b"HTTP/1.1 200"):
                    return
            except OSError:
                pass
            time.sleep(0.02)
        raise Missing(f"nothing answers 200 on port {port}: {' '.join(self.running.args)}")

    def stop(self):
        if self.running.poll() is None:
            self.running.send_signal(signal.SIGTERM)
            try:
                self.running.wait(3)
            except subprocess.TimeoutExpired:
                self.running.kill()
                self.running.wait()


class Contender:
    """One proxy with `routes` routes on one host; the kind decides how it is started."""

    def __init__(self, kind, index, bench, routes=1):
        self.kind, self.bench, self.routes = kind, bench, routes
        self.label = kind if routes == 1 else f"{kind}, {routes:,} routes"
        base = FIRST_PORT + index * 10
        self.http_port, self.https_port, self.admin_port = base, base + 1, base + 2
        self.host, self.path = "localhost", "/"
        if routes > 1:
            self.host, self.path = MANY_HOST, f"/svc{routes - 1}/api"
        self.directory = os.path.join(bench.work, re.sub(r"\W+", "-", self.label))
        self.process = None

    def start(self):
        shutil.rmtree(self.directory, ignore_errors=True)
        os.makedirs(self.directory)
        words = getattr(self, f"command_{self.kind}")()
        self.process = Process(words, os.path.join(self.directory, "log"), self.bench.proxy_cpu)
        self.process.await_answer(self.http_port, self.host, self.path)

    def stop(self):
        if self.process:
            self.process.stop()
            self.process = None

    def values(self):
        return {
            "WORK": self.directory,
            "WORKERS": self.bench.threads,
            "H1": self.http_port,
            "TLS": self.https_port,
            "CERT": self.bench.certificate,
            "KEY": self.bench.key,
            "BOTH": self.bench.both,
        }

    def command_nginx(self):
        config = render("nginx.conf.in", os.path.join(self.directory, "nginx.conf"), self.values())
        return [program("NGINX", "nginx"), "-p", self.directory, "-c", config, "-g", "daemon off;"]

    def command_haproxy(self):
        config = render("haproxy.cfg.in", os.path.join(self.directory, "haproxy.cfg"), self.values())
        return [program("HAPROXY", "haproxy"), "-db", "-f", config]

    def command_envoy(self):
        config = os.path.join(self.directory, "envoy.json")
        ports = [self.http_port, self.https_port, self.admin_port, self.routes]
        with open(config, "w", encoding="utf-8") as file:
            script = os.path.join(HERE, "conf", "envoy.py")
            words = [sys.executable, script, *map(str, ports), self.bench.certificate, self.bench.key]
            subprocess.run(words, stdout=file, check=True)
        concurrency = ["--concurrency", str(self.bench.threads)]
        return [program("ENVOY", "envoy"), "-c", config, *concurrency, "--disable-hot-restart", "-l", "warning"]

    def command_sluice(self):
        config = os.path.join(self.directory, "config")
        os.makedirs(config)
        objects = istio.objects(self, self.bench, MANY_HOST)
        with open(os.path.join(config, "all.yaml"), "w", encoding="utf-8") as file:
            file.write("\n---\n".join(json.dumps(found) for found in objects))
        ports = [f"--{name}-port=0" for name in ("admin", "metrics", "ready")]
        threads = f"--threads={self.bench.threads}"
        return [program("SLUICE", "sluice"), "run", config, "--bind=127.0.0.1", threads, *ports]


VERSIONS = {
    "nginx": (["-v"], r"nginx/(\S+)"),
    "haproxy": (["-v"], r"version (\d[\w.]+)"),
    "envoy": (["--version"], r"version: \w+/([\d.]+)"),
    "sluice": (["version"], r"(\d+\.\d+\.\d+\S*)"),
}


def version(kind):
    words, pattern = VERSIONS[kind]
    run = subprocess.run([program(kind.upper(), kind), *words], capture_output=True, text=True, check=False)
    found = re.search(pattern, run.stdout + run.stderr)
    return found[1] if found else "?"
