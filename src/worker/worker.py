"""The Python side of `[workload.python]`: an interpreter that calls one function as the runner asks.

Descriptor 0 is the control socket. The runner's first packet there is this program, in parts; the second says what to
call; every further one brings a session: the pipe of its requests, the pipe of its answers and its page. A session runs its
requests one after another: in the main thread, in a thread of its own, or as a coroutine. Lines and page are those of
the runner's own workers (protocol.rs and page.rs say how they work). The end of the control socket is the end of the
runner. worker_boot.py runs this part, and makes the others available when they are first needed.
"""
# What takes long to import is imported where it is needed: `json` alone, with `re`, takes a third of Python's own start.
import _frozen_importlib as bootstrap
import mmap
import os
import resource
import sys
from _frozen_importlib_external import PathFinder, SourceFileLoader, spec_from_file_location
from time import perf_counter_ns as now  # CLOCK_MONOTONIC on Linux, as the runner's
from time import sleep, thread_time_ns

try:
    import _socket as socket  # the part that is in C, without selectors and enums
except ImportError:
    import socket
try:
    from _json import encode_basestring, encode_basestring_ascii as quote, make_encoder, make_scanner
except ImportError:  # another implementation
    from json.encoder import encode_basestring, encode_basestring_ascii as quote

    make_encoder = make_scanner = None

# As they are now: a function may put something else there, for a test of its own.
_read, _write, _pread = os.read, os.write, os.pread
VERSION = 1
# The page's words; see page.rs.
CURRENT, SINCE, BARRIER, GENERATION, LENGTH = range(5)
JOURNAL_START = 4096
IS_GIL_ON = getattr(sys, "_is_gil_enabled", lambda: True)()
# What an interpreter says of itself begins with this.
ABOUT = b'{"ready":%d,"version":"%d.%d.%d","gil":%b' % (VERSION, *sys.version_info[:3], b"true" if IS_GIL_ON else b"false")
BLOCK = 1_000_000  # nanoseconds that an answer waits for others at most
# Asking the kernel for processor time costs a microsecond. What takes less than this has used the processor all along;
# of a longer call, what lies between the last answer of the kernel and its start counts as used by this worker.
SHORT = 20_000
ANCHOR = 200_000
# A call of at least this long is asked about more: the memory by which the interpreter has grown, threads of libraries.
LONG = 1_000_000
LARGE = 10 ** 18  # a smaller integer is formatted without much ado
MOST = 256 << 20  # bytes of a result that go into a report
# How a call ends; see protocol.rs.
OK, FAILED, TAKEN_BACK, CANCELLED, BINARY, NOTED, LEAVING, ESCAPED, INFINITE = range(9)

def delay(name):
    """Makes a part available, which is not the time of the call that needs it; how long it took."""
    start = now()
    part(name)
    return now() - start


def late(name, function):
    """A function of a part that is made available when it is first called."""

    def call(*args, **kwargs):
        part(name)
        return globals()[function](*args, **kwargs)

    return call


whole = late("values", "whole")
describe = late("errors", "describe")
describe_import = late("errors", "describe_import")
find = late("find", "find")
explain_call = late("find", "explain_call")
one_by_one = late("errors", "one_by_one")
finish = late("loop", "finish")
serve_in_threads = late("threads", "serve_in_threads")
serve_on_loop = late("loop", "serve_on_loop")
close_loop = late("loop", "close_loop")


def loaded(name, member):
    """The standard module of this name, if somebody has imported it, and not a file of the user's that is called so."""
    module = sys.modules.get(name)
    return module if hasattr(module, member) else None


class Unfit(Exception):
    """The job cannot work, and why."""


class Special:
    """A result that is more than its JSON: how the call ended, the JSON, and what is to be said of it."""

    __slots__ = ("ended", "text", "note")

    def __init__(self, ended, text, note):
        self.ended, self.text, self.note = ended, text, note


# Values become JSON.

SCALARS = frozenset((int, str, float, bool, type(None)))


class _Reading:
    """How JSON is read: as `json.loads` does it."""

    strict, object_hook, object_pairs_hook, parse_float, parse_int = True, None, None, float, int
    parse_constant = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}.__getitem__


def _decoder():
    try:
        scan = make_scanner(_Reading)
        if scan('[1,"a",{"b":1.5}]', 0)[0] != [1, "a", {"b": 1.5}]:
            raise ValueError
    except Exception:  # the C scanner is an implementation's own affair
        import json

        return json.loads

    def decode(data):
        text = data.decode("utf-8", "surrogatepass")
        value, end = scan(text, 0)
        if end != len(text):
            raise ValueError(f"something stands after the value: {text[end:end + 100]!r}")
        return value

    return decode


def _refuse(value):
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


def _encoder():
    try:
        # JSONEncoder.encode makes its C encoder anew at each call.
        encode = make_encoder(None, _refuse, encode_basestring, None, ":", ",", False, False, False)
        text = "".join(encode([None, {"a": 1.5}], 0))
        if text != '[null,{"a":1.5}]':
            raise ValueError(text)
        return lambda value: "".join(encode(value, 0))
    except Exception:  # as above
        import json

        encoder = json.JSONEncoder(ensure_ascii=False, check_circular=False, allow_nan=False, separators=(",", ":"))
        return encoder.encode


loads = _decoder()
_dumps = _encoder()


def encode(value):
    """The JSON, in bytes, of a value that is made of what JSON has, NaN and infinity besides."""
    return forms(value)[0]


def forms(value):
    """The same, and how Python writes it, if infinity is in it."""
    exact = None
    try:
        text = _dumps(value)
    except (ValueError, OverflowError):
        part("values")
        text, exact = _dumps(finite(value)), with_infinity(value)  # noqa: F821
    if len(text) > MOST:
        part("values")
        too_large(len(text))  # noqa: F821
    try:
        return text.encode(), exact
    except UnicodeEncodeError:
        part("values")
        is_escaped(text)  # noqa: F821
        return text.encode("utf-8", "backslashreplace"), exact  # an escaped byte is `\udc80` then, as in JSON


def write_all(descriptor, data):
    while data:
        data = data[_write(descriptor, data):]


# A session.

class Session:
    """The way of one slot's requests and answers, and its page."""

    def __init__(self, descriptors):
        self.requests, self.answers, page = descriptors
        self.memory = mmap.mmap(page, 0)
        os.close(page)
        _ours.discard(page)
        view = memoryview(self.memory)
        self.words = view[:JOURNAL_START].cast("Q")
        self.journal = view[JOURNAL_START:]
        self.length = 0
        self.flushed = now()
        self.rest = []
        self.ended = False
        _sessions.append(self)

    def lines(self):
        """Waits for whole lines. None, and `ended`, at the end."""
        data = _read(self.requests, 1 << 18)
        if not data:
            self.ended = True
            return ()
        lines = data.split(b"\n")
        if len(lines) == 1:
            self.rest.append(data)
            return ()
        if self.rest:
            lines[0] = b"".join(self.rest) + lines[0]
        last = lines.pop()
        self.rest = [last] if last else []
        return lines

    def record(self, answer):
        """Puts an answer into the journal; it is in the pipe a little later."""
        start = self.length
        end = start + len(answer)
        if end > len(self.journal):
            self.flush()
            start, end = 0, len(answer)
            if end > len(self.journal):
                self.write(memoryview(answer))
                return
        self.journal[start:end] = answer
        self.words[LENGTH] = self.length = end

    def flush(self):
        """Writes the journal's answers to the pipe, and empties it."""
        if self.length:
            self.write(self.journal[: self.length])
            words = self.words
            words[LENGTH] = self.length = 0
            words[GENERATION] += 1
        self.flushed = now()

    def write(self, data):
        """Writes to the pipe. The runner looks into the journal, too: what it has found there may have been all that it waited
        for, and then nobody reads the pipe any more."""
        try:
            write_all(self.answers, data)
        except BrokenPipeError:
            pass

    def leave(self, seq, is_last):
        """Takes back what follows `seq` in its line, and says that nothing more is taken."""
        if not is_last:
            self.record(b"[%d,%d]\n" % (seq + 1, TAKEN_BACK))
        self.record(b"[%d,%d]\n" % (seq, LEAVING))
        self.words[CURRENT] = 0
        self.flush()


def answer(seq, user, system, since, run, value, grown=b""):
    """The line of a call that came back with something that JSON has."""
    kind = type(value)
    ended, note = OK, b'""'
    if value is None:
        text = b"null"
    elif kind is int and -LARGE < value < LARGE:
        text = b"%d" % value
    elif kind is str and len(value) <= MOST:
        text = quote(value).encode()
        if b"\\u0000" in text or b"\\ud" in text:
            part("values")
            ended = ESCAPED if is_escaped(value) else OK  # noqa: F821
    elif kind is Special:
        ended, text, note = value.ended, value.text, quote(value.note).encode()
    else:
        text, exact = forms(value)
        if exact is not None:
            ended, note = INFINITE, quote(exact).encode()
    return b"[%d,%d,%d,%d,%d,%d,%b,%b%b]\n" % (seq, ended, user, system, since, run, text, note, grown)


def failure(seq, user, system, since, run, error, grown=b""):
    """The line of a call that raised something."""
    if _is_child:
        end_child(error)
    try:
        words = describe(error)
    except BaseException:  # its class has done something to what every exception has
        words = type(error).__name__
    words = quote(words).encode()
    return b"[%d,%d,%d,%d,%d,%d,null,%b%b]\n" % (seq, FAILED, user, system, since, run, words, grown)


class Cpu:
    """Processor time of this interpreter between calls, its threads and the children that it has waited for included,
    asked for as rarely as it goes; and the memory by which it grows."""

    __slots__ = ("at", "total", "system", "peak", "resident", "statm", "page")

    def __init__(self):
        self.page, self.resident = resource.getpagesize(), 0
        self.statm = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)
        self.anchor(now())
        self.resident = self.memory()

    def anchor(self, at):
        own = resource.getrusage(resource.RUSAGE_SELF)
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.at, self.peak = at, own.ru_maxrss
        self.system = own.ru_stime + children.ru_stime
        self.total = own.ru_utime + children.ru_utime + self.system

    def took(self, start, end):
        """User and system nanoseconds of the stretch from `start` to `end`, which is the last one since the anchor."""
        run = end - start
        if run < SHORT:
            return run, 0
        at, total, system = self.at, self.total, self.system
        self.anchor(end)
        total = max(int((self.total - total) * 1e9) - max(start - at, 0), 0)
        # The kernel counts this part by its ticks.
        system = min(max(int((self.system - system) * 1e9), 0), total)
        return total - system, system

    def memory(self):
        """Resident bytes; as many as before, where a function has closed what says so."""
        try:
            return int(_pread(self.statm, 99, 0).split()[1]) * self.page
        except (OSError, ValueError, IndexError):
            return self.resident

    def grown(self, peak):
        """The bytes by which it has grown since it was last asked, at the highest; `peak` is what the peak was then."""
        before, self.resident = self.resident, self.memory()
        highest = self.peak * 1024 if self.peak > peak else self.resident
        return b",%d" % max(highest - before, 0)


class Renewal:
    """When this interpreter is to leave, so that a fresh one takes its place."""

    __slots__ = ("tasks", "memory", "ended")

    def __init__(self, hello):
        self.tasks, self.memory, self.ended = hello.get("max_tasks"), hello.get("max_memory"), 0

    def __bool__(self):
        return self.tasks is not None or self.memory is not None

    def is_due(self):
        """Counts a call that has ended."""
        self.ended += 1
        if self.tasks is not None and self.ended >= self.tasks:
            return True
        if self.memory is None:
            return False
        with open("/proc/self/statm", "rb") as statm:
            return int(statm.read().split()[1]) * resource.getpagesize() > self.memory


def read(line, call):
    """The number of the first request of a line, what the requests have, and what is called with that."""
    try:
        seq, items = loads(line)
    except Exception:
        return one_by_one(line, call)
    return seq, items, call


def serve(session, call, renewal):
    """Calls the function for each request of the session, one after another, in this thread, which is the main one."""
    words, record = session.words, session.record
    cpu, renews = Cpu(), bool(renewal)
    while True:
        for line in session.lines():
            seq, items, invoke = read(line, call)
            if loaded("asyncio", "events"):
                part("loop")
                present_loop()  # noqa: F821
            end = now()
            cpu.anchor(end)
            last = seq + len(items) - 1
            for item in items:
                start = now()
                if start - cpu.at > ANCHOR:
                    cpu.anchor(start)
                words[SINCE] = start
                words[CURRENT] = seq
                if words[BARRIER] > seq:
                    record(b"[%d,2]\n" % seq)
                    break
                peak = cpu.peak
                try:
                    value = invoke(item)
                    kind = type(value)
                    if kind is not int and kind not in SCALARS:
                        if "values" in PARTS:
                            start += delay("values")
                        value = whole(value)
                    end = now()
                    run = end - start
                    # What `took` and `answer` come to, without the calls: they would be a third of a short task.
                    if run < SHORT and value is None:
                        data = b'[%d,0,%d,0,%d,%d,null,""]\n' % (seq, run, start, run)
                    elif run < SHORT and kind is int and -LARGE < value < LARGE:
                        data = b'[%d,0,%d,0,%d,%d,%d,""]\n' % (seq, run, start, run, value)
                    else:
                        user, system = cpu.took(start, end)
                        grown = cpu.grown(peak) if run >= LONG else b""
                        data = answer(seq, user, system, start, run, value, grown)
                except BaseException as error:
                    end = now()
                    user, system = cpu.took(start, end)
                    data = failure(seq, user, system, start, end - start, error)
                    cpu.anchor(now())
                value = None
                record(data)
                if renews and renewal.is_due():
                    return session.leave(seq, seq == last)
                seq += 1
                if end - session.flushed > BLOCK:
                    session.flush()
            session.flush()
            words[CURRENT] = 0
        if session.ended:
            return


# The beginning and the end.

_CLOEXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)


def receive(control, count):
    """A packet, and the descriptors that came with it; None at the end."""
    data, ancillary, flags, _ = control.recvmsg(16, socket.CMSG_SPACE(count * 4), _CLOEXEC)
    if not data:
        return None
    if flags & socket.MSG_CTRUNC:  # the kernel had no number for some of them
        words = (
            f"this interpreter may have no more than {resource.getrlimit(resource.RLIMIT_NOFILE)[0]} files open, which do not "
            "do for so many slots: set `limits.concurrency` lower, or raise the hard limit (`ulimit -Hn`)"
        )
        if _faults is not None:
            _write(_faults, words.encode())
        raise OSError(words)
    received = []
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            starts = range(0, len(content) - len(content) % 4, 4)
            received += [int.from_bytes(content[start:start + 4], sys.byteorder) for start in starts]
    if not _CLOEXEC:
        for descriptor in received:
            os.set_inheritable(descriptor, False)
    return received


def receive_session(control):
    """The three descriptors of the next session; None: there will be no more."""
    received = receive(control, 3)
    if received:
        _ours.update(received)
        make_room(max(received))
    return received


def make_room(highest):
    """Raises the limit of open files where the sessions' would take what the function may have: the runner starts its
    children with the limit that it was started with itself, since programs that use `select` need a low one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or highest < soft // 2:
        return
    more = soft * 2 if hard == resource.RLIM_INFINITY else min(soft * 2, hard)
    if more > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (more, hard))


_ours = set()  # descriptors
_faults = None  # the one of them to which faults are written
_sessions = []
_is_serving = False  # what is forked from now on is the function's affair
_is_child = False  # this process was forked by the function


class Gone:
    """Stands for the length of a journal that is not this process's: whoever would write an answer ends instead."""

    def __add__(self, _):
        end_child()

    def __bool__(self):
        return False


def forget_in_child():
    """A process that the function forks must neither hold the pipes open nor answer: the page is its parent's, too."""
    global _is_child
    if not _is_serving:
        return
    _is_child = True
    for session in _sessions:
        session.length = Gone()
    for descriptor in _ours:
        try:
            os.close(descriptor)
        except OSError:
            pass


def end_child(error=None):
    """Ends a process that the function has forked, where its call ends: as a script would end."""
    code = 1
    try:
        if error is None:
            code = 0
        elif isinstance(error, SystemExit) and (error.code is None or isinstance(error.code, int)):
            code = (error.code or 0) & 0xFF
        elif isinstance(error, SystemExit):
            print(error.code, file=sys.stderr)
        else:
            part("errors")
            print_traceback(error)  # noqa: F821
        leave(code)
    finally:
        os._exit(code)


# As `inspect` has them.
_VARARGS, _COROUTINE, _ASYNC_GENERATOR = 0x04, 0x80, 0x200


def attribute(value, name, default=None):
    """An attribute of an object of the user's, whose class may raise anything where it has none of that name."""
    try:
        return getattr(value, name, default)
    except Exception:
        return default


def _code(function):
    """The code of a plain function or method; None of anything that another object stands before."""
    function = attribute(function, "__func__", function)
    if attribute(function, "__wrapped__") is not None or attribute(function, "__signature__") is not None:
        return None
    return attribute(function, "__code__")


def is_coroutine_function(function):
    """Whether it is an `async def`, also with some arguments bound by `functools.partial`, or as the `__call__` of an
    object."""
    while attribute(function, "func") is not None and isinstance(attribute(function, "keywords"), dict):
        function = function.func
    has_code = attribute(function, "__code__") is not None or attribute(function, "__func__") is not None
    if not has_code and not isinstance(function, type):
        function = getattr(type(function), "__call__", function)
    code = attribute(attribute(function, "__func__", function), "__code__")
    return bool(getattr(code, "co_flags", 0) & (_COROUTINE | _ASYNC_GENERATOR))


def _takes(function, args):
    """Whether it plainly takes this number of arguments and nothing else. False: that is to be looked at."""
    code = _code(function)
    if getattr(code, "co_kwonlyargcount", True):
        return False
    given = args + (getattr(function, "__self__", None) is not None)
    least = code.co_argcount - len(function.__defaults__ or ())
    return least <= given and (given <= code.co_argcount or bool(code.co_flags & _VARARGS))


def to_bytes(value):
    """Text as the bytes that it stands for, in lists and objects, too; anything else as it is."""
    if isinstance(value, list):
        return [to_bytes(item) for item in value]
    if isinstance(value, dict):
        return {key: to_bytes(item) for key, item in value.items()}
    value = to_data(value) if isinstance(value, str) and value[:1] in MARKS else value
    return os.fsencode(value) if isinstance(value, str) else value


MARKS = ("\udc00", "\udc01")  # what begins with them was bytes, or a text, whatever it looks like


def to_data(value):
    """What a stage has handed on: text, or bytes if it is none."""
    if isinstance(value, str):
        if value[:1] in MARKS:
            return value[1:] if value[0] == MARKS[1] else value[1:].encode("utf-8", "surrogateescape")
        try:
            value.encode()
        except UnicodeEncodeError:
            return os.fsencode(value)
    return value


def fill_in(values, paths):
    """Puts what a stage has handed on where it belongs, at each of these paths into the values."""
    for path in paths:
        inner = values
        for step in path[:-1]:
            inner = inner[step]
        inner[path[-1]] = to_data(inner[path[-1]])


def make_call(function, hello):
    """Calls the function with what a request has."""
    places, names = hello["payloads"]
    is_bytes = hello["as_bytes"]
    if hello["single"]:
        if not is_bytes and not places:
            return function
        convert = to_bytes if is_bytes else to_data
        if is_bytes or places == [[0]]:
            return lambda item: function(convert(item))

    def call(item):
        args, kwargs = ([item], {}) if hello["single"] else item
        if is_bytes:
            args, kwargs = to_bytes(args), to_bytes(kwargs)
        else:
            fill_in(args, places)
            fill_in(kwargs, names)
        return function(*args, **kwargs)

    if is_bytes or places or names:
        return call
    return lambda item: function(*item[0], **item[1])


def furnish(hello):
    """Makes the interpreter what user code expects: where modules are found, where output goes."""
    if sys.version_info < (3, 8):
        raise Unfit("Python %d.%d is too old: 3.8 or later is needed" % sys.version_info[:2])
    os.environ.update(hello["env"])
    install_path(hello["path"])
    import faulthandler

    # What the interpreter says of a fault goes where the runner looks for it, and not among what others print.
    global _faults
    _faults = os.dup(2)
    _ours.add(_faults)
    faulthandler.enable(_faults, all_threads=False)
    log = os.open(hello["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    for name, number in (("stdout", 1), ("stderr", 2)):
        # The end of a process must not cost what it has printed.
        try:
            getattr(sys, name).reconfigure(line_buffering=True, errors="backslashreplace")
        except OSError:  # a pipe is there now, where a file was
            stream = open(number, "w", 1, "utf-8", "backslashreplace", closefd=False)
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)
    sys.argv = ["runner"]
    if hasattr(sys, "set_int_max_str_digits"):
        sys.set_int_max_str_digits(0)  # a factorial is whole


class StandardFirst:
    """Finds modules of the standard library for everybody but the user's own code: a file beside the job that bears
    the name of one is the user's own affair, and nobody else's."""

    def __init__(self, user, path):
        self.user, self.path = [os.path.join(os.path.abspath(folder), "") for folder in user], path
        self.names = getattr(sys, "stdlib_module_names", None)

    def is_standard(self, name):
        if self.names is not None:
            return name in self.names
        folder = os.path.dirname(os.__file__)
        return os.path.exists(os.path.join(folder, name)) or os.path.exists(os.path.join(folder, name + ".py"))

    def is_of_user(self, file):
        """Whether a file is below the user's folders, and not below an environment that lies in them."""
        lies_in = [folder for folder in self.user if file.startswith(folder)]
        others = [folder for folder in self.path if folder and file.startswith(os.path.join(folder, ""))]
        return bool(lies_in) and max(map(len, lies_in)) > max(map(len, others), default=0)

    def find_spec(self, name, path=None, target=None):
        if path is not None or not self.is_standard(name):
            return None
        frame = sys._getframe(1)
        while frame is not None and "importlib" in frame.f_code.co_filename:
            frame = frame.f_back
        if frame is not None and self.is_of_user(os.path.abspath(frame.f_code.co_filename)):
            return None
        return PathFinder.find_spec(name, self.path)


def install_path(folders):
    """Has modules looked for in these folders before all others."""
    global _finder
    if _finder is not None:
        return
    _finder = StandardFirst(folders, list(sys.path))
    sys.meta_path.insert(0, _finder)
    sys.path[:0] = folders


_finder = None


def start(hello):
    """Makes ready what the runner asks for: the function."""
    if _finder is None:
        furnish(hello)
        part("leave")
        mark_start()  # noqa: F821
        if hello["preload"]:
            part("find")
            preload(hello["preload"])  # noqa: F821
    if hello["init"]:
        part("find")
        initialize(hello["init"])  # noqa: F821
    function = find(hello["function"])
    if hello["kwargs"] or not _takes(function, hello["args"]):
        explain_call(function, hello)
    return function


_endings = []  # what is to be run at the end, the last one first


def say(control, packet):
    """Sends a packet to the runner. If nobody waits for this interpreter any more, it is not needed."""
    try:
        control.send(packet)
    except BrokenPipeError:
        os._exit(0)


def printable(words):
    """Without the bytes of file names that are not UTF-8: a message has no place for them."""
    return words.encode("utf-8", "surrogatepass").decode("utf-8", "replace")


def say_unfit(control, words):
    """Says that the job cannot work, and why: the end of it, if that is long."""
    words = printable(words)
    text = quote(words[-20_000:])
    say(control, b'{"unfit":%b}' % (text if len(text) < 60 << 10 else quote(words[-5_000:])).encode())


def interpret(control, hello):
    """An interpreter, from the packet that says what to call to its end."""
    global _is_serving
    _ours.add(control.fileno())
    _is_serving = True
    if "fork" in PARTS:  # else that has been done
        os.register_at_fork(after_in_child=forget_in_child)
    try:
        function = start(hello)
    except Unfit as unfit:
        return say_unfit(control, str(unfit))
    is_coroutine = is_coroutine_function(function)
    call, mode, renewal = make_call(function, hello), hello["mode"], Renewal(hello)
    is_loop = mode == "async" or is_coroutine
    is_threads = not is_loop and (mode == "threads" or (mode == "pilot" and hello["thread_safe"]))
    # Before it says that it is ready: what it does once is not part of its first task.
    try:
        if is_loop:
            part("loop")
            loop()  # noqa: F821
        elif is_threads:
            import threading  # noqa: F401

            part("threads")
    except Exception as error:  # a file beside the job has taken the place of a standard module
        part("errors")
        return say_unfit(control, f"Python's own modules cannot be used any more: {headline(error)}")  # noqa: F821
    say(control, b'%b,"coroutine":%b,"pid":%d}' % (ABOUT, b"true" if is_coroutine else b"false", os.getpid()))
    if is_loop:
        serve_on_loop(control, call, renewal)
    elif is_threads:
        serve_in_threads(control, call, renewal, mode == "pilot")
    else:
        session = receive_session(control)
        if session is not None:
            serve(Session(session), call, renewal)
    while _endings:
        _endings.pop()()
    close_loop() if "loop" not in PARTS else None


_control = None


def main():
    """An interpreter of the runner, or the one that others are forked from."""
    global _control
    # It is kept, since Python can be told to warn of a socket that nobody has closed.
    control = _control = socket.socket(fileno=os.dup(0))
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.close(null)
    hello = loads(control.recv(1 << 20))
    if hello["mode"] == "server":
        part("fork")
        control, hello = serve_forks(control, hello)  # noqa: F821
        if control is None:
            return
        _control = control
    interpret(control, hello)


def leave(code=0):
    """Ends the process as Python would, but for taking apart what is there: that takes as long as a short job."""
    threading = loaded("threading", "_shutdown")
    if threading is not None:
        threading._shutdown()  # waits for threads of the user's own
    atexit = loaded("atexit", "_run_exitfuncs")
    if atexit is not None:
        atexit._run_exitfuncs()
    if not _is_child and "leave" not in PARTS:
        flush_early()  # noqa: F821
    flush_standard()
    os._exit(code)


def flush_standard():
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):
            pass  # the user's code took it away, or closed it


def end_broken(error):
    """Ends the interpreter where it breaks: nobody else answers what this thread was to answer, and Python itself would
    wait for the other threads, and they for requests."""
    part("errors")
    print_traceback(error)  # noqa: F821
    os._exit(1)


try:
    main()
except BaseException as error:
    end_broken(error)
if "fork" in PARTS:  # noqa: F821 (else the one that this one was forked from has done it)
    part("keep")
    keep()  # noqa: F821
part("leave")
if not ends_by_itself():  # noqa: F821
    leave()
