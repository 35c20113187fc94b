# The event loop of an interpreter, of which there is one from `init` to the last task. A part of worker.py.
from _contextvars import copy_context

part("values")
part("cpu")
_loop = None
_making = RLock()  # threads that need it for the first time at once get the same one
_runs_aside = None  # the thread that runs it, where sessions are threads


def loop():
    """The interpreter's event loop: the one that the user's modules have found while they were imported, if they have."""
    global _loop
    if _loop is None:
        with _making:
            if _loop is None:
                _loop = made_loop()
    return _loop


def made_loop():
    import asyncio
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            made = asyncio.get_event_loop()
        except RuntimeError:
            made = asyncio.new_event_loop()
    if made.is_closed():
        made = asyncio.new_event_loop()
    asyncio.set_event_loop(made)
    return made


def present_loop():
    """Has this thread find the loop where it looks for one; `asyncio.run` leaves none."""
    import asyncio

    asyncio.set_event_loop(loop())


async def result_of(value):
    """What comes of a value that can be awaited, of whatever class, or iterated so."""
    kind = type(value)
    if hasattr(kind, "__anext__"):
        items, cleaning, is_plain = [], Cleaning(copies=True), True  # noqa: F821
        try:
            async for item in value:
                # As it is now: what is yielded next may be the same thing, changed.
                if is_plain and type(item) not in SCALARS:
                    try:
                        item = clean(item, cleaning)  # noqa: F821
                    except Formless:  # noqa: F821 (whoever takes the whole apart says so)
                        is_plain = False
                items.append(item)
                if len(items) == MOST_VALUES:  # noqa: F821
                    raise ValueError(f"an iterator of the class {name_of(kind)} had not ended after {MOST_VALUES:,} values")  # noqa: F821
        except BaseException as error:
            raise Half(error, len(items)) from None  # noqa: F821
        return Yielded(items, cleaning) if is_plain else items  # noqa: F821
    if is_future(value):  # noqa: F821
        import asyncio

        if hasattr(value, "add_done_callback"):
            return await asyncio.wrap_future(value)
        return await asyncio.get_running_loop().run_in_executor(None, value.get)
    return await value


def finish(value, is_init=False):
    """Waits for a value that can be awaited, where no loop runs in this thread. What `init` has set in its context is so in
    this thread then, and in all that starts here."""
    global _loop
    import asyncio

    if is_future(value):  # noqa: F821
        return value.result() if hasattr(value, "result") else value.get()
    own = value.get_loop() if asyncio.isfuture(value) and hasattr(value, "get_loop") else loop()
    if _loop is None:
        _loop = own  # the function has found or made it, and may have bound others to it
    if _is_threaded and own is _loop:
        run_aside()
    if not own.is_running():
        if not is_init:
            return own.run_until_complete(result_of(value))
        result, context = own.run_until_complete(with_context(value))
        take_over(context)
        return result
    return asyncio.run_coroutine_threadsafe(result_of(value), own).result()


_is_threaded = False


def run_aside():
    """Runs the loop in a thread of its own, if it does not run yet."""
    global _runs_aside
    if _runs_aside is not None:
        return
    import threading

    with _aside:
        if _runs_aside is None:
            started = threading.Event()
            loop().call_soon(started.set)
            thread = threading.Thread(target=loop().run_forever, name="runner-loop", daemon=True)
            thread.start()
            started.wait()
            _runs_aside = thread


def thread_sessions():
    """From now on, several threads may wait for the loop."""
    global _is_threaded, _aside
    import threading

    _is_threaded, _aside = True, threading.Lock()


def close_loop():
    """Ends what is left on the loop, as `asyncio.run` does."""
    global _loop
    if _loop is None or _loop.is_closed():
        return
    import asyncio

    if _runs_aside is not None:
        _loop.call_soon_threadsafe(_loop.stop)
        _runs_aside.join()
    tasks = asyncio.all_tasks(_loop)
    for task in tasks:
        task.cancel()
    try:
        if tasks:
            _loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        _loop.run_until_complete(_loop.shutdown_asyncgens())
        if hasattr(_loop, "shutdown_default_executor"):
            _loop.run_until_complete(_loop.shutdown_default_executor())
    except Exception as error:
        print(describe(error), file=sys.stderr)


# Many calls in flight on the loop.

def begin(invoke, item):
    """Calls the function; what that comes to is a coroutine that has made its first step, and what it waits for, or the
    value. Most calls are over then, and have cost no more than this."""
    value = invoke(item)
    if type(value) is not CoroutineType:  # noqa: F821
        return value, None
    try:
        return value, Waits(value.send(None))
    except StopIteration as end:
        return end.value, None


class Waits:
    """What a coroutine has yielded: a future, or nothing, which gives others their turn."""

    __slots__ = ("future",)

    def __init__(self, future):
        self.future = future


class Steps:
    """Awaits a coroutine in a context, and adds up the processor time of its steps alone. It may have made the first one."""

    __slots__ = ("coroutine", "cpu", "run", "waits", "user", "system")

    def __init__(self, coroutine, cpu, run, waits=None):
        self.coroutine, self.cpu, self.run, self.waits, self.user, self.system = coroutine, cpu, run, waits, 0, 0

    def __await__(self):
        cpu, run, waits, error = self.cpu, self.run, self.waits, None
        self.waits = None
        while True:
            if waits is None:
                start = now()
                if start - cpu.at > ANCHOR:
                    cpu.anchor(start)
                try:
                    if error is None:
                        future = run(self.coroutine.send, None)
                    else:
                        future = run(self.coroutine.throw, error)
                except StopIteration as end:
                    self.add(start)
                    return end.value
                except BaseException:
                    self.add(start)
                    raise
                self.add(start)
            else:
                future, waits = waits.future, None
            error = None
            try:
                yield future
            except GeneratorExit:
                run(self.coroutine.close)
                raise
            except BaseException as thrown:
                error = thrown

    def add(self, start):
        user, system = self.cpu.took(start, now())
        self.user += user
        self.system += system


async def with_context(value):
    """What comes of a value, and the context in which that came."""
    return await result_of(value), copy_context()


def take_over(context):
    """Sets in this thread's context what is different in another."""
    current = copy_context()
    for variable, value in context.items():
        if variable not in current or current[variable] is not value:
            variable.set(value)


async def whole_of(value):
    """The value as JSON can have it; what is awaited in it is run to its end, beside the other sessions."""
    steps = unfold(value)  # noqa: F821
    try:
        awaited = next(steps)
        while True:
            try:
                result = await result_of(awaited)
            except BaseException as error:
                awaited = steps.throw(error)
            else:
                awaited = steps.send(result)
    except StopIteration as end:
        return end.value


class AsyncSession(Session):
    """A session whose requests are awaited, beside those of the others. It is a task of the loop only while it has some:
    what the loop says of its tasks is the user's affair."""

    def __init__(self, descriptors, pool):
        super().__init__(descriptors)
        self.loop, self.pool = loop(), pool
        self.batches, self.current, self.cancelling = deque(), 0, 0  # noqa: F821
        self.task, self.has_left = None, False
        self.loop.add_reader(self.requests, pool.or_end(self.readable))

    def readable(self):
        for line in self.lines():
            if line.startswith(b"{"):
                seq = loads(line)["cancel"]
                if seq == self.current:
                    self.cancelling = seq
                    self.task.cancel()
            else:
                self.batches.append(line)
        if self.ended:
            self.loop.remove_reader(self.requests)
        self.work()

    def work(self):
        if self.batches and self.task is None and not self.has_left:
            self.task = self.loop.create_task(self.serve(self.pool.call, self.pool.cpu, self.pool.loose))
            self.task.add_done_callback(self.pool.or_end(self.rested))

    def rested(self, task):
        self.task = None
        error = None if task.cancelled() else task.exception()
        if error is not None:
            return self.pool.end(error)  # without its session, a slot would wait for ever
        self.work()  # it may have been cancelled before it had begun
        self.pool.rested()

    def forgive(self):
        """A cancellation that has been seen concerns nothing that comes later."""
        while hasattr(self.task, "uncancel") and self.task.cancelling():
            self.task.uncancel()

    def given_up(self, seq, user, system, start, run):
        """The answer of a request that was cancelled since its time was over: what it returns or raises after that is not what
        it was asked for, or only half of it."""
        self.forgive()
        return b'[%d,3,%d,%d,%d,%d,null,""]\n' % (seq, user, system, start, run)

    async def serve(self, call, cpu, loose):
        import asyncio

        words, record, pool, context = self.words, self.record, self.pool, self.pool.context
        pause = asyncio.sleep
        while self.batches:
            seq, items, invoke = read(self.batches.popleft(), call)
            last = seq + len(items) - 1
            for item in items:
                if pool.is_leaving:
                    self.has_left = True
                    return self.leave(seq - 1, False)
                start = now()
                words[SINCE] = start
                words[CURRENT] = self.current = seq
                if words[BARRIER] > seq:
                    record(b"[%d,2]\n" % seq)
                    break
                steps = None
                level = loose.begin(self, start)
                try:
                    if start - cpu.at > ANCHOR:
                        cpu.anchor(start)
                    # What a task sets in its context is its own, as with `gather`.
                    run = context.copy().run
                    value, waits = run(begin, invoke, item)
                    if waits is not None:
                        steps = Steps(value, cpu, run, waits)
                        steps.add(start)
                        value = await steps
                    if type(value) not in SCALARS:
                        if steps is None:
                            steps = Steps(None, cpu, run)
                            steps.add(start)
                        steps.coroutine = whole_of(value)
                        value = await steps
                    end = now()
                    user, system = (steps.user, steps.system) if steps else cpu.took(start, end)
                    user += loose.end(self, level, end - start)
                    if self.cancelling == seq:  # whatever it has made of that
                        data = self.given_up(seq, user, system, start, end - start)
                    else:
                        data = answer(seq, user, system, start, end - start, value)
                except BaseException as error:
                    end = now()
                    user, system = (steps.user, steps.system) if steps else cpu.took(start, end)
                    user += loose.end(self, level, end - start)
                    if self.cancelling == seq:
                        data = self.given_up(seq, user, system, start, end - start)
                    else:
                        if isinstance(error, asyncio.CancelledError):
                            self.forgive()
                        data = failure(seq, user, system, start, end - start, error)
                value = steps = None
                self.current = 0
                record(data)
                if pool.renewal and pool.renewal.is_due():
                    pool.is_leaving = True
                if pool.is_leaving:
                    self.has_left = True
                    return self.leave(seq, seq == last)
                seq += 1
                if end - self.flushed > BLOCK:
                    self.flush()
                    try:
                        await pause(0)  # the others have their turn
                    except asyncio.CancelledError:
                        self.forgive()
            self.flush()
            words[CURRENT] = self.current = 0


class LoopPool:
    """The sessions of a loop: they are served until the control socket ends, or until the interpreter is to be renewed and
    none of them runs anything."""

    def __init__(self, control, call, renewal):
        self.control, self.call, self.renewal = control, call, renewal
        self.is_leaving = self.is_done = False
        self.error = None
        self.sessions = []
        self.cpu, self.loose = ThreadCpu(), Loose()
        self.loose.join()
        self.context = copy_context()  # what the module and `init` have set is so for every task

    def serve(self):
        self.control.setblocking(False)
        loop().add_reader(self.control.fileno(), self.or_end(self.offered))
        loop().run_forever()
        if self.error is not None:
            raise self.error
        if not self.is_done:
            words = "the event loop, on which the tasks run, was stopped (`loop.stop()`)"
            _write(_faults, words.encode())
            raise RuntimeError(words)

    def offered(self):
        try:
            descriptors = receive_session(self.control)
        except BlockingIOError:
            return
        if descriptors is None:
            loop().remove_reader(self.control.fileno())
            return self.end()
        self.sessions.append(AsyncSession(descriptors, self))

    def or_end(self, run):
        """What the loop calls. If it breaks, that is the end of the interpreter: the loop would say so in the log alone, and
        a slot wait for an answer for ever."""

        def ran(*args):
            try:
                run(*args)
            except Exception as error:
                self.end(error)

        return ran

    def rested(self):
        """A session has done what it had to do."""
        if self.is_leaving and not any(session.batches or session.task for session in self.sessions if not session.has_left):
            self.end()

    def end(self, error=None):
        self.is_done, self.error = True, self.error or error
        loop().stop()


def serve_on_loop(control, call, renewal):
    """Serves sessions as they come, as coroutines of the interpreter's loop."""
    LoopPool(control, call, renewal).serve()
