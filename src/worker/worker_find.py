# Names become functions: importing, and the mistakes that show then. A part of worker.py.


def imported(name):
    """The module of this name, or in the file of this path; a failure in words for the job's author."""
    try:
        return load(name)
    except SystemExit as error:
        words = (
            f"`{shown_name(name)}` ended Python while it was imported (SystemExit: {error}): what a script does belongs "
            "under `if __name__ == \"__main__\":`"
        )
        place = describe_import(error).partition("\n")[2]
        raise Unfit(f"{words}\n{place}".rstrip()) from None
    except BaseException as error:
        hint = ""
        if isinstance(error, ImportError) and "relative import" in str(error) and name.endswith(".py"):
            dotted = shown_name(name)[:-3].replace(os.sep, ".")
            if dotted.endswith(".__init__"):
                dotted = dotted[: -len(".__init__")]
            hint = f"\na file is imported by itself, as a script is: for a module of a package write `{dotted}:…`"
        raise Unfit(f"failed to import `{shown_name(name)}`: {describe_import(error)}{hint}") from None


def load(name):
    if name in _compiled:
        made = _compiled.pop(name)
        if made.spec.name not in sys.modules:
            return made.finish()
    if name.endswith(".py"):
        folder, file = os.path.split(name)
        if folder not in sys.path:
            # As for a script, which finds its own modules in its folder.
            sys.path.insert(0, folder)
            _finder.user.append(os.path.join(folder, ""))
        # A name with a dot would be that of a part of a package, where `pickle` looks for it.
        return load_file(file[:-3].replace(".", " "), name)
    if "." not in name and _finder.is_standard(name):
        # Whoever names a file beside the job means that.
        spec = PathFinder.find_spec(name, _finder.user)
        if spec is not None and spec.origin is not None:
            return load_file(name, spec.origin, spec.submodule_search_locations)
    return bootstrap._gcd_import(name)


def load_file(name, path, folders=None):
    """The module in a file. Its name may be that of one which is needed as it is."""
    loaded = _files.get(path)
    if loaded is not None:
        return loaded
    if name in sys.modules or ("." not in name and _finder.is_standard(name)):
        name += " of the job"
    spec = spec_from_file_location(name, path, submodule_search_locations=folders)
    module = bootstrap.module_from_spec(spec)
    sys.modules[name] = _files[path] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name], _files[path]
        raise
    return module


_files = {}
_compiled = {}  # what is left to be run, by the names that `load` is asked for; filled where interpreters are forked


def shown_name(name):
    """A file as the job's author would name it."""
    return os.path.relpath(name) if os.path.isabs(name) else name


def find(name):
    """The object that `module:name` stands for."""
    module, _, path = name.rpartition(":")
    target = imported(module)
    for step in path.split("."):
        try:
            target = getattr(target, step)
        except AttributeError:
            import difflib

            near = difflib.get_close_matches(step, dir(target), 1)
            hint = f"; did you mean `{near[0]}`?" if near else ""
            raise Unfit(f"`{shown_name(module)}` has no `{path}`{hint}") from None
        except BaseException as error:
            raise Unfit(f"`{shown_name(module)}` did not give its `{path}`: {describe_import(error)}") from None
    if not callable(target):
        raise Unfit(f"`{shown_name(module)}:{path}` cannot be called: it is of type {type(target).__name__}")
    return target


def initialize(name):
    """Calls `init`: a function, a coroutine, or a generator or context manager whose rest is run at the end."""
    init = find(name)
    try:
        value = init()
        kind = type(value)
        if is_made_by(value, "_GeneratorContextManager"):
            value.__enter__()
            _endings.append(lambda: end_of(name, lambda: value.__exit__(None, None, None)))
        elif is_made_by(value, "_AsyncGeneratorContextManager"):
            finish(value.__aenter__(), is_init=True)
            _endings.append(lambda: end_of(name, lambda: finish(value.__aexit__(None, None, None))))
        elif hasattr(kind, "__next__") and not hasattr(kind, "__await__"):
            next(value, None)
            _endings.append(lambda: end_of(name, lambda: next(value, _NOTHING) is not _NOTHING))
        elif hasattr(kind, "__anext__"):
            finish(next_of(value), is_init=True)
            _endings.append(lambda: end_of(name, lambda: finish(next_of(value)) is not _NOTHING))
        elif kind not in SCALARS:
            part("values")
            if is_awaitable(value):  # noqa: F821
                finish(value, is_init=True)
    except BaseException as error:
        raise Unfit(f"`{shown_name(name)}` failed: {describe_import(error)}") from None


_NOTHING = object()  # what a generator that has ended comes to


def is_made_by(value, name):
    """Whether a decorator of `contextlib` has made it. Any other context manager is a thing that `init` just returns."""
    kind = getattr(sys.modules.get("contextlib"), name, None)
    return kind is not None and isinstance(value, kind)


async def next_of(generator):
    try:
        return await generator.__anext__()
    except StopAsyncIteration:
        return _NOTHING


def end_of(name, run):
    """Runs the rest of `init`. No task has a failure there: the runner says it, and the log has it whole."""
    try:
        if run() is True:
            tell_of_end(f"`{shown_name(name)}` has a second `yield`, and what stands after that was not run")
    except BaseException as error:
        import traceback

        part("errors")
        print(f"the rest of `{shown_name(name)}` failed:", file=sys.stderr)
        traceback.print_exc()
        tell_of_end(f"`{shown_name(name)}` failed after its `yield`: {headline(error)}")  # noqa: F821


def tell_of_end(words):
    try:
        _control.send(b'{"ending":%b}' % quote(printable(words)[:4000].replace("\n", "\\n")).encode())
    except OSError:
        pass  # nobody waits for it


def preload(name):
    """Runs what is to be there before interpreters are forked: a function, or a module."""
    if ":" not in name:
        imported(name)
        return
    function = find(name)
    try:
        value = function()
    except BaseException as error:
        raise Unfit(f"`{shown_name(name)}` failed: {describe_import(error)}") from None
    kind = type(value)
    if hasattr(kind, "__await__") or hasattr(kind, "__anext__") or hasattr(kind, "__next__"):
        if hasattr(value, "close"):
            value.close()
        raise Unfit(
            f"`{shown_name(name)}` gave a {kind.__name__}, which nobody runs: `preload` is a plain function, since no "
            "event loop survives the fork; `init` may be a coroutine or a generator"
        )


def explain_call(function, hello):
    """Raises why the function cannot be called with this number of arguments, and these keyword arguments, if that is so."""
    import inspect

    try:
        signature = inspect.signature(function)
    except Exception:
        return  # some built-in functions have none, and some objects raise whatever they like
    args, kwargs = hello["args"], hello["kwargs"]
    try:
        signature.bind(*([None] * args), **{key: None for key in kwargs})
    except TypeError as error:
        given = ([f"{args} argument" + "s" * (args != 1)] if args else []) + [f"`{key}`" for key in kwargs]
        given = ", ".join(given) or "no arguments"
        name = shown_name(hello["function"])
        raise Unfit(f"`{name}{signature}` cannot be called with {given}: {error}") from None
