#!/usr/bin/env python3
"""Lets the current AWS SDKs talk CloudWatch to moto.

The SDKs speak Smithy RPC v2 CBOR to CloudWatch, moto speaks awsJson 1.0. This stands between them: CBOR requests are
passed on as JSON and their answers turned back into CBOR, everything else goes through untouched. Standard library
only. Prints `ready URL` once it listens, and ends with SIGTERM.

    moto_cbor_shim.py PORT http://127.0.0.1:5000
"""

import argparse
import gzip
import http.client
import http.server
import json
import struct
import urllib.parse

PREFIX = "/service/GraniteServiceVersion20100801/operation/"
TARGET = "GraniteServiceVersion20100801."

# JSON has one kind of number and no time. These members are doubles and times in CloudWatch's model; a double sent as
# an integer, or a time without its tag, is refused by a strict client.
DOUBLES = {"Value", "Values", "Minimum", "Maximum", "Average", "Sum", "SampleCount", "Threshold", "Counts"}
TIMES = {"Timestamp", "Timestamps", "StartTime", "EndTime", "StateUpdatedTimestamp",
         "AlarmConfigurationUpdatedTimestamp", "StateTransitionedTimestamp", "LastUpdateDate", "CreationDate"}

# Not to be passed on: they belong to one connection, or are set anew.
HOP = {"connection", "content-length", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}

MAX_BODY = 16 << 20


class Malformed(Exception):
    """The body is not CBOR that an SDK sends."""


class Decoder:
    """RFC 8949, what Smithy uses of it: no half floats beyond reading them, no bignums."""

    def __init__(self, data):
        self.data = data
        self.at = 0

    def take(self, count):
        end = self.at + count
        if end > len(self.data):
            raise Malformed("the body ends early")
        piece = self.data[self.at:end]
        self.at = end
        return piece

    def whole(self):
        value = self.value(0)
        if self.at != len(self.data):
            raise Malformed("there is more after the value")
        return value

    def value(self, depth):
        if depth > 64:
            raise Malformed("nested too deeply")
        first = self.take(1)[0]
        major, low = first >> 5, first & 31
        if major == 7:
            return self.simple(low)
        count = self.count(low)
        if major == 0:
            return count
        if major == 1:
            return -1 - count
        if major == 2:
            return b"".join(self.pieces(count, depth)).hex()
        if major == 3:
            return b"".join(self.pieces(count, depth)).decode("utf-8")
        if major == 4:
            return [self.value(depth + 1) for _ in self.items(count)]
        if major == 5:
            return {str(self.value(depth + 1)): self.value(depth + 1) for _ in self.items(count)}
        # A tag: only 1, seconds since the epoch, is sent; its content is what JSON carries.
        return self.value(depth + 1)

    def simple(self, low):
        if low in (20, 21):
            return low == 21
        if low in (22, 23):
            return None
        for code, form in ((25, ">e"), (26, ">f"), (27, ">d")):
            if low == code:
                return struct.unpack(form, self.take(struct.calcsize(form)))[0]
        raise Malformed("an unknown simple value")

    def count(self, low):
        """The argument of a head; None for an indefinite length."""
        if low < 24:
            return low
        if low == 31:
            return None
        if low > 27:
            raise Malformed("a reserved length")
        return int.from_bytes(self.take(1 << (low - 24)), "big")

    def items(self, count):
        if count is not None:
            if count > len(self.data):
                raise Malformed("a length beyond the body")
            yield from range(count)
            return
        while self.data[self.at:self.at + 1] != b"\xff":
            if self.at >= len(self.data):
                raise Malformed("the body ends early")
            yield None
        self.at += 1

    def pieces(self, count, depth):
        if count is not None:
            yield self.take(count)
            return
        for _ in self.items(None):
            piece = self.value(depth + 1)
            yield piece.encode("utf-8")


def head(major, argument):
    if argument < 24:
        return bytes([major << 5 | argument])
    for extra, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if argument < 1 << (8 * size):
            return bytes([major << 5 | extra]) + argument.to_bytes(size, "big")
    raise ValueError("too large a number")


def encode(value, name=""):
    """CBOR for a JSON value; `name` is the member that holds it."""
    if value is None:
        return b"\xf6"
    if isinstance(value, bool):
        return b"\xf5" if value else b"\xf4"
    if isinstance(value, (int, float)):
        if name in TIMES:
            return b"\xc1\xfb" + struct.pack(">d", value)
        if isinstance(value, float) or name in DOUBLES:
            return b"\xfb" + struct.pack(">d", value)
        return head(0, value) if value >= 0 else head(1, -1 - value)
    if isinstance(value, str):
        text = value.encode("utf-8")
        return head(3, len(text)) + text
    if isinstance(value, list):
        return head(4, len(value)) + b"".join(encode(item, name) for item in value)
    if isinstance(value, dict):
        pairs = (encode(key) + encode(item, key) for key, item in value.items())
        return head(5, len(value)) + b"".join(pairs)
    raise ValueError(f"no CBOR for {type(value).__name__}")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    moto = None

    def log_message(self, *_):
        pass

    def relay(self):
        length = int(self.headers.get("content-length") or 0)
        if length > MAX_BODY:
            self.send_error(413)
            return
        body = self.rfile.read(length)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP}
        path, is_cbor = self.path, self.path.startswith(PREFIX)
        try:
            if is_cbor:
                path, headers, body = self.to_json(headers, body)
            status, answered, body = self.ask_moto(path, headers, body)
        except (Malformed, UnicodeDecodeError, struct.error) as fault:
            status, answered, body = 400, [], b""
            body = json.dumps({"__type": "SerializationException", "message": str(fault)}).encode()
        except OSError as fault:
            status, answered, body = 502, [], json.dumps({"__type": "BadGateway", "message": str(fault)}).encode()
        if is_cbor:
            answered, body = self.to_cbor(answered, body)
        self.send_response(status)
        for name, value in answered:
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def to_json(self, headers, body):
        operation = self.path[len(PREFIX):]
        if headers.get("content-encoding", "").lower() == "gzip":
            body = gzip.decompress(body)
        request = Decoder(body).whole() if body else {}
        gone = {"accept", "content-encoding", "content-type", "smithy-protocol"}
        headers = {name: value for name, value in headers.items() if name.lower() not in gone}
        headers["content-type"] = "application/x-amz-json-1.0"
        headers["x-amz-target"] = TARGET + operation
        return "/", headers, json.dumps(request).encode()

    def ask_moto(self, path, headers, body):
        link = http.client.HTTPConnection(self.moto.hostname, self.moto.port, timeout=30)
        try:
            link.request(self.command, path, body=body or None, headers=headers)
            answer = link.getresponse()
            answered = [(name, value) for name, value in answer.getheaders() if name.lower() not in HOP]
            return answer.status, answered, answer.read()
        finally:
            link.close()

    @staticmethod
    def to_cbor(answered, body):
        try:
            value = json.loads(body) if body else {}
        except ValueError:
            value = {"__type": "InternalServiceFault", "message": body[:120].decode("utf-8", "replace")}
        answered = [(name, value) for name, value in answered if name.lower() != "content-type"]
        answered += [("content-type", "application/cbor"), ("smithy-protocol", "rpc-v2-cbor")]
        return answered, encode(value)

    do_DELETE = do_GET = do_HEAD = do_POST = do_PUT = relay


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("port", type=int, help="port of 127.0.0.1 to listen on; 0 takes a free one")
    arguments.add_argument("moto", help="URL of the moto server")
    given = arguments.parse_args()
    Handler.moto = urllib.parse.urlsplit(given.moto)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", given.port), Handler)
    server.daemon_threads = True
    print(f"ready http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
