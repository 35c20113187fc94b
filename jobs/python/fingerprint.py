def fingerprint(page):
    """FNV-1a of a page, again and again: what computing in plain Python costs, some ten milliseconds of it."""
    hash = 0xCBF29CE484222325
    for _ in range(PASSES):
        for byte in page.encode():
            hash = (hash ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return f"{hash:016x}"


PASSES = 4000
