"""Small HTTP/1.1, HTTP/2, TLS and TCP clients that report exactly what came back. One connection per request."""

import socket
import ssl
import time

import h2.config
import h2.connection
import h2.events
from cryptography import x509

TLS_VERSIONS = {
    "1.0": ssl.TLSVersion.TLSv1,
    "1.1": ssl.TLSVersion.TLSv1_1,
    "1.2": ssl.TLSVersion.TLSv1_2,
    "1.3": ssl.TLSVersion.TLSv1_3,
}


class HandshakeClosed(Exception):
    """The peer went away instead of finishing the handshake."""


class Truncated(Exception):
    """The peer went away in the middle of a message."""


def run(request, address, pki):
    """The outcome as a dictionary: outcome, and as far as it got status, headers, body, trailers, tls, elapsed."""
    out = {}
    start = time.time()
    try:
        connection, out_tls = connect(request, address, pki)
    except HandshakeClosed:
        out["outcome"] = "handshake-closed"
    except Exception as error:
        out["outcome"] = outcome_of(error)
    else:
        if out_tls:
            out["tls"] = out_tls
        with connection:
            try:
                exchange(request, connection, out)
            except Exception as error:
                out["outcome"] = outcome_of(error)
    out["elapsed"] = time.time() - start
    return out


def outcome_of(error):
    if isinstance(error, ssl.SSLEOFError):
        return "tls-closed"
    if isinstance(error, ssl.SSLZeroReturnError):
        return "closed"
    if isinstance(error, ssl.SSLError):
        return "tls-error:" + (error.reason or str(error)).lower()
    if isinstance(error, ConnectionRefusedError):
        return "refused"
    if isinstance(error, (ConnectionResetError, BrokenPipeError)):
        return "reset"
    if isinstance(error, TimeoutError):
        return "timeout"
    return "error:" + type(error).__name__


def connect(request, address, pki):
    """(socket, TLS facts or None)"""
    # 127.0.0.5: some proxies treat a peer of exactly 127.0.0.1 as local.
    source = (request.get("src", "127.0.0.5"), 0)
    target = (request.get("to", address), request["port"])
    plain = socket.create_connection(target, timeout=request.get("timeout", 12), source_address=source)
    if request.get("proxy_protocol"):
        plain.sendall(request["proxy_protocol"].encode() + b"\r\n")
    wanted = request.get("tls")
    if not wanted:
        return plain, None
    try:
        secure = tls_context(request, wanted, pki).wrap_socket(plain, server_hostname=wanted.get("sni"))
    except (ConnectionResetError, ssl.SSLEOFError) as error:
        raise HandshakeClosed from error
    certificate = x509.load_der_x509_certificate(secure.getpeercert(True))
    names = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return secure, {
        "version": secure.version(),
        "alpn": secure.selected_alpn_protocol(),
        "server_cn": names[0].value if names else None,
        "cipher": secure.cipher()[0],
    }


def tls_context(request, wanted, pki):
    """Accepts anything: what the server chose is what is looked at."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        context.set_ciphers(wanted.get("ciphers", "ALL:@SECLEVEL=0"))
    except ssl.SSLError:
        pass  # a cipher this OpenSSL does not know: the handshake will tell
    if wanted.get("min"):
        context.minimum_version = TLS_VERSIONS[wanted["min"]]
    if wanted.get("max"):
        context.maximum_version = TLS_VERSIONS[wanted["max"]]
    alpn = wanted.get("alpn", ["h2"] if request.get("http") == "h2" else ["http/1.1"])
    if alpn:
        context.set_alpn_protocols(alpn)
    if wanted.get("cert"):
        context.load_cert_chain(*pki.files(wanted["cert"]))
    return context


def exchange(request, connection, out):
    if "tcp" in request:
        raw_tcp(request, connection, out)
    elif request.get("http", "h1") == "h2":
        http2(request, connection, out)
    else:
        http1(request, connection, out)


def raw_tcp(request, connection, out):
    connection.sendall(request["tcp"].encode("latin-1"))
    connection.settimeout(request.get("timeout", 3))
    data = connection.recv(4096)
    out["outcome"] = "data" if data else "closed"
    out["data"] = data.decode("latin-1")


def request_headers(request):
    headers = [(str(name), str(value)) for name, value in request["headers"]]
    headers.append(("x-tag", request["tag"]))
    if request.get("do"):
        headers.append(("x-do", request["do"]))
    return headers


# ---------------------------------------------------------------------------------------------------- HTTP/1.1


class Reader:
    """Buffered reads from a socket; the end of the stream inside a message is `Truncated`."""

    def __init__(self, connection):
        self.connection = connection
        self.buffer = bytearray()

    def more(self):
        data = self.connection.recv(65536)
        if not data:
            raise Truncated
        self.buffer += data

    def until(self, mark):
        while mark not in self.buffer:
            self.more()
        found, _, rest = bytes(self.buffer).partition(mark)
        self.buffer = bytearray(rest)
        return found

    def exactly(self, size):
        while len(self.buffer) < size:
            self.more()
        found = bytes(self.buffer[:size])
        del self.buffer[:size]
        return found


def http1(request, connection, out):
    send_http1(request, connection)
    reader = Reader(connection)
    interim = []
    while True:
        head = read_http1_head(reader, out)
        if head is None:
            return
        version, status, headers = head
        if status not in (100, 103):
            break
        interim.append(status)
    out.update(outcome="response", status=status, headers=headers, version=version)
    if interim:
        out["interim"] = interim
    if status == 101:
        if request.get("ws") is not None:
            connection.sendall(request["ws"].encode())
            connection.settimeout(3)
            reader.buffer += connection.recv(4096)
        out["body"] = bytes(reader.buffer).decode("latin-1")
        return
    bodiless = request["method"] == "HEAD" or status in (204, 304)
    chunks = []
    try:
        if not bodiless:
            read_http1_body(reader, headers, chunks)
    except Truncated:
        out["outcome"] = "truncated"
    out["body"] = b"".join(chunks).decode("latin-1")


def send_http1(request, connection):
    body = request.get("body", "").encode("latin-1")
    headers = request_headers(request)
    names = {name.lower() for name, _ in headers}
    lines = [f"{request['method']} {request['path']} HTTP/1.1"]
    if request.get("host") is not None:
        lines.append(f"Host: {request['host']}")
    lines += [f"{name}: {value}" for name, value in headers]
    if request.get("chunked"):
        lines.append("Transfer-Encoding: chunked")
        body = (f"{len(body):x}\r\n".encode() + body + b"\r\n" if body else b"") + b"0\r\n\r\n"
    elif body and "content-length" not in names:
        lines.append(f"Content-Length: {len(body)}")
    head = "\r\n".join([*lines, "", ""]).encode("latin-1")
    if request.get("body_delay"):
        connection.sendall(head)
        time.sleep(request["body_delay"])
        connection.sendall(body)
    else:
        connection.sendall(head + body)


def read_http1_head(reader, out):
    """(version, status, headers), or None when there is no answer, which `out` then says."""
    try:
        while b"\r\n\r\n" not in reader.buffer:
            reader.more()
            if not reader.buffer.startswith(b"HTTP/"[: len(reader.buffer)]):
                out["outcome"] = "not-http"
                return None
    except Truncated:
        out["outcome"] = "truncated" if reader.buffer else "closed"
        return None
    first, *rest = reader.until(b"\r\n\r\n").decode("latin-1").split("\r\n")
    if not first.startswith("HTTP/"):
        out["outcome"] = "not-http"
        return None
    version, status, *_ = first.split(" ")
    headers = []
    for line in rest:
        name, _, value = line.partition(":")
        headers.append((name, value.strip()))
    return version, int(status), headers


def read_http1_body(reader, headers, chunks):
    """Appends to `chunks`, so that what arrived before a truncation is kept."""
    low = {name.lower(): value for name, value in headers}
    if "chunked" in low.get("transfer-encoding", ""):
        while True:
            size = int(reader.until(b"\r\n").split(b";")[0], 16)
            data = reader.exactly(size + 2)[:-2]
            chunks.append(data)
            if not size:
                return
    elif "content-length" in low:
        wanted = int(low["content-length"])
        try:
            chunks.append(reader.exactly(wanted))
        except Truncated:
            chunks.append(bytes(reader.buffer))
            raise
    else:
        try:
            while True:
                reader.more()
        except Truncated:
            chunks.append(bytes(reader.buffer))  # the close is the end of the body


# ------------------------------------------------------------------------------------------------------- HTTP/2


def http2(request, connection, out):
    config = h2.config.H2Configuration(
        client_side=True,
        header_encoding="latin-1",
        validate_outbound_headers=False,
        normalize_outbound_headers=False,
        validate_inbound_headers=False,
    )
    engine = h2.connection.H2Connection(config)
    engine.initiate_connection()
    connection.sendall(engine.data_to_send())
    send_http2(request, connection, engine)

    headers, body, trailers, done = None, b"", None, False
    while not done:
        data = connection.recv(65536)
        if not data:
            out["outcome"] = "closed"
            return
        for event in engine.receive_data(data):
            if isinstance(event, h2.events.ResponseReceived):
                headers = event.headers
            elif isinstance(event, h2.events.DataReceived):
                body += event.data
                engine.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.TrailersReceived):
                trailers = event.headers
            elif isinstance(event, h2.events.StreamEnded):
                done = True
            elif isinstance(event, h2.events.StreamReset):
                out["outcome"] = f"h2-reset:{int(event.error_code)}"
                if headers is None:
                    return
                done = True
            elif isinstance(event, h2.events.ConnectionTerminated):
                out["outcome"] = f"h2-goaway:{int(event.error_code)}"
                if headers is None and int(event.error_code) != 0:
                    return
        pending = engine.data_to_send()
        if pending:
            connection.sendall(pending)
    out.setdefault("outcome", "response")
    out["status"] = int(dict(headers)[":status"])
    out["headers"] = [(name, value) for name, value in headers if not name.startswith(":")]
    out["body"] = body.decode("latin-1")
    out["version"] = "HTTP/2"
    if trailers:
        out["trailers"] = [list(pair) for pair in trailers]


def send_http2(request, connection, engine):
    body = request.get("body", "").encode("latin-1")
    scheme = request.get("scheme") or ("https" if request.get("tls") else "http")
    headers = [(":method", request["method"]), (":scheme", scheme)]
    if request.get("host") is not None:
        headers.append((":authority", request["host"]))
    headers.append((":path", request["path"]))
    headers += [(name.lower(), value) for name, value in request_headers(request)]
    stream = engine.get_next_available_stream_id()
    engine.send_headers(stream, headers, end_stream=not body)
    if body:
        engine.send_data(stream, body, end_stream=True)
    connection.sendall(engine.data_to_send())
