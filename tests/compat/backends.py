"""Backends that write down what arrives: HTTP/1.1 and prior-knowledge HTTP/2 on one port, optional TLS, raw TCP, gRPC.

Each request is filed under its `x-tag` header. What a backend does is asked for by the request itself, in `x-do`:
  status=503          answer that status
  seq=503,503,200     answer by arrival number of this tag (the last one repeats); 0 = close without a reply, R = reset
  delay=1.5           wait before answering
  close | reset       drop the connection before any reply
  set=name:value      add a response header
  only=<backend>      the other directives concern that backend alone
  grpc=<n>            gRPC status (trailers only for n > 0)
  h2refuse            HTTP/2: answer RST_STREAM(REFUSED_STREAM)
Several directives are separated by `;`.
"""

import asyncio
import base64
import hashlib
import json
import socket
import struct
import threading

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions

HOST = "127.0.0.1"
WEBSOCKET_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
BODILESS = (204, 304)


class Farm:
    """All backends of a run, on one event loop in a thread of their own."""

    def __init__(self):
        self.pki = None
        self.lock = threading.Lock()
        self.hits = {}  # tag -> what arrived, in order
        self.arrivals = {}  # (tag, backend) -> how often
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()

    def http(self, name, port, host=HOST, tls=None):
        self._serve(lambda reader, writer: self._connection(name, reader, writer), port, host, tls)

    def tcp(self, name, port, host=HOST):
        self._serve(lambda reader, writer: echo(name, reader, writer), port, host, None)

    def take(self, tag):
        with self.lock:
            return list(self.hits.get(tag, []))

    def _serve(self, handler, port, host, tls):
        async def listen():
            return await asyncio.start_server(handler, host, port, ssl=tls, reuse_address=True, backlog=512)

        asyncio.run_coroutine_threadsafe(listen(), self.loop).result(10)

    async def _connection(self, name, reader, writer):
        try:
            first = await reader.read(65536)
            if not first:
                return
            info = tls_facts(writer.get_extra_info("ssl_object"))
            if first.startswith(b"PRI * HTTP/2.0"):
                await Http2(self, name, reader, writer, info).run(first)
            else:
                await Http1(self, name, reader, writer, info).run(first)
        except (OSError, EOFError, h2.exceptions.ProtocolError):
            pass  # the client's affair: it reports what it saw
        finally:
            try:
                writer.close()
            except OSError:
                pass

    def note(self, name, hit):
        """Files an arrival. Returns (directives, headers to add, status)."""
        headers = hit["headers"]
        tag = next((value for key, value in headers if key.lower() == "x-tag"), "?")
        with self.lock:
            self.hits.setdefault(tag, []).append({"backend": name, **hit})
            arrival = self.arrivals[(tag, name)] = self.arrivals.get((tag, name), 0) + 1
        do, added = directives(headers)
        if do.get("only", name) != name:
            do, added = {}, []
        status = int(do.get("status", 200))
        if "seq" in do:
            steps = do["seq"].split(",")
            step = steps[min(arrival, len(steps)) - 1]
            if step == "0":
                do["close"] = ""
            elif step == "R":
                do["reset"] = ""
            else:
                status = int(step)
        return do, added, status

    def key_document(self, path):
        """Key sets and issuer metadata for tests of key discovery; None for every other path."""
        issuer = "http://127.0.0.1:21001"
        if path.startswith("/.keys/"):
            return self.pki.jwks(path.removeprefix("/.keys/"))
        if path.startswith("/.oidc/") and path.endswith("/.well-known/openid-configuration"):
            key = path.split("/")[2]
            return json.dumps({"issuer": f"{issuer}/.oidc/{key}", "jwks_uri": f"{issuer}/.keys/{key}"})
        return "no keys here" if path.startswith(("/.oidc/", "/.garbage")) else None


def tls_facts(session):
    if session is None:
        return {"sni": None, "tls": False}
    return {
        "sni": getattr(session, "seen_sni", None),
        "tls": True,
        "client_cert": bool(session.getpeercert(True)),
        "alpn": session.selected_alpn_protocol(),
    }


def directives(headers):
    do, added = {}, []
    for name, value in headers:
        if name.lower() != "x-do":
            continue
        for part in value.split(";"):
            key, _, argument = part.strip().partition("=")
            if key == "set":
                header, _, content = argument.partition(":")
                added.append((header, content))
            elif key:
                do[key] = argument
    return do, added


async def echo(name, reader, writer):
    try:
        while data := await reader.read(4096):
            writer.write(name.encode() + b":" + data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


class Http1:
    """One HTTP/1.1 connection."""

    def __init__(self, farm, name, reader, writer, info):
        self.farm, self.name, self.reader, self.writer, self.info = farm, name, reader, writer, info
        self.buffer = bytearray()

    async def run(self, first):
        self.buffer += first
        while await self.one_request():
            pass

    async def more(self):
        data = await self.reader.read(65536)
        if not data:
            raise EOFError
        self.buffer += data

    async def until(self, mark):
        while mark not in self.buffer:
            await self.more()
        found, _, rest = bytes(self.buffer).partition(mark)
        self.buffer = bytearray(rest)
        return found

    async def exactly(self, size):
        while len(self.buffer) < size:
            await self.more()
        found = bytes(self.buffer[:size])
        del self.buffer[:size]
        return found

    async def one_request(self):
        """Whether the connection goes on."""
        first, *rest = (await self.until(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, path, _version = first.split(" ", 2)
        headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in rest)]
        low = {name.lower(): value for name, value in headers}
        body = await self.read_body(low)
        document = self.farm.key_document(path)
        if document is not None:
            await self.answer(200, [("content-type", "application/json")], document.encode())
            return True
        hit = {
            "method": method,
            "path": path,
            "authority": low.get("host"),
            "proto": "h1",
            "headers": [pair for pair in headers if pair[0].lower() != "host"],
            "body": body.decode("latin-1"),
            **self.info,
        }
        do, added, status = self.farm.note(self.name, hit)
        if "delay" in do:
            await asyncio.sleep(float(do["delay"]))
        if "reset" in do:
            linger = struct.pack("ii", 1, 0)
            self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.writer.transport.abort()
            return False
        if "close" in do:
            return False
        if low.get("upgrade", "").lower() == "websocket" and status == 200:
            await self.websocket(low.get("sec-websocket-key", ""))
            return False
        await self.reply(method, status, added)
        return low.get("connection", "").lower() != "close"

    async def read_body(self, low):
        if low.get("expect", "").lower() == "100-continue":
            self.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if "chunked" not in low.get("transfer-encoding", ""):
            return await self.exactly(int(low.get("content-length") or 0))
        body = b""
        while True:
            size = int((await self.until(b"\r\n")).split(b";")[0], 16)
            body += (await self.exactly(size + 2))[:-2]
            if not size:
                return body

    async def reply(self, method, status, added):
        text = f"{self.name}\n".encode()
        headers = [("x-backend", self.name)]
        if not any(name.lower() == "server" for name, _ in added):
            headers.append(("server", "origin"))
        headers += added
        if status not in BODILESS:
            headers.append(("content-type", "text/plain"))
        await self.answer(status, headers, text, send_body=method != "HEAD" and status not in BODILESS)

    async def answer(self, status, headers, body, send_body=True):
        if status not in BODILESS:
            headers = [*headers, ("content-length", str(len(body)))]
        head = [f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in headers), "", ""]
        self.writer.write("\r\n".join(head).encode("latin-1") + (body if send_body else b""))
        await self.writer.drain()

    async def websocket(self, key):
        accept = base64.b64encode(hashlib.sha1((key + WEBSOCKET_GUID).encode()).digest()).decode()
        head = (
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
            f"sec-websocket-accept: {accept}\r\nx-backend: {self.name}\r\n\r\n"
        )
        self.writer.write(head.encode())
        while True:
            if not self.buffer:
                await self.more()
            self.writer.write(self.name.encode() + b":" + bytes(self.buffer))
            self.buffer.clear()
            await self.writer.drain()


class Http2:
    """One HTTP/2 connection; streams are answered as they end, each at its own pace."""

    def __init__(self, farm, name, reader, writer, info):
        self.farm, self.name, self.reader, self.writer, self.info = farm, name, reader, writer, info
        config = h2.config.H2Configuration(client_side=False, header_encoding="latin-1", validate_inbound_headers=False)
        self.engine = h2.connection.H2Connection(config)
        self.streams = {}
        self.answers = set()

    def flush(self):
        data = self.engine.data_to_send()
        if data:
            self.writer.write(data)

    async def run(self, data):
        self.engine.initiate_connection()
        self.flush()
        while data:
            for event in self.engine.receive_data(data):
                self.on_event(event)
            self.flush()
            await self.writer.drain()
            data = await self.reader.read(65536)

    def on_event(self, event):
        if isinstance(event, h2.events.RequestReceived):
            self.streams[event.stream_id] = (event.headers, bytearray())
        elif isinstance(event, h2.events.DataReceived):
            if event.stream_id in self.streams:
                self.streams[event.stream_id][1].extend(event.data)
            self.engine.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded) and event.stream_id in self.streams:
            task = asyncio.ensure_future(self.answer(event.stream_id))
            self.answers.add(task)
            task.add_done_callback(self.answers.discard)

    async def answer(self, stream):
        headers, body = self.streams.pop(stream)
        pseudo = {name: value for name, value in headers if name.startswith(":")}
        plain = [(name, value) for name, value in headers if not name.startswith(":")]
        hit = {
            "method": pseudo.get(":method"),
            "path": pseudo.get(":path"),
            "authority": pseudo.get(":authority"),
            "proto": "h2",
            "headers": plain,
            "body": bytes(body).decode("latin-1"),
            "scheme": pseudo.get(":scheme"),
            **self.info,
        }
        do, added, status = self.farm.note(self.name, hit)
        added = [(name.lower(), value) for name, value in added]
        if "delay" in do:
            await asyncio.sleep(float(do["delay"]))
        try:
            if "reset" in do or "close" in do:
                self.writer.transport.abort()
                return
            if "h2refuse" in do:
                self.engine.reset_stream(stream, h2.errors.ErrorCodes.REFUSED_STREAM)
            elif dict(plain).get("content-type", "").startswith("application/grpc") and status == 200:
                self.grpc(stream, do.get("grpc", "0"), added)
            else:
                self.http(stream, pseudo.get(":method"), status, added)
            self.flush()
            await self.writer.drain()
        except (OSError, h2.exceptions.ProtocolError):
            pass  # the stream or the connection is gone meanwhile

    def grpc(self, stream, code, added):
        head = [(":status", "200"), ("content-type", "application/grpc"), ("x-backend", self.name), *added]
        if code != "0":
            failure = [*head, ("grpc-status", code), ("grpc-message", "asked-for")]
            self.engine.send_headers(stream, failure, end_stream=True)
            return
        message = self.name.encode()
        self.engine.send_headers(stream, head)
        self.engine.send_data(stream, b"\0" + struct.pack(">I", len(message)) + message)
        self.engine.send_headers(stream, [("grpc-status", "0")], end_stream=True)

    def http(self, stream, method, status, added):
        text = b"" if method == "HEAD" or status in BODILESS else f"{self.name}\n".encode()
        head = [(":status", str(status)), ("x-backend", self.name), ("server", "origin")]
        head += [("content-type", "text/plain"), *added]
        self.engine.send_headers(stream, head, end_stream=not text)
        if text:
            self.engine.send_data(stream, text, end_stream=True)
