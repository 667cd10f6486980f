"""Follows a command over pauses with the published SDK; driven by output.rs.

Reads an address a line on stdin (where the sandbox is now), answers `running`, then `parted` when the stream breaks;
after the command's end, its whole output as base64.
"""

import base64
import sys

from e2b import CommandExitException, Sandbox


def sandbox(address):
    return Sandbox.create(debug=True, sandbox_url=f"http://{address}")


def follow(handle, output):
    """Read until the command ends (True) or the stream breaks (False)."""
    try:
        handle.wait(on_stdout=output.append)
        return True
    except CommandExitException:
        raise
    except Exception as error:  # what the SDK makes of a stream that ends with `unavailable`
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return False


def main():
    output, pid = [], None
    while True:
        here = sandbox(sys.stdin.readline().strip())
        if pid is None:
            handle = here.commands.run(sys.argv[1], background=True, timeout=0)
            pid = handle.pid
        else:
            handle = here.commands.connect(pid, timeout=0)
        print("running", flush=True)
        if follow(handle, output):
            break
        print("parted", flush=True)
    print(base64.b64encode("".join(output).encode()).decode(), flush=True)


main()
