"""The beginning of an interpreter: finds the other parts of the program in what an earlier one has compiled.

To compile them takes longer than all else that happens before the first task. So their code is kept in the user's cache
folder, as Python keeps that of modules, in one file for each version of this program and of Python (worker_keep.py writes
it). Where there is none, a part is compiled when it is first needed.
"""
import os
import sys
from _thread import RLock

PARTS = dict(part.split("\n", 1) for part in PARTS[1:])  # noqa: F821 (the runner's; those that are not available yet)
KEPT = {}  # the marshalled code of parts
KEPT_IN = None  # the file where it is kept
_new = {}  # the code that this process has compiled


def read_kept():
    """Only the user can have written what is run here."""
    global KEPT, KEPT_IN
    import marshal

    tag = sys.implementation.cache_tag
    folder = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(folder):
        folder = os.path.join(os.environ["HOME"], ".cache")
    if not tag or not os.path.isabs(folder):
        return
    ours = hash_of("\f".join(PARTS.values()).encode()).hex()
    KEPT_IN = os.path.join(folder, "runner", f"{ours}.{tag}-{sys.flags.optimize}.code")
    file = os.open(KEPT_IN, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)  # it may be a pipe
    try:
        about = os.fstat(file)
        if about.st_uid != os.geteuid() or about.st_mode & 0o170022 != 0o100000:  # a file that only its user can write
            return
        data = os.read(file, 1 << 22)
    finally:
        os.close(file)
    if data[:8] == hash_of(data[8:]):
        KEPT = marshal.loads(data[8:])


def hash_of(data):
    """Eight bytes that are others for other data, or for a Python that compiles otherwise."""
    import _imp
    from _frozen_importlib_external import MAGIC_NUMBER

    return _imp.source_hash(int.from_bytes(MAGIC_NUMBER, "little"), data)


def part(name):
    """Makes the functions of a part available."""
    if name not in PARTS:
        return
    with _compiling:
        source = PARTS.get(name)
        if source is not None:
            exec(code_of(name, source), globals())
            del PARTS[name]


def code_of(name, source):
    if name in KEPT:
        import marshal

        return marshal.loads(KEPT[name])
    code = compile(source, f"runner-worker-{name}.py", "exec")
    _new[name] = code
    return code


_compiling = RLock()  # parts need parts

try:
    read_kept()
except Exception:
    pass  # it is as if nothing had been kept
exec(code_of("main", PARTS.pop("main")))
