"""What we use of Playwright; the sole importer of it. Loaded when a browser is first needed."""

from playwright.async_api import Browser as Browser
from playwright.async_api import BrowserContext as BrowserContext
from playwright.async_api import CDPSession as CDPSession
from playwright.async_api import Dialog as Dialog
from playwright.async_api import Download as Download
from playwright.async_api import Error as Error
from playwright.async_api import Page as Page
from playwright.async_api import Playwright as Playwright
from playwright.async_api import async_playwright as async_playwright
