"""Measures how soon a running service mirrors what webhooks say, and how soon another one on the same database answers.

What runs is given by the environment that `deploy/bench` sets; the figures go to standard output and, as JSON, into the file that is named.
"""

import json
import os
import socket
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request

ADMIN = os.environ["API_URL"] + "/api/admin/hubspot/"
SIMULATOR = os.environ["SIMULATOR_URL"] + "/_simulator/"
CHANGES_PER_SECOND = 200
SECONDS = 30


def get(url, method="GET", body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Authorization": "Bearer " + os.environ["ADMIN_API_KEY"]}, method=method)
    with urllib.request.urlopen(request, timeout=300) as response:
        return json.load(response)


def batch_reads():
    """The number of batch reads so far, and the seconds that they took."""
    with urllib.request.urlopen(os.environ["API_URL"] + "/metrics", timeout=10) as response:
        lines = response.read().decode().splitlines()
    name = "hubspot_sync_hubspot_call_duration_seconds_"
    values = [[float(line.split()[-1]) for line in lines if line.startswith(name + what) and "batch_read" in line] for what in ("count", "sum")]
    return [sum(value) for value in values]


def freshness(turns_per_second, gathering_ms):
    """Milliseconds from receipt to the mirror of the last 2,000 deliveries, while records change, and of one batch read's round trip."""
    get(SIMULATOR + "webhooks", "POST", {"gatheringMs": gathering_ms})
    before = batch_reads()
    begin = time.monotonic()
    for turn in range(SECONDS * turns_per_second):
        changes = {"changes": CHANGES_PER_SECOND // turns_per_second, "seed": turn, "mix": {"update": 1}, "types": ["contacts"]}
        get(SIMULATOR + "mutate", "POST", changes)
        time.sleep(max(0, begin + (turn + 1) / turns_per_second - time.monotonic()))
    status = get(ADMIN + "sync/status")
    after = batch_reads()
    calls = get(SIMULATOR + "calls")
    return {
        "p50Ms": status["webhooks"]["lagMs"]["p50"], "p99Ms": status["webhooks"]["lagMs"]["p99"], "queued": status["tasks"]["queued"],
        "roundTripMs": (after[1] - before[1]) / (after[0] - before[0]) * 1000, "received": status["webhooks"]["received"],
        "refused": sum(statuses.get("429", 0) for statuses in calls["endpoints"].values()), "maxIn10Seconds": calls["maxIn10Seconds"],
    }


def first_answer():
    """Milliseconds from the start of a process to its first `/health/ready`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    begin = time.monotonic()
    process = subprocess.Popen(
        [os.environ["HUBSPOT_SYNC_BINARY"], "serve"], env=os.environ | {"PORT": str(port)}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while time.monotonic() - begin < 10:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=10).close()
                return (time.monotonic() - begin) * 1000
            except urllib.error.URLError:
                time.sleep(0.002)
        sys.exit("The service did not become ready.")
    finally:
        process.terminate()
        process.wait()


get(ADMIN + "sync/all", "POST")
gathered = freshness(50, 20)
single = freshness(200, 0)
starts = [first_answer() for _ in range(5)]
found = {"gathered": gathered, "single": single, "startMs": statistics.median(starts)}
rows = []
for name, ours in (("some events a delivery", gathered), ("one event a delivery", single)):
    name = f"webhook to mirror, 200 changes/s, 190/10s, {ours['roundTripMs']:.1f} ms a call, {name}: "
    rows += [
        (name + "p50", ours["p50Ms"], ours["roundTripMs"] + 30, "ms"),
        (name + "p99", ours["p99Ms"], ours["roundTripMs"] + 150, "ms"),
    ]
rows += [
    ("records that wait at the end", max(gathered["queued"], single["queued"]), 200, ""),
    ("calls that HubSpot refused", single["refused"], 0, ""),
    ("start to the first ready answer, existing database", found["startMs"], 250, "ms"),
]
print("| what | ours | unit | target | met |\n| --- | --- | --- | --- | --- |")
for name, ours, most, unit in rows:
    print(f"| {name} | {ours:.0f} | {unit} | ≤ {most:.0f} | {'yes' if ours <= most else 'no'} |")
print(f"{single['received']} events were received; at most {single['maxIn10Seconds']} calls came in 10 s.")
with open(sys.argv[1], "w") as file:
    json.dump(found, file, indent=2)
    file.write("\n")
