"""Where measured figures stand in a page of the docs: between two marks, which the page keeps."""

import pathlib
import sys

BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"


def write_figures(page, lines):
    """Puts the lines in the place of what stands between the marks. Ends the program without them."""
    text = page.read_text()
    if BEGIN not in text or END not in text:
        program = pathlib.Path(sys.argv[0]).name
        sys.exit(f"{program}: {page} has no lines '{BEGIN}' and '{END}' to write between")
    before, rest = text.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    page.write_text(f"{before}{BEGIN}\n" + "\n".join(lines) + f"\n{END}{after}")
