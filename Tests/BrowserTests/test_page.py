"""The admin page in a real Chromium, with a real service, a genuine MongoDB and a simulated HubSpot, all started by deploy/check-page.

Nothing here sleeps: everything is waited for, on the page, in MongoDB or in the simulator.
"""

import base64
import glob
import json
import os
import re
import subprocess
import time
import unittest
import urllib.request

import pymongo
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

URL = os.environ["API_URL"]
KEY = os.environ["ADMIN_API_KEY"]
SIMULATOR = os.environ["SIMULATOR_URL"]
SCREENSHOTS = os.environ["SCREENSHOTS"]
WIDE, NARROW = (1280, 900), (390, 844)
PATIENCE = 60


def ask(url, method="GET", body=None, key=None):
    headers = {"Content-Type": "application/json"}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data, headers, method=method), timeout=60) as answer:
        return json.loads(answer.read())


def simulate(verb, **body):
    return ask(f"{SIMULATOR}/_simulator/{verb}", "POST", body)


def api(path, method="GET"):
    return ask(f"{URL}/api/admin/hubspot/{path}", method, key=KEY)


def until(condition, what):
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.02)
    raise AssertionError(f"not within {PATIENCE} s: {what}")


def start_browser(scripts=True):
    options = webdriver.ChromeOptions()
    options.binary_location = os.environ.get("CHROMIUM", "/usr/bin/chromium")
    for argument in ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--force-color-profile=srgb",
                     "--hide-scrollbars", "--no-first-run", "--disable-background-networking", "--disable-component-update"]:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    if not scripts:
        options.add_experimental_option("prefs", {"profile.managed_default_content_settings.javascript": 2})
    service = webdriver.ChromeService(executable_path=os.environ.get("CHROMEDRIVER", "/usr/bin/chromedriver"))
    return webdriver.Chrome(options=options, service=service)


class PageTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.mongo = pymongo.MongoClient(os.environ["MONGODB_URI"])
        cls.database = cls.mongo.get_default_database()
        cls.browser = start_browser()
        cls.addClassCleanup(cls.browser.quit)
        cls.addClassCleanup(cls.mongo.close)
        with open(glob.glob(os.environ["PYTHONPATH"] + "/axe_playwright_python/axe.min.js")[0], encoding="utf-8") as file:
            cls.axe = file.read()
        api("sync/all", "POST")

    def setUp(self):
        self.console, self.urls = [], []
        self.permitted = []  # parts of console messages that the test is about
        self.look(WIDE)
        self.browser.get(URL + "/admin/login")
        self.browser.delete_all_cookies()
        self.logs()

    def requested(self):
        """The addresses since the test began."""
        console, urls = self.logs()
        self.console += console
        self.urls += urls
        return self.urls

    def tearDown(self):
        simulate("latency", ms=0)
        urls, console = self.requested(), self.console
        unwanted = [entry for entry in console if not any(part in entry for part in self.permitted)]
        self.assertEqual(unwanted, [], "the console stays empty")
        for url in urls:
            self.assertTrue(url.startswith((URL + "/", "data:")), f"a request left the host: {url}")

    # Helpers

    def logs(self):
        console = [entry["message"] for entry in self.browser.get_log("browser")]
        urls = []
        for entry in self.browser.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] in ("Network.requestWillBeSent", "Network.webSocketCreated"):
                urls.append(message["params"].get("request", message["params"])["url"])
        return console, [url for url in urls if not url.startswith(("chrome:", "about:", "chrome-untrusted:"))]

    def look(self, size, scheme="light", browser=None):
        browser = browser or self.browser
        width, height = size
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": width, "height": height, "deviceScaleFactor": 1 if width > 500 else 2, "mobile": width < 500})
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})

    def log_in(self, browser=None):
        browser = browser or self.browser
        browser.get(URL + "/admin/login")
        # A page that is loaded may still be about to set the focus.
        self.wait(lambda: browser.switch_to.active_element.get_attribute("id") == "password", "the focus on the field")
        field = browser.switch_to.active_element
        field.send_keys(KEY + Keys.ENTER)
        self.wait(lambda: browser.find_elements(By.ID, "state"), "the overview", browser)

    def wait(self, condition, what, browser=None):
        return WebDriverWait(browser or self.browser, PATIENCE, 0.02, [StaleElementReferenceException]).until(
            lambda _: condition(), f"not within {PATIENCE} s: {what}")

    def find(self, selector):
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector):
        return self.browser.find_elements(By.CSS_SELECTOR, selector)

    def text(self, selector):
        return " ".join(element.text for element in self.all(selector))

    def live(self):
        self.wait(lambda: self.text("#live") == "Live", "the page is live")
        self.browser.execute_script("window.unreloaded = true")

    def assert_not_reloaded(self):
        self.assertTrue(self.browser.execute_script("return window.unreloaded === true"), "the page was not loaded anew")

    def a_record(self, kind, number):
        """The id of one of the mirror's records."""
        cursor = self.database[kind].find({"archived": False, "syncStatus": "synced"}).sort("_id", 1).skip(number).limit(1)
        return next(iter(cursor))["_id"]

    # Tests

    def test_login(self):
        self.permitted = ["401 (Unauthorized)"]
        self.browser.get(URL + "/admin")
        self.assertEqual(self.browser.current_url, URL + "/admin/login")
        self.browser.switch_to.active_element.send_keys("<b>wrong" + Keys.ENTER)
        self.wait(lambda: "wrong" in self.text("[role=alert]"), "the refusal")
        self.log_in()
        self.assertEqual(self.browser.current_url, URL + "/admin")
        self.assertIn(URL + "/admin/page.js", self.requested(), "the check of addresses sees them")
        self.wait(lambda: "All is well: 4,000 records mirrored" in self.text("#state h2"), "the verdict")
        self.assertNotIn(KEY, self.browser.page_source)
        cookie = self.browser.get_cookies()[0]
        self.assertTrue(cookie["httpOnly"] and cookie["sameSite"] == "Strict")

    def test_logout_ends_the_session_and_its_stream(self):
        self.permitted = ["401 (Unauthorized)", "net::ERR"]
        self.log_in()
        self.live()
        cookie = self.browser.get_cookies()[0]
        first = self.browser.current_window_handle
        self.browser.switch_to.new_window("window")
        self.browser.get(URL + "/admin")
        self.find(".bar form[action='/admin/logout'] button").click()
        self.wait(lambda: self.browser.current_url == URL + "/admin/login", "the login page")
        self.browser.close()
        self.browser.switch_to.window(first)
        self.wait(lambda: "session has ended" in self.text("#live"), "the end of the stream")
        self.assert_not_reloaded()
        # The cookie itself is worth nothing any more.
        self.browser.add_cookie(cookie)
        self.browser.get(URL + "/admin")
        self.assertEqual(self.browser.current_url, URL + "/admin/login")

    def test_sync_from_click_to_finished_bar(self):
        simulate("latency", ms=400)
        self.log_in()
        self.live()
        # Those that have just ended are still shown.
        before = self.browser.execute_script("return [...document.querySelectorAll('.run')].map(run => run.dataset.key)")
        self.find("button[value=all]").click()
        self.wait(lambda: self.text("#message") == "Started: Everything.", "the answer to the click")
        seen = []

        def is_done():
            # In one step: the page may be redrawn between two.
            for state, value, text in self.browser.execute_script(
                    "return [...document.querySelectorAll('.run')].filter(run => !arguments[0].includes(run.dataset.key)).map(run => "
                    "[run.dataset.state, run.querySelector('progress').getAttribute('value'), run.innerText])", before):
                if value is not None and (not seen or float(value) != seen[-1]):
                    seen.append(float(value))
                if state == "running" and seen and "records/s" not in text:
                    raise AssertionError("no rate: " + text)
                if state == "succeeded":
                    return float(value) == 100
            return False

        self.wait(is_done, "the finished bar")
        self.assertGreater(len([value for value in seen if 0 < value < 100]), 1, f"the bar moved: {seen}")
        self.assertEqual(seen, sorted(seen))
        self.wait(lambda: "succeeded" in self.text("#runs table tbody tr:first-child"), "the list of ended syncs")
        self.assert_not_reloaded()

    def test_cancel(self):
        simulate("latency", ms=1000)
        self.log_in()
        self.live()
        self.find("button[value=contacts]").click()
        cancel = self.wait(lambda: self.all(".run[data-state=running] button"), "the button")[0]
        self.assertEqual(cancel.accessible_name, "Cancel the sync of contacts")
        cancel.send_keys(Keys.ENTER)
        self.wait(lambda: "is about to end" in self.text("#message"), "the answer")
        simulate("latency", ms=0)
        self.wait(lambda: self.all(".run[data-state=cancelled]"), "the end")
        self.assert_not_reloaded()

    def another_instance(self):
        """The address of a second service over the same MongoDB and HubSpot; it ends with the test."""
        service = subprocess.Popen([os.environ["HUBSPOT_SYNC_BINARY"], "serve"], env={**os.environ, "PORT": "0"}, stderr=subprocess.PIPE, text=True)

        def stop():
            service.terminate()
            service.communicate(timeout=30)

        self.addCleanup(stop)
        for line in service.stderr:
            if "Listening" in line:
                return "http://127.0.0.1:" + re.search(r"\bport=(\d+)", line)[1]
        self.fail("the second instance has ended")

    def test_a_sync_of_another_instance_is_cancelled(self):
        other = self.another_instance()
        simulate("latency", ms=1000)
        self.log_in()
        self.live()
        run = ask(f"{other}/api/admin/hubspot/sync/deals?wait=false", "POST", key=KEY)
        cancel = self.wait(lambda: self.all(f".run[data-key='{run['id']}'][data-state=running] button"), "the button")[0]
        self.assertEqual(cancel.accessible_name, "Cancel the sync of deals")
        cancel.click()
        self.wait(lambda: self.text("#message") == "The sync of deals is about to end.", "the answer")
        simulate("latency", ms=0)
        self.wait(lambda: self.all(f".run[data-key='{run['id']}'][data-state=cancelled]"), "the end")
        self.assertEqual(ask(f"{other}/api/admin/hubspot/sync/runs/{run['id']}", key=KEY)["state"], "cancelled")
        self.assert_not_reloaded()

    def test_a_sync_of_a_few_records(self):
        self.log_in()
        self.live()
        field = self.find("input[name=limit]")
        self.assertEqual(field.accessible_name, "At most records of each type")
        contacts = self.find("button[value=contacts]")
        # The browser itself refuses what is no limit: nothing is asked.
        field.send_keys("0")
        contacts.click()
        self.assertFalse(self.browser.execute_script("return arguments[0].validity.valid", field))
        field.clear()
        field.send_keys("5")
        contacts.click()
        self.wait(lambda: self.text("#message") == "Started: Contacts.", "the answer")
        row = self.wait(lambda: [row for row in self.all("#runs table tbody tr") if "contacts (at most 5)" in row.text], "the end")[0]
        self.assertIn("succeeded", row.text)
        run = next(run for run in api("sync/runs?limit=5")["runs"] if run["limit"] == 5)
        self.assertEqual((run["scope"], run["processed"]), ("contacts", 5))
        self.assertFalse([url for url in self.requested() if "limit=0" in url])
        self.assertEqual(field.get_attribute("value"), "5", "it stays for the next click")
        self.assert_not_reloaded()

    def test_reconcile_finds_a_silent_deletion(self):
        deal = self.a_record("deals", 4)
        def restore():
            simulate("webhooks", droppedShare=0)
            simulate("restore", type="deals", id=deal)
            until(lambda: not self.database.deals.find_one({"_id": deal})["archived"], "the deal is back")

        self.addCleanup(restore)
        simulate("webhooks", droppedShare=1)
        simulate("delete", type="deals", id=deal)
        self.log_in()
        self.live()
        button = self.find("button[value=reconcile]")
        self.assertEqual(button.accessible_name, "Deletions and associations")
        button.send_keys(Keys.ENTER)
        self.wait(lambda: self.text("#message") == "Started: Deletions and associations.", "the answer")
        self.wait(lambda: re.search("deletions and associations.*succeeded", self.text("#runs table tbody tr:first-child"), re.S), "the end")
        self.assertTrue(self.database.deals.find_one({"_id": deal})["archived"])
        self.wait(lambda: self.text("#mirror tr[data-key=deals] td[data-label=Archived]") == "1", "the count")
        self.assert_not_reloaded()

    def test_an_unknown_path_is_a_page_with_a_way_back(self):
        self.permitted = ["404 (Not Found)", "400 (Bad Request)"]
        self.log_in()
        for path in ["/admin/nothing", "/admin/nothing/here", "/admin/records/contacts", "/admin/records?type=tickets"]:
            self.browser.get(URL + path)
            self.assertIn(self.text("h1"), ["Not found", "That cannot be understood"], path)
            self.assert_accessible(path)
            self.find("main a").click()
            self.wait(lambda: self.browser.current_url == URL + "/admin", "the overview")

    def test_a_webhook_shows_without_a_reload(self):
        contact = self.a_record("contacts", 7)
        self.log_in()
        self.live()
        search = self.find("#bar-q")
        search.send_keys("half a wo")
        simulate("update", type="contacts", id=contact, properties={"jobtitle": f"Job {time.time()}"})
        row = self.wait(lambda: [row for row in self.all("#deliveries tbody tr") if contact in row.text and "done" in row.text], "the delivery")[0]
        self.assertIn("contact.propertyChange jobtitle", row.text)
        self.wait(lambda: self.find("#flow .chart:nth-of-type(2) .bars").get_attribute("d"), "a bar in the chart")
        self.assert_not_reloaded()
        self.assertEqual(self.browser.switch_to.active_element.get_attribute("id"), "bar-q", "the focus stays")
        self.assertEqual(search.get_attribute("value"), "half a wo", "what was typed stays")

    def break_record(self, number):
        """Makes MongoDB refuse a company's change, so that it is given up; gives its id."""
        company = self.a_record("companies", number)
        self.database.command("collMod", "companies", validator={"$or": [{"_id": {"$ne": company}}, {"syncStatus": "error"}]})
        simulate("update", type="companies", id=company, properties={"name": f"Broken <b>&\"' {number}"})
        until(lambda: self.database.companies.find_one({"_id": company})["syncStatus"] == "error", "the record fails")
        return company

    def mend(self):
        self.database.command("collMod", "companies", validator={})

    def test_a_failed_record_is_shown_and_retried(self):
        self.log_in()
        self.live()
        self.addCleanup(self.mend)
        company = self.break_record(3)
        self.wait(lambda: "1 record failed" in self.text("#state"), "the headline")
        self.wait(lambda: "Something needs you" in self.text("#message"), "the announcement")
        row = self.wait(lambda: self.all(f"#failures tr[data-key='companies:{company}']"), "the record")[0]
        self.assertIn("Document failed validation", row.text)
        self.wait(lambda: self.all("#deliveries .badge.bad"), "its delivery has failed")
        self.assertEqual(self.text("#mirror tr[data-key=companies] td[data-label=Error]"), "1")
        self.mend()
        row.find_element(By.TAG_NAME, "button").click()
        self.wait(lambda: not self.all("#failures tbody tr"), "it is healed")
        self.wait(lambda: "All is well" in self.text("#state h2"), "the headline")
        healed = self.database.companies.find_one({"_id": company})
        self.assertEqual((healed["syncStatus"], healed["name"]), ("synced", "Broken <b>&\"' 3"))
        self.wait(lambda: not self.all("#deliveries .badge.bad"), "its delivery is done")
        self.assert_not_reloaded()

    def test_search_and_record(self):
        contact = self.database.contacts.find_one({"archived": False, "email": {"$ne": None}, "firstName": {"$ne": None}}, sort=[("_id", 1)])
        simulate("update", type="contacts", id=contact["_id"], properties={"jobtitle": "<script>alert(1)</script>"})
        until(lambda: self.database.contacts.find_one({"_id": contact["_id"]})["jobTitle"] == "<script>alert(1)</script>", "the change")
        self.log_in()
        self.find("#bar-q").send_keys(contact["email"].upper() + Keys.ENTER)
        self.wait(lambda: "/admin/records" in self.browser.current_url, "the result")
        self.wait(lambda: self.all("table.rows tbody tr"), "the result")[0].find_element(By.TAG_NAME, "a").click()
        self.wait(lambda: self.all("#properties"), "the record")
        names = [cell.text for cell in self.all("#properties tbody th")]
        names += self.find("details p").get_attribute("textContent").split(", ")
        self.assertEqual(set(names), set(self.database.contacts.find_one({"_id": contact["_id"]})["properties"]))
        self.assertIn("<script>alert(1)</script>", self.text("#properties"))
        self.assertIn("contact.propertyChange jobtitle", self.text("section[aria-labelledby=history-title]"))
        link = self.find("a.button")
        self.assertEqual(link.get_attribute("href"), f"https://app.hubspot.com/contacts/62515/record/0-1/{contact['_id']}")
        self.assertEqual(link.get_attribute("rel"), "noopener noreferrer")
        self.find("[data-filter] input").send_keys("jobtitle")
        self.wait(lambda: len([row for row in self.all("#properties tbody tr") if row.is_displayed()]) < 5, "the filter")
        self.assertIn(f"of {len(self.all('#properties tbody tr'))}", self.text("[data-filter] [role=status]"))
        self.find(".title form button").click()
        self.wait(lambda: "read again" in self.text("#message"), "the answer")
        self.browser.get(URL + "/admin/records/contacts/1")
        self.assertIn("Not found", self.text("h1"))
        self.permitted = ["404 (Not Found)"]

    def test_lists_go_on(self):
        self.log_in()
        self.find("#mirror tr[data-key=contacts] td[data-label=Synced] a").click()
        self.wait(lambda: "status=synced" in self.browser.current_url, "the list")
        first = [cell.text for cell in self.all("td[data-label=Id]")]
        self.find("a[rel=next]").click()
        self.wait(lambda: "after=" in self.browser.current_url, "the next page")
        second = [cell.text for cell in self.all("td[data-label=Id]")]
        self.assertEqual((len(first), len(second), len(set(first + second))), (50, 50, 100))

    def test_without_scripts(self):
        browser = start_browser(scripts=False)
        self.addCleanup(browser.quit)
        self.log_in(browser)
        self.assertNotIn("Live", browser.find_element(By.ID, "live").text)
        browser.find_element(By.CSS_SELECTOR, "button[value=deals]").click()
        self.wait(lambda: "note=sync" in browser.current_url, "the answer", browser)
        self.assertEqual(browser.find_element(By.ID, "message").text, "The sync runs.")
        until(lambda: api("sync/runs?limit=1")["runs"][0]["state"] == "succeeded", "the sync")
        browser.get(URL + "/admin/records?type=deals")
        browser.find_element(By.CSS_SELECTOR, "td[data-label=Record] a").click()
        self.wait(lambda: browser.find_elements(By.ID, "properties"), "the record", browser)
        browser.find_element(By.CSS_SELECTOR, ".title form button").click()
        self.wait(lambda: "note=retry" in browser.current_url, "the answer", browser)
        self.assertIn("/admin/records/deals/", browser.current_url)
        browser.find_element(By.CSS_SELECTOR, "form[action='/admin/logout'] button").click()
        self.wait(lambda: browser.current_url == URL + "/admin/login", "the login page", browser)

    def test_keyboard(self):
        """From the top to the bottom by the tab key alone: every control, each with a name and a focus that is seen."""
        self.log_in()
        self.live()
        wanted = self.browser.execute_script("""
            return [...document.querySelectorAll("a[href], button, input:not([type=hidden]), select")]
                .filter((node) => node.offsetParent !== null || node.classList.contains("skip")).length""")
        reached = []
        self.browser.execute_script("document.activeElement.blur(); window.getSelection().removeAllRanges()")
        for _ in range(wanted + 20):
            webdriver.ActionChains(self.browser).send_keys(Keys.TAB).perform()
            focus = self.browser.execute_script("""
                const node = document.activeElement;
                if (node === document.body) return null;
                node.dataset.reached ??= String(Math.random());
                const style = getComputedStyle(node);
                return [node.dataset.reached, node.outerHTML, style.outlineStyle, parseFloat(style.outlineWidth)]""")
            if focus is None or focus[0] in [other[0] for other in reached]:
                break
            self.assertTrue(focus[2] != "none" and focus[3] >= 2, f"the focus is seen on {focus[1]}")
            self.assertTrue(self.browser.switch_to.active_element.accessible_name, f"a name for {focus[1]}")
            reached.append(focus)
        self.assertIn("skip", reached[0][1])
        self.assertGreaterEqual(len(reached), wanted - 4)  # the page is live: rows come and go
        self.assertGreater(len(reached), 20)

    def assert_accessible(self, where):
        self.browser.execute_script(self.axe)
        found = self.browser.execute_async_script("""
            const done = arguments[arguments.length - 1];
            axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] })
               .then((result) => done(result.violations.map((rule) => [rule.id, rule.help, rule.nodes.map((node) => node.html + " " + node.failureSummary)])))""")
        self.assertEqual(found, [], where)

    def test_every_page_looks_right_and_is_accessible(self):
        self.addCleanup(self.mend)
        for number in range(12):
            simulate("update", type="contacts", id=self.a_record("contacts", number), properties={"phone": f"+41 44 {number}"})
        company = self.break_record(5)
        contact = self.a_record("contacts", 2)
        pages = {
            "login": None, "overview": "/admin", "records": "/admin/records?type=companies", "search": "/admin/records?q=a",
            "record": f"/admin/records/contacts/{contact}", "failed-record": f"/admin/records/companies/{company}", "deliveries": "/admin/deliveries",
            "error": "/admin/nothing",
        }
        self.permitted = ["404 (Not Found)"]
        for name, path in pages.items():
            if path is None:
                self.browser.get(URL + "/admin/login")
            else:
                if name == "overview":
                    self.log_in()
                    simulate("latency", ms=800)
                    api("sync/all?wait=false", "POST")
                self.browser.get(URL + path)
            if name == "overview":
                self.live()
                self.wait(lambda: self.all(".run progress[value]"), "a sync that runs")
            for size in (WIDE, NARROW):
                for scheme in ("light", "dark"):
                    self.look(size, scheme)
                    where = f"{name}-{size[0]}-{scheme}"
                    self.assertLessEqual(self.browser.execute_script("return document.scrollingElement.scrollWidth - innerWidth"), 0, f"{where} scrolls sideways")
                    self.assert_accessible(where)
                    picture = self.browser.execute_cdp_cmd("Page.captureScreenshot", {"format": "png", "captureBeyondViewport": True})
                    with open(f"{SCREENSHOTS}/{where}.png", "wb") as file:
                        file.write(base64.b64decode(picture["data"]))
            self.look(WIDE)
            if name == "overview":
                simulate("latency", ms=0)
        self.mend()
        api("tasks/retry", "POST")
        until(lambda: self.database.companies.find_one({"_id": company})["syncStatus"] == "synced", "the record is healed")


if __name__ == "__main__":
    unittest.main()
