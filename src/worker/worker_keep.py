# Keeps what has been compiled for the interpreters that come later. A part of worker.py.
DAYS = 90  # after which the code of a version that nobody may use any more is removed


def keep():
    """Writes what this process has compiled to where worker_boot.py looks for it; what cannot be written is not kept."""
    if KEPT_IN is None or not _new:
        return
    try:
        import _imp
        import marshal
        from _frozen_importlib_external import MAGIC_NUMBER

        folder = os.path.dirname(KEPT_IN)
        if not is_ours(folder):
            return
        os.makedirs(folder, 0o700, exist_ok=True)
        KEPT.update((name, marshal.dumps(code)) for name, code in _new.items())
        _new.clear()
        data = marshal.dumps(KEPT)
        replace(KEPT_IN, _imp.source_hash(int.from_bytes(MAGIC_NUMBER, "little"), data) + data)
        remove_old(folder)
    except Exception:
        pass


def is_ours(folder):
    """Whether this user's own files go there: with `sudo`, the home may still be that of somebody else."""
    while not os.path.lexists(folder):
        folder = os.path.dirname(folder)
    return os.stat(folder).st_uid == os.geteuid()


def replace(path, data):
    """Readers see the file that was there before, or all of this one."""
    temporary = f"{path}.{os.getpid()}"
    file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        write_all(file, data)
    except OSError:
        os.unlink(temporary)
        raise
    finally:
        os.close(file)
    os.replace(temporary, path)


def remove_old(folder):
    limit = os.stat(KEPT_IN).st_mtime - DAYS * 86400
    for entry in os.scandir(folder):
        if ".code" in entry.name and entry.stat(follow_symlinks=False).st_mtime < limit:
            os.unlink(entry.path)
