"""In a cluster nobody can say how old an object is, so it must be created at the right time."""

import time
import unittest
from unittest import mock

import api
import cluster


class Server:
    """An API server whose clock stands at a second until it is told otherwise."""

    def __init__(self, turns=()):
        self.second, self.turns, self.created = 0, list(turns), {}

    def sleep(self, _seconds):
        self.second += 1

    def apply(self, found):
        name = found["metadata"]["name"]
        if name == "bad":
            raise api.Refused(422, "it is bad")
        now = self.created[name] = self.second
        if self.turns and self.turns.pop(0):
            self.second += 1  # before the next one
        return {**found, "metadata": {**found["metadata"], "creationTimestamp": f"{now:04}"}}

    def delete(self, found):
        del self.created[found["metadata"]["name"]]


def route(name, age=None):
    meta = {"name": name, "namespace": "shop", **({"creationTimestamp": age} if age else {})}
    return {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": meta}


class Creation(unittest.TestCase):
    def create(self, found, turns=()):
        target = cluster.ClusterTarget.__new__(cluster.ClusterTarget)
        target.applied, target.base, target.api = {}, {}, Server(turns)
        target.await_until = lambda condition, missed: []
        with mock.patch.object(time, "sleep", target.api.sleep):
            return target.create(found), target.api.created

    def test_older_ones_come_in_a_second_before(self):
        young, old, other = route("y", "2026-01-02T00:00:00Z"), route("o", "2026-01-01T00:00:00Z"), route("p")
        problems, created = self.create([young, old, other])
        self.assertEqual(problems, [])
        self.assertEqual(created["o"], created["p"])
        self.assertLess(created["o"], created["y"])

    def test_a_second_that_ends_between_two_of_one_age_is_not_taken(self):
        problems, created = self.create([route("a"), route("b")], turns=[True])
        self.assertEqual(problems, [])
        self.assertEqual(created["a"], created["b"])
        problems, _created = self.create([route("a"), route("b")], turns=[True] * 9)
        self.assertEqual(len(problems), 1)

    def test_a_refused_object_is_told(self):
        problems, created = self.create([route("bad"), route("good")])
        self.assertEqual(list(created), ["good"])
        self.assertIn("it is bad", problems[0])

    def test_paths(self):
        self.assertEqual(api.plural("ServiceEntry"), "serviceentries")
        self.assertEqual(api.plural("Gateway"), "gateways")
        self.assertEqual(api.plural("Ingress"), "ingresses")
        self.assertEqual(api.path_of(route("r")), "/apis/networking.istio.io/v1/namespaces/shop/virtualservices/r")
        space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}
        self.assertEqual(api.path_of(space), "/api/v1/namespaces/shop")


if __name__ == "__main__":
    unittest.main()
