"""The portal in a real browser, without a window: opened, read, clicked, photographed.

``python tests/support/browser.py https://10.10.10.10 docs/img`` takes the pictures of the docs.
"""

from __future__ import annotations

import base64
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

CHROMIUM, DRIVER = "/usr/bin/chromium", "/usr/bin/chromedriver"
#: A page of forty queries on a machine that runs four nodes beside the browser.
PATIENCE = 45.0
DESK, PHONE = (1360, 850), (390, 844)
#: Nothing but the portal is asked, and no window system is needed.
_OPTIONS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)
#: The pictures of the docs: name, address, size, theme.
PICTURES = (
    ("home", "/", DESK, "light"),
    ("cluster", "/portal/dashboard.html?d=pgsql-cluster&cls=pg-test&range=15m", DESK, "dark"),
    ("instance", "/portal/dashboard.html?d=pgsql-instance&cls=pg-test&range=15m", DESK, "light"),
    ("phone", "/portal/dashboard.html?d=pgsql-cluster&cls=pg-test&range=15m", PHONE, "dark"),
)


class Browser:
    """One session of Chromium at one portal.

    Args:
        driver: the session.
        portal: the portal's address without a slash at its end.
    """

    def __init__(self, driver: Any, portal: str) -> None:
        self._driver = driver
        self.portal = portal

    def open(self, address: str) -> None:
        """Go to an address of the portal, and wait until it has drawn itself."""
        self._driver.get(self.portal + address)
        self.settle()

    def settle(self) -> None:
        """Wait until the page says that it is drawn, or broken."""
        end = time.monotonic() + PATIENCE
        while self.run("return document.documentElement.dataset.state") not in ("ready", "broken"):
            assert time.monotonic() < end, f"{self.address} isn't drawn within {PATIENCE:.0f} s"
            time.sleep(0.05)

    def page(self, uid: str, **chosen: str) -> None:
        """Open a dashboard with a choice."""
        more = "".join(f"&{name}={value}" for name, value in chosen.items())
        self.open(f"/portal/dashboard.html?d={uid}{more}")

    @property
    def address(self) -> str:
        """Where it is."""
        return str(self._driver.current_url).removeprefix(self.portal)

    def run(self, script: str, *arguments: Any) -> Any:
        """Run a script in the page and return what it returns."""
        return self._driver.execute_script(script, *arguments)

    def choose(self, field: str, value: str) -> None:
        """Choose a value in a field, as a person does, and wait for what follows."""
        self.run(
            "const field = document.querySelector(arguments[0]); field.value = arguments[1];"
            "document.documentElement.dataset.state = 'chosen';"
            "field.dispatchEvent(new Event('change'))",
            field,
            value,
        )
        self.settle()

    def follow(self, link: str) -> None:
        """Click on a link, and wait until the page that it leads to is drawn."""
        self.run(
            "document.documentElement.dataset.state = 'left';"
            "document.querySelector(arguments[0]).click()",
            link,
        )
        self.settle()

    def module(self, name: str, body: str) -> Any:
        """Run the body of a function that has a module of the portal as ``it``."""
        done = self._driver.execute_async_script(
            "const [name, done] = arguments;"
            f"import(`/portal/js/${{name}}.js`).then(async (it) => {{ {body} }})"
            ".then((value) => done({value}), (error) => done({error: String(error)}));",
            name,
        )
        assert "error" not in done, done["error"]
        return done["value"]

    def text(self, selector: str) -> str:
        """The text of the first element that a selector finds."""
        return str(self.run("return document.querySelector(arguments[0]).innerText", selector))

    def panels(self) -> list[dict[str, Any]]:
        """Every panel: ``title``, ``kind``, ``state``, ``drawn``, and ``note``, why it is empty."""
        found: list[dict[str, Any]] = self.run(
            "return [...document.querySelectorAll('.panel')].map((panel) => ({"
            " title: panel.querySelector('h3').firstChild.textContent,"
            " kind: [...panel.classList].find((name) => name.startsWith('of-')).slice(3),"
            " state: panel.dataset.state,"
            " drawn: panel.querySelector('.body').childElementCount,"
            " note: panel.querySelector('.note').textContent }))"
        )
        return found

    def marks(self) -> list[dict[str, Any]]:
        """Every mark in a chart: ``panel``, ``text``, ``time``, ``bad``, and ``place``, 0 to 1."""
        found: list[dict[str, Any]] = self.run(
            "return [...document.querySelectorAll('.panel .marks i')].map((mark) => ({"
            " panel: mark.closest('.panel').querySelector('h3').firstChild.textContent,"
            " text: mark.dataset.text, time: Number(mark.dataset.time),"
            " bad: mark.className === 'bad',"
            " place: mark.offsetLeft / mark.parentElement.clientWidth }))"
        )
        return found

    def complaints(self) -> list[str]:
        """What the browser complained of since it was asked last: errors, refused contents."""
        return [entry["message"] for entry in self._driver.get_log("browser")]

    def size(self, width: int, height: int) -> None:
        """Be a desk, or a phone."""
        self._driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600},
        )

    def theme(self, name: str) -> None:
        """Prefer dark or light, on pages that are opened from now on."""
        self.run("localStorage.setItem('pigsty-theme', arguments[0])", name)

    def photograph(self, file: Path) -> None:
        """Write what is seen to a PNG file."""
        shot = self._driver.execute_cdp_cmd(
            "Page.captureScreenshot", {"format": "png", "optimizeForSpeed": False}
        )
        file.write_bytes(base64.b64decode(shot["data"]))


@contextmanager
def opened(portal: str) -> Iterator[Browser]:
    """Start Chromium for a portal; it is gone afterwards, with what it kept."""
    options = Options()
    options.binary_location = CHROMIUM
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    # The deployment's own CA signed the portal's certificate; whether that is right is tested
    # elsewhere, by clients that know the CA.
    options.accept_insecure_certs = True
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        for option in (*_OPTIONS, f"--user-data-dir={folder}"):
            options.add_argument(option)
        driver = webdriver.Chrome(options=options, service=Service(DRIVER))
        driver.set_script_timeout(PATIENCE)
        try:
            browser = Browser(driver, portal)
            browser.size(*DESK)
            yield browser
        finally:
            driver.quit()


def photograph(portal: str, folder: Path) -> None:
    """Take the pictures of the docs."""
    with opened(portal) as browser:
        browser.open("/")
        for name, address, size, theme in PICTURES:
            browser.theme(theme)
            browser.size(*size)
            browser.open(address)
            browser.photograph(folder / f"portal-{name}.png")


if __name__ == "__main__":
    photograph(sys.argv[1], Path(sys.argv[2]))
