"""Where an object can be that only one task keeps alive. Each place takes `make`, which makes it, and stops there."""

import contextlib
import contextvars
import functools

VARIABLE = contextvars.ContextVar("VARIABLE")


class Thing:
    """What is looked for."""


class CarrierError(Exception):
    """Carries it."""


def _manager(thing):
    @contextlib.contextmanager
    def managed():
        yield thing

    return managed()


def _generator(thing):
    yield 1
    yield thing


def _nothing(*_args, **_names):
    pass


class _Waiting:
    """A manager that stops on its way in, called by the interpreter's own C code."""

    def __init__(self, thing, stop):
        self.thing = thing
        self.stop = stop

    def __enter__(self):
        self.stop()

    def __exit__(self, *_exc):
        pass


# -- plain functions: stop() returns when the test lets the task go on --


def a_local(make, stop):
    x = make()
    stop()
    del x


def an_argument(make, stop):
    def inner(_x):
        stop()

    inner(make())


def a_cell(make, stop):
    x = make()

    def inner():
        return x

    stop()
    inner()


def a_free_variable(make, stop):
    def outer():
        x = make()

        def inner():
            stop()
            return x

        return inner

    outer()()


def a_star_argument(make, stop):
    def inner(*_args, **_names):
        stop()

    inner(make(), y=1)


def a_loops_iterator(make, stop):
    for _ in (None, make()):
        stop()
        break


def a_comprehensions_iterator(make, stop):
    [stop() for _ in (None, make()) if _ is None]


def a_half_made_call(make, stop):
    _nothing(make(), stop())


def a_half_made_call_with_names(make, stop):
    _nothing(x=make(), y=stop())


def a_half_made_list(make, stop):
    [1, make(), stop()]


def a_half_made_dict(make, stop):
    {"x": make(), "y": stop()}


def half_an_operation(make, stop):
    return make() is stop()


def deep_on_the_stack(make, stop):
    f = lambda *_: None  # noqa: E731
    for _ in (1,):
        with contextlib.nullcontext():
            try:
                f(1, f(2, make(), f(3, stop())))
            finally:
                f()


def an_exception_being_handled(make, stop):
    try:
        raise CarrierError(make())
    except CarrierError:
        stop()


def an_exception_in_finally(make, stop):
    with contextlib.suppress(CarrierError):
        try:
            raise CarrierError(make())
        finally:
            stop()


def an_outer_exception(make, stop):
    try:
        raise CarrierError(make())
    except CarrierError:
        try:
            raise KeyError(1)
        except KeyError:
            stop()


def a_context_manager(make, stop):
    with _manager(make()):
        stop()


def inside_enter(make, stop):
    with _Waiting(make(), stop):
        pass


def an_attribute_of_the_function(make, stop):
    def outer():
        def inner():
            stop()

        inner.thing = make()
        return inner

    outer()()


def a_class_body(make, stop):
    class _Body:
        x = make()
        stop()


def a_name_in_exec(make, stop):
    exec("x = make()\nstop()", {"make": make, "stop": stop})


def a_generator_that_is_driven(make, stop):
    def inner():
        x = make()
        stop()
        yield x

    next(inner())


def a_generator_driven_from_c(make, stop):
    def inner():
        x = make()
        yield
        stop()
        yield x

    list(inner())


def a_generator_in_a_loop(make, stop):
    def inner():
        x = make()
        stop()
        yield x

    for _ in inner():
        pass


def a_suspended_generator(make, stop):
    one = _generator(make())
    next(one)
    stop()


def a_callback_of_c_code(make, stop):
    def key(_):
        x = make()
        stop()
        return id(x)

    sorted([1], key=key)


def above_a_callback_of_c_code(make, stop):
    x = make()
    functools.reduce(lambda *_: stop(), (1, 2))
    del x


def a_context_variable(make, stop):
    VARIABLE.set(make())
    stop()


def a_deep_recursion(make, stop, depth=100):
    x = make() if depth == 50 else None
    if depth:
        a_deep_recursion(make, stop, depth - 1)
    else:
        stop()
    del x


PLAIN = [each for each in list(globals().values()) if getattr(each, "__module__", "") == __name__]
PLAIN = [each for each in PLAIN if type(each) is type(a_local) and each.__name__[0] != "_"]


# -- coroutines: `await future()` does --


async def in_a_coroutine(make, future):
    x = make()
    await future()
    del x


async def in_an_outer_coroutine(make, future):
    async def inner():
        await future()

    x = make()
    await inner()
    del x


async def half_a_call_around_an_await(make, future):
    _nothing(make(), await future())


async def an_exception_in_a_coroutine(make, future):
    try:
        raise CarrierError(make())
    except CarrierError:
        await future()


async def an_exception_of_an_outer_coroutine(make, future):
    async def inner():
        await future()

    try:
        raise CarrierError(make())
    except CarrierError:
        await inner()


async def an_awaited_future(make, future):
    one = future()
    one.set = make()
    awaited, one = one, None
    await awaited


async def an_asynchronous_generator(make, future):
    async def inner():
        x = make()
        await future()
        yield x

    async for _ in inner():
        pass


async def a_nested_asynchronous_generator(make, future):
    async def inner():
        x = make()
        await future()
        yield x

    async def outer():
        async for each in inner():
            yield each

    async for _ in outer():
        pass


async def an_asynchronous_comprehension(make, future):
    async def inner():
        yield make()
        await future()

    [each async for each in inner()]


async def anext_with_a_default(make, future):
    async def inner():
        await future()
        yield

    await anext(inner(), make())


async def athrow(make, future):
    async def inner():
        try:
            yield
        except CarrierError:
            x = make()
            await future()
            del x

    one = inner()
    await anext(one)
    with contextlib.suppress(StopAsyncIteration):
        await one.athrow(CarrierError)


async def an_asynchronous_manager(make, future):
    @contextlib.asynccontextmanager
    async def managed(thing):
        yield thing

    async with managed(make()):
        await future()


async def an_await_written_as_a_generator(make, future):
    class Awaitable:
        def __await__(self):
            x = make()
            yield from future().__await__()
            del x

    await Awaitable()


async def an_awaitable_written_by_hand(make, future):
    async def inner():
        x = make()
        await future()
        del x

    class Awaitable:
        def __init__(self):
            self.inner = inner()

        def __await__(self):
            return self

        def __next__(self):
            return self.inner.send(None)

        __iter__ = __await__

    await Awaitable()


async def a_coroutines_context_variable(make, future):
    VARIABLE.set(make())
    await future()


async def a_greenlet(make, future):
    """As SQLAlchemy's greenlet_spawn does it: the child asks its parent to await."""
    import greenlet

    def plain():
        x = make()
        greenlet.getcurrent().parent.switch(future())
        del x

    child = greenlet.greenlet(plain)
    awaitable = child.switch()
    while not child.dead:
        await awaitable
        awaitable = child.switch()

    child.switch()


async def with_greenback(make, future):
    import greenback

    def plain():
        x = make()
        greenback.await_(future())
        del x

    await greenback.ensure_portal()
    plain()


async def with_sqlalchemy(make, future):
    from sqlalchemy.util import await_only, greenlet_spawn

    def plain():
        x = make()
        await_only(_wrapped(future()))
        del x

    await greenlet_spawn(plain)


async def _wrapped(awaitable):
    await awaitable


COROUTINES = [each for each in list(globals().values()) if getattr(each, "__module__", "") == __name__]
COROUTINES = [each for each in COROUTINES if type(each) is type(a_local) and each.__name__[0] != "_"]
COROUTINES = [each for each in COROUTINES if each not in PLAIN]
