"""What axe-core finds wrong with a page."""

from importlib.resources import files

from playwright.sync_api import Page

_RUN = """async () => (await axe.run(document, {resultTypes: ["violations"]})).violations
    .filter(({impact}) => impact === "serious" || impact === "critical")
    .map(({id, nodes}) => `${id}: ${nodes.map((node) => node.target.join(" ")).join(", ")}`)"""


def serious_problems(page: Page) -> list[str]:
    """Each rule of axe that the page breaks badly, with the elements that break it."""
    page.evaluate(files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8"))
    found: list[str] = page.evaluate(_RUN)
    return found
