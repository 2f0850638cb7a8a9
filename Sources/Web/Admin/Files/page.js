// Makes the pages live. Everything works without it too, by links and forms.

const message = document.getElementById("message");

function say(text, isBad = false) {
  message.classList.toggle("bad", isBad);
  message.textContent = text;
}

// --- Times: instants as the distance from now, with the local date behind it.

const units = [[31557600, "y"], [86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];

function distance(seconds) {
  if (Math.abs(seconds) < 3) return "now";
  const [size, unit] = units.find(([size]) => Math.abs(seconds) >= size);
  const text = `${Math.floor(Math.abs(seconds) / size)} ${unit}`;
  return seconds < 0 ? `in ${text}` : `${text} ago`;
}

function showTimes(root) {
  for (const time of root.querySelectorAll("time")) {
    const instant = new Date(time.dateTime);
    if (isNaN(instant)) continue;
    const text = distance((Date.now() - instant) / 1000);
    if (time.textContent !== text) time.textContent = text;
    if (!time.title) time.title = instant.toLocaleString();
  }
}

showTimes(document);
setInterval(() => showTimes(document), 5000);

// --- Sections come anew from the server; only what differs is touched, so that focus and reading position stay.

function key(node) {
  return node.nodeType === Node.ELEMENT_NODE ? node.dataset.key || node.id || "" : "";
}

function alike(a, b) {
  return a.nodeType === b.nodeType && a.nodeName === b.nodeName && key(a) === key(b);
}

function become(old, fresh) {
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue;
    return;
  }
  if (old.nodeName === "TIME") {
    if (old.dateTime !== fresh.dateTime) old.replaceWith(fresh);
    return;
  }
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  let place = old.firstChild;
  for (const child of [...fresh.childNodes]) {
    let match = place && alike(place, child) ? place : null;
    if (!match && key(child)) match = [...old.children].find((other) => alike(other, child));
    if (match) {
      if (match === place) place = place.nextSibling;
      else old.insertBefore(match, place);
      become(match, child);
    } else {
      old.insertBefore(child, place);
    }
  }
  while (place) {
    const next = place.nextSibling;
    place.remove();
    place = next;
  }
}

let troubles = document.getElementById("state")?.dataset.troubles;

function take(html) {
  const box = document.createElement("template");
  box.innerHTML = html;
  const fresh = box.content.firstElementChild;
  const old = fresh && document.getElementById(fresh.id);
  if (!old) return;
  become(old, fresh);
  showTimes(old);
  // A new trouble, or the end of one, is told once; numbers that go up and down are not.
  if (old.id === "state" && old.dataset.troubles !== troubles) {
    troubles = old.dataset.troubles;
    say(old.querySelector("h2").textContent, old.classList.contains("bad"));
  }
}

// --- The stream. A hidden page closes its own: a browser has few connections to one server.

const address = document.querySelector("[data-live]")?.dataset.live;
const live = document.getElementById("live");
let stream = null;
let again = 0;

function showLive(level, text) {
  if (live.textContent === text) return;
  live.className = `live ${level}`;
  live.textContent = text;
}

function connect() {
  if (!address || stream || document.hidden) return;
  clearTimeout(again);
  stream = new EventSource(address);
  stream.addEventListener("open", () => showLive("good", "Live"));
  stream.addEventListener("section", (event) => take(event.data));
  stream.addEventListener("error", async () => {
    if (stream?.readyState !== EventSource.CLOSED) return showLive("bad", "Not live: connecting again");
    close();
    again = setTimeout(connect, 10000);
    try {
      const answer = await fetch("/api/admin/hubspot/sync/runs?limit=1");
      if (answer.status !== 401) return showLive("bad", "Not live: trying again in 10 s");
      clearTimeout(again);
      showLive("bad", "The session has ended: reload the page to log in");
    } catch {
      showLive("bad", "Not live: the service cannot be reached");
    }
  });
}

function close() {
  stream?.close();
  stream = null;
}

document.addEventListener("visibilitychange", () => (document.hidden ? close() : connect()));
addEventListener("pagehide", close);
addEventListener("pageshow", connect);
connect();

// --- Forms that have a call of the API do it without leaving the page.

const busy = new WeakSet();

document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (!form.dataset.api) return;
  event.preventDefault();
  if (busy.has(form)) return;
  busy.add(form);
  const values = new FormData(form, event.submitter);
  values.set("button", event.submitter?.textContent ?? "");
  const fill = (text, code) => text.replace(/\{(\w+)\}/g, (_, name) => code(values.get(name) ?? ""));
  const [method, path] = form.dataset.api.split(" ");
  try {
    const answer = await fetch(fill(path, encodeURIComponent), { method });
    if (answer.ok) say(fill(form.dataset.done, String));
    else if (answer.status === 401) location.assign("/admin/login");
    else say((await answer.json()).error ?? `The service answered ${answer.status}.`, true);
  } catch {
    say("The service cannot be reached.", true);
  } finally {
    busy.delete(form);
  }
});

// --- The record's properties.

for (const row of document.querySelectorAll("[data-filter]")) {
  const lines = [...document.querySelectorAll(`#${row.dataset.filter} tbody tr`)];
  const count = row.querySelector("[role=status]");
  row.hidden = false;
  row.querySelector("input").addEventListener("input", (event) => {
    const wanted = event.target.value.trim().toLowerCase();
    let shown = 0;
    for (const line of lines) {
      line.hidden = !line.textContent.toLowerCase().includes(wanted);
      if (!line.hidden) shown += 1;
    }
    count.textContent = wanted ? `${shown} of ${lines.length}` : "";
  });
}
