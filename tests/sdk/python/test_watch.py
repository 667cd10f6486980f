"""Watches: what a caller is told of changes below a directory (polled by the sync SDKs, streamed to the async ones)."""

import os
import pathlib
import shutil

import pytest


@pytest.fixture
async def watch(sbx):
    """A function that starts watches; they are stopped after the test."""
    started = []

    async def start(path, **options):
        one = await sbx.watch(path, **options)
        started.append(one)
        return one

    yield start
    for one in started:
        await one.stop()


async def test_a_file_is_told_from_its_making_to_its_removal(temp, watch):
    told = await watch(temp)
    path = pathlib.Path(temp, "file")
    path.touch()
    await told.tells(("create", "file"))
    path.write_text("text")
    await told.tells(("write", "file"))
    path.chmod(0o600)
    await told.tells(("chmod", "file"))
    path.unlink()
    await told.tells(("remove", "file"))


async def test_a_rename_is_told_under_both_names(temp, watch):
    pathlib.Path(temp, "old").touch()
    told = await watch(temp)
    os.rename(f"{temp}/old", f"{temp}/new")
    await told.tells(("rename", "old"), ("create", "new"))


async def test_a_write_by_the_sdk_is_told(sbx, temp, watch):
    told = await watch(temp)
    await sbx.files.write(f"{temp}/file", "text")
    await told.tells(("create", "file"), ("write", "file"))


async def test_changes_by_a_command_are_told(sbx, temp, watch):
    told = await watch(temp)
    await sbx.commands.run(f"echo x > '{temp}/a b'; mkdir {temp}/dir")
    await told.tells(("create", "a b"), ("write", "a b"), ("create", "dir"))


async def test_events_come_in_the_order_of_the_changes(temp, watch):
    told = await watch(temp)
    names = [f"{n:03d}" for n in range(100)]
    for name in names:
        pathlib.Path(temp, name).touch()
    await told.tells(("create", names[-1]))
    assert [name for kind, name in told.events if kind == "create"] == names


async def test_nothing_below_a_subdirectory_is_told_without_recursion(temp, watch):
    os.mkdir(f"{temp}/sub")
    told = await watch(temp)
    pathlib.Path(temp, "sub/inner").touch()
    pathlib.Path(temp, "last").touch()
    await told.tells(("create", "last"))
    assert not [name for _, name in told.events if "inner" in name]


async def test_a_recursive_watch_tells_names_relative_to_its_root(temp, watch):
    os.makedirs(f"{temp}/a/b")
    told = await watch(temp, recursive=True)
    pathlib.Path(temp, "a/b/file").write_text("x")
    pathlib.Path(temp, "top").touch()
    await told.tells(("create", "a/b/file"), ("write", "a/b/file"), ("create", "top"))


async def test_a_recursive_watch_follows_new_directories(temp, watch):
    told = await watch(temp, recursive=True)
    os.makedirs(f"{temp}/new/deep")
    await told.tells(("create", "new"), ("create", "new/deep"))
    pathlib.Path(temp, "new/deep/file").touch()
    await told.tells(("create", "new/deep/file"))
    os.unlink(f"{temp}/new/deep/file")
    await told.tells(("remove", "new/deep/file"))


async def test_a_recursive_watch_tells_what_was_in_a_new_directory_before_it_looked(temp, watch):
    told = await watch(temp, recursive=True)
    for n in range(20):
        os.makedirs(f"{temp}/d{n}/x")
        pathlib.Path(temp, f"d{n}/x/file").touch()
    await told.tells(*(("create", f"d{n}/x/file") for n in range(20)))


async def test_a_recursive_watch_tells_what_a_directory_that_moves_in_holds(temp, watch):
    os.makedirs(f"{temp}/outside/x")
    pathlib.Path(temp, "outside/x/file").touch()
    os.mkdir(f"{temp}/root")
    told = await watch(f"{temp}/root", recursive=True)
    os.rename(f"{temp}/outside", f"{temp}/root/inside")
    await told.tells(("create", "inside"), ("create", "inside/x"), ("create", "inside/x/file"))


async def test_a_renamed_directory_is_told_under_its_new_name_and_its_namesakes_are_not(temp, watch):
    os.mkdir(f"{temp}/a")
    os.mkdir(f"{temp}/ab")
    told = await watch(temp, recursive=True)
    os.rename(f"{temp}/a", f"{temp}/z")
    await told.tells(("rename", "a"), ("create", "z"))
    pathlib.Path(temp, "z/file").touch()
    pathlib.Path(temp, "ab/file").touch()
    await told.tells(("create", "z/file"), ("create", "ab/file"))


async def test_short_lived_directories_do_not_end_a_recursive_watch(temp, watch):
    told = await watch(temp, recursive=True)
    for n in range(200):
        os.makedirs(f"{temp}/{n}/x")
        shutil.rmtree(f"{temp}/{n}")
    pathlib.Path(temp, "still").touch()
    await told.tells(("create", "still"))


async def test_two_watches_of_one_directory_are_both_told(temp, watch):
    one, two = await watch(temp), await watch(temp)
    pathlib.Path(temp, "file").touch()
    await one.tells(("create", "file"))
    await two.tells(("create", "file"))


async def test_a_stopped_watch_is_told_nothing_more_and_harms_no_other(sbx, temp, watch):
    stopped, other = await sbx.watch(temp), await watch(temp)
    await stopped.stop()
    pathlib.Path(temp, "file").touch()
    await other.tells(("create", "file"))
    assert stopped.events == []


async def test_watching_a_file_is_an_invalid_argument(sbx, temp):
    pathlib.Path(temp, "file").touch()
    with pytest.raises(sbx.error("invalid_argument")):
        await sbx.watch(f"{temp}/file")


async def test_watching_what_is_missing_is_not_found(sbx, temp):
    with pytest.raises(sbx.error("not_found")):
        await sbx.watch(f"{temp}/missing")


async def test_watching_a_symlink_watches_its_target(temp, watch):
    os.mkdir(f"{temp}/target")
    os.symlink("target", f"{temp}/link")
    told = await watch(f"{temp}/link")
    pathlib.Path(temp, "target/file").touch()
    await told.tells(("create", "file"))


async def test_a_relative_path_is_watched_from_home(sbx, watch):
    name = f"thawd-sdk-watch-{os.getpid()}"
    await sbx.files.make_dir(name, user="user")
    try:
        told = await watch(name, user="user")
        pathlib.Path("/home/user", name, "file").touch()
        await told.tells(("create", "file"))
    finally:
        shutil.rmtree(f"/home/user/{name}")
