# Processor time where several tasks run in one interpreter. A part of worker.py.


class ThreadCpu:
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


class Loose:
    """Processor time that no session has seen itself: of threads of libraries, and of children that were waited for. Those
    who run meanwhile share it."""

    def __init__(self):
        self.clocks, self.ended, self.running = [], 0, set()
        self.level, self.seen, self.at = 0.0, None, 0
        from _thread import allocate_lock

        self.lock = allocate_lock()

    def join(self):
        """The thread that calls this sees to its own time."""
        import time
        from _thread import get_ident

        clock = time.pthread_getcpuclockid(get_ident())
        with self.lock:
            self.clocks.append(clock)
        self.look()
        return clock

    def part(self, clock):
        with self.lock:
            self.ended += thread_time_ns()
            self.clocks.remove(clock)

    def look(self):
        """Shares out what has been used since the last look."""
        from time import CLOCK_PROCESS_CPUTIME_ID, clock_gettime_ns

        if _is_child:
            return  # it has none of these threads
        with self.lock:
            own = sum(map(clock_gettime_ns, self.clocks), self.ended)
            children = resource.getrusage(resource.RUSAGE_CHILDREN)
            everything = clock_gettime_ns(CLOCK_PROCESS_CPUTIME_ID)
            loose = everything - own + int((children.ru_utime + children.ru_stime) * 1e9)
            seen, self.seen, self.at = self.seen, max(loose, self.seen or 0), now()
            if seen is not None and self.running:
                self.level += max(loose - seen, 0) / len(self.running)

    def begin(self, session, at):
        if at - self.at > LONG:
            self.look()
        self.running.add(session)
        return self.level

    def end(self, session, level, run):
        """The part of a session whose task has run for so long."""
        if run >= LONG:
            self.look()
        self.running.discard(session)
        return int(self.level - level)
