"""Two clients that pause and resume one sandbox at once never see it broken, and never have two of it."""

import time
from concurrent.futures import ThreadPoolExecutor

from damage import COUNT, api, counts_on, own_icebox, point
from e2b import Sandbox
from icebox import SCALE

ROUNDS = 100
# Seconds: an emulated VM makes some forty rounds in that time.
BOUND = 25.0

with own_icebox() as icebox:
    point(icebox)
    sandbox = Sandbox.create(timeout=300)
    sandbox.files.write("/tmp/kept", "kept")
    sandbox.commands.run(COUNT, background=True)
    end = time.monotonic() + BOUND * SCALE
    told, wrong, most = {}, [], 0

    def client(verb, body, right):
        rounds = 0
        while rounds < ROUNDS and time.monotonic() < end and not wrong:
            rounds += 1
            answer = api(icebox, "POST", f"/sandboxes/{sandbox.sandbox_id}/{verb}", body)
            told[verb, answer.status] = told.get((verb, answer.status), 0) + 1
            if answer.status not in right:
                wrong.append((verb, answer))

    with ThreadPoolExecutor(2) as pool:
        clients = [
            pool.submit(client, "pause", {}, (204, 409)),
            pool.submit(client, "connect", {"timeout": 300}, (200, 201)),
        ]
        while not all(one.done() for one in clients):
            most = max(most, len(icebox.machines()))
            time.sleep(0.05)
        for one in clients:
            one.result()
    print(told)
    assert not wrong, wrong
    assert told["pause", 204] > 2 and told["connect", 201] > 2, told
    # The old one may still be ending while the new one starts.
    assert most <= 2, most
    sandbox.connect(timeout=300)
    assert len(icebox.machines()) == 1
    assert sandbox.files.read("/tmp/kept") == "kept"
    counts_on(sandbox)
    sandbox.kill()
