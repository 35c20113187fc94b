def count_down(n):
    """Nothing but the processor: under threads, the GIL lets one thread at a time do this."""
    while n:
        n -= 1
    return n
