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

ROUND_TRIP_MS = 50
CHANGES_PER_SECOND = 200
SECONDS = 30


def get(url, method="GET", body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Authorization": "Bearer " + os.environ["ADMIN_API_KEY"]}, method=method)
    with urllib.request.urlopen(request, timeout=300) as response:
        return json.load(response)


def freshness():
    """Milliseconds from receipt to the mirror of the last 2,000 deliveries, while records change, after a full sync."""
    admin = os.environ["API_URL"] + "/api/admin/hubspot/"
    get(admin + "sync/all", "POST")
    begin = time.monotonic()
    for turn in range(SECONDS * 50):
        changes = {"changes": CHANGES_PER_SECOND // 50, "seed": turn, "mix": {"update": 1}, "types": ["contacts"]}
        get(os.environ["SIMULATOR_URL"] + "/_simulator/mutate", "POST", changes)
        time.sleep(max(0, begin + (turn + 1) / 50 - time.monotonic()))
    status = get(admin + "sync/status")
    calls = get(os.environ["SIMULATOR_URL"] + "/_simulator/calls")
    refused = sum(statuses.get("429", 0) for statuses in calls["endpoints"].values())
    return {
        "p50Ms": status["webhooks"]["lagMs"]["p50"], "p99Ms": status["webhooks"]["lagMs"]["p99"], "queued": status["tasks"]["queued"],
        "received": status["webhooks"]["received"], "refused": refused, "maxIn10Seconds": calls["maxIn10Seconds"],
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


found = freshness()
starts = [first_answer() for _ in range(5)]
found["startMs"] = statistics.median(starts)
rows = [
    ("webhook to mirror, 200 changes/s, 190/10s, 50 ms away: p50", found["p50Ms"], ROUND_TRIP_MS + 30, "ms"),
    ("webhook to mirror: p99", found["p99Ms"], ROUND_TRIP_MS + 150, "ms"),
    ("records that wait at the end", found["queued"], 200, ""),
    ("calls that HubSpot refused", found["refused"], 0, ""),
    ("start to the first ready answer, existing database", found["startMs"], 250, "ms"),
]
print("| what | ours | unit | target | met |\n| --- | --- | --- | --- | --- |")
for name, ours, most, unit in rows:
    print(f"| {name} | {ours:.0f} | {unit} | ≤ {most} | {'yes' if ours <= most else 'no'} |")
print(f"{found['received']} events were received; at most {found['maxIn10Seconds']} calls came in 10 s.")
with open(sys.argv[1], "w") as file:
    json.dump(found, file, indent=2)
    file.write("\n")
