# Keeps what has been compiled for the interpreters that come later. A part of worker.py.
DAYS = 90  # after which the code of a version that nobody may use any more is removed


def keep():
    """Writes what this process has compiled to where worker_boot.py looks for it; what cannot be written is not kept."""
    if KEPT_IN is None or not _new:
        return
    try:
        import marshal

        folder = os.path.dirname(KEPT_IN)
        make_folder(folder)
        KEPT.update((name, marshal.dumps(code)) for name, code in _new.items())
        _new.clear()
        data = marshal.dumps(KEPT)
        put_in_place(KEPT_IN, hash_of(data) + data)
        remove_old(folder)
    except Exception:
        pass


def make_folder(folder):
    """Makes the folder, and the cache folder that it is in, where there is a home of this user's: with `sudo`, it may still be
    that of somebody else."""
    outer = os.path.dirname(folder)
    for parent, made in ((os.path.dirname(outer), outer), (outer, folder)):
        if not os.path.isdir(made):
            if os.stat(parent).st_uid != os.geteuid():
                raise OSError
            try:
                os.mkdir(made, 0o700)
            except FileExistsError:
                pass  # another interpreter has made it
            else:
                os.chmod(made, 0o700)  # whatever the umask takes away
    if os.stat(folder).st_uid != os.geteuid():
        raise OSError


def put_in_place(path, data):
    """Readers see the file that was there before, or all of this one."""
    temporary = f"{path}.{os.getpid()}"
    file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        try:
            write_all(file, data)
        finally:
            os.close(file)
        os.replace(temporary, path)
    except OSError:
        os.unlink(temporary)
        raise


def remove_old(folder):
    """Removes what other versions have left long ago: `0123456789abcdef.cpython-311-0.code`, or with a number behind it."""
    limit = os.stat(KEPT_IN).st_mtime - DAYS * 86400
    for entry in os.scandir(folder):
        ours, _, rest = entry.name.partition(".")
        kind = rest.split(".")[1:]
        is_kept = kind == ["code"] or (len(kind) == 2 and kind[0] == "code" and kind[1].isdigit())
        if is_kept and len(ours) == 16 and not ours.strip("0123456789abcdef"):
            if entry.stat(follow_symlinks=False).st_mtime < limit:
                os.unlink(entry.path)
