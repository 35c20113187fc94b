# The interpreter that others are forked from: warm, without a thread, before user code. A part of worker.py.
AT_ONCE = 16  # the first ones come up on another processor while the next ones are forked


def serve_forks(control, hello):
    """Forks an interpreter for each request that comes. Returns twice: in each of them, with its control socket and the
    packet that says what to call; and here, with nothing, when the runner has gone."""
    try:
        # What each of them needs is done once: it takes longer than a fork, and what is written later is not shared.
        furnish(hello)
        part("find")
        if hello["preload"]:
            preload(hello["preload"])  # noqa: F821
    except Unfit as unfit:
        control.send(json.dumps({"unfit": str(unfit)[-20_000:]}).encode()[: 60 << 10])
        return None, None
    why = why_not(control)
    if why:
        control.send(json.dumps({"unable": why}).encode())
        return None, None
    import gc

    gc.freeze()  # what is shared stays shared: no collection writes into it
    control.send(json.dumps({"server": os.getpid()}).encode())
    while True:
        requests = await_requests(control)
        if requests is None:
            return None, None
        forked = fork_all(control, requests)
        if forked is not None:
            hello = json.loads(forked.recv(1 << 20))
            hello["is_furnished"] = True
            os.environ.update(hello["env"])
            return forked, hello


def why_not(control):
    """Why nothing can be forked here; empty: it can."""
    threads = len(os.listdir("/proc/self/task"))
    if threads > 1:
        return f"one with {threads} threads"
    runner = array.array("i", control.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
    return "" if runner else "one in a process namespace of its own"  # where the launcher does not know its children


def await_requests(control):
    """Requests that have come: each two descriptors, for its control socket and its standard error."""
    requests = []
    while len(requests) < AT_ONCE:
        # What the interpreters may need is compiled while nobody waits: it is theirs, too, then.
        control.setblocking(not requests and (not _has_forked or not PARTS))
        try:
            received = receive(control, 2)
        except BlockingIOError:
            if requests or not PARTS:
                break
            part(next(iter(PARTS)))
            continue
        if received is None:
            return None
        requests.append(received)
    return requests


def fork_all(control, requests):
    """Forks an interpreter for each. They are the children of a process that ends at once, so that the launcher adopts
    them, which sees to their end. In an interpreter: its control socket."""
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
    try:
        for request in requests:
            if os.fork() == 0:
                others = [descriptor for other in requests if other is not request for descriptor in other]
                not_mine = [control.detach(), holds, *others]
                return become(request, between, waits, not_mine)
    finally:
        if not _is_forked:
            os._exit(0)


_is_forked = False  # this process is one of those that were forked
_has_forked = False  # the first have what they wait for


def become(request, parent, waits, not_mine):
    """Makes this process the interpreter that was asked for."""
    global _is_forked
    _is_forked = True
    for descriptor in not_mine:
        os.close(descriptor)
    os.setsid()
    own, stderr = request
    import faulthandler

    faulthandler.enable(stderr, all_threads=False)
    _ours.add(stderr)
    os.read(waits, 1)  # until the one between is about to end
    os.close(waits)
    while os.getppid() == parent:
        os.sched_yield()
    atexit = sys.modules.get("atexit")
    if atexit is not None:
        atexit._clear()  # that is the affair of the one who has registered it
    control = socket.socket(fileno=own)
    control.send(json.dumps({"forked": os.getpid()}).encode())
    return control
