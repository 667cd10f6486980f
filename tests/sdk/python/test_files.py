"""Files: reading, writing and looking around."""

import asyncio
import gzip
import hashlib
import io
import os
import pathlib
import random
import stat
import subprocess

import pytest

from conftest import scenarios

BYTES = random.Random(4).randbytes(100_003)
# The ways an upload can travel.
WAYS = {"multipart": {}, "octets": {"use_octet_stream": True}, "gzip": {"gzip": True}}
CONTENTS = {
    "empty": b"",
    "text": b"Hello, world!",
    "several lines": b"one\ntwo\r\nthree",
    "unicode": "žluťoučký 漢字 🎈".encode(),
    "every byte": bytes(range(256)),
    "no text": BYTES,
    "a boundary": b"--boundary\r\nContent-Disposition: form-data\r\n\r\n--boundary--",
}


def ident(path):
    return os.stat(path).st_ino


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("content", CONTENTS)
async def test_what_is_written_is_there(sbx, temp, content, way):
    told = await sbx.files.write(f"{temp}/file", CONTENTS[content], **WAYS[way])
    assert (told.name, told.path) == ("file", f"{temp}/file")
    assert told.type in ("file", sbx.client.module.FileType.FILE)
    assert pathlib.Path(temp, "file").read_bytes() == CONTENTS[content]


@pytest.mark.parametrize("ask", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("content", CONTENTS)
async def test_what_is_there_is_read(sbx, temp, content, ask):
    pathlib.Path(temp, "file").write_bytes(CONTENTS[content])
    assert bytes(await sbx.files.read(f"{temp}/file", format="bytes", gzip=ask)) == CONTENTS[content]
    assert b"".join(await sbx.read_stream(f"{temp}/file", gzip=ask)) == CONTENTS[content]


async def test_text_is_read_as_text(sbx, temp):
    pathlib.Path(temp, "file").write_text("žluťoučký 漢字 🎈", encoding="utf-8")
    assert await sbx.files.read(f"{temp}/file") == "žluťoučký 漢字 🎈"


async def test_a_file_object_is_written_as_its_bytes(sbx, temp):
    await sbx.files.write(f"{temp}/file", io.BytesIO(BYTES))
    assert pathlib.Path(temp, "file").read_bytes() == BYTES
    await sbx.files.write(f"{temp}/text", io.StringIO("漢字"))
    assert pathlib.Path(temp, "text").read_text(encoding="utf-8") == "漢字"


async def test_every_name_survives(sbx, temp):
    """One test for all names: they must also live side by side in one listing."""
    names = scenarios("names")
    for name in names:
        told = await sbx.files.write(f"{temp}/{name}", name)
        assert (told.name, told.path) == (name, f"{temp}/{name}")
    assert sorted(os.listdir(temp)) == sorted(names)
    for name in names:
        assert await sbx.files.read(f"{temp}/{name}") == name
        assert (await sbx.files.get_info(f"{temp}/{name}")).name == name
    assert sorted(one.name for one in await sbx.files.list(temp)) == sorted(names)
    for name in names:
        await sbx.files.rename(f"{temp}/{name}", f"{temp}/{name}~")
        await sbx.files.remove(f"{temp}/{name}~")
    assert os.listdir(temp) == []


async def test_missing_directories_are_made_for_a_write(sbx, temp):
    await sbx.files.write(f"{temp}/a/b c/ď/file", "deep", user="user")
    assert pathlib.Path(temp, "a/b c/ď/file").read_text() == "deep"
    for made in ("a", "a/b c", "a/b c/ď", "a/b c/ď/file"):
        assert pathlib.Path(temp, made).owner() == "user"


async def test_a_new_file_belongs_to_the_user_and_is_readable_by_all(sbx, temp):
    await sbx.files.write(f"{temp}/file", "mine", user="user")
    info = os.stat(f"{temp}/file")
    assert pathlib.Path(temp, "file").owner() == "user"
    assert stat.S_IMODE(info.st_mode) == 0o644


async def test_overwriting_keeps_the_inode_and_the_mode_and_truncates(sbx, temp):
    path = pathlib.Path(temp, "file")
    path.write_text("a much longer text than the next one")
    path.chmod(0o755)
    before = ident(path)
    await sbx.files.write(str(path), "short")
    assert (path.read_text(), ident(path), stat.S_IMODE(path.stat().st_mode)) == ("short", before, 0o755)


async def test_writing_through_a_symlink_writes_its_target(sbx, temp):
    pathlib.Path(temp, "target").write_text("old")
    os.symlink("target", f"{temp}/link")
    await sbx.files.write(f"{temp}/link", "new")
    assert pathlib.Path(temp, "target").read_text() == "new"
    assert os.path.islink(f"{temp}/link")


async def test_a_relative_path_and_a_tilde_start_at_home(sbx):
    name = f"thawd-sdk-{os.getpid()}"
    for path in (f"{name}/one", f"~/{name}/two"):
        told = await sbx.files.write(path, "here", user="user")
        assert told.path == f"/home/user/{name}/{told.name}"
        assert await sbx.files.read(path, user="user") == "here"
    assert [one.name for one in await sbx.files.list(name, user="user")] == ["one", "two"]
    await sbx.files.remove(f"~/{name}", user="user")
    assert not os.path.exists(f"/home/user/{name}")


@pytest.mark.parametrize("way", WAYS)
async def test_several_files_are_written_in_one_call(sbx, temp, way):
    files = [{"path": f"{temp}/{n % 3}/file {n}.txt", "data": f"number {n}"} for n in range(20)]
    told = await sbx.files.write_files(files, **WAYS[way])
    assert [one.path for one in told] == [one["path"] for one in files]
    for one in files:
        assert pathlib.Path(one["path"]).read_text() == one["data"]


async def test_writing_no_files_is_nothing(sbx):
    assert await sbx.files.write_files([]) == []


async def test_four_writers_share_the_making_of_a_directory(sbx, temp):
    await asyncio.gather(*(sbx.files.write(f"{temp}/new/deep/{n}", str(n)) for n in range(4)))
    assert sorted(os.listdir(f"{temp}/new/deep")) == ["0", "1", "2", "3"]


@pytest.mark.parametrize("format", ["text", "bytes", "stream"])
async def test_reading_what_is_missing_is_not_found(sbx, temp, format):
    with pytest.raises(sbx.error("file_not_found")) as told:
        await sbx.files.read(f"{temp}/missing", format=format)
    assert f"{temp}/missing" in str(told.value)


async def test_reading_a_directory_is_an_invalid_argument(sbx, temp):
    with pytest.raises(sbx.error("invalid_argument")):
        await sbx.files.read(temp)


@pytest.mark.parametrize("way", WAYS)
async def test_writing_a_directory_is_an_invalid_argument(sbx, temp, way):
    with pytest.raises(sbx.error("invalid_argument")):
        await sbx.files.write(temp, "text", **WAYS[way])


@pytest.mark.parametrize("way", WAYS)
async def test_a_full_disk_is_not_enough_space(sbx, temp, way):
    with small_disk(temp):
        with pytest.raises(sbx.client.module.NotEnoughSpaceException):
            await sbx.files.write(f"{temp}/disk/file", random.Random(5).randbytes(3 << 20), **WAYS[way])


async def test_an_unknown_user_may_not_read_or_write(sbx, temp):
    user = "nobody-by-this-name"
    for call in (
        sbx.files.write(f"{temp}/file", "x", user=user),
        sbx.files.read("/etc/passwd", user=user),
        sbx.files.list("/", user=user),
        sbx.files.exists("/", user=user),
    ):
        with pytest.raises(sbx.error("unauthenticated")):
            await call


async def test_a_user_writes_where_only_root_may(sbx, temp):
    """The file calls act as root and give what they make to the user."""
    os.mkdir(f"{temp}/locked", 0o700)
    await sbx.files.write(f"{temp}/locked/file", "written", user="user")
    assert pathlib.Path(temp, "locked/file").read_text() == "written"
    assert pathlib.Path(temp, "locked/file").owner() == "user"
    assert await sbx.files.read(f"{temp}/locked/file", user="user") == "written"


async def test_files_without_a_size_are_read_whole(sbx):
    """/proc tells 0 bytes for each of its files."""
    assert await sbx.files.read("/proc/version") == pathlib.Path("/proc/version").read_text()


async def test_exists_is_about_the_name(sbx, temp):
    pathlib.Path(temp, "file").touch()
    os.symlink("nowhere", f"{temp}/dangling")
    assert await sbx.files.exists(f"{temp}/file") is True
    assert await sbx.files.exists(temp) is True
    assert await sbx.files.exists(f"{temp}/dangling") is True
    assert await sbx.files.exists(f"{temp}/missing") is False
    assert await sbx.files.exists(f"{temp}/missing/below") is False


async def test_info_of_a_file_is_complete(sbx, temp):
    path = pathlib.Path(temp, "file")
    path.write_bytes(BYTES)
    path.chmod(0o640)
    os.utime(path, (1_700_000_000, 1_700_000_000))
    info = await sbx.files.get_info(str(path))
    assert (info.name, info.path, info.size) == ("file", str(path), len(BYTES))
    assert (info.mode, info.permissions) == (0o640, "-rw-r-----")
    assert (info.owner, info.group) == ("root", "root")
    assert info.type == sbx.client.module.FileType.FILE
    assert info.symlink_target is None
    assert info.modified_time.timestamp() % 86400 == 1_700_000_000 % 86400


async def test_info_of_a_directory_is_one_of_a_directory(sbx, temp):
    info = await sbx.files.get_info(temp)
    assert (info.type, info.permissions) == (sbx.client.module.FileType.DIR, "drwxrwxrwx")


async def test_info_of_a_symlink_names_its_target(sbx, temp):
    pathlib.Path(temp, "target").touch()
    os.symlink("target", f"{temp}/link")
    os.symlink("nowhere", f"{temp}/dangling")
    info = await sbx.files.get_info(f"{temp}/link")
    assert (info.name, info.path) == ("link", f"{temp}/link")
    assert info.symlink_target == os.path.realpath(f"{temp}/target")
    assert info.permissions == "Lrwxrwxrwx"
    assert (await sbx.files.get_info(f"{temp}/dangling")).name == "dangling"


async def test_info_of_what_is_missing_is_not_found(sbx, temp):
    with pytest.raises(sbx.error("file_not_found")):
        await sbx.files.get_info(f"{temp}/missing")


def tree(temp):
    """a/{b/{c/file}, file}, link -> a"""
    os.makedirs(f"{temp}/a/b/c")
    for path in ("a/b/c/file", "a/file"):
        pathlib.Path(temp, path).touch()
    os.symlink("a", f"{temp}/link")


LISTINGS = {
    1: ["a", "link"],
    2: ["a", "a/b", "a/file", "link"],
    3: ["a", "a/b", "a/b/c", "a/file", "link"],
    9: ["a", "a/b", "a/b/c", "a/b/c/file", "a/file", "link"],
}


@pytest.mark.parametrize("depth", LISTINGS)
async def test_a_listing_is_sorted_and_as_deep_as_asked(sbx, temp, depth):
    tree(temp)
    listed = await sbx.files.list(temp, depth=depth)
    assert [one.path for one in listed] == [f"{temp}/{path}" for path in LISTINGS[depth]]
    assert [one.name for one in listed] == [os.path.basename(path) for path in LISTINGS[depth]]


async def test_a_listing_through_a_symlink_tells_the_asked_path(sbx, temp):
    tree(temp)
    assert [one.path for one in await sbx.files.list(f"{temp}/link")] == [f"{temp}/link/b", f"{temp}/link/file"]


async def test_a_listing_of_a_thousand_files_is_complete(sbx, temp):
    names = [f"{n:04d}" for n in range(1000)]
    for name in names:
        pathlib.Path(temp, name).touch()
    assert [one.name for one in await sbx.files.list(temp)] == names


async def test_listing_what_is_no_directory_is_an_error(sbx, temp):
    pathlib.Path(temp, "file").touch()
    with pytest.raises(sbx.error("file_not_found")):
        await sbx.files.list(f"{temp}/missing")
    with pytest.raises(sbx.error("invalid_argument")):
        await sbx.files.list(f"{temp}/file")


async def test_a_directory_is_made_once_with_its_parents(sbx, temp):
    assert await sbx.files.make_dir(f"{temp}/x/y/z", user="user") is True
    assert await sbx.files.make_dir(f"{temp}/x/y/z", user="user") is False
    for made in ("x", "x/y", "x/y/z"):
        assert pathlib.Path(temp, made).owner() == "user"
        assert stat.S_IMODE(os.stat(f"{temp}/{made}").st_mode) == 0o755


async def test_no_directory_is_made_over_a_file(sbx, temp):
    pathlib.Path(temp, "file").touch()
    with pytest.raises(sbx.error("invalid_argument")):
        await sbx.files.make_dir(f"{temp}/file")


async def test_a_rename_moves_and_tells_the_new_entry(sbx, temp):
    pathlib.Path(temp, "old").write_text("same")
    info = await sbx.files.rename(f"{temp}/old", f"{temp}/new/place/name")
    assert (info.name, info.path) == ("name", f"{temp}/new/place/name")
    assert pathlib.Path(temp, "new/place/name").read_text() == "same"
    assert not os.path.exists(f"{temp}/old")


async def test_a_rename_replaces_a_file_and_moves_a_directory(sbx, temp):
    tree(temp)
    pathlib.Path(temp, "one").write_text("one")
    pathlib.Path(temp, "two").write_text("two")
    await sbx.files.rename(f"{temp}/one", f"{temp}/two")
    assert pathlib.Path(temp, "two").read_text() == "one"
    await sbx.files.rename(f"{temp}/a", f"{temp}/moved")
    assert os.path.exists(f"{temp}/moved/b/c/file")


async def test_a_rename_of_a_symlink_moves_the_link(sbx, temp):
    os.symlink("nowhere", f"{temp}/link")
    await sbx.files.rename(f"{temp}/link", f"{temp}/moved")
    assert os.readlink(f"{temp}/moved") == "nowhere"


async def test_renaming_what_is_missing_is_not_found(sbx, temp):
    with pytest.raises(sbx.error("file_not_found")):
        await sbx.files.rename(f"{temp}/missing", f"{temp}/other")


async def test_a_removal_takes_files_trees_and_links_but_not_their_targets(sbx, temp):
    tree(temp)
    await sbx.files.remove(f"{temp}/link")
    assert os.path.exists(f"{temp}/a/file")
    await sbx.files.remove(f"{temp}/a/file")
    await sbx.files.remove(f"{temp}/a")
    assert os.listdir(temp) == []


async def test_removing_what_is_missing_is_fine(sbx, temp):
    await sbx.files.remove(f"{temp}/missing")


async def test_a_compressible_file_comes_back_unchanged_when_gzip_is_asked_for(sbx, temp):
    text = b"the same line again and again\n" * 200_000
    pathlib.Path(temp, "file").write_bytes(text)
    assert bytes(await sbx.files.read(f"{temp}/file", format="bytes", gzip=True)) == text
    pathlib.Path(temp, "file.gz").write_bytes(gzip.compress(text, 1))
    got = bytes(await sbx.files.read(f"{temp}/file.gz", format="bytes"))
    assert gzip.decompress(got) == text


SIZE = 256 << 20


def big_file(path):
    """256 MiB that no compressor can shrink, and their hash."""
    block = random.Random(6).randbytes(1 << 20)
    digest = hashlib.sha256()
    with open(path, "wb") as file:
        for number in range(SIZE >> 20):
            piece = number.to_bytes(8, "big") + block[8:]
            digest.update(piece)
            file.write(piece)
    return digest.hexdigest()


def digest_of(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@pytest.mark.timeout(120)
async def test_256_mib_go_up_unchanged(sbx, temp):
    wanted = big_file(f"{temp}/source")
    with open(f"{temp}/source", "rb") as source:
        await sbx.files.write(f"{temp}/uploaded", source, request_timeout=110)
    assert os.path.getsize(f"{temp}/uploaded") == SIZE
    assert digest_of(f"{temp}/uploaded") == wanted


@pytest.mark.timeout(120)
async def test_256_mib_come_down_unchanged(sbx, temp):
    wanted = big_file(f"{temp}/source")
    digest = hashlib.sha256()
    for chunk in await sbx.read_stream(f"{temp}/source", request_timeout=110):
        digest.update(chunk)
    assert digest.hexdigest() == wanted


class small_disk:
    """A file system of 1 MiB at `disk` below a directory."""

    def __init__(self, temp):
        self._path = f"{temp}/disk"

    def __enter__(self):
        os.mkdir(self._path)
        run("mount", "-t", "tmpfs", "-o", "size=1m", "thawd-sdk", self._path)

    def __exit__(self, *_):
        run("umount", self._path)


def run(*command):
    """A local command that must succeed."""
    subprocess.run(command, check=True, capture_output=True)
