"""The benchmark's task as Istio objects, for Sluice. JSON documents: every YAML reader takes them."""

BACKENDS = ("one", "two")


def objects(contender, bench, many_host):
    out = [gateway(contender), secret(bench)]
    for name, port in zip(BACKENDS, (9001, 9002)):
        out.append(service_entry(name, port))
    out.append(virtual_service("any", ["*"], [{"route": split()}]))
    if contender.routes > 1:
        rules = [
            {"match": [{"uri": {"prefix": f"/svc{number}/api"}}], "route": split()}
            for number in range(contender.routes)
        ]
        out.append(virtual_service("many", [many_host], rules))
    return out


def make(kind, name, namespace="bench", **rest):
    versions = {"Secret": "v1"}
    version = versions.get(kind, "networking.istio.io/v1")
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": namespace}, **rest}


def gateway(contender):
    tls = {"mode": "SIMPLE", "credentialName": "bench"}
    servers = [
        {"port": {"number": contender.http_port, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]},
        {"port": {"number": contender.https_port, "name": "https", "protocol": "HTTPS"}, "hosts": ["*"], "tls": tls},
    ]
    return make("Gateway", "bench", spec={"selector": {"istio": "ingressgateway"}, "servers": servers})


def secret(bench):
    data = {}
    for name, path in (("tls.crt", bench.certificate), ("tls.key", bench.key)):
        with open(path, encoding="ascii") as file:
            data[name] = file.read()
    return make("Secret", "bench", "istio-system", type="kubernetes.io/tls", stringData=data)


def service_entry(name, port):
    spec = {
        "hosts": [f"{name}.bench.test"],
        "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}],
        "resolution": "STATIC",
        "location": "MESH_EXTERNAL",
        "endpoints": [{"address": "127.0.0.1", "ports": {"http": port}}],
    }
    return make("ServiceEntry", name, spec=spec)


def split():
    return [
        {"destination": {"host": f"{name}.bench.test", "port": {"number": 80}}, "weight": weight}
        for name, weight in zip(BACKENDS, (90, 10))
    ]


def virtual_service(name, hosts, rules):
    return make("VirtualService", name, spec={"hosts": hosts, "gateways": ["bench"], "http": rules})
