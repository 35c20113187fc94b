# What went wrong becomes text; requests that cannot be read. A part of worker.py.
import builtins

TAIL = 1500  # characters of a traceback that go into the report
MESSAGE = 16_000  # characters of a message that do


def headline(error):
    """The class and the message of an exception, and the notes that were added to it."""
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ in ("builtins", "__main__") else f"{kind.__module__}.{kind.__qualname__}"
    try:
        message = str.__str__(str(error))
    except BaseException:
        message = "<it cannot be printed>"
    message += members_of(error)
    try:
        notes = getattr(error, "__notes__", ())
        message = "\n".join([message, *map(str, notes if isinstance(notes, (list, tuple)) else ())])
    except BaseException:
        pass
    if len(message) > MESSAGE:
        message = message[: MESSAGE // 4] + " […] " + message[-MESSAGE // 4 * 3:]
    return f"{name}: {message}" if message else name


def members_of(error):
    """What a group of exceptions holds: that is the cause. Another class may have any attribute of that name."""
    if not issubclass(type(error), getattr(builtins, "BaseExceptionGroup", ())):
        return ""
    members = attribute(error, "exceptions")
    if not isinstance(members, tuple):
        return ""
    more = f"; {len(members) - 5} more" if len(members) > 5 else ""
    return ": " + "; ".join(map(headline, members[:5])) + more


def print_traceback(error):
    """All that is known of an exception, to the log."""
    try:
        import traceback

        traceback.print_exception(type(error), error, error.__traceback__)
        sys.stderr.flush()
    except BaseException:  # `traceback` or what it needs cannot be used
        _write(2, f"{headline(error)}\n".encode(errors="replace"))


def skip_our_own(error):
    frame = error.__traceback__
    while frame is not None and frame.tb_frame.f_globals is globals():
        frame = frame.tb_next
    return frame


def without_marks(frame):
    """Without the lines of `^` and `~`, which mean little in a cell."""
    return "".join(line for line in frame.splitlines(True) if line.strip(" ^~\n"))


def describe(error):
    """The exception, its message, and the end of its traceback; all of it goes to the log if that is longer."""
    count, half = None, globals().get("Half")  # the user may have a class that is called so
    if half is not None and type(error) is half:
        error, count = error.cause, error.count
    text = headline(error)
    if count is not None:
        text += f" (raised after {count} value{'s' * (count != 1)} of an iterator)"
    tail = ""
    try:
        import traceback

        frames = [without_marks(frame) for frame in traceback.format_tb(skip_our_own(error))]
        tail = "".join(frames[-3:]).rstrip("\n")
        if len(frames) > 3 or len(tail) > TAIL or error.__cause__ or error.__context__ or members_of(error):
            print_traceback(error)
        tail = tail[-TAIL:]
    except BaseException:
        pass
    return f"{text}\n{tail}" if tail else text


def describe_import(error):
    """What went wrong, and where in the user's files."""
    import importlib
    import traceback

    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith(("<frozen", "runner-worker"))
        and os.path.dirname(frame.filename) != os.path.dirname(importlib.__file__)
    ]
    text = headline(error)
    if isinstance(error, SyntaxError):
        return "".join(traceback.format_exception_only(type(error), error)).strip()
    if frames:
        text += "\n" + "".join(traceback.format_list(frames[-2:])).rstrip()
    return text


class Unreadable:
    """Stands for what a request has, where Python cannot read that."""

    __slots__ = ("words",)

    def __init__(self, error):
        self.words = "Python cannot read what the function is to be called with: "
        self.words += "lists or objects lie too deep in one another" if type(error) is RecursionError else headline(error)


def one_by_one(line, call):
    """The requests of a line that cannot be read as a whole: one that Python cannot read costs its own task alone."""
    import re

    text = line.decode("utf-8", "surrogatepass")
    start = text.index(",[") + 2
    seq, items, depth, rest = int(text[1:start - 2]), [], 0, ""
    for token in re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{},]').finditer(text, start):
        mark = token.group()
        if depth == 0 and mark in (",", "]"):
            items.append(one(text[start:token.start()]))
            start = token.end()
            if mark == "]":
                rest = text[start:]
                break
        else:
            depth += (mark in ("[", "{")) - (mark in ("]", "}"))
    if rest != "]":
        raise ValueError(f"this is no line of requests: {text[:200]!r}")

    def invoke(item):
        if type(item) is Unreadable:
            raise ValueError(item.words)
        return call(item)

    return seq, items, invoke


def one(text):
    try:
        return loads(text.strip().encode("utf-8", "surrogatepass"))
    except Exception as error:
        return Unreadable(error)
