"""Commands: what a caller sees of a program that runs in the sandbox."""

import asyncio
import hashlib
import os
import random

import pytest

from conftest import scenarios
from support.wait import Gate, Stopwatch, alive, until

# Seconds that stand for "at once" on a loaded machine; what it tells apart would take forever.
AT_ONCE = 10
FOREVER = "sleep 100000"


def expected_error(row):
    exit_code = row.get("exit", 0)
    return row.get("error", f"exit status {exit_code}" if exit_code else None)


@pytest.mark.parametrize("row", scenarios("outcomes"), ids=lambda row: row["law"].replace(" ", "_"))
async def test_outcome(sbx, temp, row):
    options = {key: row[key] for key in ("user", "cwd", "envs") if key in row}
    told = await sbx.outcome(row["cmd"].replace("TEMP", temp), **options)
    seen = {"exit": told.exit_code, "error": told.error or None}
    wanted = {"exit": row.get("exit", 0), "error": expected_error(row)}
    for stream in ("stdout", "stderr"):
        if row.get(stream, "") is not None:
            seen[stream], wanted[stream] = getattr(told, stream), row.get(stream, "")
    assert seen == wanted
    assert row.get("stderr_has", "") in told.stderr


@pytest.mark.parametrize("row", scenarios("refusals"), ids=lambda row: row["law"].replace(" ", "_"))
async def test_is_refused(sbx, row):
    options = {key: row[key] for key in ("user", "cwd") if key in row}
    with pytest.raises(sbx.error(row["kind"])) as told:
        await sbx.commands.run(row["cmd"], **options)
    assert row["says"] in str(told.value)


async def test_the_sandbox_says_that_it_runs(sbx):
    assert await sbx.is_running()


async def test_an_argument_of_100_kb_passes(sbx):
    told = await sbx.commands.run("echo -n '" + "x" * 100_000 + "' | wc -c")
    assert told.stdout.strip() == "100000"


async def test_an_argument_that_the_kernel_refuses_is_an_error_at_once(sbx):
    watch = Stopwatch()
    with pytest.raises(sbx.error("any")):
        await sbx.commands.run("echo '" + "x" * 200_000 + "'")
    assert watch.seconds < AT_ONCE


async def test_the_pid_of_a_command_is_the_one_of_its_shell(sbx):
    running = await sbx.start("echo $$")
    assert (await running.wait()).stdout == f"{running.pid}\n"


async def test_a_background_command_returns_before_its_end(sbx):
    running = await sbx.start(FOREVER)
    assert alive(running.pid)
    assert await running.kill()
    await running.outcome()


async def test_list_shows_a_command_as_it_was_asked_for_until_it_ends(sbx):
    running = await sbx.start(f"exec {FOREVER}", envs={"COLOR": "green"}, cwd="/usr")
    try:
        [listed] = [one for one in await sbx.commands.list() if one.pid == running.pid]
        assert (listed.cmd, listed.args) == ("/bin/bash", ["-l", "-c", f"exec {FOREVER}"])
        assert listed.envs == {"COLOR": "green"}
        assert listed.cwd == "/usr"
        assert not listed.tag
    finally:
        await running.kill()
    await running.outcome()
    assert running.pid not in [one.pid for one in await sbx.commands.list()]


async def test_a_killed_command_ends_with_a_signal_and_not_an_exit(sbx):
    running = await sbx.start(f"exec {FOREVER}")
    assert await running.kill() is True
    with pytest.raises(sbx.error("exit")) as told:
        await running.wait()
    assert (told.value.exit_code, told.value.error) == (-1, "signal: killed")


async def test_kill_by_pid_is_kill(sbx):
    running = await sbx.start(f"exec {FOREVER}")
    assert await sbx.commands.kill(running.pid) is True
    assert (await running.outcome()).exit_code == -1


async def test_killing_a_finished_command_is_false(sbx):
    running = await sbx.start("true")
    await running.wait()
    assert await sbx.commands.kill(running.pid) is False
    assert await running.kill() is False


async def test_killing_what_never_was_a_command_is_false(sbx):
    assert await sbx.commands.kill(os.getpid()) is False


async def test_a_killed_command_ends_at_once_though_a_child_holds_its_pipes(sbx, temp):
    running = await sbx.start(f"{FOREVER} & echo $! > {temp}/child; wait")
    child = int(await until(lambda: read(f"{temp}/child"), "the child runs"))
    watch = Stopwatch()
    await running.kill()
    try:
        assert (await running.outcome()).exit_code == -1
        assert watch.seconds < AT_ONCE
    finally:
        end(child)


async def test_kill_keeps_all_output_before_it(sbx, temp):
    running = await sbx.start(f"seq 1 20000; seq 1 20000 >&2; touch {temp}/written; exec {FOREVER}")
    await until(lambda: os.path.exists(f"{temp}/written"), "all written")
    await running.kill()
    told = await running.outcome()
    wanted = "".join(f"{n}\n" for n in range(1, 20001))
    assert told.stdout == wanted
    assert told.stderr == wanted


async def test_a_timeout_is_an_error_and_ends_the_command_with_its_children(sbx, temp):
    watch = Stopwatch()
    with pytest.raises(sbx.error("timeout")):
        await sbx.commands.run(f"echo $$ >> {temp}/pids; {FOREVER} & echo $! >> {temp}/pids; wait", timeout=1)
    assert 0.9 < watch.seconds < AT_ONCE
    pids = [int(line) for line in read(f"{temp}/pids").split()]
    assert len(pids) == 2
    try:
        await until(lambda: not any(alive(pid) for pid in pids), f"{pids} ended")
    finally:
        for pid in pids:
            end(pid)


async def test_a_timeout_of_a_background_command_counts_from_its_start(sbx):
    running = await sbx.start(f"exec {FOREVER}", timeout=1)
    with pytest.raises(sbx.error("timeout")):
        await running.wait()
    await until(lambda: not alive(running.pid), "the command ended")


async def test_a_timeout_of_zero_is_none(sbx):
    assert (await sbx.commands.run("echo here", timeout=0)).stdout == "here\n"


async def test_a_grandchild_that_holds_stdout_does_not_delay_the_end(sbx):
    watch = Stopwatch()
    told = await sbx.commands.run(f"{FOREVER} & echo $!")
    try:
        assert watch.seconds < AT_ONCE
        assert alive(int(told.stdout)), "a daemonised program must go on"
    finally:
        end(int(told.stdout))


async def test_output_is_told_while_the_command_runs(sbx, temp):
    chunks = []
    with Gate(temp) as gate:

        def tell(chunk):
            chunks.append(chunk)
            gate.open()

        running = await sbx.start(f"echo first; : < {gate.path}; echo second", on_stdout=tell)
        assert (await running.wait()).stdout == "first\nsecond\n"
    assert "".join(chunks) == "first\nsecond\n"
    assert len(chunks) >= 2


async def test_callbacks_get_all_output_in_order_each_stream_its_own(sbx):
    out, err = [], []
    told = await sbx.commands.run("seq 1 50000; seq 1 50000 >&2", on_stdout=out.append, on_stderr=err.append)
    wanted = "".join(f"{n}\n" for n in range(1, 50001))
    assert told.stdout == "".join(out) == wanted
    assert told.stderr == "".join(err) == wanted


async def test_both_streams_at_full_speed_do_not_block_each_other(sbx):
    told = await sbx.commands.run("head -c 4194304 /dev/zero | tr '\\0' e >&2 & head -c 4194304 /dev/zero | tr '\\0' o; wait")
    assert told.stdout == "o" * 4194304
    assert told.stderr == "e" * 4194304


async def test_a_megabyte_of_multi_byte_text_arrives_whole(sbx, temp):
    text = "".join(random.Random(1).choices("ažč漢字🎈\n", k=500_000))
    assert len(text.encode()) > 1 << 20
    with open(f"{temp}/text", "w", encoding="utf-8") as file:
        file.write(text)
    told = await sbx.commands.run(f"cat {temp}/text; cat {temp}/text >&2")
    assert told.stdout == text
    assert told.stderr == text


async def test_a_lot_of_output_arrives_unchanged(sbx, temp):
    size = sbx.client.large_output
    line = "".join(random.Random(2).choices("abcdefghijklmnopqrstuvwxyz0123456789", k=1023)) + "\n"
    with open(f"{temp}/big", "w", encoding="ascii") as file:
        for number in range(size >> 10):
            file.write(f"{number:08d}{line[8:]}")
    with open(f"{temp}/big", "rb") as file:
        wanted = hashlib.file_digest(file, "sha256").hexdigest()
    told = await sbx.commands.run(f"cat {temp}/big", timeout=80)
    assert len(told.stdout) == size
    assert hashlib.sha256(told.stdout.encode()).hexdigest() == wanted


async def test_a_second_listener_gets_the_output_from_its_arrival_and_the_exit(sbx, temp):
    with Gate(temp) as gate:
        first = await sbx.start(f"echo early; : < {gate.path}; echo late; exit 5")
        second = await sbx.attach(first.pid)
        assert second.pid == first.pid
        gate.open()
        told, also = await asyncio.gather(first.outcome(), second.outcome())
    assert (told.exit_code, told.stdout) == (5, "early\nlate\n")
    assert also.exit_code == 5
    assert also.stdout.endswith("late\n")


async def test_a_listener_that_comes_after_the_exit_still_gets_it(sbx):
    running = await sbx.start("exit 9")
    await running.outcome()
    late = await sbx.attach(running.pid)
    told = await late.outcome()
    assert (told.exit_code, told.error) == (9, "exit status 9")


async def test_listening_to_an_unknown_command_is_not_found(sbx):
    with pytest.raises(sbx.error("not_found")):
        await sbx.attach(os.getpid())


async def test_a_command_outlives_its_listener(sbx):
    running = await sbx.start(f"exec {FOREVER}")
    await running.disconnect()
    assert running.pid in [one.pid for one in await sbx.commands.list()]
    assert alive(running.pid)
    again = await sbx.attach(running.pid)
    assert await again.kill()
    assert (await again.outcome()).exit_code == -1


async def test_stdin_reaches_the_command_in_order(sbx):
    running = await sbx.start("while read line; do echo \"<$line>\"; [ \"$line\" = end ] && break; done", stdin=True)
    for text in ("one\n", "two ", "words\n", "漢字 🎈\n", "end\n"):
        await sbx.commands.send_stdin(running.pid, text)
    assert (await running.wait()).stdout == "<one>\n<two words>\n<漢字 🎈>\n<end>\n"


async def test_a_megabyte_of_stdin_arrives_unchanged(sbx):
    text = "".join(random.Random(3).choices("abc漢🎈\n", k=300_000))
    size = len(text.encode())
    running = await sbx.start(f"head -c {size} | sha256sum", stdin=True)
    for at in range(0, len(text), 50_000):
        await sbx.commands.send_stdin(running.pid, text[at : at + 50_000])
    assert (await running.wait()).stdout.split()[0] == hashlib.sha256(text.encode()).hexdigest()


async def test_input_for_a_command_without_stdin_is_an_error(sbx):
    running = await sbx.start(f"exec {FOREVER}")
    try:
        with pytest.raises(sbx.error("any")):
            await sbx.commands.send_stdin(running.pid, "nobody reads this")
    finally:
        await running.kill()
    await running.outcome()


async def test_input_for_a_finished_command_is_not_found(sbx):
    running = await sbx.start("true", stdin=True)
    await running.wait()
    with pytest.raises(sbx.error("not_found")):
        await sbx.commands.send_stdin(running.pid, "too late")


@pytest.mark.timeout(120)
async def test_200_commands_run_at_once(sbx, temp):
    with Gate(temp) as gate:
        meet = f"touch {temp}/$N; : < {gate.path}; echo $N"
        runs = asyncio.gather(*(sbx.commands.run(meet, envs={"N": str(n)}, timeout=90) for n in range(200)))
        here = lambda: len(os.listdir(temp)) - 1
        await until(lambda: here() == 200, lambda: f"200 at the gate, but {here()}", 60)
        gate.open()
        told = await runs
    assert [one.stdout for one in told] == [f"{n}\n" for n in range(200)]


def read(path):
    """The text of a file that may not be there yet."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def end(pid):
    """Clean up after a command that was meant to go on."""
    try:
        os.kill(pid, 9)
    except ProcessLookupError:
        pass
