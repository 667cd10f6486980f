"""The SDK of this environment under one name, what its two packages call differently, and waiting with a deadline."""

import http.client
import importlib
import json
import os
import time
from datetime import datetime, timezone
from urllib.parse import urlsplit

NAME = os.environ["PROGRAMS_SDK"]
# Deadlines are for emulated VMs on two cores; a slower machine says how much slower it is.
SCALE = float(os.environ.get("PROGRAMS_SCALE", "1"))
PREFIX = {"e2b": "E2B", "novita": "NOVITA"}[NAME]
API = os.environ[f"{PREFIX}_API_URL"]
PROXY = os.environ[f"{PREFIX}_SANDBOX_URL"]

_sdk = importlib.import_module({"e2b": "e2b", "novita": "novita_sandbox.core"}[NAME])


def __getattr__(name):
    return getattr(_sdk, name)


def until(condition, says, deadline=30.0):
    """Return the first true answer of `condition`, or fail with what it was to be."""
    end = time.monotonic() + deadline * SCALE
    while not (answer := condition()):
        assert time.monotonic() < end, f"after {deadline * SCALE:g} s still not: {says}"
        time.sleep(0.1)
    return answer


def refused(call, *kinds, says=""):
    """The exception, one of `kinds`, that `call` must raise."""
    try:
        answer = call()
    except kinds as refusal:
        assert says in str(refusal), f"{says!r} in {refusal!r}"
        return refusal
    raise AssertionError(f"not refused but answered with {answer!r}")


def seconds_left(info):
    """Until the end of a sandbox, as its info says."""
    return (info.end_at - datetime.now(timezone.utc)).total_seconds()


def near(left, wanted):
    """Whether a timeout of `wanted` seconds was set just now; calls before the look may have taken a while."""
    return wanted - 20 * SCALE < left <= wanted + 1


def state(sandbox_id):
    """`running` or `paused`, or `gone`."""
    try:
        return _sdk.Sandbox.get_info(sandbox_id).state.value
    except _sdk.NotFoundException:
        return "gone"


def resumes(sandbox):
    """How often the guest was woken, as its agent counts."""
    lines = sandbox.files.read("/run/thawd/generation").splitlines()
    return int(next(line for line in lines if line.startswith("generation=")).partition("=")[2])


class Answer:
    """What a server said: `status`, `headers`, `body`."""

    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def text(self):
        return self.body.decode()

    @property
    def json(self):
        return json.loads(self.body)


def connection(timeout=60.0):
    """A connection to the proxy. Names below its domain need not resolve here: `Host` says where a request goes."""
    return http.client.HTTPConnection(urlsplit(PROXY).netloc, timeout=timeout * SCALE)


def preview(host, path="/", method="GET", body=None, headers=None):
    """A request to a port of a sandbox, by the host name that `get_host` gave."""
    to = connection()
    try:
        to.request(method, path, body, {"Host": host, **(headers or {})})
        return Answer(to.getresponse())
    finally:
        to.close()


def api(method, path, body=None):
    """A request to the control plane without the SDK."""
    to = http.client.HTTPConnection(urlsplit(API).netloc, timeout=60 * SCALE)
    try:
        headers = {"X-API-KEY": os.environ[f"{PREFIX}_API_KEY"], "Content-Type": "application/json"}
        to.request(method, urlsplit(API).path + path, None if body is None else json.dumps(body), headers)
        return Answer(to.getresponse())
    finally:
        to.close()
