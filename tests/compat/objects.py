"""The objects and backends that surround every case: four namespaces, a dozen services, one sentinel.

What a case itself brings is in cases/<group>.json. Nothing here depends on the gateway under test.
"""

import ssl

API = {
    "ConfigMap": "v1",
    "Gateway": "networking.istio.io/v1",
    "Namespace": "v1",
    "ServiceEntry": "networking.istio.io/v1",
    "VirtualService": "networking.istio.io/v1",
}

#: The port on which the sentinel host tells which version of the directory is being served.
SENTINEL_PORT = 18999
SENTINEL_HOST = "sentinel.test"

PLAIN_BACKENDS = {"alpha": 21001, "beta": 21002, "gamma": 21003}
DELTA_BACKENDS = {"delta1": 21011, "delta2": 21012, "delta3": 21013}
OTHER_BACKENDS = {"hotel": 21021, "grape": 21022, "india": 21023, "multi-a": 21024, "multi-b": 21025}

#: Nothing listens here.
DEAD_PORT = 21099

#: Addresses that only exist in a network namespace of our own; Kubernetes endpoints may not be loopback addresses.
OWN_ADDRESSES = ("10.77.0.1/24", "10.77.0.11/24", "10.77.0.12/24", "10.77.0.13/24", "10.77.0.20/24", "203.0.113.7/32")


def make(kind, name, namespace=None, spec=None, **top):
    """One object, with the API version its kind has."""
    meta = {"name": name}
    if namespace:
        meta["namespace"] = namespace
    made = {"apiVersion": API[kind], "kind": kind, "metadata": meta}
    if spec is not None:
        made["spec"] = spec
    return {**made, **top}


def service_entry(name, ports, endpoints=()):
    """A service of the namespace `shop` with fixed endpoints; ports are (number, name, protocol)."""
    host = f"{name}.shop.svc.cluster.local"
    spec = {
        "hosts": [host],
        "ports": [{"number": number, "name": port, "protocol": protocol} for number, port, protocol in ports],
        "location": "MESH_EXTERNAL",
        "resolution": "STATIC",
    }
    if endpoints:
        spec["endpoints"] = list(endpoints)
    return make("ServiceEntry", host.replace(".", "-"), "shop", spec)


def endpoint(ports, **more):
    return {"address": "127.0.0.1", "ports": ports, **more}


def base_objects():
    http = (80, "http", "HTTP")
    both = ((443, "https", "HTTPS"), http)
    out = [make("Namespace", name) for name in ("edge", "shop", "other", "istio-system")]
    out += [service_entry(name, [http], [endpoint({"http": port})]) for name, port in PLAIN_BACKENDS.items()]
    deltas = [
        endpoint({"http": port}, labels={"version": f"v{name[-1]}", "app": "delta"})
        for name, port in DELTA_BACKENDS.items()
    ]
    out += [
        service_entry("delta", [http], deltas),
        service_entry("hotel", [(80, "http2", "HTTP2")], [endpoint({"http2": 21021})]),
        service_entry("grape", [(80, "grpc", "GRPC")], [endpoint({"grpc": 21022})]),
        service_entry("india", [(80, "auto", "")], [endpoint({"auto": 21023})]),
        service_entry(
            "multi",
            [http, (8080, "http-alt", "HTTP")],
            [endpoint({"http": 21024, "http-alt": 21025})],
        ),
        service_entry("tango", both, [endpoint({"https": 21031, "http": 21031})]),
        service_entry("mango", both, [endpoint({"https": 21032, "http": 21032})]),
        service_entry("tcp1", [(9000, "tcp", "TCP")], [endpoint({"tcp": 21041})]),
        service_entry("tcp2", [(9000, "tcp", "TCP")], [endpoint({"tcp": 21042})]),
        service_entry("pass1", [(443, "tls", "TLS")], [endpoint({"tls": 21051})]),
        service_entry("pass2", [(443, "tls", "TLS")], [endpoint({"tls": 21052})]),
        service_entry("dead", [http], [endpoint({"http": DEAD_PORT})]),
        service_entry("mixed", [http], [endpoint({"http": 21001}), endpoint({"http": DEAD_PORT})]),
        service_entry("empty", [http]),
    ]
    port = {"number": SENTINEL_PORT, "name": "http-sentinel", "protocol": "HTTP"}
    out.append(
        make(
            "Gateway",
            "sentinel",
            "edge",
            {"selector": {"istio": "ingressgateway"}, "servers": [{"port": port, "hosts": [SENTINEL_HOST]}]},
        )
    )
    return out


def sentinel(nonce):
    """A route that answers the nonce: whoever reads it knows that everything written before is being served."""
    answer = {"directResponse": {"status": 200, "body": {"string": nonce}}}
    spec = {"hosts": [SENTINEL_HOST], "gateways": ["edge/sentinel"], "exportTo": ["*"], "http": [answer]}
    return make("VirtualService", "sentinel", "edge", spec)


def server_context(pki, certificate, client_ca=None, alpn=("h2", "http/1.1")):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pki.files(certificate))
    context.set_alpn_protocols(list(alpn))

    def remember_sni(socket, name, _context):
        socket.seen_sni = name

    context.sni_callback = remember_sni
    if client_ca:
        context.load_verify_locations(pki.files(client_ca)[0])
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def start_backends(farm, pki, own_addresses):
    """Every backend that the objects above name, and with `own_addresses` those of Services and EndpointSlices."""
    farm.pki = pki
    for name, port in {**PLAIN_BACKENDS, **DELTA_BACKENDS, **OTHER_BACKENDS}.items():
        farm.http(name, port)
    farm.http("tango", 21031, tls=server_context(pki, "srv-tango.test"))
    farm.http("mango", 21032, tls=server_context(pki, "srv-mango.test", "ca-clients"))
    farm.tcp("tcp1", 21041)
    farm.tcp("tcp2", 21042)
    farm.http("pass1", 21051, tls=server_context(pki, "srv-pass1.test"))
    farm.http("pass2", 21052, tls=server_context(pki, "srv-pass2.test"))
    if own_addresses:
        mesh = server_context(pki, "cli-web", "ca-clients", ["istio", "h2", "http/1.1"])
        farm.http("mesh1", 8443, "10.77.0.12", tls=mesh)
        for name, host in (("net1", "10.77.0.11"), ("net2", "10.77.0.12"), ("net3", "10.77.0.13")):
            farm.http(name, 8000, host)
