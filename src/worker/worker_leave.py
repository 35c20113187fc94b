# The end of an interpreter. A part of worker.py.
import gc
from _thread import allocate_lock, start_new_thread

PATIENCE = 1  # seconds after which the log says what is waited for
# What these have open is written when it is closed, and they have no finalizer that could be seen.
_CLOSES = {"_ctypes", "_dbm", "_gdbm"}

_early_modules = ()  # those that were there before the user's code
_last_early = None  # the last of them
_early_writers = ()  # files that `preload` has opened in the interpreter that this one was forked from


def mark_start(has_preload=False):
    """What is there now is not the user's; or it belongs to the interpreter that others are forked from."""
    global _early_modules, _early_writers, _last_early
    if has_preload:
        file = sys.modules["_io"]._IOBase
        _early_writers = [each for each in gc.get_objects() if issubclass(type(each), file)]
        flush_early()  # else each of those that are forked would write it
    *_, _last_early = sys.modules
    _early_modules = frozenset(sys.modules)
    gc.freeze()  # what is shared stays shared: no collection writes into it


def flush_early():
    for writer in _early_writers:
        try:
            if not writer.closed and writer.writable():
                writer.flush()
        except (OSError, ValueError):
            pass


def ends_by_itself():
    """Whether this process ends where the program does, as a script: Python takes apart what is left, so that files are
    closed and finalizers run. That takes as long as a short job, so what has nothing of that kind is spared it."""
    await_threads()
    atexit = loaded("atexit", "_run_exitfuncs")
    if atexit is not None:
        atexit._run_exitfuncs()
    if not has_something_to_end():
        return False
    # What `preload` has made is the affair of the interpreter that made it: only what came later is taken apart.
    clear_modules(not _early_writers)
    if _early_writers:
        return False
    gc.unfreeze()  # what the user's code hangs on to is taken apart, too
    return True


def await_threads():
    """Waits for the user's threads, and says so in the log when it takes long."""
    threading = loaded("threading", "_shutdown")
    if threading is None:
        return
    lock = allocate_lock()
    lock.acquire()
    if others(threading):
        start_new_thread(tell_of_threads, (threading, lock))
    threading._shutdown()
    lock.release()


def others(threading):
    """The threads that Python waits for."""
    main = threading.main_thread()
    return [each for each in threading.enumerate() if each is not main and not each.daemon]


def tell_of_threads(threading, lock):
    if lock.acquire(True, PATIENCE):
        return
    try:
        names = ", ".join(thread.name for thread in others(threading))
        print(f"runner: the tasks are done, and process {os.getpid()} waits for its threads to end: {names}", file=sys.stderr)
    except Exception:
        pass  # the user's code took away what that needs


def has_something_to_end():
    """Whether the user's code has left something that is more than memory: an open file, an object with a finalizer, or a
    library that may have such."""
    if any(name in _CLOSES or is_foreign(sys.modules.get(name)) for name in later_modules()):
        return True
    ours = {id(_control), id(sys.stdout), id(sys.stderr)}
    has = {}
    for each in gc.get_objects():
        kind = type(each)
        if kind not in has:
            has[kind] = hasattr(kind, "__del__")
        if has[kind] and id(each) not in ours:
            return True
    return False


def later_modules():
    """The names of the modules that the user's code has brought, the last one first. No more of the others is touched than
    need be: each touch costs a page of memory that was shared."""
    names = []
    try:
        for name in reversed(sys.modules):
            if name == _last_early:
                break
            if name not in _early_modules:
                names.append(name)
        if len(names) >= len(sys.modules) - len(_early_modules):
            return names
    except (RuntimeError, TypeError):
        pass  # a thread imports something, or the user's code has put something else there
    return [name for name in list(sys.modules) if name not in _early_modules]  # that one has moved


def is_foreign(module):
    """Whether it is a library that does not come with Python and is not written in it."""
    try:
        file = object.__getattribute__(module, "__dict__").get("__file__")
    except AttributeError:
        return False
    return isinstance(file, str) and file.endswith(".so") and "lib-dynload" not in file


def clear_modules(only_files_of_user):
    """Takes apart the user's modules, the last one first, as Python does; of what is left of them to its collector, it
    would take files apart in any order."""
    modules = []
    for name, module in sys.modules.items():
        try:
            names = object.__getattribute__(module, "__dict__")
        except AttributeError:
            continue
        file = names.get("__file__")
        is_user = isinstance(file, str) and (not only_files_of_user or _finder.is_of_user(os.path.abspath(file)))
        if is_user and name not in _early_modules and not _finder.is_standard(name.partition(".")[0]):
            modules.append(names)
    for names in reversed(modules):
        private = [name for name in names if name.startswith("_") and not name.startswith("__")]
        for name in [*private, *(name for name in names if not name.startswith("_"))]:
            names[name] = None
    gc.collect()
