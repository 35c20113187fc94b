# Values of every class become what JSON has. A part of worker.py.
from collections import deque
from collections.abc import ItemsView, KeysView, Mapping, Set, ValuesView
from itertools import islice
from types import CoroutineType, GeneratorType

DEEPEST = 100  # levels of a value; readers of JSON have limits of their own
MOST_VALUES = 1 << 25  # of an iterator, which might never end
MOST_NESTED = 1 << 22  # a few lists that hold one another can be more than there are atoms
_ITERABLE_COROUTINE = 0x100  # as `inspect` has it
_TEXT = frozenset((str,))
_NUMBERS = frozenset("bhHiIlLqQnNfdPe?")  # the formats of a view that `tolist` knows, bytes aside


class Half(Exception):
    """An iterator has raised something when it had yielded some values."""

    def __init__(self, cause, count):
        self.cause, self.count = cause, count


class Formless(Exception):
    """A value that JSON has no form for as a whole, and why."""


class Hole:
    """Stands in a value for what is awaited."""

    __slots__ = ("awaitable", "is_filled", "value")

    def __init__(self, awaitable):
        self.awaitable, self.is_filled, self.value = awaitable, False, None


class Cleaning:
    """What is known while a value is taken apart: what it lies in, what is awaited, what has no form, how large it is; and
    whether it is copied, since somebody may change it yet."""

    __slots__ = ("path", "holes", "formless", "count", "copies")

    def __init__(self, copies=False):
        self.path, self.holes, self.formless, self.count, self.copies = set(), [], [], 0, copies


class Yielded:
    """What has come of an asynchronous iterator: plain values, and what was found while they were made so."""

    __slots__ = ("items", "cleaning")

    def __init__(self, items, cleaning):
        self.items, self.cleaning = items, cleaning


_said = set()  # the classes that have been said to have no form


def is_awaitable(value):
    """Whether it is to be awaited, whatever its class."""
    kind = type(value)
    if kind is CoroutineType:
        return True
    if kind is GeneratorType:
        return bool(value.gi_code.co_flags & _ITERABLE_COROUTINE)
    if isinstance(value, type) or hasattr(kind, "readline"):
        return False
    return hasattr(kind, "__await__") or hasattr(kind, "__anext__") or is_future(value)


def is_future(value):
    """Whether it is a result of `concurrent.futures`, or of a pool of `multiprocessing`."""
    futures = sys.modules.get("concurrent.futures._base")
    if futures is not None and isinstance(value, futures.Future):
        return True
    pools = sys.modules.get("multiprocessing.pool")
    return pools is not None and isinstance(value, pools.AsyncResult)


def whole(value):
    """The value as JSON can have it; what is awaited in it is run to its end."""
    steps = unfold(value)
    try:
        awaited = next(steps)
        while True:
            try:
                result = finish(awaited)
            except BaseException as error:
                awaited = steps.throw(error)
            else:
                awaited = steps.send(result)
    except StopIteration as end:
        return end.value


def unfold(value):
    """Yields what is to be awaited, and is sent what came of it; returns the value as JSON can have it."""
    while is_awaitable(value):
        value = yield value
    cleaning = Cleaning()
    kind = type(value)
    if is_bytes(value):
        return binary(value)
    try:
        plain = clean(value, cleaning)
        while cleaning.holes:
            holes, cleaning.holes = cleaning.holes, []
            for hole in holes:
                hole.value = yield hole.awaitable
                while is_awaitable(hole.value):
                    hole.value = yield hole.value
                hole.is_filled = True
            plain = clean(plain, cleaning)
    except Formless as why:
        cleaning.formless = [f"{name_of(kind)} {why}"]
        plain = shown(value)
    new = [name for name in dict.fromkeys(cleaning.formless) if name not in _said]
    if not new:
        return plain
    _said.update(new)
    (text, exact), words = forms(plain), ", ".join(new)
    return Special(NOTED, text, words) if exact is None else Special(INFINITE, text, f"{exact}\n{words}")


def is_bytes(value):
    """Whether it is bytes, or a view of them: one of numbers is an array."""
    if isinstance(value, memoryview):
        return numbers_in(value) is None
    return isinstance(value, (bytes, bytearray))


def numbers_in(view):
    """The numbers of a view; None: it is of bytes, or of what Python cannot read."""
    order, letter = view.format[:-1], view.format[-1:]
    if letter not in _NUMBERS:
        return None
    try:
        if order in ("=", "<" if sys.byteorder == "little" else ">"):  # as those of `ctypes` say it
            view = view.cast("B").cast(letter, view.shape)
        return view.tolist()
    except (NotImplementedError, TypeError, ValueError):
        return None


def binary(data):
    """Bytes: the runner knows whether they are text."""
    data = bytes(data)
    if len(data) > MOST:
        too_large(len(data))
    return Special(BINARY, b'"' + base64_of(data) + b'"', "")


def base64_of(data):
    import binascii

    return binascii.b2a_base64(data, newline=False)


def text_of(data):
    """Bytes inside of another value: their text, else base64."""
    if len(data) > MOST:
        too_large(len(data))
    try:
        return data.decode()
    except UnicodeDecodeError:
        return base64_of(data).decode()


def is_escaped(text):
    """Whether it has what a report cannot hold. What has no bytes at all is not a result."""
    try:
        data = text.encode("utf-8", "surrogateescape")
        if data.decode("utf-8", "surrogateescape") == text:
            return "\0" in text or len(data.decode("utf-8", "ignore")) < len(text)
    except UnicodeEncodeError:
        pass
    raise ValueError("the result has a text with half of a surrogate pair, which no bytes stand for")


def too_large(size):
    raise ValueError(
        f"the result takes {size / (1 << 20):.0f} MiB, and {MOST >> 20} MiB fit a report: write it to a file, "
        "and return the file's name"
    )


def clean(value, cleaning):
    """The value, made of nothing but what JSON has; the same object, where it is that already and nobody changes it."""
    kind = type(value)
    if kind in SCALARS:
        return value
    if (kind is list or kind is tuple or kind is dict) and len(value) > MOST // 2:
        too_large(len(value) * 2)  # at the least: no need to write it to see that
    if kind is list or kind is tuple:
        if SCALARS.issuperset(map(type, value)):
            return value[:] if cleaning.copies else value
        return inside(value, cleaning, lambda: [clean(item, cleaning) for item in value])
    if kind is dict:
        if _TEXT.issuperset(map(type, value)) and SCALARS.issuperset(map(type, value.values())):
            return value.copy() if cleaning.copies else value
        return inside(value, cleaning, lambda: table(value.items(), cleaning))
    if kind is Hole:
        return clean(value.value, cleaning) if value.is_filled else value
    if kind is Yielded:
        cleaning.holes += value.cleaning.holes
        cleaning.formless += value.cleaning.formless
        return value.items
    return inside(value, cleaning, lambda: other(value, kind, cleaning))


def inside(value, cleaning, make):
    """What `make` makes of the parts of a value, which must not lie in itself."""
    path, ident = cleaning.path, id(value)
    if ident in path:
        raise Formless("that refers to itself")
    if len(path) > DEEPEST:
        raise Formless(f"of more than {DEEPEST} levels")
    cleaning.count += 1
    if cleaning.count > MOST_NESTED:
        raise ValueError(f"the result has more than {MOST_NESTED:,} lists and objects that hold others")
    path.add(ident)
    try:
        return make()
    finally:
        path.discard(ident)


def table(items, cleaning):
    """An object, from pairs; where different keys are the same as text, the pairs."""
    items = [(key(name), clean(item, cleaning)) for name, item in items]
    made = dict(items)
    return made if len(made) == len(items) else [list(pair) for pair in items]


def key(name):
    """A key as text, as `json` has it where that has one."""
    kind = type(name)
    if kind is str:
        return name
    plain = clean(name, Cleaning())
    if type(plain) is str:
        return plain
    if type(plain) in SCALARS:
        text = "nan" if plain != plain else finite(plain)
        return text if type(text) is str else _dumps(text)
    return str(name)


def other(value, kind, cleaning):
    """What a value of a class is that JSON knows nothing of."""
    enum = loaded("enum", "Enum")
    if enum is not None and isinstance(value, enum.Enum):
        return clean(value.value, cleaning)
    if isinstance(value, (int, str, float)):
        base = next(base for base in (int, str, float) if isinstance(value, base))
        return getattr(base, f"__{base.__name__}__")(value)
    if is_bytes(value):
        return text_of(bytes(value))
    if isinstance(value, memoryview):
        return clean(numbers_in(value), cleaning)
    if is_awaitable(value):
        hole = Hole(value)
        cleaning.holes.append(hole)
        return hole
    for form in FORMS:
        made = form(value, kind)
        if made is not NotImplemented:
            if type(made) is Unordered:
                return in_order(made, cleaning)
            return table(made, cleaning) if type(made) is Pairs else clean(made, cleaning)
    if is_iterator(value, kind):
        return all_of(value, kind, cleaning)
    made = of_frames(value, kind)
    if made is not NotImplemented:
        return clean(made, cleaning)
    cleaning.formless.append(name_of(kind))
    return shown(value)


class Pairs(list):
    """The members of a record, by name."""


class Unordered(list):
    """The members of a set."""


def in_order(items, cleaning):
    """The members of a set, in an order that is the same in every interpreter."""
    kinds = set(map(type, items))
    if len(kinds) == 1 and kinds <= {str, int}:
        return sorted(items)
    plain = [clean(item, cleaning) for item in items]
    texts = list(map(text_for_order, plain))
    order = sorted(range(len(items)), key=texts.__getitem__)
    # Sets are compared by what is part of which, and NaN with nothing: sorted, they would stay as they come.
    if not any(isinstance(item, Set) for item in items):
        is_nan = [isinstance(item, float) and item != item for item in items]
        try:
            order.sort(key=lambda at: 0 if is_nan[at] else items[at])
            order.sort(key=is_nan.__getitem__)
        except Exception:
            order.sort(key=texts.__getitem__)
    return [plain[at] for at in order]


def text_for_order(plain):
    try:
        return _dumps(finite(plain))
    except TypeError:  # what is awaited has no text yet
        return ""


def of_arrays(value, kind):
    """Arrays, and their scalars, of NumPy and those that follow it."""
    if not hasattr(kind, "dtype") or not hasattr(kind, "tolist") or isinstance(value, type):
        return NotImplemented
    if attribute(value, "nbytes", 0) > MOST:
        too_large(value.nbytes)
    dtype = value.dtype
    letter = attribute(dtype, "kind", "")
    names = attribute(dtype, "names")
    if letter == "M" and hasattr(kind, "astype"):
        return moments(sys.modules["numpy"].datetime_as_string(value).tolist())
    if letter == "m" and hasattr(kind, "astype"):
        return spans(value)
    if letter in ("f", "c") and attribute(dtype, "itemsize", 0) > (8 if letter == "f" else 16):
        return value.astype(str).tolist()  # more digits than Python's own numbers have
    if names:
        if getattr(value, "ndim", 0) == 0:
            return Pairs((name, value[name]) for name in names)
        return list(value)
    if not letter and hasattr(kind, "detach"):
        value = value.detach()
    return value.tolist()


def moments(value):
    """Times as text as Python has it; those that are none, or masked, are None."""
    if isinstance(value, list):
        return [moments(item) for item in value]
    return None if value is None or value == "NaT" else value.replace("T", " ")


def spans(value):
    """Lengths of time: Python's own where those say the same, else as text."""
    numpy = sys.modules["numpy"]
    ours = value.astype("timedelta64[us]")
    is_fixed = numpy.datetime_data(value.dtype)[0] not in ("Y", "M", "generic")
    if is_fixed and ((ours.astype(value.dtype) == value) | numpy.isnat(value)).all():
        return ours.tolist()
    return moments(value.astype(str).tolist())


def of_pandas(value, kind):
    """Tables and columns of pandas, whole: with their index, unless that only counts."""
    pandas = loaded("pandas", "NA")
    if pandas is None or kind.__module__.partition(".")[0] != "pandas":
        return NotImplemented
    if value is pandas.NA or value is pandas.NaT:
        return None
    if isinstance(value, pandas.Series):
        if counts(value.index):
            return list(value.array)
        return Pairs(zip(value.index, value.array))
    if isinstance(value, pandas.DataFrame):
        if not counts(value.index):
            value = value.reset_index(allow_duplicates=True) if value.index.names else value
        names = unique([key(name) for name in value.columns])
        columns = [value.iloc[:, place].array for place in range(len(names))]
        if not columns:
            return [{} for _ in range(len(value))]
        return [dict(zip(names, row)) for row in zip(*columns)]
    if isinstance(value, pandas.Index):
        return list(value)
    if isinstance(value, (pandas.Timestamp, pandas.Timedelta, pandas.Period, pandas.Interval)):
        return str(value)
    return list(value) if isinstance(value, pandas.api.extensions.ExtensionArray) else NotImplemented


def counts(index):
    """Whether an index is 0, 1, 2 and so on."""
    pandas = sys.modules["pandas"]
    return isinstance(index, pandas.RangeIndex) and index.start == 0 and index.step == 1 and index.name is None


def unique(names):
    """The names, a second `a` as `a_2`, or as the first such name that no other has."""
    taken, counts, made = set(names), {}, []
    for name in names:
        count = counts.get(name, 0) + 1
        free = name
        while count > 1 and free in taken:
            free = f"{name}_{count}"
            count += free in taken
        counts[name] = count
        taken.add(free)
        made.append(free)
    return made


def of_frames(value, kind):
    """Tables of polars and Arrow. Those of Arrow may have several columns of a name."""
    names = attribute(value, "column_names") if hasattr(kind, "column_names") else None
    if hasattr(kind, "to_pylist") and isinstance(names, list) and len(set(names)) < len(names):
        columns = [value.column(place).to_pylist() for place in range(len(names))]
        names = unique(names)
        return [dict(zip(names, row)) for row in zip(*columns)]
    for method in ("to_pylist", "to_dicts", "to_list"):
        if hasattr(kind, method) and not isinstance(value, type):
            return getattr(value, method)()
    return NotImplemented


def of_texts(value, kind):
    """What is best known by its text."""
    module = kind.__module__.partition(".")[0]
    if module in ("datetime", "decimal", "_decimal", "_pydecimal", "fractions", "uuid", "ipaddress", "zoneinfo"):
        return str(value)
    if isinstance(value, complex) or (module == "collections" and kind.__name__ == "UserString"):
        return str(value)
    if hasattr(kind, "__fspath__"):
        return os.fspath(value)
    return of_texts(value, kind.__base__) if module != "builtins" and kind.__base__ is not object else NotImplemented


def of_records(value, kind):
    """Objects that are made of members with names."""
    if isinstance(value, type):
        return NotImplemented
    if hasattr(kind, "__dataclass_fields__"):
        fields = kind.__dataclass_fields__.items()  # those of the class, or of `__init__` alone, are none of the value
        return with_items(value, members(value, [name for name, field in fields if field._field_type.name == "_FIELD"]))
    if hasattr(kind, "__attrs_attrs__"):
        return members(value, [attribute.name for attribute in kind.__attrs_attrs__])
    if hasattr(kind, "model_dump") and hasattr(kind, "model_fields"):
        return value.model_dump()
    if hasattr(kind, "__fields__") and callable(getattr(kind, "dict", None)):
        return value.dict()  # of the first pydantic
    if hasattr(kind, "__struct_fields__"):
        return members(value, kind.__struct_fields__)
    if isinstance(value, tuple) and isinstance(getattr(value, "_fields", None), (tuple, list)):
        return Pairs(zip(value._fields, value))
    if kind.__module__ == "types" and kind.__name__ == "SimpleNamespace":
        return Pairs(vars(value).items())
    sqlite3 = loaded("sqlite3", "Row")
    if sqlite3 is not None and isinstance(value, sqlite3.Row):
        return Pairs(zip(value.keys(), value))
    return NotImplemented


def with_items(value, made):
    """The members of a record, and what it holds besides if it is a collection, too."""
    if isinstance(value, Mapping):
        named = dict(made)
        return Pairs([*made, *((name, item) for name, item in value.items() if name not in named or named[name] is not item)])
    if isinstance(value, (list, tuple, Set, deque)) and len(value) > 0:
        if made:
            raise ValueError(f"the result is a {name_of(type(value))}, which has both members and items: return one of them")
        return NotImplemented
    return made


def members(value, names):
    return Pairs((name, getattr(value, name)) for name in names if hasattr(value, name))


def of_collections(value, kind):
    """What holds other values in an order, or by a key."""
    if isinstance(value, type):
        return NotImplemented
    if isinstance(value, Mapping):
        return Pairs(value.items())
    arrays = loaded("array", "array")
    if isinstance(value, (list, tuple, deque, range, KeysView, ValuesView, ItemsView)) or (
        arrays is not None and isinstance(value, arrays.array)
    ):
        return list(value)
    return Unordered(value) if isinstance(value, Set) else NotImplemented


def is_iterator(value, kind):
    return hasattr(kind, "__next__") and hasattr(kind, "__iter__") and not hasattr(kind, "readline")


def all_of(value, kind, cleaning):
    """All that an iterator yields. Each item is made plain before the next one is asked for: those of `groupby` are gone
    by then, and what is yielded again may have changed."""
    items, source = [], islice(value, MOST_VALUES)
    before, cleaning.copies = cleaning.copies, True
    while True:
        try:
            item = next(source)
        except StopIteration:
            break
        except BaseException as error:
            raise Half(error, len(items)) from None
        items.append(item if type(item) in SCALARS else clean(item, cleaning))
    cleaning.copies = before
    if len(items) == MOST_VALUES:
        raise ValueError(f"an iterator of the class {name_of(kind)} had not ended after {MOST_VALUES:,} values")
    return items


FORMS = (of_pandas, of_arrays, of_texts, of_records, of_collections)


def name_of(kind):
    """A class for people."""
    return kind.__qualname__ if kind.__module__ in ("builtins", "__main__") else f"{kind.__module__}.{kind.__qualname__}"


def shown(value):
    """The `repr` of what has no other form. One that raises is not a result."""
    try:
        return str.__str__(repr(value))
    except Exception as error:
        name = name_of(type(value))
        raise ValueError(f"the result is a {name}, whose repr raised {type(error).__name__}") from error


def with_infinity(value):
    """How Python writes a value, if infinity is in it: the next stage's functions get it as it was. NaN is None for them."""
    import json

    exact = finite(value, float)
    text = json.dumps(exact, ensure_ascii=False, check_circular=False, separators=(",", ":"))
    return text.encode("utf-8", "backslashreplace").decode() if "Infinity" in text else None


def finite(value, infinite=str):
    """The value without what JSON has no word for: NaN is None, infinity a text."""
    if type(value) is float:
        if value != value:
            return None
        return value if value not in (float("inf"), float("-inf")) else infinite(value)
    if isinstance(value, (list, tuple)):
        return [finite(item, infinite) for item in value]
    if isinstance(value, dict):
        return {name: finite(item, infinite) for name, item in value.items()}
    return value
