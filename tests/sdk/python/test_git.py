"""The git helpers of the SDKs: they drive the git of the sandbox, here with repositories on the same disk only."""

import pathlib

import pytest


@pytest.fixture
def git(sbx, temp):
    """The helpers, bound to a home of their own: no setting of the machine plays a part."""
    envs = {"HOME": temp, "GIT_CONFIG_NOSYSTEM": "1"}

    class Bound:
        def __getattr__(self, name):
            async def call(*args, **kwargs):
                return await getattr(sbx.git, name)(*args, envs=envs, **kwargs)

            return call

    return Bound()


@pytest.fixture
async def repo(git, temp):
    """A repository with one commit on main."""
    path = f"{temp}/repo"
    await git.init(path, initial_branch="main")
    await git.configure_user("Ada", "ada@example.org")
    pathlib.Path(path, "README").write_text("one\n")
    await git.add(path)
    await git.commit(path, "first")
    return path


async def test_init_makes_a_repository(git, temp):
    await git.init(f"{temp}/repo", initial_branch="main")
    assert pathlib.Path(temp, "repo/.git/HEAD").read_text() == "ref: refs/heads/main\n"
    await git.init(f"{temp}/bare.git", bare=True)
    assert pathlib.Path(temp, "bare.git/HEAD").exists()


async def test_status_follows_a_file_from_new_to_committed(git, repo):
    assert (await git.status(repo)).is_clean
    pathlib.Path(repo, "new.txt").write_text("x")
    status = await git.status(repo)
    assert (status.current_branch, status.has_untracked, status.has_staged) == ("main", True, False)
    assert [one.name for one in status.file_status] == ["new.txt"]
    await git.add(repo, files=["new.txt"])
    assert (await git.status(repo)).has_staged
    await git.commit(repo, "it's \"quoted\" 漢字", author_name="Grace", author_email="grace@example.org")
    assert (await git.status(repo)).is_clean


async def test_a_commit_has_its_message_and_author(sbx, git, repo):
    pathlib.Path(repo, "README").write_text("two\n")
    await git.add(repo)
    await git.commit(repo, "it's \"quoted\" 漢字", author_name="Grace", author_email="grace@example.org")
    log = await sbx.commands.run(f"git -C {repo} -c safe.directory='*' log -1 --format='%an|%ae|%s'")
    assert log.stdout == "Grace|grace@example.org|it's \"quoted\" 漢字\n"


async def test_branches_are_made_switched_and_deleted(git, repo):
    await git.create_branch(repo, "topic")
    branches = await git.branches(repo)
    assert (sorted(branches.branches), branches.current_branch) == (["main", "topic"], "topic")
    await git.checkout_branch(repo, "main")
    await git.delete_branch(repo, "topic")
    branches = await git.branches(repo)
    assert (branches.branches, branches.current_branch) == (["main"], "main")


async def test_settings_are_kept_per_scope(git, repo):
    await git.set_config("pull.rebase", "false", scope="local", path=repo)
    assert await git.get_config("pull.rebase", scope="local", path=repo) == "false"
    assert await git.get_config("user.name") == "Ada"
    assert await git.get_config("no.such") is None


async def test_a_local_remote_is_pushed_to_cloned_and_pulled(git, repo, temp):
    await git.init(f"{temp}/bare.git", bare=True, initial_branch="main")
    await git.remote_add(repo, "origin", f"{temp}/bare.git")
    assert await git.remote_get(repo, "origin") == f"{temp}/bare.git"
    await git.push(repo, remote="origin", branch="main")
    await git.clone(f"{temp}/bare.git", path=f"{temp}/copy")
    assert pathlib.Path(temp, "copy/README").read_text() == "one\n"
    pathlib.Path(repo, "README").write_text("two\n")
    await git.add(repo)
    await git.commit(repo, "second")
    assert (await git.status(repo)).ahead == 1
    await git.push(repo)
    await git.pull(f"{temp}/copy")
    assert pathlib.Path(temp, "copy/README").read_text() == "two\n"


async def test_reset_and_restore_undo(git, repo):
    readme = pathlib.Path(repo, "README")
    readme.write_text("changed\n")
    await git.add(repo)
    await git.restore(repo, paths=["README"], staged=True)
    assert not (await git.status(repo)).has_staged
    await git.restore(repo, paths=["README"])
    assert readme.read_text() == "one\n"
    readme.write_text("changed\n")
    await git.reset(repo, mode="hard")
    assert readme.read_text() == "one\n"


async def test_a_failure_of_git_is_the_exit_of_a_command(sbx, git, temp):
    with pytest.raises(sbx.error("exit")) as told:
        await git.status(f"{temp}")
    assert told.value.exit_code == 128
    assert "not a git repository" in told.value.stderr
