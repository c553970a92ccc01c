"""Each of Kamailio's processes has an error queue of OpenSSL's of its own. Shown in processes of the test's own."""

import subprocess
import sys
from pathlib import Path

KAMAILIO = Path(__file__).resolve().parents[2] / "kamailio"
#: A process with an error in OpenSSL's queue forks; which queue has the child, and does Python still work in it?
_FORKS = """
import ctypes, hashlib, importlib.util, os, ssl, sys, threading
specification = importlib.util.spec_from_file_location("openssl", sys.argv[1] + "/kemi/openssl.py")
module = importlib.util.module_from_spec(specification)
specification.loader.exec_module(module)
crypto = ctypes.CDLL("libcrypto.so.3")
crypto.ERR_get_state.restype = ctypes.c_void_p
crypto.ERR_peek_error.restype = ctypes.c_ulong
own = crypto.ERR_get_state()
crypto.ERR_new()
crypto.ERR_set_error(2, 7, None)
assert crypto.ERR_peek_error()
child = os.fork()
if child == 0:
    forgot = module.forget_what_was_inherited()
    fresh = crypto.ERR_get_state() not in (own, None) and not crypto.ERR_peek_error()
    done = []
    thread = threading.Thread(target=lambda: done.append(hashlib.sha256(b"x").hexdigest()))
    thread.start()
    thread.join()
    ssl.create_default_context()
    os._exit(0 if forgot and fresh and done else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, "the child's queue"
assert crypto.ERR_get_state() == own and crypto.ERR_peek_error(), "the parent's queue is left alone"
"""


def test_a_child_forgets_its_parents_error_queue_and_nothing_else() -> None:
    argv = [sys.executable, "-c", _FORKS, str(KAMAILIO)]
    result = subprocess.run(argv, capture_output=True, text=True, timeout=30)
    assert result.returncode == 0, result.stderr
