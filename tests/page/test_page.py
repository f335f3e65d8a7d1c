"""The page in a browser: it loads, goes on beside a hog that nobody can preempt, and does what its buttons say.

Screenshots are kept in tests/page/screenshots.
"""

import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from playwright.sync_api import expect, sync_playwright

from tests.monitor._support import LIMIT, program

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SHOTS = Path(__file__).parent / "screenshots"

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed")

WATCHED = """
import asyncio, hashlib, json, preemptio
from preemptio import monitor

def mix(x, i):
    return (x * 31 + i) & 0xFFFF

def crunch():
    x = 1
    while True:
        for i in range(1000):
            x = mix(x, i)

async def request(n):
    while True:
        await asyncio.sleep(0.1 + n / 100)
        json.dumps(list(range(500)))

async def pack(lock):
    await lock.acquire()
    while True:
        hashlib.pbkdf2_hmac("sha256", b"x", b"y", 300_000_000)  # one call, longer than the test

async def main():
    lock = asyncio.Lock()
    await lock.acquire()
    orphan = asyncio.create_task(asyncio.Queue().get(), name="<b>orphan</b>")
    hogs = [preemptio.go(crunch, name=f"report {n}") for n in range(3)]
    requests = [asyncio.create_task(request(n), name=f"request {n}") for n in range(12)]
    packer = asyncio.create_task(pack(lock), name="pack")
    started = monitor.start(port=0, page_port=0, announce=False, record=10)
    print(started.url, flush=True)
    await asyncio.to_thread(input)  # until the test says so
    lock.release()
    await asyncio.wait(hogs)

preemptio.run(main())
"""


@pytest.fixture(scope="module")
def watched():
    """A program, and the address of its page."""
    process = program(WATCHED, stdin=subprocess.PIPE)
    yield process, process.stdout.readline().strip()
    process.kill()
    process.communicate()


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def page(browser):
    """Give a page that may ask loopback only, and must not complain."""
    context = browser.new_context(viewport={"width": 1400, "height": 1000}, color_scheme="light")
    context.set_default_timeout(LIMIT * 1000)
    expect.set_options(timeout=LIMIT * 1000)
    opened, asked, said = context.new_page(), [], []
    opened.on("request", lambda request: asked.append(request.url))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on("console", lambda message: said.append(message.text) if _is_fault(message) else None)
    yield opened
    outside = [url for url in asked if not re.match(r"http://127\.0\.0\.1:\d+/", url)]
    context.close()
    assert asked
    assert (outside, said) == ([], [])


def _is_fault(message):
    """Leave out what the browser says of answers such as 409: those are shown, and looked at where they are due."""
    return message.type == "error" and "the server responded with a status" not in message.text


def updates(page):
    return int(page.evaluate("document.body.dataset.updates ?? 0"))


def shot(page, name):
    SHOTS.mkdir(exist_ok=True)
    page.screenshot(path=SHOTS / f"{name}.png", full_page=True)


def row(page, name):
    return page.locator("#rows tr").filter(has=page.get_by_role("button", name=name, exact=True))


def test_what_it_shows(page, watched):
    """Table, timeline, histogram and queue, in light and dark; sorted and filtered as asked; text is only text."""
    page.goto(watched[1])
    assert "#" not in page.url, "the token is still in the address bar"
    expect(page.get_by_role("link", name="Gs", exact=True)).to_have_attribute("aria-current", "page")
    expect(row(page, "report 1").locator("td.status")).to_have_text(re.compile("runn(able|ing)"))
    expect(row(page, "<b>orphan</b>")).to_contain_text("queue get")
    expect(page.locator("#parked li").first).to_contain_text("report")
    expect(page.locator("#timeline")).to_have_attribute("aria-label", re.compile(r"report \d \d+ %"))
    expect(page.locator("#percentiles tbody tr").nth(1)).to_contain_text("ms")
    expect(page.locator("#t-rate")).to_contain_text("/s")
    expect(page.locator("#t-rate")).not_to_have_text("0.0 /s")
    shot(page, "light")
    page.emulate_media(color_scheme="dark")
    shot(page, "dark")
    heading = page.get_by_role("columnheader", name="Preempted")
    heading.get_by_role("button").focus()
    page.keyboard.press("Enter")
    expect(heading).to_have_attribute("aria-sort", "descending")
    page.keyboard.press("Enter")
    expect(heading).to_have_attribute("aria-sort", "ascending")
    page.get_by_label("Filter").fill("request 1")
    expect(page.locator("#count")).to_have_text("3")  # 1, 10, 11
    page.get_by_label("Filter").fill("")
    page.get_by_label("Status").select_option("waiting")
    expect(row(page, "report 1")).to_have_count(0)
    assert page.locator("#rows b").count() == 0


def test_every_control_can_be_reached_and_has_a_name(page, watched):
    """By the keyboard, and by who does not see it."""
    page.goto(watched[1])
    expect(row(page, "report 1")).to_be_visible()
    nameless = page.evaluate(
        """[...document.querySelectorAll("button, a, input, select, th, canvas, dialog")]
             .filter((each) => !(each.textContent.trim() || each.getAttribute("aria-label") || each.labels?.length
               || each.getAttribute("aria-labelledby"))).map((each) => each.outerHTML)"""
    )
    assert nameless == []
    assert page.locator("table caption").count() == page.locator("table").count()
    assert page.locator("th:not([scope])").count() == 0
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the table")).to_be_focused()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        poor = page.evaluate(CONTRAST)
        assert poor == [], scheme


CONTRAST = """
(() => {
  const linear = (v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);
  const numbers = (text) => text.match(/[\\d.]+/g).map(Number);
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const found = numbers(getComputedStyle(at).backgroundColor);
      if ((found[3] ?? 1) === 1) return found;
    }
    return [255, 255, 255];
  };
  const poor = [];
  for (const element of document.querySelectorAll("main *, header *")) {
    const text = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!text || !element.checkVisibility() || element.disabled || element.closest(".out-of-sight")) continue;
    const both = [light(numbers(getComputedStyle(element).color)), light(behind(element))];
    const ratio = (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05);
    if (ratio < 4.5) poor.push(`${element.outerHTML.slice(0, 90)} ${ratio.toFixed(2)}`);
  }
  return [...new Set(poor)].slice(0, 5);
})()
"""


def test_buttons_do_what_they_say(page, watched):
    """Suspend and resume, by click; nice, in a G's window; leaks."""
    page.goto(watched[1])
    hog = row(page, "report 2")
    hog.get_by_role("button", name="Suspend").click()
    expect(hog.locator("td.status")).to_have_text("suspended")
    expect(page.locator("#toast")).to_contain_text("is held")
    expect(page.locator("#held")).to_be_visible()
    hog.get_by_role("button", name="Resume").click()
    expect(hog.locator("td.status")).to_have_text(re.compile("runn(able|ing)"))
    hog.get_by_role("button", name="report 2").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("in crunch")
    dialog.get_by_label("nice", exact=True).fill("5")
    dialog.get_by_role("button", name="Set").click()
    expect(dialog).to_contain_text("has nice 5")
    shot(page, "about")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(hog.locator("td.number").last).to_have_text("5")
    page.get_by_role("button", name="Look for leaks").click()
    expect(page.locator("#leaks li")).to_contain_text("<b>orphan</b>")
    page.get_by_role("button", name="Stop recording").click()
    expect(page.locator("#no-time")).to_be_visible()
    page.get_by_role("button", name="Record", exact=True).click()
    expect(page.locator("#timeline")).to_be_visible()


def test_without_the_token_it_is_read_only(page, watched):
    """It says so, and nothing can be clicked."""
    page.goto(watched[1].partition("#")[0])
    expect(page.locator("#read-only")).to_be_visible()
    expect(row(page, "report 1").get_by_role("button", name="Suspend")).to_be_disabled()
    expect(page.get_by_role("button", name="Look for leaks")).to_be_disabled()


def test_aiomonitors_own_page_cancels_with_the_token(page, watched):
    """Its requests go through the guard like any other."""
    page.goto(watched[1])
    page.get_by_role("link", name="Dashboard").click()
    expect(page.get_by_role("link", name="Gs", exact=True)).to_be_visible()
    line = page.locator("tr").filter(has_text="request 9")
    expect(line).to_be_visible()
    answer = page.evaluate(
        """async () => {
          const rows = [...document.querySelectorAll("tr")].map((row) => row.textContent);
          const id = rows.find((text) => text.includes("request 9")).match(/\\d{9,}/)[0];
          const found = await new Promise((done) => {
            document.addEventListener("htmx:afterRequest", (event) => done(event.detail.xhr.status), { once: true });
            htmx.ajax("DELETE", `/api/task?task_id=${id}`, { swap: "none" });
          });
          return found;
        }"""
    )
    assert answer == 200


def test_a_page_of_another_site_gets_nothing(browser, watched):
    """By a request of its script. What is behind the guard, request by request, is in tests/monitor."""
    base = watched[1].partition("/preemptio")[0]
    token = watched[1].partition("token=")[2]
    context = browser.new_context()
    context.set_default_timeout(LIMIT * 1000)
    page = context.new_page()
    page.route("http://other.test/", lambda route: route.fulfill(body="<p>other", content_type="text/html"))
    page.goto("http://other.test/")
    tried = """async ([url, token]) => {
      const found = [];
      for (const mode of ["cors", "no-cors"]) {
        try {
          const answer = await fetch(url, { method: "POST", mode, body: '{"command": "leaks"}',
            headers: mode === "cors" ? { "X-Preemptio-Token": token } : {} });
          found.push(answer.type === "opaque" ? "sent" : "read");
        } catch { found.push("refused"); }
      }
      try {
        await fetch(url.replace("/do", "/g/1"));
        found.push("read");
      } catch { found.push("refused"); }
      return found;
    }"""
    assert page.evaluate(tried, [f"{base}/preemptio/do", token])[::2] == ["refused", "refused"]
    context.close()


def test_it_goes_on_beside_a_hog_in_c(page, watched):
    """Once a second, and it says who has the CPU. It is the last: the loop does not turn any more."""
    process, url = watched
    page.goto(url)
    expect(row(page, "pack")).to_be_visible()
    process.stdin.write("go\n")
    process.stdin.flush()
    expect(page.locator("#busy")).to_contain_text('"pack" has the CPU; the loop has not turned for')
    expect(page.locator("#busy")).to_contain_text("It cannot be preempted (opcode)")
    expect(row(page, "pack").locator("td.status")).to_have_text("running")
    before, start = updates(page), time.monotonic()
    while updates(page) < before + 3:
        assert time.monotonic() < start + LIMIT
    shot(page, "hog-in-c")
    row(page, "request 3").get_by_role("button", name="Cancel").click()
    expect(page.locator("#toast")).to_contain_text("the loop did not turn within 1.00s", use_inner_text=True)
    expect(page.locator("#toast")).to_contain_text("cannot be preempted: opcode")
    assert page.locator("#live").get_attribute("data-state") == "on"
