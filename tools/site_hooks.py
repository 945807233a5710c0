"""For MkDocs: the README is the site's home page, so that there is one text of it."""
import pathlib
import re

from mkdocs.structure.files import File

README = pathlib.Path(__file__).resolve().parent.parent / "README.md"


def on_files(files, config):
    text = README.read_text()
    home = re.sub(r"(\]\(|src=\"|href=\")docs/", r"\1", text)
    files.append(File.generated(config, "index.md", content=home))
    return files


def on_page_markdown(markdown, page, config, files):
    """Pages reach the README as the repository has it; a bar in code in a table is escaped for GitHub alone."""
    up = "../" * page.file.src_uri.count("/")
    markdown = re.sub(r"\]\((?:\.\./)+README\.md", f"]({up}index.md", markdown)
    return re.sub(r"^\|.*`.*\\\|.*`.*\|$", lambda row: re.sub(r"`[^`]*`", unescaped, row[0]), markdown, flags=re.MULTILINE)


def unescaped(code):
    return code[0].replace("\\|", "|")
