"""Whose code a frame is: the standard library, third parties, the user, and code that was generated."""

import importlib
import importlib.util
import sys
import sysconfig
import textwrap
from pathlib import Path

import pytest

import preemptio
from preemptio._preempt._whose import PURE_MODULES, Ownership, Whose

STDLIB = Path(sysconfig.get_paths()["stdlib"])

# fmt: off
STATEFUL = [
    "asyncio", "asyncio.queues", "asyncio.base_events", "threading", "logging", "logging.handlers", "queue", "socket",
    "ssl", "selectors", "functools", "contextlib", "contextvars", "concurrent.futures.thread", "multiprocessing.pool",
    "subprocess", "tempfile", "unittest.mock", "codecs", "collections", "abc", "weakref", "warnings", "enum",
    "dataclasses", "pdb", "bdb", "trace", "base64", "_strptime",
]
# fmt: on


class Frame:
    """What `whose` looks at of a frame."""

    def __init__(self, filename, **names):
        self.f_code = compile("", filename, "exec")
        self.f_globals = names


def whose(filename, *allow, **names):
    return Ownership(allow).whose(Frame(str(filename), **names))


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A directory of third-party packages."""
    site = tmp_path / "site-packages"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    yield site
    for name in [name for name, module in sys.modules.items() if str(site) in str(getattr(module, "__file__", ""))]:
        del sys.modules[name]


def package(site, name, source="", submodule="mod"):
    """Install a package whose submodule has this source and a function `frame`; import the submodule."""
    directory = site.joinpath(*name.split("."))
    directory.mkdir(parents=True)
    body = "import sys\ndef frame():\n    return sys._getframe()\n"
    (directory / f"{submodule}.py").write_text(textwrap.dedent(source) + body)
    importlib.invalidate_caches()
    return importlib.import_module(f"{name}.{submodule}")


class TestStandardLibrary:
    """STDLIB, PURE and IMPORT."""

    @pytest.mark.parametrize("name", sorted(PURE_MODULES))
    def test_every_pure_module_is_one(self, name):
        """Each entry names a file or a package of this Python, and that is PURE. That it is met: test_purelist.py."""
        paths = [STDLIB / f"{name}.py", STDLIB / name / "__init__.py"]
        assert [whose(path) for path in paths if path.exists()] == [Whose.PURE]

    @pytest.mark.parametrize(
        "name",
        STATEFUL,
    )
    def test_modules_with_state_are_not(self, name):
        """Switching inside them would let another task in while they are half done."""
        spec = importlib.util.find_spec(name)
        assert whose(STDLIB / Path(*name.split(".")).with_suffix(".py")) is Whose.STDLIB
        assert whose(spec.origin if spec.has_location else f"<frozen {name}>") is Whose.STDLIB

    @pytest.mark.parametrize("name", ["_bootstrap", "_bootstrap_external", "_abc", "resources/_common"])
    def test_imports_are_a_class_of_their_own(self, name):
        """As a file of importlib, and frozen."""
        assert whose(STDLIB / "importlib" / f"{name}.py") is Whose.IMPORT
        assert whose(f"<frozen importlib.{name}>") is Whose.IMPORT
        assert whose("<frozen zipimport>") is Whose.IMPORT

    def test_submodules_belong_to_their_package(self):
        """json.decoder is json's; a name that only begins alike is not."""
        assert whose(STDLIB / "json" / "decoder.py") is Whose.PURE
        assert whose(STDLIB / "xml" / "etree" / "ElementTree.py") is Whose.PURE
        assert whose(STDLIB / "xml" / "sax" / "handler.py") is Whose.STDLIB
        assert whose(STDLIB / "copyreg.py") is Whose.STDLIB
        assert whose(STDLIB / "urllib" / "request.py") is Whose.STDLIB

    @pytest.mark.parametrize("word", ["allocate_lock(", "Lock(", "Condition(", "get_ident(", "setlocale("])
    def test_no_pure_module_holds_what_others_share(self, word):
        """A task that is stopped inside such a module keeps its lock, or the thread's entry in its tables, and the next
        one that comes there is blocked with the whole thread, or taken for the first.
        """
        paths = [path for name in PURE_MODULES for path in [STDLIB / f"{name}.py", *(STDLIB / name).rglob("*.py")]]
        assert [path.name for path in paths if path.exists() and word in path.read_text("utf-8")] == []


class TestThirdParty:
    """Packages below site-packages."""

    def test_ordinary_code(self, site):
        """It is interrupted as a thread would interrupt it."""
        module = package(site, "ordinary")
        assert Ownership().whose(module.frame()) is Whose.THIRD_PARTY

    @pytest.mark.parametrize("name", ["asyncio"])
    def test_code_that_knows_asyncio(self, site, name):
        """It assumes that nothing runs between its awaits."""
        module = package(site, "aware", f"import {name}\n")
        assert Ownership().whose(module.frame()) is Whose.ASYNC_LIBRARY

    def test_only_the_module_that_knows_it(self, site):
        """Each module of a package is judged by itself."""
        package(site, "both", "import asyncio\n", submodule="loop")
        (site / "both" / "pure.py").write_text("import sys\ndef frame():\n    return sys._getframe()\n")
        importlib.invalidate_caches()
        assert Ownership().whose(importlib.import_module("both.pure").frame()) is Whose.THIRD_PARTY

    @pytest.mark.parametrize(
        ("allow", "whose"),
        [
            ("aware", Whose.USER),
            ("aware.deep", Whose.USER),
            ("aware.deep.mod", Whose.USER),
            ("awar", Whose.ASYNC_LIBRARY),
            ("deep", Whose.ASYNC_LIBRARY),
            ("aware.de", Whose.ASYNC_LIBRARY),
        ],
    )
    def test_what_is_allowed_is_the_users(self, site, allow, whose):
        """PREEMPTIO_ALLOW names packages and modules, by whole names."""
        module = package(site, "aware.deep", "import asyncio\n")
        assert Ownership((allow,)).whose(module.frame()) is whose

    def test_a_single_file_may_be_allowed(self, site):
        """A distribution that is one module."""
        (site / "single.py").write_text("import sys, asyncio\ndef frame():\n    return sys._getframe()\n")
        importlib.invalidate_caches()
        frame = importlib.import_module("single").frame()
        assert Ownership().whose(frame) is Whose.ASYNC_LIBRARY
        assert Ownership(("single",)).whose(frame) is Whose.USER

    def test_installed_packages_are_third_party(self):
        """The environment's own directory is known without being on a list of ours."""
        assert Ownership().whose(Frame(pytest.__file__)) is Whose.THIRD_PARTY


class TestUser:
    """Everything else."""

    def test_this_file(self):
        """A program's own code."""
        assert Ownership().whose(sys._getframe()) is Whose.USER

    def test_the_library_is_the_library_by_any_path(self):
        """After sys.path.insert(0, "lib/..") file names have dots in them; a task that is stopped in the runtime's own
        frames is the end of the runtime all the same.
        """
        package = Path(preemptio.__file__).parent
        dotted = f"{package.parent}/docs/../{package.name}/_core/_step.py"
        assert whose(dotted) is Whose.RUNTIME
        assert whose(f"{STDLIB}/json/../threading.py") is Whose.STDLIB

    def test_the_library_is_not(self):
        """Except its command line, whose demo is a program like any other."""
        package = Path(preemptio.__file__).parent
        assert whose(package / "_core" / "_step.py") is Whose.RUNTIME
        assert whose(package / "__init__.py") is Whose.RUNTIME
        assert whose(package / "_cli" / "_demo_app.py") is Whose.USER
        assert whose(f"{package}x/mod.py") is Whose.USER


def run_code(source, module):
    """Execute code in a module, as exec, dataclasses and attrs do."""
    exec(compile(source, "<string>", "exec"), vars(module))
    return vars(module)


class TestGenerated:
    """Code without a file."""

    def test_belongs_to_the_module_that_it_runs_in(self, site):
        """Of several modules each has its own, although all are called <string>."""
        ownership = Ownership()
        found = []
        for name, source in (("gen_plain", ""), ("gen_aware", "import asyncio\n")):
            module = package(site, name, source)
            made = run_code("def made():\n    return sys._getframe()", module)["made"]
            found.append(ownership.whose(made()))
        assert found == [Whose.THIRD_PARTY, Whose.ASYNC_LIBRARY]
        mine = {"sys": sys, "__file__": __file__}
        exec("def made():\n    return sys._getframe()", mine)
        assert ownership.whose(mine["made"]()) is Whose.USER

    def test_a_prompt_is_the_users(self):
        """No file at all."""
        assert whose("<stdin>") is Whose.USER

    def test_what_a_dataclass_generates_is_its_modules(self, site):
        """__init__ of a third-party dataclass is third-party code, of the user's the user's."""
        source = """\
            import asyncio, dataclasses
            class Frame:
                def __set__(self, obj, value): self.frame = sys._getframe(1)
                def __get__(self, obj, owner=None): raise AttributeError
            FRAME = Frame()
            @dataclasses.dataclass
            class Point:
                x: int
            Point.x = FRAME
            """
        module = package(site, "dataclassy", source)
        module.Point(1)
        assert module.FRAME.frame.f_code.co_filename == "<string>"
        assert Ownership().whose(module.FRAME.frame) is Whose.ASYNC_LIBRARY
        assert Ownership(("dataclassy",)).whose(module.FRAME.frame) is Whose.USER


class TestMemory:
    """What is looked up once."""

    def test_a_file_is_classified_once(self):
        """The tick handler pays a dictionary look-up from the second time on."""
        ownership = Ownership()
        filename = str(STDLIB / "threading.py")
        assert ownership.whose(Frame(filename)) is Whose.STDLIB
        ownership._stdlib = ()
        assert ownership.whose(Frame(filename)) is Whose.STDLIB
        assert ownership.whose(Frame(str(STDLIB / "queue.py"))) is Whose.USER

    def test_does_not_need_a_working_directory(self, tmp_path, monkeypatch):
        """A relative name in a directory that was deleted: the handler must not raise in the user's code."""
        gone = tmp_path / "gone"
        gone.mkdir()
        monkeypatch.chdir(gone)
        gone.rmdir()
        assert whose("relative.py") is Whose.USER
