"""Operations of a Python program with etcd, run on a server: python client.py HOST PORT

Ends with a line that names the failure, or with "all passed". Uses only functions that the client's own
documentation shows.
"""

import sys
import threading
import time

import pyetcd

PATIENCE = 20


def eventually(what, probe):
    end = time.monotonic() + PATIENCE
    while not probe():
        assert time.monotonic() < end, f"waited {PATIENCE} s for {what}"
        time.sleep(0.05)


def keys(etcd):
    etcd.put("py/a", "1")
    value, meta = etcd.get("py/a")
    assert value == b"1" and meta.version == 1, (value, meta.version)
    assert meta.create_revision == meta.mod_revision == meta.response_header.revision
    before = etcd.put("py/a", "2", prev_kv=True).prev_kv
    assert before.value == b"1", before
    etcd.put("py/b", "3")
    found = [(meta.key, value) for value, meta in etcd.get_prefix("py/", sort_order="descend")]
    assert found == [(b"py/b", b"3"), (b"py/a", b"2")], found
    value, _ = etcd.get("py/a", revision=meta.mod_revision)
    assert value == b"1", value
    assert etcd.get("py/none") == (None, None)
    assert etcd.put_if_not_exists("py/c", "first")
    assert not etcd.put_if_not_exists("py/c", "second")
    assert etcd.replace("py/c", "first", "third")
    assert not etcd.replace("py/c", "first", "fourth")
    assert etcd.delete("py/c")
    assert not etcd.delete("py/c")
    assert etcd.delete_prefix("py/").deleted == 2


def transactions(etcd):
    t = etcd.transactions
    etcd.put("txn/a", "1")
    both = [t.value("txn/a") == "1", t.version("txn/b") == 0]
    done, replies = etcd.transaction(
        compare=both,
        success=[t.put("txn/b", "2"), t.get("txn/b"), t.delete("txn/a")],
        failure=[t.get("txn/a")],
    )
    assert done and replies[1][0][0] == b"2", replies
    done, replies = etcd.transaction(
        compare=both,
        success=[t.put("txn/b", "3")],
        failure=[t.txn(compare=[t.mod("txn/b") > 0], success=[t.get("txn/b")], failure=[])],
    )
    assert not done and replies[0].response_txn.succeeded, replies


def watches(etcd):
    first = etcd.put("watch/a", "0").header.revision
    events, cancel = etcd.watch_prefix("watch/", start_revision=first, prev_kv=True)
    etcd.put("watch/a", "1")
    etcd.put("elsewhere", "1")
    etcd.delete("watch/a")
    seen = []
    for event in events:
        seen.append((type(event).__name__, event.value, event.prev_value))
        if len(seen) == 3:
            cancel()
    assert seen == [
        ("PutEvent", b"0", b""),
        ("PutEvent", b"1", b"0"),
        ("DeleteEvent", b"", b"1"),
    ], seen
    arrived = threading.Event()
    watch = etcd.add_watch_callback("watch/b", lambda response: arrived.set())
    etcd.put("watch/b", "1")
    assert arrived.wait(PATIENCE), "the callback was not called"
    etcd.cancel_watch(watch)
    etcd.compact(etcd.get("watch/b")[1].mod_revision)
    refused = threading.Event()

    def see(response):
        if isinstance(response, pyetcd.exceptions.RevisionCompactedError):
            refused.set()

    etcd.add_watch_callback("watch/b", see, start_revision=first)
    assert refused.wait(PATIENCE), "a watch from before the compaction was not refused"


def leases(etcd):
    lease = etcd.lease(100)
    etcd.put("lease/a", "1", lease=lease)
    assert lease.granted_ttl == 100 and 90 <= lease.remaining_ttl <= 100
    assert list(lease.keys) == [b"lease/a"], list(lease.keys)
    assert lease.refresh()[0].TTL == 100
    lease.revoke()
    assert etcd.get("lease/a") == (None, None)
    short = etcd.lease(2)
    etcd.put("lease/b", "1", lease=short)
    eventually("a lease to end", lambda: etcd.get("lease/b") == (None, None))
    assert short.remaining_ttl == -1


def locks(etcd):
    first, second = etcd.lock("job", ttl=60), etcd.lock("job", ttl=60)
    assert first.acquire() and first.is_acquired()
    assert not second.acquire(timeout=1), "two hold the lock"
    waiting = threading.Thread(target=lambda: second.acquire(timeout=PATIENCE))
    waiting.start()
    assert first.release()
    waiting.join(PATIENCE)
    assert second.is_acquired() and not first.is_acquired()
    assert second.release()


def maintenance(etcd):
    status = etcd.status()
    assert status.version.startswith("3."), status.version
    members = list(etcd.members)
    assert len(members) == 1 and status.leader.id == members[0].id
    assert list(etcd.list_alarms()) == []
    etcd.defragment()


def main():
    host, port = sys.argv[1:]
    for test in [keys, transactions, watches, leases, locks, maintenance]:
        with pyetcd.client(host=host, port=int(port), timeout=PATIENCE) as etcd:
            test(etcd)
        print(f"{test.__name__} passed", flush=True)
    print("all passed")


if __name__ == "__main__":
    main()
