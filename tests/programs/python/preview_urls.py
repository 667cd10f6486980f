"""Ports of a sandbox from outside: also of servers on its loopback, also over a pause."""

import http.client
import os
import threading
from pathlib import Path

from sdk import SCALE, Sandbox, connection, preview, until

GUEST = Path(__file__).parent.parent / "guest"
WEBSOCKET = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


def download():
    """A stream without end, after its first bytes."""
    to = connection()
    to.request("GET", "/stream", headers={"Host": host})
    answer = to.getresponse()
    assert answer.status == 200
    assert answer.read(5) == b"tick\n"
    return answer


def websocket():
    """An open web socket."""
    to = connection()
    to.request("GET", "/socket", headers={"Host": host, **WEBSOCKET})
    # http.client closes what it does not know; the bytes are read here.
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += to.sock.recv(1) or b"\r\n\r\n"
    assert head.startswith(b"HTTP/1.1 101 "), head
    assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head, head
    return to.sock


def echo(to, text):
    """Send a text frame and return the text that comes back."""
    mask = os.urandom(4)
    to.sendall(bytes([0x81, 0x80 | len(text)]) + mask + bytes(one ^ mask[at % 4] for at, one in enumerate(text)))
    frame = b""
    while len(frame) < 2 or len(frame) < 2 + frame[1]:
        more = to.recv(64)
        assert more, "the web socket ended"
        frame += more
    assert frame[0] == 0x81
    return frame[2:]


def ends(read):
    """Whether a connection ends by itself, whatever it still had to say."""
    over = threading.Event()

    def drain():
        try:
            while read():
                pass
        except (http.client.HTTPException, OSError):
            pass
        over.set()

    threading.Thread(target=drain, daemon=True).start()
    return over.wait(20 * SCALE)


sandbox = Sandbox.create(timeout=120)
sandbox.files.write("/home/user/server.py", (GUEST / "server.py").read_text())
sandbox.commands.run("exec python3 server.py 127.0.0.1 3000", background=True)
host = sandbox.get_host(3000)
assert host.startswith(f"3000-{sandbox.sandbox_id}."), host
assert preview(sandbox.get_host(3999)).status == 502

until(lambda: preview(host).status == 200, "a server on the guest's loopback answers")
assert preview(host).text == "hello from a sandbox\n"
body = b"x" * 200_000
answer = preview(host, "/size", "POST", body, {"X-Mine": "kept"})
assert answer.text == "200000 kept\n", answer.text
assert preview(host, "/missing").status == 404

stream, chat = download(), websocket()
assert echo(chat, b"before") == b"before"
sandbox.pause()
assert ends(lambda: stream.read(4096)), "a pause leaves no download hanging"
assert ends(lambda: chat.recv(4096)), "a pause leaves no web socket hanging"
assert preview(host).status == 502

sandbox.connect(timeout=60)
assert preview(host).text == "hello from a sandbox\n"
assert download()
chat = websocket()
assert echo(chat, b"after") == b"after"
sandbox.kill()
assert ends(lambda: chat.recv(4096)), "nor does a kill"
