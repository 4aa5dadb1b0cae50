"""What a page of the documentation tells its reader to write and to type."""

import re


def fences(page, kind):
    """The texts of the page's fences of one kind, in order."""
    return re.findall(rf"^```{kind}\n(.*?)^```$", page.read_text("utf-8"),
                      re.MULTILINE | re.DOTALL)
