from urllib.request import urlopen


def download(name):
    """Fetches one page; what it returns fills the columns of the report."""
    with urlopen(f"http://127.0.0.1:18477/{name}", timeout=10) as answer:
        page = answer.read()
        return {"bytes": len(page), "type": answer.headers.get_content_type(), "lines": page.count(b"\n")}
