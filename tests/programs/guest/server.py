"""A small web server of a user, run inside a sandbox: pages, a download without end, a web socket that echoes."""

import base64
import hashlib
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# RFC 6455 has it.
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path == "/":
            self.says("hello from a sandbox\n")
        elif self.path == "/host":
            self.says(self.headers["Host"] + "\n")
        elif self.path == "/stream":
            self.stream()
        elif self.path == "/socket":
            self.socket()
        else:
            self.says("not here\n", 404)

    def do_POST(self):
        size = len(self.rfile.read(int(self.headers["Content-Length"])))
        self.says(f"{size} {self.headers['X-Mine']}\n")

    def says(self, text, status=200):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def stream(self):
        self.close_connection = True
        self.send_response(200)
        self.end_headers()
        while True:
            self.wfile.write(b"tick\n")
            time.sleep(0.1)

    def socket(self):
        self.close_connection = True
        accept = base64.b64encode(hashlib.sha1(self.headers["Sec-WebSocket-Key"].encode() + GUID).digest())
        self.send_response(101)
        for name, value in (("Upgrade", "websocket"), ("Connection", "Upgrade")):
            self.send_header(name, value)
        self.send_header("Sec-WebSocket-Accept", accept.decode())
        self.end_headers()
        while len(head := self.rfile.read(2)) == 2 and head[0] == 0x81:
            length = head[1] & 0x7F
            mask = self.rfile.read(4)
            text = bytes(one ^ mask[at % 4] for at, one in enumerate(self.rfile.read(length)))
            self.wfile.write(bytes([0x81, length]) + text)

    def log_message(self, *_):
        pass


ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Handler).serve_forever()
