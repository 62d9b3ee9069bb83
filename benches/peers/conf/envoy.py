#!/usr/bin/env python3
"""Writes an Envoy bootstrap to standard output. usage: envoy.py HTTP HTTPS ADMIN ROUTES CERTIFICATE KEY"""

import json
import sys

API = "type.googleapis.com/envoy.extensions"
SPLIT = {"weighted_clusters": {"clusters": [{"name": "one", "weight": 90}, {"name": "two", "weight": 10}]}}


def address(port):
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def virtual_hosts(routes):
    hosts = [{"name": "any", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": SPLIT}]}]
    if routes > 1:
        many = [{"match": {"prefix": f"/svc{number}/api"}, "route": SPLIT} for number in range(routes)]
        hosts.append({"name": "many", "domains": ["one.example.com"], "routes": many})
    return hosts


def connection_manager(name, routes):
    router = {"@type": f"{API}.filters.http.router.v3.Router"}
    return {
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": {
            "@type": f"{API}.filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": name,
            "codec_type": "AUTO",
            "use_remote_address": True,
            "http2_protocol_options": {"max_concurrent_streams": 256},
            "route_config": {"name": name, "virtual_hosts": virtual_hosts(routes)},
            "http_filters": [{"name": "envoy.filters.http.router", "typed_config": router}],
        },
    }


def tls(certificate, key):
    pair = {"certificate_chain": {"filename": certificate}, "private_key": {"filename": key}}
    versions = {"tls_minimum_protocol_version": "TLSv1_2", "tls_maximum_protocol_version": "TLSv1_3"}
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": f"{API}.transport_sockets.tls.v3.DownstreamTlsContext",
            "disable_stateless_session_resumption": True,
            "disable_stateful_session_resumption": True,
            "common_tls_context": {
                "alpn_protocols": ["h2", "http/1.1"],
                "tls_params": {**versions, "ecdh_curves": ["X25519", "P-256"]},
                "tls_certificates": [pair],
            },
        },
    }


def listener(name, port, routes, transport=None):
    chain = {"filters": [connection_manager(name, routes)]}
    if transport:
        chain["transport_socket"] = transport
    return {"name": name, "address": address(port), "tcp_backlog_size": 4096, "filter_chains": [chain]}


def cluster(name, port):
    limits = {"max_connections": 100000, "max_pending_requests": 100000, "max_requests": 100000}
    endpoint = {"endpoint": {"address": address(port)}}
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "5s",
        "circuit_breakers": {"thresholds": [limits]},
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
    }


def main():
    http, https, admin, routes = map(int, sys.argv[1:5])
    certificate, key = sys.argv[5:7]
    listeners = [listener("http", http, routes), listener("https", https, routes, tls(certificate, key))]
    clusters = [cluster("one", 9001), cluster("two", 9002)]
    bootstrap = {
        "static_resources": {"listeners": listeners, "clusters": clusters},
        "admin": {"address": address(admin)},
    }
    json.dump(bootstrap, sys.stdout)


if __name__ == "__main__":
    main()
