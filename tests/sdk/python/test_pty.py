"""Terminals: what a person or an agent sees that works in one."""

import asyncio

import pytest

from support.wait import alive, until


@pytest.fixture
async def terminal(sbx):
    """A function that opens terminals; they are closed after the test."""
    opened = []

    async def open_one(*args, **options):
        one = await sbx.terminal(*args, **options)
        opened.append(one)
        return one

    yield open_one
    for one in opened:
        await one.kill()
        await asyncio.wait([one.follow()._end])
        one._end.exception()


async def test_the_first_prompt_is_shown_without_any_input(terminal):
    one = await terminal()
    await until(lambda: one.text.rstrip().endswith(("#", "$")), lambda: f"a prompt in {one.text!r}")


async def test_a_terminal_has_the_size_that_was_asked_for(terminal):
    one = await terminal(cols=132, rows=43)
    await one.type("stty size\n")
    await one.shows("43 132")


async def test_a_resize_is_seen_by_the_programs(terminal):
    one = await terminal(cols=80, rows=24)
    await one.type("trap 'echo now $(stty size)' WINCH; echo set$((1+2))\n")
    await one.shows("set3")
    await one.resize(cols=101, rows=51)
    await one.shows("now 51 101")


async def test_input_is_echoed_and_run(terminal):
    one = await terminal()
    await one.type("echo $((6*7)) 漢字\n")
    await one.shows("echo $((6*7)) 漢字", "42 漢字\r\n")


async def test_a_terminal_is_a_terminal_for_all_three_streams(terminal):
    one = await terminal()
    await one.type("[ -t 0 ] && [ -t 1 ] && [ -t 2 ] && echo all$((1+2))\n")
    await one.shows("all3")


async def test_a_terminal_is_the_controlling_one_of_its_session(terminal):
    one = await terminal()
    await one.type("echo reopened$((1+2)) > /dev/tty; ps -o tpgid= -p $$ | xargs echo group\n")
    await one.shows("reopened3", "group ")
    assert "job control" not in one.text


async def test_a_terminal_belongs_to_its_user(terminal):
    one = await terminal(user="user")
    await one.type("echo owner-$(stat -c %U $(tty)); echo again$((1+2)) > $(tty)\n")
    await one.shows("owner-user", "again3")


async def test_the_sdk_sets_the_kind_of_terminal_and_the_caller_the_rest(terminal):
    one = await terminal(envs={"COLOR": "green"}, user="user", cwd="/usr")
    await one.type("echo $TERM-$COLOR-$(id -un)-$(pwd)-\n")
    await one.shows("xterm-256color-green-user-/usr-")


async def test_ctrl_c_interrupts_what_runs_and_not_the_shell(terminal):
    one = await terminal()
    await one.type("echo ready$((1+2)); sleep 100000\n")
    await one.shows("ready3")
    await one.type("\x03")
    await one.type("echo code-$?\n")
    await one.shows("code-130")


async def test_the_exit_of_the_shell_is_the_exit_of_the_terminal(sbx):
    one = await sbx.terminal()
    await one.type("exit 7\n")
    told = await one.outcome()
    assert (told.exit_code, told.error) == (7, "exit status 7")


async def test_ctrl_d_ends_the_shell(sbx):
    one = await sbx.terminal()
    # A shell that has not shown its prompt yet has not taken the line discipline of the terminal over.
    await one.type("echo ready$((1+2))\n")
    await one.shows("ready3\r\n", "$")
    await one.type("\x04")
    assert (await one.outcome()).exit_code == 0


async def test_a_killed_terminal_ends_once(sbx):
    one = await sbx.terminal()
    assert await one.kill() is True
    told = await one.outcome()
    assert (told.exit_code, told.error) == (-1, "signal: killed")
    assert await one.kill() is False


async def test_a_terminal_that_ends_hangs_up_its_programs(sbx, temp):
    one = await sbx.terminal()
    await one.type(f"bash -c 'echo $$ > {temp}/pid; sleep 100000; true'\n")

    def pid():
        try:
            with open(f"{temp}/pid", encoding="ascii") as file:
                return int(file.read() or 0)
        except FileNotFoundError:
            return 0

    child = await until(pid, "the program runs")
    await one.kill()
    await one.outcome()
    await until(lambda: not alive(child), "the program ended")


async def test_a_second_listener_sees_a_terminal_too(sbx, terminal):
    one = await terminal()
    two = await sbx.attach_terminal(one.pid)
    assert two.pid == one.pid
    await one.type("echo both$((1+2))\n")
    await asyncio.gather(one.shows("both3"), two.shows("both3"))
    await one.kill()
    assert (await two.outcome()).exit_code == -1


async def test_a_terminal_is_listed_like_a_command(sbx, terminal):
    one = await terminal()
    [listed] = [each for each in await sbx.commands.list() if each.pid == one.pid]
    assert listed.cmd == "/bin/bash"
    assert "-i" in listed.args


async def test_a_megabyte_through_a_terminal_arrives_whole(terminal):
    one = await terminal(cols=200)
    await one.type("stty -echo; seq -f %015.0f 1 65536; echo over$((1+2))\n")
    await one.shows("over3")
    shown = [line for line in one.text.splitlines() if len(line) == 15 and line.isdigit()]
    assert shown == [f"{n:015d}" for n in range(1, 65537)]


async def test_resizing_what_is_no_terminal_is_an_error(sbx):
    running = await sbx.start("exec sleep 100000")
    try:
        with pytest.raises(sbx.error("unmapped")):
            await sbx.pty.resize(running.pid, sbx.client.module.PtySize(rows=10, cols=10))
        with pytest.raises(sbx.error("any")):
            await sbx.pty.send_stdin(running.pid, b"typed")
    finally:
        await running.kill()
    await running.outcome()


async def test_an_unknown_user_gets_no_terminal(sbx):
    with pytest.raises(sbx.error("unauthenticated")):
        await sbx.terminal(user="nobody-by-this-name")
