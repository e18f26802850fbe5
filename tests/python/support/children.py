"""Forked children under a watchdog, for the scripts that tests run in separate interpreters. There is no test here.

A child that hangs must not hang the tests, and one that fails must say how, because a status alone says too little.
"""

import faulthandler
import os
import signal
import sys
import traceback
from collections.abc import Callable


def forked(call: Callable[[], int | None], seconds: int = 20) -> int:
    """Exit code of a forked child that made the call: what that returned (None: 0), 1 after an exception, -n after signal n.

    After so many seconds the child is killed by SIGALRM. Where the code is not 0, stderr has it, and where the child was.
    """
    child = os.fork()
    if child:
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code:
            print(f"child {child} of {os.getpid()} ended with {code}", file=sys.stderr, flush=True)
        return code
    faulthandler.enable()
    faulthandler.register(signal.SIGALRM, chain=True)  # says where it hangs, without a thread of its own
    signal.alarm(seconds)
    try:
        os._exit(call() or 0)
    except BaseException:
        traceback.print_exc()
    os._exit(1)
