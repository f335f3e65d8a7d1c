"""SafePointPolicy and @preemptible: what a user says about code, which entry counts, and that slips are told."""

import asyncio
import functools
import gc
import importlib
import sys
import textwrap
import types
from pathlib import Path

import pytest

import preemptio
from preemptio import SafePointPolicy, preemptible
from preemptio._core._reasons import Verdict
from preemptio._preempt._policy import MARKED
from preemptio._preempt._safepoint import POLICIES, SafePoints
from preemptio._preempt._whose import Ownership, Whose
from preemptio.lowlevel import current_g

SOURCE = """\
    import asyncio, sys
    def frame():
        return sys._getframe()
    def other():
        return sys._getframe()
    def inner():
        return [frame() for _ in range(1)] and (lambda: sys._getframe())()
    class Pool:
        def take(self):
            return sys._getframe()
        def give(self):
            return sys._getframe()
    async def call(fn):
        return fn()
    """


@pytest.fixture
def lib(tmp_path, monkeypatch):
    """An async-aware library in site-packages."""
    package = tmp_path / "site-packages" / "some_lib"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "mod.py").write_text(textwrap.dedent(SOURCE))
    monkeypatch.syspath_prepend(str(package.parent))
    importlib.invalidate_caches()
    yield importlib.import_module("some_lib.mod")
    for name in [name for name in sys.modules if name.partition(".")[0] == "some_lib"]:
        del sys.modules[name]


def whose(frame, *, allow=(), deny=()):
    """Return the class of a frame for a task with this policy."""
    return Ownership().under(SafePointPolicy(allow=allow, deny=deny)).whose(frame)


MOD = "some_lib.mod"

# allow, deny, and what some_lib.mod.frame is then
CASES = [
    ([], [], Whose.ASYNC_LIBRARY),
    (["some_lib"], [], Whose.USER),
    ([MOD], [], Whose.USER),
    ([f"{MOD}:frame"], [], Whose.USER),
    ([f"{MOD}:other"], [], Whose.ASYNC_LIBRARY),
    ([f"{MOD}:fram"], [], Whose.ASYNC_LIBRARY),
    (["some_li"], [], Whose.ASYNC_LIBRARY),
    ([], ["some_lib"], Whose.DENIED),
    ([], [f"{MOD}:frame"], Whose.DENIED),
    ([], [f"{MOD}:other"], Whose.ASYNC_LIBRARY),
    (["some_lib"], ["some_lib"], Whose.DENIED),
    ([MOD], [MOD], Whose.DENIED),
    ([MOD], ["some_lib"], Whose.USER),
    (["some_lib"], [MOD], Whose.DENIED),
    ([f"{MOD}:frame"], [MOD], Whose.USER),
    ([MOD], [f"{MOD}:frame"], Whose.DENIED),
    ([f"{MOD}:frame"], [f"{MOD}:frame"], Whose.DENIED),
]


@pytest.mark.parametrize(("allow", "deny", "expected"), CASES)
def test_the_more_specific_entry_counts_and_deny_wins_a_tie(lib, allow, deny, expected):
    """Module before package, function before module."""
    assert whose(lib.frame(), allow=allow, deny=deny) is expected


@pytest.mark.parametrize(("allow", "deny", "expected"), [case for case in CASES if case[0] or case[1]])
def test_the_loop_and_the_task_are_added(lib, allow, deny, expected):
    """Who said it, the knobs or the task's policy, makes no difference."""
    for split in (
        Ownership(tuple(allow)).under(SafePointPolicy(deny=deny)),
        Ownership((), tuple(deny)).under(SafePointPolicy(allow=allow)),
        Ownership(tuple(allow), tuple(deny)),
    ):
        assert split.whose(lib.frame()) is expected


def test_files(lib):
    """A file is more specific than a module, a directory than none, a function than a file."""
    path = Path(lib.__file__)
    frame = lib.frame()
    assert whose(frame, allow=[path]) is Whose.USER
    assert whose(frame, allow=[str(path.parent)]) is Whose.USER
    assert whose(frame, allow=[f"{path.parent}/"]) is Whose.USER
    assert whose(frame, allow=[path.parent / "mo"]) is Whose.ASYNC_LIBRARY
    assert whose(frame, allow=[path], deny=[MOD]) is Whose.USER
    assert whose(frame, allow=[MOD], deny=[path.parent]) is Whose.DENIED
    assert whose(frame, allow=[path], deny=[path.parent]) is Whose.USER
    assert whose(frame, allow=[lib.frame], deny=[path]) is Whose.USER
    assert whose(frame, allow=[path], deny=[lib.frame]) is Whose.DENIED


def test_a_relative_path_is_taken_from_here(lib, monkeypatch):
    """At the time when the policy is made."""
    monkeypatch.chdir(Path(lib.__file__).parent)
    policy = SafePointPolicy(allow=["mod.py"])
    monkeypatch.chdir("/")
    assert policy.allow == (lib.__file__,)
    assert Ownership().under(policy).whose(lib.frame()) is Whose.USER


def test_functions_by_themselves(lib):
    """Methods, what is decorated, and what is written inside."""
    assert whose(lib.Pool().take(), allow=[lib.Pool.take]) is Whose.USER
    assert whose(lib.Pool().take(), allow=[lib.Pool().take]) is Whose.USER
    assert whose(lib.Pool().give(), allow=[lib.Pool.take]) is Whose.ASYNC_LIBRARY
    assert whose(lib.inner(), allow=[lib.inner]) is Whose.USER
    assert whose(lib.frame(), allow=[functools.lru_cache(lib.frame)]) is Whose.USER
    assert whose(lib.frame(), allow=[preemptio.nopreempt("why")(lib.frame)]) is Whose.USER


def test_functions_by_name(lib):
    """A class stands for all its methods, a function for what is written inside."""
    assert whose(lib.Pool().take(), deny=[f"{MOD}:Pool"]) is Whose.DENIED
    assert whose(lib.Pool().take(), deny=[f"{MOD}:Pool"], allow=[f"{MOD}:Pool.take"]) is Whose.USER
    assert whose(lib.Pool().give(), deny=[f"{MOD}:Pool"], allow=[f"{MOD}:Pool.take"]) is Whose.DENIED
    assert whose(lib.inner(), allow=[f"{MOD}:inner"]) is Whose.USER


def test_equal_functions_are_not_the_same(lib):
    """Code objects are compared by content: that is not meant here."""
    twin = types.FunctionType(lib.frame.__code__.replace(), vars(lib))
    assert twin.__code__ == lib.frame.__code__
    assert whose(lib.frame(), allow=[twin]) is Whose.ASYNC_LIBRARY
    assert whose(twin(), allow=[twin]) is Whose.USER


def test_the_runtime_and_imports_cannot_be_allowed():
    """A transition may be half done; an import holds its lock."""
    code = compile("", str(Path(preemptio.__file__).parent / "_core" / "_step.py"), "exec")
    runtime = types.SimpleNamespace(f_code=code, f_globals={"__name__": "preemptio._core._step"})
    frozen = types.SimpleNamespace(
        f_code=compile("", "<frozen importlib._bootstrap>", "exec"), f_globals={"__name__": "importlib._bootstrap"}
    )
    for frame, fixed in ((runtime, Whose.RUNTIME), (frozen, Whose.IMPORT)):
        name = frame.f_globals["__name__"]
        assert whose(frame, allow=[name]) is fixed
        assert whose(frame, deny=[name]) is fixed


def test_a_module_of_the_standard_library_can_be_named():
    """The user's word goes before the list."""
    frame = types.SimpleNamespace(f_code=functools.wraps.__code__, f_globals=vars(functools))
    assert whose(frame) is Whose.STDLIB
    assert whose(frame, allow=["functools"]) is Whose.USER
    frame = types.SimpleNamespace(f_code=textwrap.fill.__code__, f_globals=vars(textwrap))
    assert whose(frame) is Whose.PURE
    assert whose(frame, deny=["textwrap"]) is Whose.DENIED


def test_the_main_module_goes_by_both_names():
    """python -m package.module."""
    spec = types.SimpleNamespace(name="package.module")
    names = {"__name__": "__main__", "__spec__": spec, "__file__": "/srv/package/module.py"}
    frame = types.SimpleNamespace(f_code=compile("", "/srv/package/module.py", "exec"), f_globals=names)
    assert whose(frame) is Whose.USER
    for name in ("__main__", "package", "package.module", "/srv/package"):
        assert whose(frame, deny=[name]) is Whose.DENIED


@pytest.mark.parametrize(
    ("entry", "error", "says"),
    [
        ("my-lib", ValueError, "'my-lib' cannot be the name of a package"),
        ("my_lib:f()", ValueError, r"'f\(\)' cannot be the __qualname__"),
        ("my_lib:", ValueError, "'' cannot be the __qualname__"),
        ("", ValueError, "'' cannot be the name of a package"),
        (len, TypeError, "takes a function written in Python, not <built-in function len>"),
        (asyncio.Queue, TypeError, "a class is named by text: 'module:Class'"),
        (None, TypeError, "takes a function written in Python, not None"),
        (7, TypeError, "takes a function written in Python, not 7"),
    ],
)
def test_a_bad_entry_says_what_to_type(entry, error, says):
    """In which of the two, and what is accepted."""
    for field in ("allow", "deny"):
        with pytest.raises(error, match=says) as caught:
            SafePointPolicy(**{field: [entry]})
        assert f"SafePointPolicy({field}=[" in str(caught.value)


@pytest.mark.parametrize("given", ["my_lib", Path("/srv"), 7, None])
def test_one_entry_is_not_a_list(given):
    """A lone text would be taken apart into letters."""
    with pytest.raises(TypeError, match=r"takes a list; type allow=\["):
        SafePointPolicy(allow=given)


def test_a_policy_is_frozen_and_equal_by_content():
    """So that it can be shared, and be the key of what was looked up."""
    policy = SafePointPolicy(allow=["a", "a", preemptible])
    assert policy == SafePointPolicy(allow=("a", preemptible))
    assert len({policy, SafePointPolicy(allow=["a", preemptible]), SafePointPolicy(deny=["a"])}) == 2
    with pytest.raises(AttributeError):
        policy.allow = ()


class TestPreemptible:
    """The decorator."""

    def test_what_it_marks(self, lib):
        """The function and what is written inside, and nothing else of the file."""
        assert preemptible(lib.inner) is lib.inner
        assert Ownership().whose(lib.inner()) is Whose.USER
        assert Ownership().whose(lib.frame()) is Whose.ASYNC_LIBRARY

    def test_what_is_known_already_is_asked_again(self, lib):
        """A mark may come after the file was met."""
        ownership = Ownership()
        assert ownership.whose(lib.frame()) is Whose.ASYNC_LIBRARY
        preemptible(lib.frame)
        assert ownership.whose(lib.frame()) is Whose.USER
        assert ownership.whose(lib.other()) is Whose.ASYNC_LIBRARY

    def test_against_a_policy(self, lib):
        """It is an entry for a function: only one as specific overrules it."""
        preemptible(lib.frame)
        preemptible(lib.Pool.take)
        assert whose(lib.frame(), deny=[MOD]) is Whose.USER
        assert whose(lib.frame(), deny=[f"{MOD}:frame"]) is Whose.DENIED
        assert whose(lib.frame(), deny=[lib.frame]) is Whose.DENIED
        assert whose(lib.Pool().take(), deny=[f"{MOD}:Pool"]) is Whose.USER

    def test_a_mark_goes_with_its_function(self):
        """Functions made by exec would pile up, and an identity is used again."""
        before = set(MARKED)
        names = {}
        exec("def f(): return [lambda: 1]", names)
        preemptible(names["f"])
        assert len(MARKED.keys() - before) == 2
        names.clear()
        gc.collect()
        assert MARKED.keys() <= before

    @pytest.mark.parametrize("thing", [len, 7, asyncio.Queue, functools.partial(len, ())])
    def test_functions_only(self, thing):
        """And the message says so."""
        with pytest.raises(TypeError, match="preemptible takes a function written in Python"):
            preemptible(thing)

    def test_closest_to_the_def(self, lib):
        """The code of a wrapper is everybody's who uses the decorator."""
        for wrapped in (preemptio.nopreempt("why")(lib.frame), lib.Pool().take, staticmethod(lib.frame)):
            with pytest.raises(TypeError, match="closest to the `def`"):
                preemptible(wrapped)


def ask():
    """Return what the rules of the task that calls say of its place."""
    return preemptio.explain(sys._getframe(1)).verdict


def ask_here():
    """Ask in a function of this module's."""
    return ask()


@pytest.mark.loop
class TestTask:
    """go(policy=...)."""

    def test_each_task_has_its_own(self, lib):
        """In one loop; what a task does not say is as the loop has it."""

        async def main():
            policies = [None, SafePointPolicy(allow=[MOD]), SafePointPolicy(deny=[__name__]), SafePointPolicy()]
            tasks = [preemptio.go(lib.call, ask_here, policy=policy) for policy in policies]
            assert [task.g.policy for task in tasks] == policies
            return await asyncio.gather(*tasks)

        assert preemptio.run(main()) == [Verdict.OWNER, Verdict.SAFE, Verdict.DENIED, Verdict.OWNER]

    def test_a_denied_coroutine_does_not_own_a_step(self):
        """Nor is anything stopped that denied code calls."""

        async def denied():
            return ask()

        async def main():
            policy = SafePointPolicy(deny=[denied])
            own = [preemptio.go(denied, policy=policy), preemptio.go(ask_here, policy=policy)]
            return [await own[0], await denied(), await own[1]]

        assert preemptio.run(main()) == [Verdict.DENIED, Verdict.SAFE, Verdict.SAFE]

    def test_the_knob(self):
        """PREEMPTIO_DENY, also where the rest of the rule is off; and a task may say better of one function."""

        async def main():
            return [ask(), await preemptio.go(ask_here, policy=SafePointPolicy(allow=[ask_here]))]

        for policy in ("user", "any"):
            with preemptio.config.override(deny=(__name__,), policy=policy):
                assert preemptio.run(main()) == [Verdict.DENIED, Verdict.SAFE]

    def test_bad_values(self):
        """The error says what to type, and the coroutine is closed."""

        async def main():
            with pytest.raises(TypeError, match=r"preemptio.SafePointPolicy\(allow=\['my_lib'\]\)"):
                preemptio.go(asyncio.sleep, 0, policy="any")

        preemptio.run(main())

    @pytest.mark.uninjected("a task that was stopped carries more")
    def test_a_task_without_a_policy_carries_nothing(self):
        """Its G has no second half for it."""

        async def main():
            return preemptio.go(asyncio.sleep, 0).g._extra is current_g()._extra

        assert preemptio.run(main())

    def test_many_policies(self):
        """They are not remembered for ever."""

        class G:
            policy = None
            _extra = types.SimpleNamespace(overdue=False)

        rules = SafePoints(policy="user", allow=(), async_off=False)
        assert rules.of(G) is rules
        first = None
        for i in range(3 * POLICIES):
            G.policy = SafePointPolicy(allow=[f"lib_{i}"])
            own = rules.of(G)
            assert own is rules.of(G) is own.of(G)
            assert own is not first
            first = own
        assert len(rules._of) <= POLICIES
        G.policy = None
        assert own.of(G) is rules


class TestAdvice:
    """The line that the report of a refusal names."""

    def test_the_package_of_the_frame(self, lib):
        """What is allowed already stays allowed."""
        assert Ownership().to_allow(lib.frame()) == "some_lib"
        assert Ownership(("my_app",)).to_allow(lib.frame()) == "my_app,some_lib"
        assert Ownership(("some_lib.mod:other",)).to_allow(lib.frame()) == "some_lib.mod:other,some_lib"

    def test_of_a_namespace_the_part(self, lib, monkeypatch):
        """`google` is not one package."""
        monkeypatch.setitem(sys.modules, "some_lib", types.ModuleType("some_lib"))
        assert Ownership().to_allow(lib.frame()) == MOD

    def test_what_should_not_be_allowed(self, lib):
        """The standard library, and code that is the user's already."""
        assert Ownership().to_allow(sys._getframe()) == ""
        assert Ownership((MOD,)).to_allow(lib.frame()) == ""
        frame = types.SimpleNamespace(f_code=functools.wraps.__code__, f_globals=vars(functools))
        assert Ownership().to_allow(frame) == ""

    def test_setting_it_helps(self, lib):
        """What the advice says is what has to be typed."""

        async def main():
            return await lib.call(lambda: preemptio.explain(sys._getframe()))

        said = preemptio.run(main())
        (value,) = [word[len("PREEMPTIO_ALLOW=") :].rstrip(",") for word in said.advice.split() if "ALLOW=" in word]
        with preemptio.config.override(allow=value):
            assert preemptio.run(main()).verdict is Verdict.SAFE
