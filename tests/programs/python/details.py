"""Metadata and its filters, pages of a list, environment variables, metrics, tokens and signed addresses."""

import uuid

import httpx
from sdk import API, PREFIX, PROXY, Sandbox, SandboxQuery, SandboxState, api, until

tag = uuid.uuid4().hex
hard = {"run": tag, "sp ace": "v/1 &=%+ü", "role": "first"}
first = Sandbox.create(timeout=300, metadata=hard, envs={"GREETING": "good day", "EMPTY": ""}, secure=True)
second = Sandbox.create(timeout=300, metadata={"run": tag, "role": "second"})
second.pause()


def found(limit=None, states=None, **metadata):
    """The ids of a list, page by page, and the number of pages."""
    paginator = Sandbox.list(query=SandboxQuery(metadata=metadata or {"run": tag}, state=states), limit=limit)
    pages = []
    while paginator.has_next:
        pages.append([one.sandbox_id for one in paginator.next_items()])
    return [one for page in pages for one in page], len(pages)


assert found() == ([second.sandbox_id, first.sandbox_id], 1), "the newest one is first"
assert found(limit=1) == ([second.sandbox_id, first.sandbox_id], 2)
assert found(states=[SandboxState.PAUSED])[0] == [second.sandbox_id]
assert found(states=[SandboxState.RUNNING])[0] == [first.sandbox_id]
assert found(run=tag, role="first")[0] == [first.sandbox_id]
assert found(**hard)[0] == [first.sandbox_id]
assert found(run=tag, role="third")[0] == []
assert first.get_info().metadata == hard
assert second.get_info().metadata == {"run": tag, "role": "second"}

# Environment variables of the sandbox, and of one command.
assert first.commands.run('echo "$GREETING, [$EMPTY]"').stdout == "good day, []\n"
assert first.commands.run("echo $GREETING", envs={"GREETING": "hi"}).stdout == "hi\n"

# Metrics are sampled; the first ones come after a while.
metrics = until(first.get_metrics, "there are metrics")
last = metrics[-1]
assert last.cpu_count == first.get_info().cpu_count and last.cpu_used_pct >= 0
assert 0 < last.mem_used < last.mem_total and 0 < last.disk_used < last.disk_total, last

# Nobody gets in without the token.
ids = {f"{PREFIX.capitalize()}-Sandbox-Id": first.sandbox_id, f"{PREFIX.capitalize()}-Sandbox-Port": "49983"}
assert httpx.get(f"{PROXY}/files", params={"path": "/etc/hostname"}, headers=ids).status_code == 401
ids["X-Access-Token"] = "wrong"
assert httpx.get(f"{PROXY}/files", params={"path": "/etc/hostname"}, headers=ids).status_code == 401

# Signed addresses need none.
upload = first.upload_url("/home/user/signed.txt")
sent = httpx.post(upload, files={"file": ("signed.txt", b"by address")})
assert sent.status_code == 200, sent.text
assert first.files.read("/home/user/signed.txt") == "by address"
download = first.download_url("/home/user/signed.txt", use_signature_expiration=60)
assert httpx.get(download).text == "by address"
assert httpx.get(download.replace("signed.txt", "other.txt")).status_code in (401, 502)
short = first.download_url("/home/user/signed.txt", use_signature_expiration=1)
until(lambda: httpx.get(short).status_code == 401, "an address that is over is refused")

# Who does not say who he is is refused in words that a program understands.
nobody = httpx.get(f"{API}/sandboxes/{first.sandbox_id}")
assert nobody.status_code == 401 and nobody.json()["code"] == 401, nobody.text
lost = api("GET", "/sandboxes/nosuchsandbox")
assert lost.status == 404 and lost.json["code"] == 404 and lost.json["message"], lost.text
assert lost.headers["Content-Type"].startswith("application/json")

assert first.kill() and second.kill()
assert found()[0] == []
