# The interpreter that others are forked from: warm, without a thread, before user code. A part of worker.py.
AT_ONCE = 16  # the first ones come up on another processor while the next ones are forked
NEARLY = 0.0001  # seconds that a process that is about to end takes for it
QUIET = 0.02  # seconds without a request after which nobody is expected to wait for one
MOST_PARTICULARS = 1 << 18


def serve_forks(control, hello):
    """Forks an interpreter for each request that comes. Returns twice: in each of them, with its control socket and the
    packet that says what to call; and here, with nothing, when the runner has gone."""
    try:
        # What each of them needs is done once: it takes longer than a fork, and what is written later is not shared.
        furnish(hello)
        part("find")
        if hello["preload"]:
            preload(hello["preload"])  # noqa: F821
        else:
            module = hello["function"].rpartition(":")[0]
            load_standard(module, hello["path"])
            compile_ahead(module)
    except Unfit as unfit:
        say_unfit(control, str(unfit))
        return None, None
    why = why_not(control)
    if why:
        control.send(b'{"unable":%b}' % quote(why).encode())
        return None, None
    prepare_variables()
    os.register_at_fork(after_in_child=forget_in_child)  # once a function is served
    global _has_preload
    _has_preload = bool(hello["preload"])
    part("leave")
    mark_start(_has_preload)  # noqa: F821
    control.send(b'{"server":%d}' % os.getpid())
    while True:
        requests = await_requests(control)
        if requests is None:
            return None, None
        forget_what_has_changed()
        forked = fork_all(control, requests)
        if forked is not None:
            own, particulars = forked
            hello.update(particulars)
            if _has_preload:
                own_what_is_inherited()
            return own, hello


def own_what_is_inherited():
    """Has this interpreter its own random numbers and its own end, where libraries were loaded before the fork."""
    random = sys.modules.get("numpy.random")
    if hasattr(random, "seed"):
        random.seed()
    generator = getattr(sys.modules.get("torch"), "default_generator", None)
    if hasattr(generator, "seed"):
        generator.seed()
    finalize = getattr(sys.modules.get("weakref"), "finalize", None)
    if finalize is not None:
        finalize._registry.clear()
        finalize._registered_with_atexit = False
    for name, function in (("logging", "shutdown"), ("multiprocessing.util", "_exit_function")):
        ending = getattr(sys.modules.get(name), function, None)
        if ending is not None:
            sys.modules["atexit"].register(ending)


_has_preload = False
_variables = None  # what `os.environ` keeps them in
_outer_slot = None  # that of another runner, which has started this one


def prepare_variables():
    """Makes room for the variables that each interpreter has for itself."""
    global _variables, _outer_slot
    _outer_slot = os.environ.get("RUNNER_SLOT")
    os.environ["RUNNER_SLOT"] = "0"
    kept = getattr(os.environ, "_data", None)
    if isinstance(kept, dict) and kept.get(b"RUNNER_SLOT") == b"0":
        _variables = kept


def why_not(control):
    """Why nothing can be forked here; empty: it can."""
    threads = len(os.listdir("/proc/self/task"))
    if threads > 1:
        return f"one with {threads} threads"
    runner = control.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)[:4]
    return "" if any(runner) else "one in a process namespace of its own"  # where the launcher does not know its children


def await_requests(control):
    """Requests that have come: each two descriptors, for its control socket and its standard error."""
    global _has_kept
    requests = []
    while len(requests) < AT_ONCE:
        # What the interpreters may need is compiled while nobody waits: it is theirs, too, then.
        # And what the first ones needed is kept at once: after a short job, this process is killed.
        is_urgent = bool(requests) or (_has_forked and bool(_new) and not _has_kept)
        control.settimeout(0 if is_urgent else QUIET if _has_forked and (PARTS or _new) else None)
        try:
            received = receive(control, 2)
        except (BlockingIOError, socket.timeout):
            if requests:
                break
            if _new and not (_has_kept and PARTS):
                part("keep")
                keep()  # noqa: F821
                _new.clear()  # it may be that nothing can be kept
                _has_kept = True
            else:
                part(next(iter(PARTS)))
            continue
        if received is None:
            return None
        requests.append(received)
    return requests


def fork_all(control, requests):
    """Forks an interpreter for each. They are the children of a process that ends at once, so that the launcher adopts
    them, which sees to their end. In an interpreter: its control socket, and what it has for itself of what it is told."""
    global _has_forked
    _has_forked = True
    waits, holds = os.pipe()
    between = os.fork()
    if between:
        os.close(waits)
        os.close(holds)
        for request in requests:
            for descriptor in request:
                os.close(descriptor)
        os.waitpid(between, 0)
        return None
    between = os.getpid()
    not_theirs = [control.detach(), holds]
    try:
        while requests:
            own, stderr = requests.pop(0)
            if os.fork() == 0:
                for request in requests:
                    not_theirs += request
                return become(own, stderr, waits, not_theirs, between)
            os.close(own)
            os.close(stderr)
    finally:
        if not _is_forked:
            os._exit(0)


_is_forked = False  # this process is one of those that were forked
_has_forked = False  # the first have what they wait for
_has_kept = False  # what was needed first is there for the next run


def become(own, stderr, waits, not_mine, parent):
    """Makes this process the interpreter that was asked for. Every page of memory that is written to here costs as much as
    a thousand instructions: this does little, and nothing that is known before the fork."""
    global _is_forked
    _is_forked = True
    for descriptor in not_mine:
        os.close(descriptor)
    os.setsid()
    os.dup2(stderr, _faults, False)
    os.close(stderr)
    control = socket.socket(fileno=own)
    particulars = loads(control.recv(MOST_PARTICULARS))  # they have been there before the request
    for name, value in particulars["env"].items():
        if _variables is None or not name.isascii() or not value.isascii():
            os.environ[name] = value
        else:  # the same, without what that takes to do it
            os.putenv(name, value)
            _variables[name.encode()] = value.encode()
    if "RUNNER_SLOT" not in particulars["env"]:  # no slot has it alone: there was room for nothing
        if _outer_slot is None:
            os.environ.pop("RUNNER_SLOT", None)
        else:
            os.environ["RUNNER_SLOT"] = _outer_slot
    if "atexit" in sys.modules and _has_preload:
        sys.modules["atexit"]._clear()  # that is the affair of the one who has registered it
    os.read(waits, 1)  # until the one between is about to end
    os.close(waits)
    while os.getppid() == parent:
        sleep(NEARLY)  # not a mere yield: many of them would keep it from the processor that it needs for its end
    say(control, b'{"forked":%d}' % os.getpid())
    return control, particulars


# They do something where they are imported.
_TALKATIVE = {"__future__", "antigravity", "idlelib", "this", "turtledemo"}


def load_standard(name, folders):
    """Imports the standard modules that the job's module, or the file of this path, plainly imports at its beginning: they
    are the same for all interpreters, which then share them instead of loading each its own. What cannot be told is left
    to the interpreters."""
    standard = getattr(sys, "stdlib_module_names", frozenset())
    file = name if name.endswith(".py") else name.replace(".", os.sep) + ".py"
    paths = [os.path.join(folder, file) for folder in folders]  # what is absolute stays so
    try:
        path = next(filter(os.path.isfile, paths))
        beside = [each for folder in {*folders, os.path.dirname(path)} for each in os.listdir(folder)]
        if not standard.isdisjoint(each.partition(".")[0] for each in beside):
            return  # the job may mean that
        with open(path, "rb") as file:
            tree = compile(file.read(1 << 20), path, "exec", 0x400, dont_inherit=True)  # ast.PyCF_ONLY_AST
    except Exception:
        return
    for statement in tree.body:
        kind = type(statement).__name__
        if kind == "Import":
            wanted = [alias.name for alias in statement.names]
        elif kind == "ImportFrom" and not statement.level and statement.module:
            # `from urllib import request` is a module, `from json import loads` is not.
            wanted = [statement.module, *(f"{statement.module}.{alias.name}" for alias in statement.names)]
        else:
            continue
        for module in wanted:
            top = module.partition(".")[0]
            parent = sys.modules.get(module.rpartition(".")[0])
            is_member = parent is not None and (hasattr(parent, module.rpartition(".")[2]) or not hasattr(parent, "__path__"))
            if top in standard and top not in _TALKATIVE and not is_member:
                try:
                    bootstrap._gcd_import(module)
                except BaseException:  # the interpreter that needs it says so
                    break


class Compiled:
    """A module that has been found and compiled, of which nothing has been run: the interpreters share it."""

    def __init__(self, spec):
        self.spec, self.version = spec, version_of(spec.origin)
        self.code = spec.loader.get_code(spec.name)
        self.module = bootstrap.module_from_spec(spec)
        self.lock = bootstrap._get_module_lock(spec.name)

    def finish(self):
        """The module, when it has been run: what an import does once it has compiled one."""
        spec, modules = self.spec, sys.modules
        self.lock.acquire()  # threads that the module starts wait for it, should they import it
        spec._initializing = True
        modules[spec.name] = self.module
        try:
            exec(self.code, self.module.__dict__)
        except BaseException:
            modules.pop(spec.name, None)
            raise
        finally:
            spec._initializing = False
            self.lock.release()
        return modules[spec.name]  # it may have put something else there


def version_of(path):
    """What changes with a file; None: it is not there any more."""
    try:
        stat = os.stat(path)
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def compile_ahead(name):
    """Finds and compiles what `load` will be asked for, where that takes no more than to read a file."""
    if "." in name or name in sys.modules or _finder.is_standard(name):
        return  # a package comes first, and that is user code; or it is not as simple as that
    try:
        spec = bootstrap._find_spec(name, None)
        if type(spec.loader) is SourceFileLoader:
            _compiled[name] = Compiled(spec)  # noqa: F821
    except Exception:
        pass  # whoever loads it says what is wrong


def forget_what_has_changed():
    """A file that has been written since is read again."""
    for name, made in list(_compiled.items()):  # noqa: F821
        if made.version != version_of(made.spec.origin):
            del _compiled[name]  # noqa: F821
