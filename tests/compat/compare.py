"""What was observed, brought into the form of a recording, and the differences between the two."""

import re

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
TOKEN = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]*")
GENERATED_COOKIE = re.compile(r'="?[0-9a-f]{8,}"?')

#: Headers that belong to the test, or differ in every run.
NOT_IN_RESPONSES = {"date", "x-backend"}
NOT_IN_REQUESTS = {"x-tag", "x-do"}
NEVER = {"x-envoy-peer-metadata", "x-envoy-peer-metadata-id"}

#: Fields whose difference is "soft": Envoy's own headers, ids, framing.
SOFT = re.compile(
    r"(^|\.)(x-envoy-[\w-]+|server|x-request-id|x-b3-[\w-]+|traceparent|tracestate"
    r"|transfer-encoding|content-length|connection|grpc-accept-encoding)$"
)

HARD, SOFTLY = "hard", "soft"


def scrub(text):
    return TOKEN.sub("<token>", UUID.sub("<uuid>", text))


def header_map(pairs, dropped):
    """Name → values in order, without what differs in every run."""
    out = {}
    for name, value in pairs:
        name = name.lower()
        if name in dropped or name in NEVER:
            continue
        if name == "x-envoy-upstream-service-time":
            value = "<ms>"
        if name in ("set-cookie", "cookie"):
            value = GENERATED_COOKIE.sub('="<generated>"', value)
        out.setdefault(name, []).append(scrub(value))
    certificates = out.get("x-forwarded-client-cert")
    if certificates:
        out["x-forwarded-client-cert"] = [
            re.sub(r"Hash=[0-9a-f]{64}", "Hash=<hash>", re.sub(r'Cert="[^"]*"', 'Cert="<pem>"', value))
            for value in certificates
        ]
    return dict(sorted(out.items()))


def exchange(outcome, hits, request):
    """One request: what the client saw, and what every backend saw of it."""
    refused = refusal(outcome, request)
    if refused:
        return refused
    seen = {}
    for hit in hits:
        note_hit(seen.setdefault(hit["backend"], {"count": 0}), hit, request)
    record = client_side(outcome, request)
    if request.get("anyhost"):  # which endpoint a hash or a balancer picks is not compared
        seen = {"any": view for view in seen.values()}
        if "backend" in record:
            record["backend"] = "any"
    if seen:
        record["seen"] = dict(sorted(seen.items()))
    return record


def refusal(outcome, request):
    """Whether a refusal shows as an alert, a reset or a plain close depends on timing; these read the same."""
    kind = outcome["outcome"]
    answered = "status" in outcome
    if request.get("tls") and not answered and "data" not in outcome and kind not in ("refused", "timeout"):
        return {"outcome": "tls-rejected", "detail": kind}
    if not answered and kind in ("closed", "reset", "h2-goaway:1", "h2-reset:1"):
        return {"outcome": "dropped", "detail": kind}
    return None


def client_side(outcome, request):
    record = {"outcome": outcome["outcome"]}
    if outcome.get("tls"):
        facts = ["version", "alpn", "server_cn"] + (["cipher"] if request.get("observe") == "cipher" else [])
        record["tls"] = {fact: outcome["tls"][fact] for fact in facts}
    if "data" in outcome:
        record["data"] = scrub(re.sub(r"date: [^\r\n]*", "date: <date>", outcome["data"]))
    if "status" in outcome:
        record["status"] = outcome["status"]
        record["headers"] = header_map(outcome["headers"], NOT_IN_RESPONSES)
        backend = header(outcome, "x-backend")
        if backend:
            record["backend"] = backend
        if not backend or outcome.get("body") not in (f"{backend}\n", ""):
            record["body"] = scrub(outcome.get("body", ""))[:600]
        if outcome.get("version") != ("HTTP/2" if request.get("http") == "h2" else "HTTP/1.1"):
            record["version"] = outcome.get("version")
        for part in ("trailers", "interim"):
            if part in outcome:
                record[part] = outcome[part]
    if request.get("time"):
        record["elapsed"] = round(outcome["elapsed"], 1)
    return record


def note_hit(view, hit, request):
    """Adds one arrival at a backend to the view of that backend."""
    view["count"] += 1
    headers = header_map(hit["headers"], NOT_IN_REQUESTS)
    for name in ("x-request-id", "x-forwarded-client-cert"):
        sent = [value for key, value in request["headers"] if key.lower() == name]
        if sent and name in headers:
            arrived = [value for key, value in hit["headers"] if key.lower() == name]
            headers[name] = ["<as sent>" if arrived == sent else "<replaced>"]
    view.update(
        method=hit["method"],
        path=scrub(hit["path"] or ""),
        authority=hit["authority"],
        proto=hit["proto"],
        headers=headers,
    )
    if hit["body"]:
        view["body"] = hit["body"][:600]
    if hit.get("tls"):
        view["tls"] = {"sni": hit.get("sni"), "alpn": hit.get("alpn"), "client_cert": hit.get("client_cert")}


def header(outcome, name):
    return next((value for key, value in outcome.get("headers", []) if key.lower() == name), None)


def flat(value, path=""):
    """(dotted path, leaf) of nested dictionaries."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from flat(inner, f"{path}.{key}" if path else str(key))
    else:
        yield path, value


def compare(want, got, request, case):
    """(kind, field, recorded, observed) of every difference, the telling ones first."""
    return sorted(
        differences(want, got, request, case),
        key=lambda found: (found[1] not in ("outcome", "status", "backend"), found[1]),
    )


def differences(want, got, request, case):
    if want.get("shares") is not None:
        return share_differences(want["shares"], got.get("shares") or {}, request)
    answered = got.get("outcome") == "response" and "backend" not in got and "seen" not in got
    if want.get("outcome") == "dropped" and answered and 400 <= got.get("status", 0) < 506:
        # Refusing with a reply instead of by closing is as good, or better.
        return [(SOFTLY, "form of refusal", "dropped", got["status"])]
    wanted, gotten = dict(flat(want)), dict(flat(got))
    patterns = [*case.get("ignore", ()), *request.get("ignore", ()), r"^detail$"]
    ignored = [re.compile(pattern) for pattern in patterns]
    found = []
    for field in sorted(set(wanted) | set(gotten)):
        recorded, observed = wanted.get(field), gotten.get(field)
        if recorded == observed or any(pattern.search(field) for pattern in ignored):
            continue
        if field == "elapsed" and None not in (recorded, observed):
            if abs(recorded - observed) <= request.get("tol", 0.35):
                continue
        found.append((SOFTLY if SOFT.search(field) else HARD, field, recorded, observed))
    return found


def share_differences(want, got, request):
    """Weighted choices agree within a tolerance; a share of nothing must be nothing."""
    if request.get("ignore") == ["."]:
        return []
    tolerance = request.get("tol", 0.12)
    wanted_total, got_total = sum(want.values()) or 1, sum(got.values()) or 1
    found = []
    for key in sorted(set(want) | set(got)):
        recorded, observed = want.get(key, 0) / wanted_total, got.get(key, 0) / got_total
        one_is_nothing = (recorded == 0) != (observed == 0) and request.get("exact_zero", True)
        if abs(recorded - observed) > tolerance or one_is_nothing:
            found.append((HARD, f"share of {key}", round(recorded, 3), round(observed, 3)))
    return found
