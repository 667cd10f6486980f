"""Fixtures of every Python suite: one daemon, one sandbox per form of the SDK, a fresh directory per test."""

import asyncio
import json
import os
import pathlib
import shutil
import tempfile

import pytest

from support.clients import Client
from support.daemon import Daemon
from support.face import Face
from support.wait import until

PACKAGE = os.environ["THAWD_SDK"]
FORMS = ("sync", "async")
SCENARIOS = pathlib.Path(__file__).parent.parent / "scenarios"
DAEMONS = []
# Laws about what one SDK alone can do are in a file of its name.
collect_ignore = [f"test_{package}_only.py" for package in ("e2b",) if package != PACKAGE]


def scenarios(table):
    """The rows of a shared table."""
    return json.loads((SCENARIOS / f"{table}.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def start_daemon():
    """A function that starts daemons; they end with the session."""
    started = []

    def start():
        daemon = Daemon()
        started.append(daemon)
        DAEMONS.append(daemon)
        return daemon

    yield start
    for daemon in started:
        DAEMONS.remove(daemon)
        daemon.stop()


@pytest.fixture(scope="session")
def daemon(start_daemon):
    """A daemon that was told its default user, as each host tells it."""
    daemon = start_daemon()
    assert daemon.init(defaultUser="user") == 204
    return daemon


@pytest.fixture(scope="session", params=FORMS)
def client(request):
    return Client(PACKAGE, request.param)


@pytest.fixture(scope="session")
async def face(client, daemon):
    """The sandbox that all tests of one form share."""
    return Face(client, await client.sandbox(daemon.url))


@pytest.fixture
async def sbx(face, daemon):
    """The shared sandbox; a test must leave no command behind and the daemon alive."""
    yield face
    assert daemon.running(), "the daemon ended"

    async def empty():
        return not await face.commands.list()

    try:
        await until(empty, "no command left behind", deadline=5)
    except AssertionError:
        left = await face.commands.list()
        await asyncio.gather(*(face.commands.kill(one.pid) for one in left))
        raise AssertionError(f"commands left behind: {left}") from None


@pytest.fixture
def temp():
    """A fresh directory that everybody may use."""
    path = tempfile.mkdtemp(prefix="thawd-sdk-")
    os.chmod(path, 0o777)
    yield path
    shutil.rmtree(path)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Show the end of each daemon's log with a failure."""
    report = yield
    if report.failed:
        for one in DAEMONS:
            report.sections.append((f"log of the daemon on port {one.port}", one.tail()))
    return report
