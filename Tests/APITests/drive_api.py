"""A client that knows of the service what /openapi.json says and nothing else: calls every operation in every way that is described there.

Each parameter with each kind of value that it takes and with one that it does not; ids and cursors from the links of answers; with the key,
without it, with a session from another site. Every answer is held against its description: status, headers, content type, body, events.
Ends with 1 and says why when an answer is not as described, or a status that is described was not to be had.
"""

import base64
import collections
import hashlib
import hmac
import itertools
import json
import os
import re
import sys
import time

import jsonschema
import requests

BASE, KEY, SIMULATOR = os.environ["API_URL"], os.environ["ADMIN_API_KEY"], os.environ["SIMULATOR_URL"]
SECRET, WEBHOOK_URL = os.environ["HUBSPOT_CLIENT_SECRET"], os.environ["HUBSPOT_WEBHOOK_URL"]
# What takes an outage, a race or a full house; the tests in Swift see to those.
BEYOND = {"409", "502", "503"}
# Either answer is right: a run may have ended before the answer to its cancellation is written.
RACES = {"cancelRun": {"200", "202"}}

http = requests.Session()
http.trust_env = False
document = http.get(f"{BASE}/openapi.json", timeout=10).json()
reached = collections.defaultdict(set)
found = collections.defaultdict(list)  # by operation: values that links of answers give its parameters and its form
last_event = {}
problems = []
calls = 0


def resolve(thing):
    while isinstance(thing, dict) and "$ref" in thing:
        names, thing = thing["$ref"].removeprefix("#/").split("/"), document
        for name in names:
            thing = thing[name]
    return thing


def violations(value, schema):
    whole = {**schema, "components": document["components"]}
    checker = jsonschema.Draft202012Validator(whole, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)
    return [f"{error.json_path}: {error.message[:200]}" for error in checker.iter_errors(value)]


class Operation:
    def __init__(self, path, method, words):
        self.path, self.method, self.words, self.id = path, method.upper(), words, words["operationId"]
        self.parameters = [resolve(parameter) for parameter in words.get("parameters", [])]
        self.in_path = [parameter for parameter in self.parameters if parameter["in"] == "path"]
        self.optional = [parameter for parameter in self.parameters if not parameter.get("required")]
        body = resolve(words.get("requestBody"))
        self.type, self.media = next(iter(body["content"].items())) if body else (None, None)
        self.security = words.get("security", document["security"])
        self.answers = {status: resolve(answer) for status, answer in words["responses"].items()}
        self.good = {int(status) for status in self.answers if status[0] in "23"}

    def schemes(self):
        return {name for way in self.security for name in way}

    def named(self, name):
        return next(parameter for parameter in self.parameters if parameter["name"] == name)

    # --- Values

    def path_values(self):
        """Of each path parameter: from links, else every value of its list."""
        if not self.in_path:
            return [{}]
        if all("enum" in parameter["schema"] for parameter in self.in_path):
            names = [parameter["name"] for parameter in self.in_path]
            return [dict(zip(names, values)) for values in itertools.product(*(parameter["schema"]["enum"] for parameter in self.in_path))]
        names = {parameter["name"] for parameter in self.in_path}
        return [known for known in found[self.id] if names <= set(known)][:1]

    def body_value(self):
        if self.media is None:
            return None
        if "example" in self.media:
            return self.media["example"]
        fields = resolve(self.media["schema"]).get("properties", {})
        known = next((value for value in reversed(found[self.id]) if set(value) & set(fields)), {})
        value = {name: known[name] for name in fields if name in known}
        for name, field in fields.items():
            if field.get("format") == "password":
                value[name] = KEY
            elif "enum" in field:
                value[name] = field["enum"][0]
        return value

    # --- One call

    def call(self, path=None, query=None, headers=None, body=None, as_whom="key", raw=None):
        """The answer, after a look at whether it is as described."""
        global calls
        calls += 1
        path = path if path is not None else next(iter(self.path_values()))
        needed = self.words.get("x-requires-one-of", [])
        if needed and not set(needed) & set(query or {}):
            values = {name: value for name in needed for value in good_values(self, self.named(name))[:1]}
            query = {**dict(list(values.items())[:1]), **(query or {})}
        target = BASE + re.sub(r"\{(\w+)\}", lambda match: requests.utils.quote(str(path[match[1]]), safe=""), self.path)
        headers = dict(headers or {})
        data = raw
        if raw is None and self.type:
            value = self.body_value() if body is None else body
            data = json.dumps(value).encode() if self.type == "application/json" else requests.models.RequestEncodingMixin._encode_params(value)
        if self.type:
            headers["Content-Type"] = self.type
        if as_whom == "key" and "bearer" in self.schemes():
            headers["Authorization"] = f"Bearer {KEY}"
        if as_whom == "session":
            headers["Cookie"] = session()
        if as_whom == "key" and "hubspotSignature" in self.schemes():
            stamp = str(int(time.time() * 1000))
            message = self.method.encode() + WEBHOOK_URL.encode() + data + stamp.encode()
            signature = hmac.new(SECRET.encode(), message, hashlib.sha256).digest()
            headers |= {"X-HubSpot-Request-Timestamp": stamp, "X-HubSpot-Signature-v3": base64.b64encode(signature).decode()}
        answer = http.request(
            self.method, target, params=query, headers=headers, data=data, allow_redirects=False, timeout=30, stream=True)
        http.cookies.clear()
        self.check(answer)
        return answer

    def check(self, answer):
        status = str(answer.status_code)
        described = self.answers.get(status) or (self.answers.get("default") if answer.status_code >= 400 else None)
        if described is None:
            return self.complain(answer, f"status {status} is not described")
        reached[self.id].add(status)
        for name, header in described.get("headers", {}).items():
            value = answer.headers.get(name)
            if value is None:
                if header.get("required"):
                    self.complain(answer, f"the header {name} is missing")
            elif header["schema"]["type"] == "integer" and not value.isdigit():
                self.complain(answer, f"the header {name} is {value}")
        content = described.get("content")
        if content is None:
            return answer.content and self.complain(answer, "a body is not described")
        kind = answer.headers.get("Content-Type", "none").split(";")[0]
        if kind not in content:
            return self.complain(answer, f"the content type {kind} is not described")
        if kind == "text/event-stream":
            return self.follow(answer, content[kind]["x-events"])
        if kind != "application/json":
            return None if answer.text else self.complain(answer, "the body is empty")
        value = answer.json()
        for violation in violations(value, content[kind]["schema"])[:3]:
            self.complain(answer, violation)
        self.note_links(described.get("links", {}), value)

    def follow(self, answer, kinds):
        """Reads events until the first kind of them has come, or the stream's end."""
        event, until = {}, time.monotonic() + 20
        for line in answer.iter_lines(chunk_size=1, decode_unicode=True):
            name, _, value = line.partition(":")
            if line:
                event[name] = event.get(name, "") + value.removeprefix(" ")
                continue
            if "id" in event:
                last_event[self.id] = event["id"]
            if "data" in event:
                schema = kinds.get(event.get("event"))
                if schema is None:
                    self.complain(answer, f"the event {event.get('event')} is not described")
                else:
                    data = event["data"] if resolve(schema).get("type") == "string" else json.loads(event["data"])
                    for violation in violations(data, schema)[:3]:
                        self.complain(answer, f"event {event['event']}: {violation}")
                    reached[self.id].add(f"event {event['event']}")
                if event.get("event") == next(iter(kinds)):
                    break
            event = {}
            if time.monotonic() > until:
                self.complain(answer, f"no event {next(iter(kinds))} came within 20 s")
                break
        answer.close()

    def note_links(self, links, value):
        def evaluate(expression):
            def look(pointer):
                thing = value
                for part in pointer.split("/")[1:]:
                    thing = thing[int(part)] if isinstance(thing, list) else thing[part]
                return thing

            if expression.startswith("$response.body#"):
                return look(expression.removeprefix("$response.body#"))
            return re.sub(r"\{\$response\.body#([^}]*)\}", lambda match: str(look(match[1])), expression)

        for link in links.values():
            try:
                given = {name: evaluate(text) for name, text in {**link.get("parameters", {}), **link.get("requestBody", {})}.items()}
            except (KeyError, IndexError):
                continue  # an empty list, or the last page
            if given not in found[link["operationId"]]:
                found[link["operationId"]].insert(0, given)

    def complain(self, answer, text):
        problems.append(f"{answer.request.method} {answer.request.url} ({self.id}) answered {answer.status_code}: {text}")

    def expect(self, statuses, **call):
        answer = self.call(**call)
        if answer.status_code not in statuses:
            self.complain(answer, f"expected {sorted(statuses)} for {call}; it said {answer.text[:200]!r}")
        return answer


def linked_values(operation, name):
    """What answers gave for the parameter."""
    values = [known[name] for known in found[operation.id] if name in known][:1]
    return values + ([last_event[operation.id]] if name in ("Last-Event-ID", "since") and operation.id in last_event else [])


def good_values(operation, parameter):
    schema = resolve(parameter["schema"])
    values = list(schema.get("enum", []))
    if len(values) > 8:
        values = values[:3] + values[-1:]  # as with sort, where they are many of a kind
    values += [schema[name] for name in ("minimum", "maximum", "default") if name in schema]
    if schema.get("type") == "boolean":
        values = ["true", "false"]
    if "example" in parameter:
        values.append(parameter["example"])
    return [str(value) for value in values]


def bad_value(schema):
    """A value that the schema does not allow; None where it allows everything."""
    schema = resolve(schema)
    if schema.get("type") == "integer":
        return str(schema["maximum"] + 1 if "maximum" in schema else "many")
    if schema.get("type") == "boolean" or "enum" in schema or "pattern" in schema or schema.get("format") == "date-time":
        return "no such value"
    return None


cookie = None


def session():
    global cookie
    if cookie is None:
        cookie = operations["logIn"].call().headers["Set-Cookie"].split(";")[0]
    return cookie


# --- What is done with each

def use(operation):
    """Each optional parameter with all that it takes, on a call that succeeds."""
    for path in operation.path_values():
        operation.expect(operation.good, path=path)
    pass_values(operation, good_values)
    fields = resolve(operation.media["schema"]).get("properties", {}) if operation.media else {}
    for name, field in fields.items():
        for value in field.get("enum", []):
            operation.expect(operation.good, body={name: value})


def pass_values(operation, values):
    for parameter in operation.optional:
        for value in values(operation, parameter):
            where = "query" if parameter["in"] == "query" else "headers"
            operation.expect(operation.good, **{where: {parameter["name"]: value}})


def misuse(operation):
    answers = operation.answers
    if "304" in answers:
        for _ in range(20):  # something may change between two calls
            tag = operation.call().headers["ETag"]
            if operation.call(headers={"If-None-Match": tag}).status_code == 304:
                break
    for parameter in operation.optional:
        value = bad_value(parameter["schema"])
        if value is not None and parameter["in"] == "query":
            operation.expect({400}, query={parameter["name"]: value})
    if "404" in answers and operation.in_path:
        path = next(iter(operation.path_values()))
        for parameter in operation.in_path:
            operation.expect({404}, path={**path, parameter["name"]: "99999999999999999999"})
            operation.expect({404}, path={**path, parameter["name"]: "../…"})
    elif "404" in answers:
        for known in found[operation.id]:
            unknown = {name: re.sub(r"\d(?=\d*$)", "", value) + "0" for name, value in known.items()}
            operation.expect({404}, **({"query": unknown} if operation.media is None else {"body": unknown}))
    if operation.media and operation.type == "application/json":
        operation.expect({400}, raw=b"{")
        operation.expect({400}, raw=b"")
        most = operation.media["schema"].get("maxItems")
        if most:
            operation.expect({413}, body=[{}] * (most + 1))
    elif operation.media:
        for name, field in operation.media["schema"]["properties"].items():
            if bad_value(field):
                operation.expect({400}, body={name: bad_value(field)})
    if "bearer" in operation.schemes() or "hubspotSignature" in operation.schemes():
        operation.expect({303} if {} in operation.security else {401}, as_whom="nobody")
    if "bearer" in operation.schemes():
        operation.expect({303} if {} in operation.security else {401}, as_whom="nobody", headers={"Authorization": "Bearer wrong"})
        operation.expect(operation.good, as_whom="session")
    if "403" in answers:
        operation.expect({403}, as_whom="session", headers={"Sec-Fetch-Site": "cross-site"})


def cancel_a_running_sync():
    """One that takes its time, as HubSpot does."""
    http.post(f"{SIMULATOR}/_simulator/latency", json={"ms": 3000}, timeout=10)
    answer = operations["postSync"].expect({202}, path={"scope": "all"}, query={"wait": "false"})
    operations["cancelRun"].expect({200, 202}, path={"id": answer.json()["id"]})
    http.post(f"{SIMULATOR}/_simulator/latency", json={"ms": 0}, timeout=10)


def fail_to_log_in():
    forms = [operation for operation in operations.values() if operation.media and "password" in str(operation.media["schema"])]
    for operation in forms:
        operation.expect({401}, body={"password": "wrong"})
    for operation in forms:
        for _ in range(50):
            if operation.call(body={"password": "wrong"}).status_code == 429:
                break


operations = {
    words["operationId"]: Operation(path, method, words) for path, methods in document["paths"].items() for method, words in methods.items()}
waiting = list(operations.values())
# Some need what the answers of others link to.
while ready := [operation for operation in waiting if operation.path_values()]:
    for operation in ready:
        use(operation)
    waiting = [operation for operation in waiting if operation not in ready]
for operation in waiting:
    problems.append(f"{operation.id} was not called: nothing links to it")
for operation in operations.values():
    if operation not in waiting:
        pass_values(operation, lambda operation, parameter: linked_values(operation, parameter["name"]))
        misuse(operation)
cancel_a_running_sync()
fail_to_log_in()

for operation in operations.values():
    for status in set(operation.answers) - reached[operation.id] - BEYOND - {"default"} - RACES.get(operation.id, set()):
        problems.append(f"{operation.id} never answered {status}, which is described")
    if not reached[operation.id] & {str(status) for status in operation.good}:
        problems.append(f"{operation.id} was never got through")
events = sorted(f"{name} {status[6:]}" for name, statuses in reached.items() for status in statuses if status.startswith("event"))
print(f"figures: {len(operations)} operations, {sum(map(len, reached.values())) - len(events)} kinds of answers and {len(events)} of events in {calls} calls")
for problem in dict.fromkeys(problems):
    print(f"- {problem}", file=sys.stderr)
sys.exit(1 if problems else 0)
