"""Sends the requests of one case and returns what was observed, request by request."""

import collections
import concurrent.futures
import itertools
import time

import client
import compare

#: Shares are drawn, and a fair draw is outside the tolerance now and then; a wrong weight is every time.
DRAWS = 3

_tags = itertools.count(1)


def run_case(case, address, pki, farm, gateway):
    out = {}
    for request in case["requests"]:
        if request.get("change"):  # objects replaced (with "delete": removed) before this request
            gateway.change(request["change"])
        if request.get("before"):
            time.sleep(request["before"])
        watch = hashing if request.get("observe") == "hash" else observe
        filled = pki.fill_tree(request)
        seen = watch(filled, address, pki, farm)
        shares = case["recorded"].get(request["id"], {}).get("shares")
        for _ in range(DRAWS - 1):
            if not shares or not compare.share_differences(shares, seen.get("shares", {}), request):
                break
            seen = watch(filled, address, pki, farm)
        out[request["id"]] = seen
    return out


def send(request, address, pki):
    """One request under a tag of its own, by which the backends file it."""
    request = {**request, "tag": f"t{next(_tags)}-{time.monotonic_ns()}"}
    outcome = client.run(request, address, pki)
    if request.get("linger"):
        time.sleep(request["linger"])
    return outcome, request["tag"]


def observe(request, address, pki, farm):
    times = request.get("n", 1)
    if times == 1:
        return observe_one(request, address, pki, farm)
    outcomes = [send(request, address, pki)[0] for _ in range(times)]
    count = collections.Counter()
    for outcome in outcomes:
        backend = compare.header(outcome, "x-backend")
        if "data" in outcome:
            backend = outcome["data"].split(":")[0]
        count[f"{outcome.get('status', outcome['outcome'])} {backend or '-'}"] += 1
    kind = request.get("observe")
    if kind == "distinct":  # how many different answers there are
        return {"answers": len(count)}
    if kind == "sticky":  # whether one key always reaches the same backend
        return {"one_backend": len(count) == 1}
    return {"shares": dict(sorted(count.items()))}


def observe_one(request, address, pki, farm):
    behind = request.get("behind")
    if not behind:
        outcome, tag = send(request, address, pki)
    else:  # slow requests are already under way
        with concurrent.futures.ThreadPoolExecutor(behind["n"]) as pool:
            slow = {**request, "do": behind["do"]}
            running = [pool.submit(send, slow, address, pki) for _ in range(behind["n"])]
            time.sleep(0.4)
            outcome, tag = send(request, address, pki)
            for other in running:
                other.result()
    time.sleep(0.01)  # what a backend notes after its answer has left
    return compare.exchange(outcome, farm.take(tag), request)


def hashing(request, address, pki, _farm):
    """Each entry of `keys` overrides parts of the request, which is then sent `n` times."""
    picks = []
    for override in request["keys"]:
        headers = [*request["headers"], *override.get("h", {}).items()]
        reached = set()
        for _ in range(request.get("n", 4)):
            outcome, _tag = send({**request, **override, "headers": headers}, address, pki)
            reached.add(compare.header(outcome, "x-backend") or str(outcome.get("status", outcome["outcome"])))
        picks.append(reached)
    return {
        "each_key_sticky": all(len(reached) == 1 for reached in picks),
        "keys_spread": len(set().union(*picks)) > 1,
    }
