"""Signing keys, key sets and tokens for the cases about JWT. Keys are made when they are first named.

Key names: ec256, ec384, ed: signing keys of those kinds; oct: a shared secret; NAME-noalg: RSA without `alg` in the key
set; every other name: RSA with RS256.
"""

import base64
import hmac
import json
import os
import time

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

MAKERS = {
    "ec256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ec384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "ed": ed25519.Ed25519PrivateKey.generate,
    "oct": lambda: os.urandom(32),
}
CURVES = {"ec256": ("P-256", 32), "ec384": ("P-384", 48)}
HASHES = {"256": hashes.SHA256, "384": hashes.SHA384, "512": hashes.SHA512}


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Tokens:
    def __init__(self):
        self.keys = {}

    def key(self, name):
        if name not in self.keys:
            make = MAKERS.get(name, lambda: rsa.generate_private_key(65537, 2048))
            self.keys[name] = make()
        return self.keys[name]

    def jwks(self, names):
        return json.dumps({"keys": [self.public(name) for name in names.split(",")]})

    def public(self, name):
        if name == "oct":
            return {"kty": "oct", "kid": name, "k": base64url(self.key(name))}
        public = self.key(name).public_key()
        if name == "ed":
            raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
            return {"kty": "OKP", "kid": name, "crv": "Ed25519", "x": base64url(raw)}
        numbers = public.public_numbers()
        if name in CURVES:
            curve, size = CURVES[name]
            x, y = (base64url(value.to_bytes(size, "big")) for value in (numbers.x, numbers.y))
            return {"kty": "EC", "kid": name, "crv": curve, "x": x, "y": y}
        out = {"kty": "RSA", "kid": name, "n": base64url(numbers.n.to_bytes(256, "big")), "e": "AQAB"}
        if not name.endswith("-noalg"):
            out.update(use="sig", alg="RS256")
        return out

    def sign(self, text):
        """A token from its description: {"key", "alg", "kid", "claims", "broken"}."""
        spec = json.loads(text)
        algorithm, claims = spec["alg"], dict(spec["claims"])
        head = {"alg": algorithm, "typ": "JWT", "kid": spec["kid"] or spec["key"]}
        if spec["kid"] == "":
            del head["kid"]
        for name in ("exp", "nbf"):
            if isinstance(claims.get(name), str):  # seconds from now
                claims[name] = int(time.time()) + int(claims[name])
        signed = ".".join(base64url(json.dumps(part, sort_keys=True).encode()) for part in (head, claims))
        if algorithm == "none":
            return signed + "."
        signature = self.signature(algorithm, spec["key"], signed.encode())
        if spec["broken"]:
            signature = signature[:-4] + bytes(4)
        return signed + "." + base64url(signature)

    def signature(self, algorithm, name, data):
        digest = HASHES.get(algorithm[2:], hashes.SHA256)()
        key = self.key(name)
        if algorithm.startswith("ES"):
            size = 32 if algorithm == "ES256" else 48
            r, s = decode_dss_signature(key.sign(data, ec.ECDSA(digest)))
            return r.to_bytes(size, "big") + s.to_bytes(size, "big")
        if algorithm == "EdDSA":
            return key.sign(data)
        if algorithm.startswith("HS"):
            return hmac.new(key, data, digest.name).digest()
        if algorithm.startswith("PS"):
            return key.sign(data, padding.PSS(padding.MGF1(digest), digest.digest_size), digest)
        return key.sign(data, padding.PKCS1v15(), digest)
