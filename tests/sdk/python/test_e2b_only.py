"""What e2b's SDK can do and Novita's, a fork of an older one, can not."""

import asyncio
import hashlib
import os
import pathlib
import random

import pytest

from support.wait import until
from test_files import WAYS
from test_pty import terminal  # noqa: F401, a fixture

BYTES = random.Random(7).randbytes(100_003)


async def test_a_character_split_between_two_writes_is_joined(sbx):
    told = await sbx.commands.run("printf '\\360\\237'; sleep 0.1; printf '\\216\\210'")
    assert told.stdout == "🎈"


async def test_closing_stdin_is_the_end_of_file_and_may_happen_twice(sbx):
    told = []
    running = await sbx.start("cat; echo .; exec sleep 100000", stdin=True, on_stdout=told.append)
    await sbx.commands.send_stdin(running.pid, "last words")
    await sbx.commands.close_stdin(running.pid)
    await sbx.commands.close_stdin(running.pid)
    with pytest.raises(sbx.error("any")):
        await sbx.commands.send_stdin(running.pid, "too late")
    await until(lambda: "".join(told) == "last words.\n", lambda: f"the end of file after {told}")
    await running.kill()
    await running.outcome()


async def test_stdin_takes_bytes_that_are_no_text(sbx):
    running = await sbx.start("sha256sum", stdin=True)
    await sbx.commands.send_stdin(running.pid, BYTES)
    await sbx.commands.close_stdin(running.pid)
    assert (await running.wait()).stdout.split()[0] == hashlib.sha256(BYTES).hexdigest()


async def stream(module, sbx, pid, chunks):
    """Send chunks over one input stream."""
    if sbx.client.asynchronous:
        async with module.stream_input(pid) as handle:
            for chunk in chunks:
                await handle.send(chunk)
    else:
        await module.stream_input(pid, chunks)


async def test_streamed_input_arrives_whole_and_in_order(sbx):
    chunks = [f"{number}\n" for number in range(2000)]
    running = await sbx.start("sha256sum", stdin=True)
    await stream(sbx.commands, sbx, running.pid, chunks)
    await sbx.commands.close_stdin(running.pid)
    wanted = hashlib.sha256("".join(chunks).encode()).hexdigest()
    assert (await running.wait()).stdout.split()[0] == wanted


async def test_streamed_input_for_an_unknown_command_is_not_found(sbx):
    with pytest.raises(sbx.error("not_found")):
        await stream(sbx.commands, sbx, os.getpid(), ["nobody"])


async def test_streamed_input_reaches_a_terminal(sbx, terminal):  # noqa: F811
    one = await terminal()
    await stream(sbx.pty, sbx, one.pid, ["echo on", "e$((1", "+1))\n"])
    await one.shows("one2")


async def test_output_need_not_be_kept(sbx):
    chunks = []
    told = await sbx.commands.run("seq 1 1000", on_stdout=chunks.append, retain_output=False)
    assert told.stdout is None
    assert "".join(chunks) == "".join(f"{n}\n" for n in range(1, 1001))


@pytest.mark.parametrize("way", WAYS)
async def test_metadata_is_stored_told_and_replaced(sbx, temp, way):
    path = f"{temp}/file"
    told = await sbx.files.write(path, "x", metadata={"Author": "me", "purpose": "a test"}, **WAYS[way])
    wanted = {"author": "me", "purpose": "a test"}
    assert told.metadata == wanted
    assert os.getxattr(path, "user.e2b.author") == b"me"
    assert (await sbx.files.get_info(path)).metadata == wanted
    assert [one.metadata for one in await sbx.files.list(temp)] == [wanted]
    assert (await sbx.files.rename(path, f"{path}2")).metadata == wanted
    assert (await sbx.files.write(f"{path}2", "y", **WAYS[way])).metadata is None
    assert os.listxattr(f"{path}2") == []


async def test_metadata_goes_to_each_of_several_files(sbx, temp):
    files = [{"path": f"{temp}/{n}", "data": "x"} for n in range(3)]
    for one in await sbx.files.write_files(files, metadata={"batch": "7"}):
        assert one.metadata == {"batch": "7"}


async def test_too_much_metadata_is_an_invalid_argument(sbx, temp):
    with pytest.raises(sbx.error("invalid_argument")):
        await sbx.files.write(f"{temp}/file", "x", metadata={f"k{n}": "v" * 100 for n in range(50)})


async def test_iterables_are_streamed_up(sbx, temp):
    chunks = [BYTES[at : at + 1000] for at in range(0, len(BYTES), 1000)]

    async def slowly():
        for chunk in chunks:
            await asyncio.sleep(0)
            yield chunk

    await sbx.files.write(f"{temp}/file", slowly() if sbx.client.asynchronous else iter(chunks))
    assert pathlib.Path(temp, "file").read_bytes() == BYTES


async def test_watch_events_carry_the_entry_of_what_still_exists(sbx, temp):
    watch = await sbx.watch(temp, include_entry=True)
    path = pathlib.Path(temp, "file")
    path.write_text("12345")
    await watch.tells(("create", "file"), ("write", "file"))
    path.unlink()
    await watch.tells(("remove", "file"))
    await watch.stop()
    written = [one for one in watch.raw if one.type.value in ("create", "write")]
    assert any(one.entry is not None for one in written)
    for one in written:
        if one.entry is not None:
            assert (one.entry.name, one.entry.path) == ("file", str(path))
    assert [one.entry for one in watch.raw if one.type.value == "remove"] == [None]


async def test_watch_events_carry_no_entry_unless_asked(sbx, temp):
    watch = await sbx.watch(temp)
    pathlib.Path(temp, "file").touch()
    await watch.tells(("create", "file"))
    await watch.stop()
    assert {one.entry for one in watch.raw} == {None}


async def test_network_mounts_may_be_allowed(sbx, temp):
    watch = await sbx.watch(temp, allow_network_mounts=True)
    pathlib.Path(temp, "file").touch()
    await watch.tells(("create", "file"))
    await watch.stop()
