# Sessions in threads. A part of worker.py.
from _contextvars import copy_context

part("loop")


def or_end(serve):
    """What a thread runs. If it breaks, that is the end of the interpreter: its slot would wait for an answer for ever."""

    def served(*args):
        try:
            serve(*args)
        except BaseException as error:
            end_broken(error)

    return served


class ThreadPool:
    """The sessions of an interpreter, each in a thread of its own, until the control socket ends, or until the interpreter
    is to be renewed and none of them runs anything."""

    def __init__(self, control, call, renewal):
        import threading

        thread_sessions()  # noqa: F821
        self.control, self.call, self.renewal = control, call, renewal
        self.loose = Loose()  # noqa: F821
        self.lock = threading.Lock()
        self.running, self.is_leaving = 0, False
        self.wake = socket.socketpair() if renewal else None
        self.context = copy_context()  # what the module and `init` have set is so in every thread

    def serve(self, takes_first):
        """Serves sessions as they come; the first one in this thread, if it `takes_first`."""
        import threading

        if takes_first:
            session = receive_session(self.control)
            if session is None:
                return
            others = threading.Thread(target=or_end(self.serve_others))
            others.start()
            self.serve_session(session)
            others.join()
        else:
            self.serve_others()

    def serve_others(self):
        import threading

        while self.waits_for_session():
            session = receive_session(self.control)
            if session is None:
                return
            # No daemon, as in Python's own pools: the threads that the function starts are not, either, then. An
            # interpreter that is renewed does not wait for sessions that have nothing to do.
            serve = self.context.copy().run
            thread = threading.Thread(target=serve, args=(or_end(self.serve_session), session), daemon=bool(self.renewal))
            thread.start()

    def waits_for_session(self):
        """Waits for news; false: the interpreter is to leave."""
        if self.wake is None:
            return True
        import select

        ready, _, _ = select.select([self.control, self.wake[0]], [], [])
        return self.wake[0] not in ready

    def begins(self):
        """Whether another task may start."""
        with self.lock:
            if self.is_leaving:
                return False
            self.running += 1
            return True

    def gives_back(self):
        """A task that was about to start is the runner's again. If the others have left, they wait for that."""
        with self.lock:
            self.running -= 1
        if self.is_leaving:
            self.left()

    def ended(self):
        """A task has ended. Whether the session is to go on."""
        with self.lock:
            self.running -= 1
            self.is_leaving = self.is_leaving or self.renewal.is_due()
            return not self.is_leaving

    def left(self):
        """A session has said that it leaves."""
        with self.lock:
            if self.running == 0:
                self.wake[1].send(b"x")

    def serve_session(self, descriptors):
        clock = self.loose.join()
        if loaded("asyncio", "events"):
            present_loop()  # noqa: F821
        try:
            self.serve_requests(Session(descriptors))
        finally:
            self.loose.part(clock)

    def serve_requests(self, session):
        words, record, call, loose = session.words, session.record, self.call, self.loose
        cpu, renews = ThreadCpu(), bool(self.renewal)  # noqa: F821
        while not session.ended:
            for line in session.lines():
                seq, items, invoke = read(line, call)
                end = now()
                cpu.anchor(end)
                last = seq + len(items) - 1
                for item in items:
                    if renews and not self.begins():
                        session.leave(seq - 1, False)
                        return self.left()
                    start = now()
                    if start - cpu.at > ANCHOR:
                        cpu.anchor(start)
                    words[SINCE] = start
                    words[CURRENT] = seq
                    if words[BARRIER] > seq:
                        record(b"[%d,2]\n" % seq)
                        if renews:
                            self.gives_back()
                        break
                    level = loose.begin(session, start)
                    try:
                        value = invoke(item)
                        if type(value) not in SCALARS:
                            value = whole(value)
                        end = now()
                        user, system = cpu.took(start, end)
                        user += loose.end(session, level, end - start)
                        data = answer(seq, user, system, start, end - start, value)
                    except BaseException as error:
                        end = now()
                        user, system = cpu.took(start, end)
                        user += loose.end(session, level, end - start)
                        data = failure(seq, user, system, start, end - start, error)
                        cpu.anchor(now())
                    value = None
                    record(data)
                    if renews and not self.ended():
                        session.leave(seq, seq == last)
                        return self.left()
                    seq += 1
                    if end - session.flushed > BLOCK:
                        session.flush()
                session.flush()
                words[CURRENT] = 0


def serve_in_threads(control, call, renewal, takes_first):
    """Serves sessions as they come, each in a thread of its own."""
    ThreadPool(control, call, renewal).serve(takes_first)
