"""The gateway under test: a process started with a directory of YAML files, and the files it is given."""

import copy
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request

import yaml

import objects

#: Objects without an age of their own share one, so that names decide.
SHARED_AGE = "2026-01-01T00:00:00Z"

#: What a change made while traffic flows is given to arrive, beyond the usual settling.
CHANGE_SECONDS = 0.7


def file_of(found):
    meta = found["metadata"]
    return f"{found['kind'].lower()}-{meta.get('namespace', 'cluster')}-{meta['name']}.yaml"


def write_object(found, directory, pki):
    """Saves as editors do: a new file renamed over the old one."""
    found = pki.fill_tree(copy.deepcopy(found))
    found["metadata"].setdefault("creationTimestamp", SHARED_AGE)
    name = file_of(found)
    hidden = os.path.join(directory, "." + name)
    with open(hidden, "w", encoding="utf-8") as file:
        yaml.safe_dump(found, file, sort_keys=False)
    os.rename(hidden, os.path.join(directory, name))


def settings(mesh):
    """Mesh settings; a case may say more than is always said."""
    mesh = {"accessLogFile": "", "enableTracing": False, **(mesh or {})}
    return objects.make("ConfigMap", "istio", "istio-system", data={"mesh": yaml.safe_dump(mesh)})


def write_case(case, directory, pki):
    """All objects of a case, one file each."""
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(directory)
    around = [*objects.base_objects(), settings(case.get("mesh"))]
    for found in [*around, *case.get("replay_objects", []), *case["objects"]]:
        write_object(found, directory, pki)


class Target:
    """What both ways of running a gateway share: the directory, the process, its log."""

    def __init__(self, options, pki):
        self.options = options
        self.pki = pki
        self.work = tempfile.mkdtemp(prefix="compat-")
        self.directory = os.path.join(self.work, "case")
        self.log = open(options.keep_log or os.path.join(self.work, "log"), "w", encoding="utf-8")
        self.process = None

    def start(self):
        words = [word.replace("{dir}", self.directory) for word in shlex.split(self.options.command)]
        self.process = subprocess.Popen(
            words, stdout=self.log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True
        )

    def await_until(self, condition, missed):
        """Problems, none when the condition came true in time."""
        end = time.time() + self.options.ready_timeout
        while not condition():
            if self.process.poll() is not None:
                return [f"ended with {self.process.returncode}"]
            if time.time() > end:
                return [missed]
            time.sleep(0.02)
        return []

    def settle(self, case):
        time.sleep(self.options.settle + case.get("wait", 0))

    def change(self, changed):
        for found in changed:
            if found.get("delete"):
                os.unlink(os.path.join(self.directory, file_of(found)))
            else:
                write_object(found, self.directory, self.pki)
        time.sleep(self.options.settle + CHANGE_SECONDS)

    def end(self):
        self.stop(self.process)

    def stop(self, process):
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(self.options.grace)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def close(self):
        self.end()
        self.log.close()
        shutil.rmtree(self.work, ignore_errors=True)


class FreshTarget(Target):
    """A new process for every case."""

    def apply(self, case):
        write_case(case, self.directory, self.pki)
        self.log.write(f"\n== {case['group']}/{case['name']}\n")
        self.log.flush()
        self.start()
        problems = self.await_until(self.ready, "never ready")
        self.settle(case)
        return problems

    def ready(self):
        try:
            with urllib.request.urlopen(self.options.ready, timeout=1) as answer:
                return answer.status == 200
        except OSError:
            return False

    def finish_case(self):
        self.end()


class ReusedTarget(Target):
    """One process for all cases, whose files are replaced: the same answers, and hot reload on top.

    Between two cases the directory holds the base objects alone, because the last good version of an object stays in
    force: without the pause a case with a broken object would be served the object of that name of the case before.
    """

    nonce = 0

    def apply(self, case):
        empty = {"group": "", "name": "", "objects": []}
        problems = self.replace_files(empty) or self.replace_files(case)
        self.settle(case)
        return problems

    def replace_files(self, case):
        self.nonce += 1
        nonce = f"nonce-{self.nonce}"
        fresh = os.path.join(self.work, "fresh")
        write_case(case, fresh, self.pki)
        last = objects.sentinel(nonce)
        write_object(last, fresh, self.pki)
        os.makedirs(self.directory, exist_ok=True)
        wanted = os.listdir(fresh)
        for name in set(os.listdir(self.directory)) - set(wanted):
            os.unlink(os.path.join(self.directory, name))
        for name in sorted(wanted, key=lambda name: name == file_of(last)):
            os.rename(os.path.join(fresh, name), os.path.join(self.directory, name))
        if self.process is None or self.process.poll() is not None:
            self.start()
        return self.await_until(lambda: self.sentinel_says(nonce), "the change was never served")

    def sentinel_says(self, nonce):
        url = f"http://{self.options.address}:{objects.SENTINEL_PORT}/"
        try:
            request = urllib.request.Request(url, headers={"Host": objects.SENTINEL_HOST})
            with urllib.request.urlopen(request, timeout=1) as answer:
                return answer.read().decode() == nonce
        except OSError:
            return False

    def finish_case(self):
        pass
