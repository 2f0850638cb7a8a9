"""Checks that no program does for us: that files of this folder agree with each other and with the running service.

    check_files.py settings                      variables, secrets, packages and ports of every file
    check_files.py metrics FILE                  alerts and dashboard against what /metrics answered
    check_files.py proxy NAME PORT CERTIFICATE   a proxy in front of the service, on loopback over TLS
"""

import base64
import hashlib
import hmac
import http.client
import json
import os
import re
import socket
import ssl
import sys
import time

import yaml

FOLDER = os.path.dirname(os.path.abspath(__file__))


def read(path):
    with open(os.path.join(FOLDER, path), encoding="utf-8") as file:
        return file.read()


def check(condition, problem):
    if not condition:
        sys.exit(problem)


# --- Settings


def documented_variables():
    """The variables of README.md's table; those that are secrets also with `_FILE`."""
    names = set()
    for row in re.findall(r"^\| (`[A-Z].*)$", read("../README.md"), re.M):
        variables, *rest = row.split("|")
        found = re.findall(r"`([A-Z][A-Z0-9_]+)`", variables)
        names |= set(found)
        if "Secret" in rest[-2]:
            names |= {name + "_FILE" for name in found}
    return names


def settings():
    known = documented_variables()
    check("MONGODB_URI_FILE" in known and "PORT" in known, "README.md's table of variables is not found")
    compose = yaml.safe_load(read("docker/compose.yaml"))
    manifests = {(m["kind"], m["metadata"]["name"]): m for path in ("hubspot-sync", "ingress") for m in yaml.safe_load_all(read(f"kubernetes/{path}.yaml")) if m}
    unit = read("systemd/hubspot-sync.service")
    service = compose["services"]["hubspot-sync"]
    config = manifests["ConfigMap", "hubspot-sync"]["data"]
    used = {
        "hubspot-sync.service": set(re.findall(r"^Environment=(\w+)=", unit, re.M)),
        "hubspot-sync.env": set(re.findall(r"^#?([A-Z_]+)=", read("systemd/hubspot-sync.env"), re.M)),
        "compose.yaml": set(service["environment"]),
        "kubernetes": set(config),
        "Dockerfile": set(re.findall(r"(\w+)=", re.search(r"^ENV (.*)$", read("docker/Dockerfile"), re.M)[1])),
        "cron": set(re.findall(r"^([A-Z_]+)=", read("cron/hubspot-sync"), re.M)) - {"MAILTO"},
    }
    for path, names in used.items():
        check(names and names <= known, f"{path} names variables that README.md does not have: {names - known}")

    # Each secret's file is the same everywhere, and is where its variable says.
    secrets = {name.lower()[:-5] for name in known if name.endswith("_FILE")}
    check(set(re.findall(r"^LoadCredential=(\w+):", unit, re.M)) == secrets, "hubspot-sync.service does not load every secret")
    for variable, path in re.findall(r"^Environment=(\w+)_FILE=/run/credentials/%n/(\w+)$", unit, re.M):
        check(variable.lower() == path, f"hubspot-sync.service: {variable}_FILE names {path}")
    for name, file in re.findall(r"^LoadCredential=(\w+):/etc/hubspot-sync/secrets/(\w+)$", unit, re.M):
        check(name == file, f"hubspot-sync.service loads {name} from {file}")
    mount = next(m["mountPath"] for m in container(manifests)["volumeMounts"] if m["name"] == "secrets")
    for values, folder in ((service["environment"], "/run/secrets"), (config, mount)):
        for variable, path in values.items():
            if variable.endswith("_FILE"):
                check(path == f"{folder}/{variable.lower()[:-5]}", f"{variable} names {path}")
    files = {path.rsplit("/", 1)[1] for variable, path in service["environment"].items() if variable.endswith("_FILE")}
    check(files == set(service["secrets"]) == set(compose["secrets"]), "compose.yaml's secrets and variables differ")
    check({v for v in config if v.endswith("_FILE")} == {s.upper() + "_FILE" for s in secrets}, "the ConfigMap does not name every secret")

    kubernetes(manifests)
    stages = re.split(r"^FROM ", read("docker/Dockerfile"), flags=re.M)[1:]
    check("USER 65532" in stages[-1] and container(manifests)["args"] == ["serve"], "image and Deployment differ")


def container(manifests):
    return manifests["Deployment", "hubspot-sync"]["spec"]["template"]["spec"]["containers"][0]


def kubernetes(manifests):
    """What the schema cannot see: that names and labels which belong together are the same."""
    spec = manifests["Deployment", "hubspot-sync"]["spec"]
    labels = spec["template"]["metadata"]["labels"]
    selectors = [
        spec["selector"]["matchLabels"],
        manifests["Service", "hubspot-sync"]["spec"]["selector"],
        manifests["PodDisruptionBudget", "hubspot-sync"]["spec"]["selector"]["matchLabels"],
        manifests["NetworkPolicy", "hubspot-sync"]["spec"]["podSelector"]["matchLabels"],
        spec["template"]["spec"]["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"],
    ]
    for selector in selectors:
        check(selector.items() <= labels.items(), f"no pod has the labels {selector}")
    port = container(manifests)["ports"][0]
    service_port = manifests["Service", "hubspot-sync"]["spec"]["ports"][0]
    policy_port = manifests["NetworkPolicy", "hubspot-sync"]["spec"]["ingress"][0]["ports"][0]["port"]
    check(service_port["targetPort"] == port["name"] and policy_port == port["containerPort"], "ports differ")
    for (kind, name), manifest in manifests.items():
        check(manifest["metadata"]["namespace"] == "hubspot-sync", f"{kind} {name} is in another namespace")
        if kind == "Ingress":
            for rule in manifest["spec"]["rules"]:
                check(rule["host"] in manifest["spec"]["tls"][0]["hosts"], f"{rule['host']} has no certificate")
                for path in rule["http"]["paths"]:
                    backend = path["backend"]["service"]
                    check(backend == {"name": "hubspot-sync", "port": {"name": service_port["name"]}}, f"{name} leads to {backend}")
    grace = spec["template"]["spec"]["terminationGracePeriodSeconds"]
    wait = int(container(manifests)["lifecycle"]["preStop"]["exec"]["command"][1])
    check(grace >= wait + 10, "a pod is killed before the service's 10 s are over")


# --- Metrics

PROMETHEUS_OWN = {"up", "ALERTS"}


def metrics(path):
    with open(path, encoding="utf-8") as file:
        text = file.read()
    samples = set(re.findall(r"^([a-zA-Z_:][\w:]*)[{ ]", text, re.M))
    labels = {name: set() for name in samples}
    for name, found in re.findall(r"^([a-zA-Z_:][\w:]*)\{(.*)\} ", text, re.M):
        labels[name] |= set(re.findall(r'(\w+)="', found))
    for name, words in re.findall(r"^# HELP hubspot_sync_(\w+) (.*)$", text, re.M):
        check(words != name, f"/metrics does not explain {name}: see PrometheusMetrics.help")

    rules = [rule for group in yaml.safe_load(read("prometheus/rules.yml"))["groups"] for rule in group["rules"]]
    dashboard = json.loads(read("prometheus/dashboard.json"))
    sources = {rule["alert"]: rule["expr"] for rule in rules}
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            sources[f"panel {panel['title']} {target['refId']}"] = target["expr"]
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            sources[f"variable {variable['name']}"] = variable["query"]
    for test in yaml.safe_load(read("prometheus/rules_test.yml"))["tests"]:
        for series in test["input_series"]:
            sources[f"test {test['name']}: {series['series']}"] = series["series"]
    for source, expression in sources.items():
        names = set(re.findall(r"\b(?:hubspot_sync_|process_)\w+", expression))
        check(names or PROMETHEUS_OWN & set(re.findall(r"\w+", expression)), f"{source} asks for no metric: {expression}")
        check(names <= samples, f"{source} asks for what /metrics does not have: {names - samples}")
        for name, found in re.findall(r"\b((?:hubspot_sync_|process_)\w+)\{([^}]*)\}", expression):
            wanted = set(re.findall(r"(\w+)\s*[=!]", found)) - {"job", "instance"}
            check(wanted <= labels[name], f"{source}: {name} has no label {wanted - labels[name]}")
        for name, state in re.findall(r'\b(hubspot_sync_sync_runs_total|hubspot_sync_webhook_requests_rejected_total)\{[^}]*(?:state|reason)=~?"([^"]*)"', expression):
            for value in state.split("|"):
                check(re.search(rf'^{name}\{{.*"{value}".*\}}', text, re.M), f"{source}: {name} never has {value}")

    tested = {test.get("alertname") for file in [yaml.safe_load(read("prometheus/rules_test.yml"))] for t in file["tests"] for test in t.get("alert_rule_test", [])}
    text_of_tests = read("prometheus/rules_test.yml")
    guide = read("README.md")
    for rule in rules:
        check(rule["alert"] in tested or f'"{rule["alert"]}", alertstate="firing"' in text_of_tests, f"{rule['alert']} is never seen firing in a test")
        check(f"`{rule['alert']}`" in guide, f"deploy/README.md does not say what to do for {rule['alert']}")


# --- Proxies


def proxy(name, port, certificate):
    """The example's promises, seen from a client on 127.0.0.1, which the examples let in."""
    key = os.environ["ADMIN_API_KEY"]
    host = "hooks.example.com"
    context = ssl.create_default_context(cafile=certificate)

    def ask(method, path, body=b"", headers=None):
        connection = http.client.HTTPSConnection(host, timeout=30)
        connection.sock = context.wrap_socket(socket.create_connection(("127.0.0.1", int(port)), timeout=30), server_hostname=host)
        connection.request(method, path, body=body, headers=headers or {})
        answer = connection.getresponse()
        return answer, connection

    def status(*arguments):
        answer, connection = ask(*arguments)
        answer.read()
        connection.close()
        return answer.status

    def signed(body, url):
        stamp = str(int(time.time() * 1000))
        tag = hmac.new(os.environ["HUBSPOT_CLIENT_SECRET"].encode(), b"POST" + url.encode() + body + stamp.encode(), hashlib.sha256)
        return {
            "Content-Type": "application/json", "X-HubSpot-Request-Timestamp": stamp,
            "X-HubSpot-Signature-v3": base64.b64encode(tag.digest()).decode(),
        }

    def expect(what, found, wanted):
        check(found == wanted, f"{name}: {what}: {found} instead of {wanted}")

    # The service derives the signed URL from what the proxy says: a wrong host or scheme is a bad signature.
    path = "/api/webhooks/hubspot"
    url = f"https://{host}{path}"
    expect("a signed webhook", status("POST", path, b"[]", signed(b"[]", url)), 200)
    forged = {"X-Forwarded-Host": "evil.example.com", "X-Forwarded-Proto": "http", "X-Forwarded-For": "192.0.2.7"}
    expect("a client's own X-Forwarded headers", status("POST", path, b"[]", signed(b"[]", url) | forged), 200)
    expect("a signature over what a client claims", status("POST", path, b"[]", signed(b"[]", f"http://evil.example.com{path}") | forged), 401)
    large = b"[" + b" " * (15 << 20) + b"]"
    expect("a webhook of 15 MB", status("POST", path, large, signed(large, url)), 200)

    bearer = {"Authorization": f"Bearer {key}"}
    expect("the API with the key", status("GET", "/api/admin/hubspot/sync/status", b"", bearer), 200)
    expect("the API without", status("GET", "/api/admin/hubspot/sync/status"), 401)
    expect("the login page", status("GET", "/admin/login"), 200)
    for inside in ("/metrics", "/health/ready", "/openapi.json", "/", "/administrator"):
        expect(inside, status("GET", inside), 404)
    while True:
        answer, connection = ask("POST", "/api/admin/login", json.dumps({"password": key}).encode())
        if answer.status != 429:
            break
        time.sleep(int(answer.headers["Retry-After"]))  # another proxy was tried just now, from the same address
    expect("a login", answer.status, 200)
    check("; Secure" in answer.headers["Set-Cookie"], f"{name}: the session's cookie is not for TLS only")
    connection.close()

    # Whoever claims a new address with each try is slowed down all the same.
    tries = [status("POST", "/api/admin/login", b'{"password": "wrong"}', {"X-Forwarded-For": f"198.51.100.{n}"}) for n in range(7)]
    check(tries[0] == 401 and 429 in tries, f"{name}: failed logins are not slowed down: {tries}")

    # Events come while the run goes on, not at its end.
    answer, connection = ask("POST", "/api/admin/hubspot/sync/all?wait=false", b"", bearer)
    run = json.loads(answer.read())["id"]
    connection.close()
    answer, connection = ask("GET", f"/api/admin/hubspot/sync/runs/{run}/events", b"", bearer)
    expect("the type of events", answer.headers["Content-Type"].split(";")[0], "text/event-stream")
    times = []
    for line in iter(answer.readline, b""):
        if line.startswith(b"event:"):
            times.append(time.monotonic())
        if line.startswith(b"event: done"):
            break
    connection.close()
    check(len(times) >= 3 and times[-1] - times[0] > 0.2, f"{name}: {len(times)} events came at once")


{"settings": settings, "metrics": metrics, "proxy": proxy}[sys.argv[1]](*sys.argv[2:])
