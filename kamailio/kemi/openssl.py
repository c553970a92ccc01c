"""What Kamailio's processes must not share of OpenSSL, which every one of them finds in place after the fork.

Kamailio has OpenSSL take its memory from what all its processes share. OpenSSL keeps an error queue per thread, and the
one that the first process made before it forked becomes everybody's: they free each other's entries, and within seconds
of TLS load Kamailio ends (kamailio issue 3791). Kamailio 5.8 and later forget it after the fork (`tls_threads_mode`);
Debian 12 has 5.6, so each process does it here.
"""

import ctypes

_LIBCRYPTO = "libcrypto.so.3"
#: POSIX threads know no more keys than this (glibc's PTHREAD_KEYS_MAX).
_KEYS = range(1024)


def forget_what_was_inherited() -> bool:
    """Let this process begin an error queue of its own. False: there was none. OSError: there is no such OpenSSL.

    The old one is left where it is, since others may use it. Python's own values are under other keys.
    """
    crypto, threads = ctypes.CDLL(_LIBCRYPTO), ctypes.CDLL(None)
    crypto.ERR_get_state.restype = ctypes.c_void_p
    threads.pthread_getspecific.restype = ctypes.c_void_p
    threads.pthread_getspecific.argtypes = [ctypes.c_uint]
    threads.pthread_setspecific.argtypes = [ctypes.c_uint, ctypes.c_void_p]
    inherited = crypto.ERR_get_state()
    found = [key for key in _KEYS if inherited is not None and threads.pthread_getspecific(key) == inherited]
    for key in found:
        threads.pthread_setspecific(key, None)
    return bool(found)
