"""The gateway of a cluster under test: an API server that holds the objects, a controller that follows it, and a gateway
that follows the controller, all as programs of their own and all of them for every case.

What is real: the API server, its rights, tokens, the controller with the chart's role and no other right, the stream to
the gateway. What is not: no node runs the gateway's pod, which is an object only; no controller manager deletes what
belongs to another object or makes EndpointSlices, so that they are those of the case.
"""

import copy
import json
import math
import os
import select
import socket
import subprocess
import time
import urllib.request

import api
import objects
import target

#: The namespace of the controller and of the gateway, as in the recordings.
NAMESPACE = "istio-system"
POD = "istio-ingressgateway-0"
#: A service account that the gateway's chart has made.
ACCOUNT = "edge"
LABELS = {"istio": "ingressgateway", "app": "istio-ingressgateway"}
ADDRESS = "10.77.0.1"

#: The first start of an API server on a busy machine, and all that is installed there.
PLANE_SECONDS = 180

#: A Secret is known to a controller only while a gateway names it. Nothing tells one that will never be from one that is
#: about to be, but time.
SECRET_SECONDS = 1

#: Kinds of which the older of two objects may win.
COMPETING = ("Gateway", "VirtualService", "DestinationRule", "ServiceEntry", "Ingress")
#: How often objects are created anew when a second ended between two that are to be of one age.
ATTEMPTS = 3


class ClusterTarget(target.Target):
    """One cluster for all cases, whose objects are replaced."""

    def __init__(self, options, pki):
        super().__init__(options, pki)
        self.plane = self.controller = None
        self.base = {}
        self.applied = {}
        self.leftover = []
        try:
            self.begin()
        except BaseException:
            self.close()
            raise

    def begin(self):
        self.plane = self.run("sluice-test-plane", NAMESPACE, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        readable, _, _ = select.select([self.plane.stdout], [], [], PLANE_SECONDS)
        said = self.plane.stdout.readline() if readable else b""
        if not said:
            raise RuntimeError(f"no control plane; its output is in {self.log.name}")
        said = json.loads(said)
        self.api = api.Api(said["admin"])
        settings = target.settings(None)
        for found in [*objects.base_objects(), settings]:
            self.base[identity(found)] = found
            self.api.apply(found)
        pod = self.start_controller(said["controller"])
        self.start(pod)
        self.must(self.await_until(self.ready, "the gateway was never ready"))

    def run(self, program, *arguments, environment=None, **streams):
        words = [os.path.join(self.options.cluster, program), *arguments]
        streams = {"stdin": subprocess.DEVNULL, "stdout": self.log, **streams}
        environment = {**os.environ, **(environment or {})}
        return subprocess.Popen(words, stderr=self.log, env=environment, start_new_session=True, **streams)

    def start_controller(self, kubeconfig):
        """Returns the gateway's pod."""
        ports = dict(zip(("discovery", "webhook", "metrics", "health", "debug"), free_ports(5)))
        listen = [word for name, port in ports.items() for word in (f"--{name}-listen", f"127.0.0.1:{port}")]
        names = ["--namespace", NAMESPACE, "--discovery-names", "localhost"]
        self.process = self.controller = self.run(
            "sluice-controller",
            *("run", *names, *listen, "--drain-delay", "0", "--threads", "2"),
            environment={"KUBECONFIG": kubeconfig},
        )
        self.discovery = f"localhost:{ports['discovery']}"
        self.debug = f"http://127.0.0.1:{ports['debug']}/debug"
        health = f"http://127.0.0.1:{ports['health']}/healthz/ready"
        self.must(self.await_until(lambda: answers(health), "the controller was never ready"))
        spec = {"serviceAccountName": ACCOUNT, "automountServiceAccountToken": False}
        spec["containers"] = [{"name": "istio-proxy", "image": "none"}]
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": POD, "namespace": NAMESPACE, "labels": LABELS}}
        status = {"phase": "Running", "podIP": ADDRESS, "podIPs": [{"ip": ADDRESS}]}
        return self.api.apply({**pod, "spec": spec, "status": status})

    def start(self, pod):
        """The gateway, with what kubelet would mount into its pod."""
        roots = objects.make("ConfigMap", "istio-ca-root-cert", NAMESPACE)
        self.must(self.await_until(lambda: self.api.get(roots), "the root was never published"))
        files = {"roots": self.api.get(roots)["data"]["root-cert.pem"], "token": self.api.token(pod, "istio-ca")}
        for name, text in files.items():
            with open(os.path.join(self.work, name), "w", encoding="ascii") as file:
                file.write(text)
        self.process = self.run(
            "sluice-gateway",
            *("run", "--discovery-address", self.discovery, "--drain-delay", "0s", "--threads", "2"),
            # The recorded origins are on this machine.
            *("--allow-endpoints", "loopback,unix"),
            *("--root-cert", os.path.join(self.work, "roots"), "--token", os.path.join(self.work, "token")),
            *("--snapshot-dir", "", "--pod-name", POD, "--pod-namespace", NAMESPACE, "--service-account", ACCOUNT),
        )

    def ready(self):
        return answers(self.options.ready)

    def must(self, problems):
        if problems:
            raise RuntimeError(f"{'; '.join(problems)}; the output is in {self.log.name}")

    def apply(self, case):
        self.log.write(f"\n== {case['group']}/{case['name']}\n")
        self.log.flush()
        found = [self.fill(one) for one in [*case.get("replay_objects", []), *case["objects"]]]
        if case.get("mesh"):
            found.append(target.settings(case["mesh"]))
        changed = any(identity(one) in self.base for one in found)
        self.must(self.leftover)
        refused = self.create(found)
        if not case["recorded"].get("_refused"):
            self.must(refused)
        since, missed = time.time(), "the gateway never had all of it"
        self.must(self.await_until(lambda: self.knows_all(since) and self.in_sync(), missed))
        if changed:  # of which the controller's list of objects says nothing
            time.sleep(target.CHANGE_SECONDS)
        self.settle(case)
        return refused

    def fill(self, found):
        return self.pki.fill_tree(copy.deepcopy(found))

    def create(self, found):
        """Applies objects oldest first. Nobody can say when an object was created, but when it is: objects of one age
        are created within one second, and older ones in a second before."""
        steps = {}
        for one in found:
            steps.setdefault(one["metadata"].pop("creationTimestamp", target.SHARED_AGE), []).append(one)
        steps = [steps[age] for age in sorted(steps)]
        kinds = [one["kind"] for one in found if one["kind"] in COMPETING]
        if len(set(kinds)) == len(kinds):  # nobody competes
            return [problem for step in steps for problem in self.create_step(step)[0]]
        for _ in range(ATTEMPTS):
            problems, seconds = [], []
            for step in steps:
                time.sleep(math.ceil(time.time()) - time.time())
                refused, created = self.create_step(step)
                problems += refused
                seconds.append(created)
            ages = [second for created in seconds for second in created]
            if all(len(created) <= 1 for created in seconds) and ages == sorted(set(ages)):
                return problems
            self.must(self.remove())
        return ["the machine is too busy to create objects within a second"]

    def create_step(self, step):
        """(problems, the seconds in which competing objects were created)"""
        problems, created = [], set()
        for found in step:
            try:
                if found["kind"] == "Pod":
                    self.api.apply(account_of(found))
                stored = self.api.apply(found)
            except api.Refused as refused:
                problems.append(f"{found['kind']} {found['metadata']['name']} is refused: {refused}")
                continue
            self.applied[identity(found)] = found
            if found["kind"] in COMPETING:
                created.add(stored["metadata"]["creationTimestamp"])
        return problems, created

    def change(self, changed):
        for found in changed:
            found = self.fill(found)
            found["metadata"].pop("creationTimestamp", None)
            if found.pop("delete", False):
                self.api.delete(found)
                self.applied.pop(identity(found), None)
            else:
                self.api.apply(found)
                self.applied[identity(found)] = found
        time.sleep(self.options.settle + target.CHANGE_SECONDS)

    def finish_case(self):
        self.leftover = self.remove()

    def remove(self):
        """Leaves what surrounds every case, and nothing else."""
        for name, found in reversed(self.applied.items()):
            if name in self.base:
                self.api.apply(self.base[name])
            else:
                self.api.delete(found)
        gone = set(self.applied) - set(self.base)
        self.applied = {}
        return self.await_until(lambda: not gone & self.known() and self.in_sync(), "the objects never went")

    def known(self):
        """The objects that the controller translates."""
        return {(one["kind"], one["namespace"], one["name"]) for one in asked(f"{self.debug}/configz")}

    def knows_all(self, since):
        """Whether the controller has heard of every object applied: it translates it, or says why it does not."""
        missing = [self.applied[name] for name in set(self.applied) - self.known()]
        if time.time() > since + SECRET_SECONDS:
            missing = [found for found in missing if found["kind"] != "Secret"]
        return all(self.has_judged(found) for found in missing)

    def has_judged(self, found):
        stored = self.api.get(found)
        conditions = stored.get("status", {}).get("conditions", []) if stored else []
        generation = stored["metadata"].get("generation", 0) if stored else None
        return any(condition.get("observedGeneration") == generation for condition in conditions)

    def in_sync(self):
        """Whether the gateway has confirmed the last that there is to say."""
        proxies = asked(f"{self.debug}/syncz")
        return len(proxies) == 1 and proxies[0]["inSync"]

    def end(self):
        self.stop(self.process)
        self.stop(self.controller)
        if self.plane is not None:
            self.plane.stdin.close()
            self.plane.wait(PLANE_SECONDS)


def identity(found):
    """As the controller lists it."""
    return found["kind"], found["metadata"].get("namespace", ""), found["metadata"]["name"]


def account_of(pod):
    """No pod is admitted without its service account, and nobody else makes any."""
    meta = {"name": pod["spec"].get("serviceAccountName", "default"), "namespace": pod["metadata"]["namespace"]}
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta}


def asked(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)


def answers(url):
    try:
        with urllib.request.urlopen(url, timeout=1) as answer:
            return answer.status == 200
    except OSError:
        return False


def free_ports(count):
    """Different ones: all are held until the last is found."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports
