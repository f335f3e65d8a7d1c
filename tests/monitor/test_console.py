"""The console: every command, by a telnet client, while a task computes."""

import asyncio
import os
import re
import socket
import threading

import pytest

import preemptio
from preemptio import monitor, runtime, trace
from preemptio._observe._monitor import _start
from preemptio._observe._monitor._aiomonitor import monitor_cli
from preemptio._observe._monitor._ask import Unable, in_loop, task_in_loop
from preemptio._observe._monitor._rows import COLUMNS, seconds, table
from preemptio._observe._monitor._telnet import Guarded
from tests.behaviour._support import Flag, parked, spin
from tests.monitor._support import ask, outside, run, typed

LOOPS = pytest.mark.parametrize("kind", ["asyncio", "uvloop"])


class Watched:
    """A program: a task that computes, one that waits, one that nobody will wake; and its monitor."""

    async def __aenter__(self):
        self.flag, self.event = Flag(), asyncio.Event()
        self.hog = asyncio.create_task(self.compute(), name="hog")
        self.waiter = asyncio.create_task(self.event.wait(), name="waiter")
        self.orphan = asyncio.create_task(asyncio.Queue().get(), name="orphan")
        await parked(self.hog)
        self.monitor = monitor.start(port=0, page_port=0, announce=False)
        self.port = self.monitor.port
        return self

    async def compute(self):
        spin(self.flag, 10**12)

    async def ask(self, *commands):
        return await outside(ask, self.port, *commands)

    async def __aexit__(self, *_):
        self.monitor.close()
        self.flag.stop = True
        self.event.set()
        self.orphan.cancel()
        await asyncio.wait([self.hog, self.waiter, self.orphan])


def line_of(table, name):
    (found,) = [line for line in table.splitlines() if re.search(rf"^ *\d+  {name} ", line)]
    return found


@LOOPS
def test_every_command(kind, tmp_path):
    """Each is sent, and says what it is for; and no command of ours is left out."""
    saved = tmp_path / "last.json"

    async def main():
        async with Watched() as it:
            hog, waiter, orphan = it.hog.g.id, it.waiter.g.id, it.orphan.g.id
            commands = {
                "gs": r"\d+ Gs: .*waiting",
                "gs --status waiting --sort name -r -n 2": r"2 shown",
                "gs --filter orp": rf"1 shown\n(.*\n)+ *G  NAME .*\n *{orphan}  orphan  waiting  queue get ",
                f"g {hog}": r"name +hog\n(.*\n)*.*in Watched.compute",
                f"gstack {waiter}": r"\[waiting: asyncio.Event\](.*\n)*.*in Event.wait",
                "gtop -n 2 -d 0.2": r"(?s)CPU %.*hog.*CPU %.*hog",
                f"gwhy {hog}": r"now: can",
                "gwaits": r"wait for no other|waits for|->|await",
                "gdump": rf'G {waiter} "waiter" \[asyncio.Event',
                f"gpreempt {hog}": rf"G {hog} (was stopped at .* in |did not run)",
                f"gnice {hog} 5": rf"G {hog} has nice 5; it was 0",
                f"gsuspend {hog}": rf"G {hog} is held",
                "gs --status suspended": rf"1 shown(.*\n)+ *{hog} +hog +suspended",
                f"gsuspend {hog} ": "is held by this monitor already",
                f"groots {waiter}": r"refers to \d+ objects:(.*\n)*self .*: Event",
                f"gretained {waiter}": r'"waiter": .* bytes in \d+ objects',
                "gleaks": r'(?s)"orphan".*queue get',
                "gs --status leaked": rf"{orphan}  orphan  leaked",
                f"gresume {hog}": rf"G {hog} goes on",
                f"gresume {hog} ": "nobody holds it; type: gs",
                "gtrace start 5": "the last 5 s are recorded",
                "gtrace start": "recorded already; type gtrace stop first",
                f"gtrace save {saved}": r"is written, \d+ bytes; open it in",
                "gtrace stop": "nothing is recorded any more",
                "gtrace save /x": "nothing is recorded; type: gtrace start",
                f"gcancel {orphan}": rf"G {orphan} is cancelled",
                f"gcancel {orphan} ": f"(no G {orphan} is alive: there are .*|has ended already); type: gs",
            }
            answers = await it.ask(*commands)
            said = zip(commands.items(), answers, strict=True)
            wrong = [f"{command}:\n{answer}" for (command, wanted), answer in said if not re.search(wanted, answer)]
            assert not wrong, "\n".join(wrong)
            assert it.hog.g.nice == 5
            assert not it.hog.done()
            ours = {name for name in monitor_cli.commands if name.startswith("g")}
            assert ours == {command.split()[0] for command in commands}
            helped = await it.ask(*(f"{name} --help" for name in sorted(ours)), "help")
            assert all("Usage:" in said for said in helped)
            assert all(re.search(rf"^  {name} ", helped[-1], re.MULTILINE) for name in ours)

    run(kind, main())
    assert saved.stat().st_size > 100


def test_what_is_wrong_is_said_with_what_to_type():
    """Numbers, options, words."""

    async def main():
        async with Watched() as it:
            wrong = {
                "g 999999": "no G 999999 is alive: there are .* type: gs",
                "g hog": "'hog' is not the number of a G; type: gs",
                "g": "Missing argument 'ID'",
                "gs --sort size": "'size' is not one of 'id', 'name'",
                f"gnice {it.hog.g.id} 77": r"nice is 77, not from -20 to 19; type, for example: gnice \d+ 10",
                "gtrace": "Usage: ",
                "gtrace start 0": "type, for example: gtrace start 10",
                "gtrace stop": "nothing is recorded; type: gtrace start",
                "'": "No closing quotation",
                "cancel 12": "no task has the ID 12; type: ps",
            }
            for (command, said), answer in zip(wrong.items(), await it.ask(*wrong), strict=True):
                assert re.search(said, answer), f"{command}: {answer}"

    run("asyncio", main())


def test_in_a_terminal_tab_completes_and_q_ends_gtop():
    """A prompt, as aiomonitor's."""

    async def main():
        async with Watched() as it:
            await outside(
                typed,
                it.port,
                ("gnic\t", "gnice"),
                (f" {it.hog.g.id} 3\r", f"G {it.hog.g.id} has nice 3"),
                ("gtop -d 0.1\r", "q ends it"),
                ("q", "monitor >>>"),
                ("gs --status \t", "syscall"),
            )

    run("asyncio", main())


def test_two_sessions_at_once_each_get_their_own_answers():
    """Click's context is the thread's; a command that takes long has left it."""

    async def main():
        async with Watched() as it:
            long = asyncio.create_task(it.ask("gtop -n 3 -d 0.2", "gdump", "g 999"))
            short = asyncio.create_task(it.ask(*["gs", "gwhy 999"] * 4))
            top, dump, missing = await long
            assert top.count("CPU %") == 3
            assert "WAITS FOR" not in top
            assert '"orphan" [' in dump
            assert "no G 999" in missing
            for number, said in enumerate(await short):
                assert ("no G 999" if number % 2 else "WAITS FOR") in said
                assert "CPU %" not in said

    run("asyncio", main())


def test_a_name_cannot_command_the_terminal():
    """Names are often made of what came from a network."""

    async def main():
        evil = asyncio.create_task(asyncio.Event().wait(), name="a\x1b[2J\x07b\nc\ud800")
        await asyncio.sleep(0)
        with monitor.start(port=0, page_port=0, announce=False) as it:
            commands = ("gs", "g {}", "gstack {}", "gdump", "gwhy {}", "gsuspend {}", "gretained {}", "gsuspend {}")
            answers = await outside(ask, it.port, *(each.format(evil.g.id) for each in commands))
        for said in answers:
            assert "\x07" not in said
            assert "a\\x1b[2J\\x07b" in said or f"G {evil.g.id} is held" in said
        evil.cancel()

    run("asyncio", main())


@LOOPS
def test_a_loop_that_does_not_turn_is_said_to_with_who_has_it(kind):
    """What goes through the loop is withdrawn, and has no effect later."""

    async def main():
        async with Watched() as it:
            ended, answers = threading.Event(), []
            waiter = it.waiter.g.id

            def client():
                try:
                    answers.extend(
                        ask(it.port, f"gnice {waiter} 7", f"gsuspend {waiter} -t 0.1", "gleaks -t 0.1", "gs", "gwhy")
                    )
                finally:
                    ended.set()

            async def blocks():
                threading.Thread(target=client).start()
                with preemptio.nopreempt("a test"):
                    assert ended.wait(30)

            await asyncio.create_task(blocks(), name="blocker")
            nice, suspend, leaks, gs, why = answers
            for said in (nice, suspend, leaks):
                assert "the loop did not turn within" in said
                assert '"blocker" has the CPU; the loop has not turned for' in said
                assert "cannot be preempted: masked" in said
                assert "a test" in said
            assert '"blocker" has the CPU; the loop has not turned for' in gs
            assert "masked" in why
            await asyncio.sleep(0)
            assert it.waiter.g.nice == 0
            assert not it.waiter.g.suspended

    run(kind, main())


def test_the_task_factory_stays_what_it_is():
    """Aiomonitor puts its own, or an old one, in its place."""

    def factory(loop, coro, **kwargs):
        return preemptio.Task(coro, loop=loop, **kwargs)

    async def main():
        loop = asyncio.get_running_loop()
        with monitor.start(port=0, page_port=0, announce=False):
            assert loop.get_task_factory() is None
            loop.set_task_factory(factory)
        assert loop.get_task_factory() is factory

    run("asyncio", main())


def test_closing_lets_go_what_is_held_and_stops_what_was_started():
    """More than once, from any thread, before the loop ends or after."""

    async def main():
        async with Watched() as it:
            loop = asyncio.get_running_loop()
            assert runtime.metrics().enabled
            await it.ask(f"gsuspend {it.waiter.g.id}")
            assert it.waiter.g.suspended
            await outside(it.monitor.close)
            it.monitor.close()
            assert it.monitor.closed
            assert repr(it.monitor) == "<Monitor closed>"
            while it.waiter.g.suspended or runtime.metrics().enabled:
                await asyncio.sleep(0)
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", it.port))
            left = monitor.start(port=0, page_port=0, record=5, announce=False)
            assert trace.recordings(loop)
        return left

    left = run("asyncio", main())
    (said,) = ask(left.port, "gnice 1 1")
    assert "no G 1 is alive" in said
    left.close()
    assert not [each for each in threading.enumerate() if each.name == "preemptio-monitor"]


def test_start_says_what_is_wrong_and_what_to_type(monkeypatch, capfd):
    """Before anything is started."""

    async def main():
        quiet = {"announce": False}
        with monitor.start(port=0, page_port=0) as first:
            said = capfd.readouterr().err
            assert f"preemptio attach 127.0.0.1:{first.port}" in said
            assert first.url in said
            assert first.url.startswith(f"http://127.0.0.1:{first.page_port}/preemptio#token=")
            for taken, at in (("port", first.port), ("page_port", first.page_port)):
                said = rf"{taken} {at} of 127.0.0.1 is taken; type: monitor.start\({taken}=0"
                with pytest.raises(OSError, match=said):
                    monitor.start(**{"port": 0, "page_port": 0, taken: at}, **quiet)
        for port in (-1, 65536, "20101", True):
            with pytest.raises(ValueError, match=r"port is .*, not a number from 0 to 65535; type"):
                monitor.start(port=port, **quiet)
        with pytest.raises(ValueError, match=r"not loopback.*ssh -L"):
            monitor.start(host="0.0.0.0", **quiet)
        with pytest.raises(ValueError, match=r"unknown.*type"):
            monitor.start(host="no.such.host.invalid", **quiet)
        monkeypatch.setattr(_start, "Served", None)
        monkeypatch.setattr(_start, "MISSING", "aiomonitor")
        with pytest.raises(preemptio.UnsupportedError, match=r"type: pip install 'preemptio\[monitor\]'"):
            monitor.start(**quiet)

    run("asyncio", main())
    with pytest.raises(preemptio.NotInstalledError, match=r"preemptio.run"):
        monitor.start(announce=False)


def test_ipv6():
    """Loopback has two addresses."""

    async def main():
        with monitor.start(host="::1", port=0, page_port=0, announce=False) as it:
            assert it.url.startswith(f"http://[::1]:{it.page_port}/")
            socket.create_connection(("::1", it.port)).close()

    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    run("asyncio", main())


def test_a_browser_cannot_type_into_the_console():
    """A page may have the browser post to any port: what does not begin as telnet is not listened to."""
    body = "gcancel 1\r\n" * 3
    request = f"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    negotiated = b"\xff\xfb\x18\xff\xfa\x18\x00dumb\xff\xf0"

    def post(port):
        with socket.create_connection(("127.0.0.1", port), 20) as client:
            client.sendall(request.encode() + negotiated + body.encode())
            said = b""
            while more := client.recv(65536):
                said += more
            return said

    async def main():
        async with Watched() as it:
            try:
                said = await outside(post, it.port)
            except ConnectionResetError:  # what was not read is thrown away with the connection
                said = b"preemptio attach"
            assert b"preemptio attach" in said
            assert b"cancelled" not in said
            assert "no G 999" in (await it.ask("g 999"))[0]

    run("asyncio", main())


def test_a_client_that_does_not_read_is_thrown_out():
    """Else it would hold up everybody."""
    ours, theirs = socket.socketpair()
    with theirs, Guarded(fileno=ours.detach()) as client:
        client.settimeout(0.05)
        with pytest.raises(TimeoutError):
            client.send(bytes(10_000_000))
        theirs.settimeout(20)
        while theirs.recv(1 << 20):
            pass


def test_a_table_of_many_is_as_long_as_was_asked_for():
    """A task whose own class raises is a row like any other."""

    class Odd(preemptio.Task):
        def get_name(self):
            raise ValueError("no name")

    async def main():
        loop, event = asyncio.get_running_loop(), asyncio.Event()
        tasks = [asyncio.create_task(event.wait()) for _ in range(50)]
        odd = Odd(event.wait(), loop=loop)
        await asyncio.sleep(0)
        found = table(loop, reverse=True, limit=3)
        assert [row["id"] for row in found.rows] == sorted((t.g.id for t in [*tasks, odd]), reverse=True)[:3]
        assert found.rows[0]["name"] == "(ValueError)"
        assert (found.total, found.by_status) == (52, {"waiting": 51, "running": 1})
        for column in COLUMNS:
            assert len(table(loop, sort=column).rows) == 52
        event.set()
        await asyncio.gather(*tasks, odd)

    run("asyncio", main())


def test_times_are_short():
    """Three digits, or minutes and hours."""
    times = {0: "0", 0.0012: "1.2ms", 0.034: "34ms", 5.678: "5.68s", 725: "12m05s", 12_060: "3h21m"}
    assert {each: seconds(each) for each in times} == times


def test_the_loop_is_asked_without_end_of_neither_side():
    """What raises, ends, or takes too long is told; a loop that is over says so."""

    async def sleeps():
        await asyncio.sleep(60)

    async def fails():
        raise LookupError("it")

    async def main(loop):
        assert await in_loop(loop, os.getpid) == os.getpid()
        with pytest.raises(ZeroDivisionError):
            await in_loop(loop, lambda: 1 // 0)
        with pytest.raises(LookupError):
            await task_in_loop(loop, fails, 5)
        with pytest.raises(Unable, match="not done within 50ms, and was ended; type it with a longer --timeout"):
            await task_in_loop(loop, sleeps, 0.05)

    async def over(loop):
        with pytest.raises(Unable, match="is closed"):
            await in_loop(loop, int)

    async def program():
        loop = asyncio.get_running_loop()
        await outside(asyncio.run, main(loop))
        while [task for task in asyncio.all_tasks() if task.get_name() == "preemptio.monitor"]:
            await asyncio.sleep(0)
        return loop

    asyncio.run(over(run("asyncio", program())))
