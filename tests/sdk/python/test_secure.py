"""A daemon with an access token: who gets in, and what a signed URL opens."""

import base64
import hashlib
import json
import pathlib
import time
import urllib.error
import urllib.parse
import urllib.request

import pytest

from support.face import Face

TOKEN = "3f" * 32


def call(url, method="GET", body=None, headers=None):
    """Status and body of a plain request, without any SDK."""
    request = urllib.request.Request(url, data=body, method=method, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read()


def upload(url, content):
    """A multipart upload as a browser or curl sends it."""
    form = (
        b'--line\r\nContent-Disposition: form-data; name="file"; filename="ignored"\r\n\r\n' + content + b"\r\n--line--\r\n"
    )
    return call(url, "POST", form, {"Content-Type": "multipart/form-data; boundary=line"})


def expired(sbx, path, operation):
    """A signature that ended in the past, made with the rule of the SDKs."""
    expiration = int(time.time()) - 60
    raw = f"{path}:{operation}::{TOKEN}:{expiration}"
    digest = base64.b64encode(hashlib.sha256(raw.encode()).digest()).decode().rstrip("=")
    query = urllib.parse.urlencode({"path": path, "signature": f"v1_{digest}", "signature_expiration": expiration})
    return f"{sbx.sandbox.download_url(path).split('?')[0]}?{query}"


@pytest.fixture(scope="session")
def secured(start_daemon):
    """A daemon that was told its token as the host tells it."""
    daemon = start_daemon()
    assert daemon.init(accessToken=TOKEN, defaultUser="user") == 204
    return daemon


@pytest.fixture
async def owner(client, secured):
    return Face(client, client.secured(secured.url, TOKEN))


@pytest.fixture(params=["no token", "a wrong token"])
async def stranger(request, client, secured):
    return Face(client, client.secured(secured.url, None if request.param == "no token" else "0" * 64))


async def test_the_token_opens_everything(owner, temp):
    assert (await owner.commands.run("echo in")).stdout == "in\n"
    await owner.files.write(f"{temp}/file", "text")
    assert await owner.files.read(f"{temp}/file") == "text"
    assert [one.name for one in await owner.files.list(temp)] == ["file"]


async def test_without_the_token_nothing_but_health_is_open(stranger, temp):
    assert await stranger.is_running()
    pathlib.Path(temp, "file").write_text("secret")
    for call_ in (
        stranger.commands.run("echo in"),
        stranger.commands.list(),
        stranger.commands.kill(1),
        stranger.terminal(),
        stranger.files.list(temp),
        stranger.files.exists(temp),
        stranger.files.remove(f"{temp}/file"),
        stranger.watch(temp),
        stranger.files.read(f"{temp}/file"),
        stranger.files.write(f"{temp}/other", "x"),
    ):
        with pytest.raises(stranger.error("unauthenticated")):
            await call_
    assert [path.name for path in pathlib.Path(temp).iterdir()] == ["file"]


async def test_a_signed_url_downloads_without_the_token(owner, temp):
    pathlib.Path(temp, "a file&more").write_text("content")
    url = owner.sandbox.download_url(f"{temp}/a file&more")
    assert call(url) == (200, b"content")


async def test_a_signed_url_uploads_without_the_token(owner, temp):
    status, _ = upload(owner.sandbox.upload_url(f"{temp}/file", user="user"), b"sent")
    assert status == 200
    assert pathlib.Path(temp, "file").read_bytes() == b"sent"
    assert pathlib.Path(temp, "file").owner() == "user"


async def test_a_signed_url_with_an_end_works_before_it(owner, temp):
    pathlib.Path(temp, "file").write_text("content")
    assert call(owner.sandbox.download_url(f"{temp}/file", use_signature_expiration=60)) == (200, b"content")
    assert upload(owner.sandbox.upload_url(f"{temp}/new", use_signature_expiration=60), b"x")[0] == 200


async def test_a_signed_url_is_refused_after_its_end(owner, temp):
    pathlib.Path(temp, "file").write_text("content")
    status, body = call(expired(owner, f"{temp}/file", "read"))
    assert (status, json.loads(body)) == (401, {"code": 401, "message": "signature is already expired"})
    assert upload(expired(owner, f"{temp}/new", "write"), b"x")[0] == 401
    assert not pathlib.Path(temp, "new").exists()


async def test_a_signature_opens_only_what_it_was_made_for(owner, temp):
    for name in ("file", "other"):
        pathlib.Path(temp, name).write_text("content")
    url = owner.sandbox.download_url(f"{temp}/file")
    for wrong in (
        url.replace("file", "other"),
        url[:-2] + ("AA" if url[-2:] != "AA" else "BB"),
        url + "&username=user",
        url + f"&signature_expiration={int(time.time()) + 60}",
        url.split("&signature")[0],
    ):
        assert call(wrong)[0] == 401, wrong
    assert upload(url, b"x")[0] == 401, "a signature for reading must not write"


async def test_a_wrong_token_is_not_mended_by_a_good_signature(owner, temp):
    pathlib.Path(temp, "file").write_text("content")
    url = owner.sandbox.download_url(f"{temp}/file")
    assert call(url, headers={"X-Access-Token": "0" * 64})[0] == 401
    assert call(url, headers={"X-Access-Token": TOKEN})[0] == 200


async def test_a_good_signature_for_what_is_missing_is_not_found(owner, temp):
    assert call(owner.sandbox.download_url(f"{temp}/missing"))[0] == 404


async def test_the_token_can_not_be_taken_over(secured, owner):
    assert secured.init() == 401
    assert secured.init(accessToken="0" * 64) == 401
    assert secured.init(accessToken=TOKEN) == 204
    assert (await owner.commands.run("echo in")).stdout == "in\n"


async def test_init_sets_the_defaults_of_later_calls(client, start_daemon):
    daemon = start_daemon()
    sbx = Face(client, await client.sandbox(daemon.url))
    assert (await sbx.commands.run("echo $(id -un) $(pwd) ${COLOR-none}")).stdout == "root /root none\n"
    assert daemon.init(defaultUser="user", defaultWorkdir="/usr", envVars={"COLOR": "green"}) == 204
    assert (await sbx.commands.run("echo $(id -un) $(pwd) $COLOR")).stdout == "user /usr green\n"
    assert (await sbx.commands.run("id -un", user="root")).stdout == "root\n"
    assert daemon.init(envVars={}) == 204
    assert (await sbx.commands.run("echo $(id -un) $(pwd) ${COLOR-none}")).stdout == "user /usr none\n"
