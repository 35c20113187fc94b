"""The Python side of `[workload.python]`: an interpreter that calls one function as the runner asks.

Descriptor 0 is the control socket. The runner's first packet there says what to call; every further one brings a lane:
the pipe of its requests, the pipe of its answers and its page. A lane runs its requests one after another: in the main
thread, in a thread of its own, or as a coroutine. Lines and page are those of the runner's own workers (protocol.rs and
page.rs say how they work). The end of the control socket is the end of the runner.
"""
# An interpreter is started for every slot: what takes long to import is imported where it is needed.
import array
import faulthandler
import importlib
import json
import mmap
import os
import resource
import sys
from _thread import _local
from json.encoder import encode_basestring, encode_basestring_ascii as quote
from types import CoroutineType as Coroutine
from time import perf_counter_ns as now  # CLOCK_MONOTONIC on Linux, as the runner's
from time import thread_time_ns

try:
    import _socket as socket  # the part that is in C, without selectors and enums
except ImportError:
    import socket

VERSION = 1
# The page's words; see page.rs.
CURRENT, SINCE, BARRIER, GENERATION, LENGTH = range(5)
JOURNAL_START = 4096
BLOCK = 1_000_000  # nanoseconds that an answer waits for others at most
# Asking the kernel for processor time costs a microsecond. What takes less than this has used the processor all along;
# of a longer call, what lies between the last answer of the kernel and its start counts as used by this worker.
SHORT = 20_000
ANCHOR = 200_000
LARGE = 10 ** 18  # a smaller integer is formatted without much ado
TAIL = 1500  # characters of a traceback that go into the report


# Values become JSON.

def _other(value):
    """What JSON has no form for: a number of numpy's as a number, a path or a time as text, anything else its repr."""
    if type(value).__module__ == "numpy" and getattr(value, "ndim", None) == 0:
        return value.item()
    name = type(value).__module__.partition(".")[0]
    if name == "datetime" or (name == "pathlib" and hasattr(value, "__fspath__")):
        return str(value)
    return repr(value)


def _encoder():
    encoder = json.JSONEncoder(
        ensure_ascii=False, check_circular=False, allow_nan=False, separators=(",", ":"), default=_other
    )
    try:
        # JSONEncoder.encode makes its C encoder anew at each call.
        from _json import make_encoder

        encode = make_encoder(None, _other, encode_basestring, None, ":", ",", False, False, False)
        text = "".join(encode([None, {"a": 1.5}], 0))
        if text != '[null,{"a":1.5}]':
            raise ValueError(text)
        return lambda value: "".join(encode(value, 0))
    except Exception:  # the C encoder is an implementation's own affair
        return encoder.encode


_dumps = _encoder()


def _plain(value, depth=0):
    """The value as JSON can have it: no NaN, no odd keys, nothing too deep or within itself."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        if value != value:
            return None
        return value if value not in (float("inf"), float("-inf")) else str(value)
    if depth < 100:
        if isinstance(value, dict):
            return {k if isinstance(k, str) else str(k): _plain(v, depth + 1) for k, v in value.items()}
        if isinstance(value, (list, tuple)):
            return [_plain(item, depth + 1) for item in value]
        other = _other(value)
        if not isinstance(other, str):
            return _plain(other, depth + 1)
        return other
    return repr(value)


def encode(value):
    """The value as JSON, in bytes."""
    try:
        text = _dumps(value)
    except (TypeError, ValueError, OverflowError, RecursionError):
        text = _dumps(_plain(value))
    try:
        return text.encode()
    except UnicodeEncodeError:  # half a surrogate pair
        return json.dumps(json.loads(text)).encode()


# What went wrong becomes text.

def _headline(error):
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ in ("builtins", "__main__") else f"{kind.__module__}.{kind.__qualname__}"
    try:
        message = str(error)
    except BaseException:
        message = "<it cannot be printed>"
    return f"{name}: {message}" if message else name


def _skip_our_own(error):
    frame = error.__traceback__
    while frame is not None and frame.tb_frame.f_globals is globals():
        frame = frame.tb_next
    return frame


def _without_marks(frame):
    """Without the lines of `^` and `~`, which mean little in a cell."""
    return "".join(line for line in frame.splitlines(True) if line.strip(" ^~\n"))


def describe(error):
    """The exception, its message, and the end of its traceback; all of it goes to the log if that is longer."""
    headline = _headline(error)
    try:
        import traceback

        frames = [_without_marks(frame) for frame in traceback.format_tb(_skip_our_own(error))]
        tail = "".join(frames[-3:]).rstrip("\n")
        if len(frames) > 3 or len(tail) > TAIL or error.__cause__ or error.__context__:
            traceback.print_exception(type(error), error, error.__traceback__)
        tail = tail[-TAIL:]
    except BaseException:
        tail = ""
    return f"{headline}\n{tail}" if tail else headline


def write_all(descriptor, data):
    while data:
        data = data[os.write(descriptor, data):]


# A lane.

class Lane:
    """The way of one slot's requests and answers, and its page."""

    def __init__(self, descriptors):
        self.requests, self.answers, page = descriptors
        self.memory = mmap.mmap(page, 0)
        os.close(page)
        view = memoryview(self.memory)
        self.words = view[:JOURNAL_START].cast("Q")
        self.journal = view[JOURNAL_START:]
        self.length = 0
        self.flushed = now()
        self.rest = b""
        self.ended = False

    def lines(self):
        """Waits for whole lines. None, and `ended`, at the end."""
        data = os.read(self.requests, 1 << 18)
        if not data:
            self.ended = True
            return ()
        lines = (self.rest + data).split(b"\n") if self.rest else data.split(b"\n")
        self.rest = lines.pop()
        return lines

    def record(self, answer):
        """Puts an answer into the journal; it is in the pipe a little later."""
        start = self.length
        end = start + len(answer)
        if end > len(self.journal):
            self.flush()
            start, end = 0, len(answer)
            if end > len(self.journal):
                write_all(self.answers, answer)
                return
        self.journal[start:end] = answer
        self.words[LENGTH] = self.length = end

    def flush(self):
        """Writes the journal's answers to the pipe, and empties it."""
        if self.length:
            write_all(self.answers, self.journal[: self.length])
            words = self.words
            words[LENGTH] = self.length = 0
            words[GENERATION] += 1
        self.flushed = now()


def answer(seq, user, system, since, run, value):
    """The line of a call that came back."""
    if value is None:
        return b'[%d,0,%d,%d,%d,%d,null,""]\n' % (seq, user, system, since, run)
    kind = type(value)
    if kind is int and -LARGE < value < LARGE:
        return b'[%d,0,%d,%d,%d,%d,%d,""]\n' % (seq, user, system, since, run, value)
    text = quote(value).encode() if kind is str else encode(value)
    return b'[%d,0,%d,%d,%d,%d,%b,""]\n' % (seq, user, system, since, run, text)


def failure(seq, user, system, since, run, error):
    """The line of a call that raised something."""
    return b'[%d,1,%d,%d,%d,%d,null,%b]\n' % (seq, user, system, since, run, quote(describe(error)).encode())


class Cpu:
    """Processor time of this thread between calls, asked for as rarely as it goes."""

    __slots__ = ("at", "total", "system")

    def __init__(self):
        self.anchor(now())

    def anchor(self, at):
        self.at, self.total = at, thread_time_ns()
        self.system = resource.getrusage(resource.RUSAGE_THREAD).ru_stime

    def took(self, start, end):
        """User and system nanoseconds of the stretch from `start` to `end`, which is the last one since the anchor."""
        run = end - start
        if run < SHORT:
            return run, 0
        at, total, system = self.at, self.total, self.system
        self.anchor(end)
        total = min(max(self.total - total - max(start - at, 0), 0), run)
        # The kernel counts this part by its ticks.
        system = min(max(int((self.system - system) * 1e9), 0), total)
        return total - system, system


def finish(value):
    """Runs a coroutine to its end, where the model has no event loop of its own."""
    loop = _loops.__dict__.get("loop")
    if loop is None:
        import asyncio

        loop = _loops.loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
    return loop.run_until_complete(value)


_loops = _local()


def serve(lane, call):
    """Calls the function for each request of the lane, one after another, in this thread."""
    words, loads, record = lane.words, json.loads, lane.record
    cpu = Cpu()
    while True:
        for line in lane.lines():
            seq, items = loads(line)
            end = now()
            cpu.anchor(end)
            for item in items:
                start = now()
                if start - cpu.at > ANCHOR:
                    cpu.anchor(start)
                words[SINCE] = start
                words[CURRENT] = seq
                if words[BARRIER] > seq:
                    record(b"[%d,2]\n" % seq)
                    break
                try:
                    value = call(item)
                    if value.__class__ is Coroutine:
                        value = finish(value)
                    end = now()
                    run = end - start
                    if run < SHORT and value.__class__ is int and -LARGE < value < LARGE:
                        # What `took` and `answer` come to, without the calls: they would be a third of a short task.
                        data = b'[%d,0,%d,0,%d,%d,%d,""]\n' % (seq, run, start, run, value)
                    else:
                        user, system = cpu.took(start, end)
                        data = answer(seq, user, system, start, run, value)
                except BaseException as error:
                    end = now()
                    user, system = cpu.took(start, end)
                    data = failure(seq, user, system, start, end - start, error)
                    cpu.anchor(now())
                value = None
                record(data)
                seq += 1
                if end - lane.flushed > BLOCK:
                    lane.flush()
            lane.flush()
            words[CURRENT] = 0
        if lane.ended:
            return


def serve_in_threads(control, call):
    """Serves lanes as they come, each in a thread of its own, until the control socket ends."""
    import threading

    while True:
        lane = receive_lane(control)
        if lane is None:
            return
        # No daemon, as in Python's own pools: the threads that the function starts are not, either, then.
        threading.Thread(target=serve, args=(Lane(lane), call)).start()


# Many calls in flight on one event loop.

class Steps:
    """Awaits a coroutine, and adds up the processor time of its steps alone."""

    __slots__ = ("coroutine", "cpu", "user", "system")

    def __init__(self, coroutine, cpu):
        self.coroutine, self.cpu, self.user, self.system = coroutine, cpu, 0, 0

    def __await__(self):
        send, cpu, error = self.coroutine.send, self.cpu, None
        while True:
            start = now()
            if start - cpu.at > ANCHOR:
                cpu.anchor(start)
            try:
                waits_for = send(None) if error is None else self.coroutine.throw(error)
            except StopIteration as end:
                self.add(start)
                return end.value
            except BaseException:
                self.add(start)
                raise
            self.add(start)
            error = None
            try:
                yield waits_for
            except GeneratorExit:
                self.coroutine.close()
                raise
            except BaseException as thrown:
                error = thrown

    def add(self, start):
        user, system = self.cpu.took(start, now())
        self.user += user
        self.system += system


class AsyncLane(Lane):
    """A lane whose requests are awaited, beside those of the others."""

    def __init__(self, descriptors, loop):
        super().__init__(descriptors)
        self.loop, self.waiting, self.batches, self.current, self.cancelling = loop, None, [], 0, 0
        self.task = None
        loop.add_reader(self.requests, self.readable)

    def readable(self):
        for line in self.lines():
            if line.startswith(b"{"):
                seq = json.loads(line)["cancel"]
                if seq == self.current:
                    self.cancelling = seq
                    self.task.cancel()
            else:
                self.batches.append(line)
        if self.ended:
            self.loop.remove_reader(self.requests)
        if self.waiting and not self.waiting.done():
            self.waiting.set_result(None)

    async def next(self):
        while not self.batches:
            if self.ended:
                return None
            self.waiting = self.loop.create_future()
            await self.waiting
        return self.batches.pop(0)

    async def serve(self, call, cpu):
        import asyncio

        words, loads, record = self.words, json.loads, self.record
        pause = asyncio.sleep
        while True:
            line = await self.next()
            if line is None:
                return
            seq, items = loads(line)
            for item in items:
                start = now()
                words[SINCE] = start
                words[CURRENT] = self.current = seq
                if words[BARRIER] > seq:
                    record(b"[%d,2]\n" % seq)
                    break
                steps = None
                try:
                    if start - cpu.at > ANCHOR:
                        cpu.anchor(start)
                    value = call(item)
                    if value.__class__ is Coroutine:
                        steps = Steps(value, cpu)
                        value = await steps
                        end = now()
                        user, system = steps.user, steps.system
                    else:
                        end = now()
                        user, system = cpu.took(start, end)
                    data = answer(seq, user, system, start, end - start, value)
                except BaseException as error:
                    end = now()
                    user, system = (steps.user, steps.system) if steps else cpu.took(start, end)
                    if self.cancelling == seq and isinstance(error, asyncio.CancelledError):
                        if hasattr(self.task, "uncancel"):
                            self.task.uncancel()
                        data = b'[%d,3,%d,%d,%d,%d,null,""]\n' % (seq, user, system, start, end - start)
                    else:
                        data = failure(seq, user, system, start, end - start, error)
                value = steps = None
                self.current = 0
                record(data)
                seq += 1
                if end - self.flushed > BLOCK:
                    self.flush()
                    await pause(0)  # the others have their turn
            self.flush()
            words[CURRENT] = 0


async def serve_all(control, call):
    """Serves lanes as they come, until the control socket ends."""
    import asyncio

    loop = asyncio.get_running_loop()
    done = loop.create_future()
    cpu = Cpu()
    tasks = set()

    def offered():
        try:
            descriptors = receive_lane(control)
        except BlockingIOError:
            return
        if descriptors is None:
            loop.remove_reader(control.fileno())
            if not done.done():
                done.set_result(None)
            return
        lane = AsyncLane(descriptors, loop)
        lane.task = loop.create_task(lane.serve(call, cpu))
        tasks.add(lane.task)

    control.setblocking(False)
    loop.add_reader(control.fileno(), offered)
    await done


# The beginning and the end.

def receive_lane(control):
    """The three descriptors of the next lane; None: there will be no more."""
    size = array.array("i").itemsize
    data, ancillary, _, _ = control.recvmsg(16, socket.CMSG_SPACE(3 * size))
    if not data:
        return None
    received = array.array("i")
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            received.frombytes(content[: len(content) - len(content) % size])
    for descriptor in received:
        os.set_inheritable(descriptor, False)
        _ours.add(descriptor)
    return received


_ours = set()


def forget_in_child():
    """A process that the function forks must not hold the pipes open."""
    for descriptor in _ours:
        try:
            os.close(descriptor)
        except OSError:
            pass


class Unfit(Exception):
    """The job cannot work, and why."""


def find(name):
    """The object that `module:name` stands for."""
    module, _, path = name.partition(":")
    try:
        target = importlib.import_module(module)
    except BaseException as error:
        raise Unfit(f"failed to import `{module}`: {describe_import(error)}") from None
    for part in path.split("."):
        try:
            target = getattr(target, part)
        except AttributeError:
            import difflib

            near = difflib.get_close_matches(part, dir(target), 1)
            hint = f"; did you mean `{near[0]}`?" if near else ""
            raise Unfit(f"`{module}` has no `{path}`{hint}") from None
    if not callable(target):
        raise Unfit(f"`{name}` cannot be called: it is of type {type(target).__name__}")
    return target


def describe_import(error):
    """What went wrong, and where in the user's files."""
    import traceback

    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename != __file__ and not frame.filename.startswith("<frozen")
        and os.path.dirname(frame.filename) != os.path.dirname(importlib.__file__)
    ]
    text = _headline(error)
    if isinstance(error, SyntaxError):
        return "".join(traceback.format_exception_only(type(error), error)).strip()
    if frames:
        text += "\n" + "".join(traceback.format_list(frames[-2:])).rstrip()
    return text


# As `inspect` has them.
_VARARGS, _COROUTINE = 0x04, 0x80


def _code(function):
    """The code of a plain function or method; None of anything that another object stands before."""
    function = getattr(function, "__func__", function)
    if hasattr(function, "__wrapped__") or hasattr(function, "__signature__"):
        return None
    return getattr(function, "__code__", None)


def is_coroutine_function(function):
    """Whether it is an `async def`, also with some arguments bound by `functools.partial`."""
    while hasattr(function, "func") and hasattr(function, "keywords"):
        function = function.func
    code = getattr(getattr(function, "__func__", function), "__code__", None)
    return code is not None and bool(code.co_flags & _COROUTINE)


def _takes(function, args):
    """Whether it plainly takes so many arguments and nothing else. False: that is to be looked at."""
    code = _code(function)
    if code is None or code.co_kwonlyargcount:
        return False
    given = args + (getattr(function, "__self__", None) is not None)
    least = code.co_argcount - len(function.__defaults__ or ())
    return least <= given and (given <= code.co_argcount or bool(code.co_flags & _VARARGS))


def check_call(function, name, hello):
    """Whether the function can be called with so many arguments, and these keyword arguments."""
    if not hello["kwargs"] and _takes(function, hello["args"]):
        return
    import inspect

    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return  # some built-in functions have none
    args, kwargs = hello["args"], hello["kwargs"]
    try:
        signature.bind(*([None] * args), **{key: None for key in kwargs})
    except TypeError as error:
        given = ([f"{args} argument" + "s" * (args != 1)] if args else []) + [f"`{key}`" for key in kwargs]
        given = ", ".join(given) or "no arguments"
        raise Unfit(f"`{name}{signature}` cannot be called with {given}: {error}") from None


def to_bytes(value):
    """Text as the bytes that it stands for; anything else as it is."""
    return os.fsencode(value) if isinstance(value, str) else value


def to_data(value):
    """What a stage has handed on: text, or bytes if it is none."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return os.fsencode(value)
    return value


def make_call(function, hello):
    """Calls the function with what a request has."""
    places, names = hello["payloads"]
    if hello["single"]:
        convert = to_bytes if hello["as_bytes"] else to_data if places else None
        return function if convert is None else lambda item: function(convert(item))

    def call(item):
        args, kwargs = item
        if hello["as_bytes"]:
            args = [to_bytes(value) for value in args]
            kwargs = {key: to_bytes(value) for key, value in kwargs.items()}
        for place in places:
            args[place] = to_data(args[place])
        for name in names:
            kwargs[name] = to_data(kwargs[name])
        return function(*args, **kwargs)

    if hello["as_bytes"] or places or names:
        return call
    return lambda item: function(*item[0], **item[1])


def prepare(hello):
    """Makes ready what the runner asks for."""
    if sys.version_info < (3, 8):
        raise Unfit("Python %d.%d is too old: 3.8 or later is needed" % sys.version_info[:2])
    sys.path[:0] = hello["path"]
    # What the interpreter says of a fault goes where the runner looks for it, and not among what others print.
    faults = os.dup(2)
    _ours.add(faults)
    faulthandler.enable(faults, all_threads=False)
    log = os.open(hello["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    for stream in (sys.stdout, sys.stderr):
        # The end of a process must not cost what it has printed.
        stream.reconfigure(line_buffering=True, errors="backslashreplace")
    sys.argv = ["runner"]
    if hasattr(sys, "set_int_max_str_digits"):
        sys.set_int_max_str_digits(0)  # a factorial is whole
    if hello["init"]:
        init = find(hello["init"])
        try:
            init()
        except BaseException as error:
            raise Unfit(f"`{hello['init']}` failed: {describe_import(error)}") from None
    function = find(hello["function"])
    check_call(function, hello["function"], hello)
    return function


def main():
    """An interpreter of the runner from its first packet to its end."""
    control = socket.socket(fileno=os.dup(0))
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.close(null)
    _ours.add(control.fileno())
    os.register_at_fork(after_in_child=forget_in_child)
    hello = json.loads(control.recv(1 << 20))
    try:
        function = prepare(hello)
    except Unfit as unfit:
        control.send(json.dumps({"unfit": str(unfit)}).encode()[: 60 << 10])
        return
    is_gil_on = getattr(sys, "_is_gil_enabled", lambda: True)()
    ready = {
        "ready": VERSION,
        "version": "%d.%d.%d" % sys.version_info[:3],
        "gil": is_gil_on,
        "coroutine": is_coroutine_function(function),
        "pid": os.getpid(),
    }
    control.send(json.dumps(ready).encode())
    call = make_call(function, hello)
    mode = hello["mode"]
    if mode == "async" or (mode == "pilot" and ready["coroutine"]):
        import asyncio

        asyncio.run(serve_all(control, call))
    elif mode == "threads":
        serve_in_threads(control, call)
    elif mode == "pilot":
        lane = receive_lane(control)
        if lane is not None:
            # The first lane is the only one, should this come to be an interpreter among others: then its function
            # finds itself in the main thread, as in theirs.
            import threading

            others = threading.Thread(target=serve_in_threads, args=(control, call))
            others.start()
            serve(Lane(lane), call)
            others.join()
    else:
        lane = receive_lane(control)
        if lane is not None:
            serve(Lane(lane), call)


def leave():
    """Ends the process as Python would, but for taking apart what is there: that takes as long as a short job."""
    threading = sys.modules.get("threading")
    if threading is not None:
        threading._shutdown()  # waits for threads of the user's own
    atexit = sys.modules.get("atexit")
    if atexit is not None:
        atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):
            pass  # the user's code took it away, or closed it
    os._exit(0)


main()
leave()
