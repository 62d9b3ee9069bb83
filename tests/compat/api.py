"""The API server, as far as replaying needs it: objects are applied, read and deleted, tokens made."""

import base64
import http.client
import json
import os
import ssl
import tempfile
import urllib.parse

MERGE = {"Content-Type": "application/merge-patch+json"}


class Refused(Exception):
    """What the API server has to say against a request."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


def plural(kind):
    """As kinds are called in paths."""
    name = kind.lower()
    if name.endswith("y") and name[-2] not in "aeiou":
        return name[:-1] + "ies"
    return name + ("es" if name.endswith("s") else "s")


def path_of(found):
    meta, version = found["metadata"], found["apiVersion"]
    place = f"namespaces/{meta['namespace']}/" if "namespace" in meta else ""
    return f"{'/apis' if '/' in version else '/api'}/{version}/{place}{plural(found['kind'])}/{meta['name']}"


class Api:
    """One kept connection, with the credentials of a kubeconfig that is JSON and holds a client certificate."""

    def __init__(self, kubeconfig):
        with open(kubeconfig, encoding="utf-8") as file:
            config = json.load(file)
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        context = ssl.create_default_context(cadata=decode(cluster["certificate-authority-data"]))
        with tempfile.TemporaryDirectory() as directory:
            files = []
            for what in ("client-certificate-data", "client-key-data"):
                files.append(os.path.join(directory, what))
                with open(files[-1], "w", encoding="ascii") as file:
                    file.write(decode(user[what]))
            context.load_cert_chain(*files)
        server = urllib.parse.urlsplit(cluster["server"])
        self.connection = http.client.HTTPSConnection(server.hostname, server.port, timeout=30, context=context)

    def call(self, method, path, body=None, headers=None):
        text = None if body is None else json.dumps(body)
        self.connection.request(method, path, text, headers or {"Content-Type": "application/json"})
        reply = self.connection.getresponse()
        answer = json.loads(reply.read())
        if reply.status >= 300:
            raise Refused(reply.status, answer.get("message", str(answer)))
        return answer

    def apply(self, found):
        """Creates or replaces; the object as it is stored. Server-side apply would not do: it refuses nulls, which the
        other ways drop. A status goes where statuses go."""
        path = path_of(found)
        present = self.get(found)
        if present is None:
            stored = self.call("POST", path.rpartition("/")[0], found)
        else:
            version = present["metadata"]["resourceVersion"]
            found = {**found, "metadata": {**found["metadata"], "resourceVersion": version}}
            stored = self.call("PUT", path, found)
        if found.get("status"):
            stored = self.call("PATCH", f"{path}/status", {"status": found["status"]}, MERGE)
        return stored

    def get(self, found):
        """The object as it is stored; none when it is not there."""
        return self.unless_missing("GET", found)

    def delete(self, found):
        self.unless_missing("DELETE", found, {"gracePeriodSeconds": 0})

    def unless_missing(self, method, found, body=None):
        try:
            return self.call(method, path_of(found), body)
        except Refused as refused:
            if refused.code != 404:
                raise
            return None

    def token(self, pod, audience):
        """A token for a pod, as kubelet gives it one."""
        meta = pod["metadata"]
        bound = {"apiVersion": "v1", "kind": "Pod", "name": meta["name"], "uid": meta["uid"]}
        account = f"/api/v1/namespaces/{meta['namespace']}/serviceaccounts/{pod['spec']['serviceAccountName']}"
        wanted = {"spec": {"audiences": [audience], "expirationSeconds": 3600, "boundObjectRef": bound}}
        return self.call("POST", f"{account}/token", wanted)["status"]["token"]


def decode(text):
    return base64.b64decode(text).decode()
