"""Certificates, keys and tokens made fresh for every run, and the @@markers@@ that name them in cases.

Certificate names; the prefix decides: srv-HOST is a server certificate for HOST from authority "main"; cli-NAME a client
certificate (DNS NAME.clients.test, URI spiffe://cluster.local/ns/shop/sa/NAME) from authority "clients"; bad-NAME the
same from authority "other"; exp-NAME the same from "clients" but expired. ca-main, ca-clients and ca-other are the
authorities themselves.

Markers: @@cert:N@@ and @@key:N@@ (base64 of PEM), @@jwks:K[,K]@@ (JSON), @@jwt:BASE64JSON@@ (a signed token),
@@hash:N@@ and @@spki:N@@ (fingerprints).
"""

import base64
import collections
import datetime
import hashlib
import os
import re

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

import tokens

MARKER = re.compile(r"@@(\w+):([^@]*)@@")
ISSUERS = {"srv": "ca-main", "cli": "ca-clients", "bad": "ca-other", "exp": "ca-clients"}

Made = collections.namedtuple("Made", "certificate key certificate_pem key_pem")


class Pki:
    def __init__(self, directory):
        self.directory = directory
        os.makedirs(directory, exist_ok=True)
        self.made = {}
        self.tokens = tokens.Tokens()

    def make(self, name):
        if name not in self.made:
            key = ec.generate_private_key(ec.SECP256R1())
            certificate = self.sign(name, key)
            self.made[name] = Made(
                certificate,
                key,
                certificate.public_bytes(serialization.Encoding.PEM).decode(),
                key.private_bytes(
                    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
                ).decode(),
            )
        return self.made[name]

    def sign(self, name, key):
        kind, _, rest = name.partition("-")
        builder = x509.CertificateBuilder().public_key(key.public_key()).serial_number(x509.random_serial_number())
        if kind == "ca":
            signer = key
            builder = as_authority(builder, name)
        else:
            issuer = self.make(ISSUERS[kind])
            signer = issuer.key
            builder = as_leaf(builder.issuer_name(issuer.certificate.subject), kind, rest)
        now = datetime.datetime.now(datetime.timezone.utc)
        until = now + datetime.timedelta(days=-1 if kind == "exp" else 30)
        builder = builder.not_valid_before(now - datetime.timedelta(days=2)).not_valid_after(until)
        return builder.sign(signer, hashes.SHA256())

    def files(self, name):
        """(path of the certificate, path of the key)"""
        made = self.make(name)
        base = os.path.join(self.directory, name.replace("*", "_"))
        for suffix, text in ((".crt", made.certificate_pem), (".key", made.key_pem)):
            if not os.path.exists(base + suffix):
                with open(base + suffix, "w", encoding="ascii") as file:
                    file.write(text)
        return base + ".crt", base + ".key"

    def jwks(self, names):
        return self.tokens.jwks(names)

    def fingerprint(self, name):
        return self.make(name).certificate.fingerprint(hashes.SHA256()).hex()

    def spki(self, name):
        der = (
            self.make(name)
            .key.public_key()
            .public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        )
        return base64.b64encode(hashlib.sha256(der).digest()).decode()

    def fill_tree(self, value):
        """The value with every marker replaced, at any depth."""
        if isinstance(value, str):
            return MARKER.sub(lambda found: self.fill(*found.groups()), value)
        if isinstance(value, dict):
            return {key: self.fill_tree(inner) for key, inner in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.fill_tree(inner) for inner in value]
        return value

    def fill(self, kind, argument):
        if kind == "cert":
            chain = "".join(self.make(name).certificate_pem for name in argument.split(","))
            return base64.b64encode(chain.encode()).decode()
        if kind == "key":
            return base64.b64encode(self.make(argument).key_pem.encode()).decode()
        if kind == "jwks":
            return self.jwks(argument)
        if kind == "hash":
            return self.fingerprint(argument)
        if kind == "spki":
            return self.spki(argument)
        if kind == "jwt":
            return self.tokens.sign(base64.b64decode(argument))
        raise ValueError(f"unknown marker {kind}")


def as_name(common_name):
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "differential"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def as_authority(builder, name):
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    builder = builder.subject_name(as_name(name)).issuer_name(as_name(name))
    return builder.add_extension(x509.BasicConstraints(True, None), True).add_extension(usage, True)


def as_leaf(builder, kind, name):
    if kind == "srv":
        names = [x509.DNSName(host) for host in name.split("+")]
    else:
        uri = f"spiffe://cluster.local/ns/shop/sa/{name}"
        names = [x509.DNSName(f"{name}.clients.test"), x509.UniformResourceIdentifier(uri)]
    both = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
    builder = builder.subject_name(as_name(name.split("+")[0]))
    return builder.add_extension(x509.SubjectAlternativeName(names), False).add_extension(both, False)
