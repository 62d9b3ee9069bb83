"""Checks of the Helm charts that need no cluster (dev/charts.sh runs it).

For every chart in charts/, with every helm given:

- `lint --strict` and `template` with every charts/*/ci/NAME.yaml, or the defaults where there is none. A first line
  `# release: NAME namespace: NAME` says what it is installed as.
- What comes out fits the schemas of Kubernetes, strictly; both helms agree; selectors fit labels; pods meet Pod Security
  "restricted"; roles have no wildcards and no Secrets of the whole cluster; no gateway may do anything.
- charts/*/ci/NAME.expect.yaml, where there is one: documents that are a part of objects that must come out, and
  `{absent: [Kind/name]}`.
- charts/*/ci/refused/NAME.yaml must be refused, by a message that has the text behind `# names:`.
- README.md names every value of values.yaml, and the version is the one of the programs.

It knows nothing about what the values mean; that is in the files beside the charts.
"""

import argparse
import functools
import itertools
import pathlib
import re
import subprocess
import sys

import kubernetes_validate
import yaml
from kubernetes_validate import utils

VERSIONS = ["1.29", "1.37"]
RELEASES = {
    "base": ("istio-base", "istio-system"),
    "controller": ("sluice-controller", "istio-system"),
    "gateway": ("istio-ingressgateway", "istio-ingress"),
}
# The library reads its megabyte of definitions again for every object.
utils.schema_contents = functools.cache(utils.schema_contents)


class Strict(yaml.CSafeLoader):
    """YAML as the API server reads it: a key stands once."""

    def construct_mapping(self, node, deep=False):
        keys = [key.value for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.YAMLError(f"key {key} stands twice{node.start_mark}")
        return super().construct_mapping(node, deep)


class Problems:
    def __init__(self):
        self.lines = []
        self.checks = 0

    def check(self, good, where, what):
        self.checks += 1
        if not good:
            self.lines.append(f"{where}: {what}")


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)
    return done.returncode, done.stdout, done.stderr


def head(path, name):
    """The text behind `# name:` in the comments that a file begins with."""
    for line in path.read_text().splitlines():
        if not line.startswith("#"):
            return None
        if found := re.search(rf"\b{name}: *(\S.*?)(?= +\w+: |$)", line):
            return found[1]
    return None


def title(document):
    return f"{document['kind']}/{document['metadata']['name']}"


def rendered(text):
    return [document for document in yaml.load_all(text, Loader=Strict) if document]


# What an object must be


def pod_of(document):
    spec = document.get("spec", {})
    return spec["template"] if document["kind"] in ("Deployment", "DaemonSet", "StatefulSet", "Job") else None


@functools.cache
def schema_error(text, version):
    document = yaml.load(text, Loader=yaml.CSafeLoader)
    try:
        kubernetes_validate.validate(document, version, strict=True)
    except kubernetes_validate.ValidationError as error:
        return f"does not fit Kubernetes {version}: {'.'.join(map(str, error.path))}: {error.message}"
    except kubernetes_validate.SchemaNotFoundError as error:
        # Of an operator.
        if not document["apiVersion"].startswith("monitoring.coreos.com/"):
            return error.message
    return None


# https://kubernetes.io/docs/concepts/security/pod-security-standards/
SAFE_SYSCTLS = {
    "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range", "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
}
SAFE_VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}


def restricted(pod):
    """What Pod Security "restricted" would say against a pod, and a read-only root besides."""
    spec = pod["spec"]
    context = spec.get("securityContext", {})
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(field):
            yield f"{field} is set"
    for sysctl in context.get("sysctls", []):
        if sysctl["name"] not in SAFE_SYSCTLS:
            yield f"sysctl {sysctl['name']} is not allowed"
    for volume in spec.get("volumes", []):
        if not SAFE_VOLUMES & volume.keys():
            yield f"volume {volume['name']} is of a type that is not allowed"
    for container in spec.get("initContainers", []) + spec["containers"]:
        name, own = container["name"], container.get("securityContext", {})
        both = {**context, **own}
        if own.get("privileged"):
            yield f"{name} is privileged"
        if own.get("allowPrivilegeEscalation") is not False:
            yield f"{name} may escalate"
        if own.get("capabilities", {}).get("drop") != ["ALL"] or own["capabilities"].get("add", []) not in ([], ["NET_BIND_SERVICE"]):
            yield f"{name} keeps capabilities"
        if both.get("runAsNonRoot") is not True or both.get("runAsUser") == 0:
            yield f"{name} may run as root"
        if both.get("seccompProfile", {}).get("type") not in ("RuntimeDefault", "Localhost"):
            yield f"{name} has no seccomp profile"
        if own.get("readOnlyRootFilesystem") is not True:
            yield f"{name} may write to its root"
        if any(port.get("hostPort") for port in container.get("ports", [])):
            yield f"{name} has a port of the host"


def pod_problems(document, pod):
    yield from restricted(pod)
    labels, spec = pod["metadata"]["labels"], pod["spec"]
    if not document["spec"]["selector"]["matchLabels"].items() <= labels.items():
        yield "its selector does not choose its own pods"
    volumes = [volume["name"] for volume in spec.get("volumes", [])]
    if len(set(volumes)) != len(volumes):
        yield "a volume stands twice"
    for container in spec["containers"]:
        names = [entry["name"] for entry in container.get("env", [])]
        for name in set(names):
            if names.count(name) > 1:
                yield f"environment: {name} stands twice"
        for mount in container.get("volumeMounts", []):
            if mount["name"] not in volumes:
                yield f"there is no volume {mount['name']} to mount"
        if not re.fullmatch(r"[^\s:]+(:\d+/[^\s:@]+)?(:[\w.-]+|@sha256:[0-9a-f]{64})", container["image"]):
            yield f"image {container['image']} has no version"


def role_problems(document):
    for rule in document["rules"]:
        for field in ("apiGroups", "resources", "verbs"):
            if any("*" in value for value in rule.get(field, [])):
                yield f"a wildcard in {field}"
        if rule.get("nonResourceURLs"):
            yield "nonResourceURLs"
        resources, verbs = set(rule.get("resources", [])), set(rule["verbs"])
        cluster = document["kind"] == "ClusterRole"
        if cluster and "secrets" in resources:
            yield "Secrets of the whole cluster"
        if verbs & {"delete", "deletecollection", "escalate", "bind", "impersonate", "approve", "sign"}:
            yield f"verbs {sorted(verbs)}"
        writes = verbs & {"create", "update", "patch"}
        if cluster and writes:
            # Status, events and token reviews are what the controller is for; the rest has to have a name.
            free = {"events", "tokenreviews"}
            open_ended = {name for name in resources if not name.endswith("/status") and name not in free}
            if open_ended and not rule.get("resourceNames") and (open_ended, writes) != ({"configmaps"}, {"create"}):
                yield f"{sorted(writes)} on {sorted(open_ended)} without names"
        if rule.get("resourceNames") and "create" in verbs:
            yield "create with resourceNames never allows anything"


def object_problems(chart, documents):
    """What is wrong with the objects of one installation."""
    pods = [(document, pod) for document in documents if (pod := pod_of(document))]
    for document in documents:
        where = title(document)
        text = yaml.dump(document, Dumper=yaml.CSafeDumper)
        for version in VERSIONS:
            if error := schema_error(text, version):
                yield where, error
        labels = document["metadata"].get("labels", {})
        if not any(label.startswith("app.kubernetes.io/") for label in labels):
            yield where, "has no label of app.kubernetes.io"
        if document["kind"] in ("Role", "ClusterRole") and chart != "base":
            yield from ((where, problem) for problem in role_problems(document))
        selector = document.get("spec", {}).get("selector") or document.get("spec", {}).get("podSelector")
        if document["kind"] in ("Service", "PodDisruptionBudget", "NetworkPolicy", "PodMonitor"):
            wanted = selector.get("matchLabels", selector)
            if not any(wanted.items() <= pod["metadata"]["labels"].items() for _, pod in pods):
                yield where, "chooses no pod"
        if document["kind"] == "HorizontalPodAutoscaler":
            target = document["spec"]["scaleTargetRef"]
            scaled = [d for d, _ in pods if title(d) == f"{target['kind']}/{target['name']}"]
            if not scaled or "replicas" in scaled[0]["spec"]:
                yield where, "scales nothing, or what has a fixed number of replicas"
        if document["kind"] == "ValidatingWebhookConfiguration" and "istio.io/rev" in labels:
            yield where, "would be taken over by an Istio that is there"
    for document, pod in pods:
        yield from ((title(document), problem) for problem in pod_problems(document, pod))
        if chart == "gateway":
            account = pod["spec"]["serviceAccountName"], document["metadata"]["namespace"]
            subjects = [
                (subject["name"], subject["namespace"])
                for binding in documents
                if binding["kind"] in ("RoleBinding", "ClusterRoleBinding")
                for subject in binding["subjects"]
            ]
            if account in subjects or pod["spec"].get("automountServiceAccountToken") is not False:
                yield title(document), "may ask the API server for something"
    names = [(title(document), document["metadata"].get("namespace")) for document in documents]
    for name in {name for name in names if names.count(name) > 1}:
        yield name[0], "stands twice"


# What is expected


def missing(expected, found, path=""):
    """Where `found` does not have what `expected` has; null means absent.

    Lists of named things are compared by name; `{name: NAME, absent: true}` is what must not be in one.
    """
    if isinstance(expected, dict) and isinstance(found, dict):
        for key, value in expected.items():
            if value is None:
                if key in found:
                    yield f"{path}.{key} must not be there"
            elif key not in found:
                yield f"{path}.{key} is missing"
            else:
                yield from missing(value, found[key], f"{path}.{key}")
    elif isinstance(expected, list) and all(isinstance(item, dict) and "name" in item for item in expected):
        by_name = {item.get("name"): item for item in found}
        for item in expected:
            if item.keys() == {"name", "absent"}:
                if item["name"] in by_name:
                    yield f"{path}[{item['name']}] must not be there"
            elif item["name"] in by_name:
                yield from missing(item, by_name[item["name"]], f"{path}[{item['name']}]")
            else:
                yield f"{path}[{item['name']}] is missing"
    elif expected != found:
        yield f"{path} is {found!r}, not {expected!r}"


def expectations(path, documents):
    by_title = {title(document): document for document in documents}
    for expected in yaml.load_all(path.read_text(), Loader=Strict):
        if "absent" in expected:
            for name in expected["absent"]:
                if name in by_title:
                    yield f"{name} must not be there"
            continue
        found = by_title.get(title(expected))
        if found is None:
            yield f"{title(expected)} is missing; there are {', '.join(by_title)}"
        else:
            yield from (f"{title(expected)} {problem}" for problem in missing(expected, found))


def values_of(values, path=""):
    """The names of all values: leaves, and maps that are the user's to fill."""
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from values_of(value, f"{path}{key}.")
        else:
            yield f"{path}{key}"


# The run


def check_chart(chart, helms, problems):
    defaults = RELEASES[chart.name]
    cases = sorted(path for path in (chart / "ci").glob("*.yaml") if not path.name.endswith(".expect.yaml")) or [None]
    for case in cases:
        where = f"{chart.name} with {case.name if case else 'defaults'}"
        release = case and head(case, "release") or defaults[0]
        namespace = case and head(case, "namespace") or defaults[1]
        values = ["--values", str(case)] if case else []
        outputs = []
        for helm in helms:
            code, out, err = run(helm, "lint", "--strict", str(chart), "--namespace", namespace, *values)
            problems.check(code == 0, where, f"lint: {out}{err}")
            code, out, err = run(helm, "template", release, str(chart), "--namespace", namespace, *values)
            problems.check(code == 0, where, f"template: {err}")
            if code == 0:
                try:
                    outputs.append(rendered(out))
                except yaml.YAMLError as error:
                    problems.check(False, where, f"no YAML: {error}")
        if not outputs:
            continue
        for other in outputs[1:]:
            key = lambda document: (title(document), document["metadata"].get("namespace", ""))
            problems.check(sorted(outputs[0], key=key) == sorted(other, key=key), where, "the helms differ")
        for name, problem in object_problems(chart.name, outputs[0]):
            problems.check(False, where, f"{name}: {problem}")
        problems.check(True, where, "objects")
        if case and (expected := case.with_name(f"{case.stem}.expect.yaml")).exists():
            for problem in expectations(expected, outputs[0]):
                problems.check(False, where, problem)
            problems.check(True, where, "expectations")

    for case in sorted((chart / "ci" / "refused").glob("*.yaml")):
        where, name = f"{chart.name} with refused/{case.name}", head(case, "names")
        problems.check(name is not None, where, "begins with no `# names:`")
        for helm in helms:
            code, out, err = run(helm, "template", defaults[0], str(chart), "--values", str(case))
            problems.check(code != 0, where, f"not refused by {helm}")
            problems.check(code == 0 or str(name) in err, where, f"the message does not name {name}: {err}")
            # A lint only warns where a template fails by itself.
            if "values don't meet the specifications" in err:
                problems.check(run(helm, "lint", str(chart), "--values", str(case))[0] != 0, where, "passes lint")

    metadata = yaml.load((chart / "Chart.yaml").read_text(), Loader=Strict)
    workspace = re.search(r'^version = "(.*)"$', pathlib.Path("Cargo.toml").read_text(), re.MULTILINE)[1]
    for field in ("version", "appVersion"):
        problems.check(metadata[field] == workspace, chart.name, f"{field} in Chart.yaml is not {workspace} as in Cargo.toml")
    readme = (chart / "README.md").read_text() if (chart / "README.md").exists() else ""
    for name in values_of(yaml.load((chart / "values.yaml").read_text(), Loader=Strict) or {}):
        parents = itertools.accumulate(name.split("."), lambda a, b: f"{a}.{b}")
        problems.check(any(f"`{parent}`" in readme for parent in parents), chart.name, f"README.md does not name `{name}`")


def main():
    arguments = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    arguments.add_argument("--helm", action="append", required=True, help="a helm to check with; may be repeated")
    arguments.add_argument("charts", nargs="*", type=pathlib.Path, help="folders of charts; all unless given")
    options = arguments.parse_args()
    charts = options.charts or sorted(path.parent for path in pathlib.Path("charts").glob("*/Chart.yaml"))
    failed = 0
    for chart in charts:
        problems = Problems()
        check_chart(chart, options.helm, problems)
        for line in problems.lines:
            print(f"FAILED {line}")
        failed += len(problems.lines)
        print(f"{chart}: {problems.checks} checks, {len(problems.lines)} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
