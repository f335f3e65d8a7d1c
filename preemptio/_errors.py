"""The exceptions preemptio raises, kept apart from what raises them so that no import can go in a circle.

Each class answers one question for whoever catches it: is the mistake in a setting, in the place the call was
made from, in the machine, or in preemptio itself?
Each also derives from the built-in class it refines, so `except ValueError` and `except RuntimeError` keep
working in code which has never heard of preemptio.
"""


class PreemptioError(Exception):
    """Base of every exception preemptio raises on purpose.

    Catch it to tell preemptio's refusals from your own errors; raise one of the classes below instead.
    """


class ConfigError(PreemptioError, ValueError):
    """A knob was given a value it does not accept.

    Raised when a knob is read whose environment variable holds a bad value, when a bad value is assigned to
    `config`, and for a knob or debug flag that does not exist.
    What to do: the message names the variable or attribute, says what is accepted and ends with a line to
    type. docs/knobs.md lists every knob.
    """


class NotInstalledError(PreemptioError, RuntimeError):
    """The call needs a preemptio runtime, and this event loop or thread has none.

    Raised by functions which look up the current runtime.
    What to do: start the program with `preemptio.run(main())` in place of `asyncio.run(main())`, and call
    from the thread that runs it.
    """


class NotAGError(PreemptioError, RuntimeError):
    """The call only makes sense inside a G, and the code calling it is not running in one.

    Raised, for instance, from a loop callback, a signal handler or module level: none of these can be
    switched out, so they have no G to act on.
    What to do: move the call into a coroutine run as a task of a loop that preemptio runs.
    """


class UnsupportedError(PreemptioError, RuntimeError):
    """This interpreter, event loop or platform cannot do what was asked.

    Raised at start-up rather than at the first preemption, so that a program never runs in the belief that
    it is being preempted when it is not.
    What to do: the message names the missing piece and the nearest thing that works; `PREEMPTIO_SOURCE=none`
    works everywhere and preempts at checkpoints only.
    """


class CPULimitError(PreemptioError, TimeoutError):
    """A block used more CPU time than `preemptio.cpu_limit` allowed it, and was ended.

    Raised from the end of the block, as TimeoutError from a timeout's.
    What to do: nothing, if that is what the limit was for; else raise it, or make the work smaller.
    """


class InternalError(PreemptioError, RuntimeError):
    """An invariant of preemptio does not hold: this is a bug in preemptio, not in the calling program.

    Raised instead of carrying on in a state nobody has thought about.
    What to do: report it with the whole message. `dump`, when there is one, is the state of the runtime at
    that moment and is the part a maintainer needs most.

    Args:
        message: what was found, and what should have been.
        dump: the runtime's own account of its state, as text; appended to the message.
    """

    def __init__(self, message: str, dump: str = "") -> None:
        # Both go into args as given: pickling, as a process pool does, rebuilds the error from args.
        super().__init__(message, dump)
        self.message = message
        self.dump = dump

    def __str__(self) -> str:
        text = f"{self.message}\nThis is a bug in preemptio, please report it with this whole message."
        return f"{text}\n\n{self.dump}" if self.dump else text
