"""Certificates for a lab, made by openssl: an authority, what it vouches for, and what it does not."""

import secrets
import shutil
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

from lab.errors import LabError

_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


@dataclass(frozen=True)
class Certificate:
    """A certificate and its key, as PEM files."""

    file: Path
    key: Path


@dataclass(frozen=True)
class Authority:
    """Signs certificates. `own` is its own, which others must trust."""

    own: Certificate

    @classmethod
    def create(cls, folder: Path, name: str) -> "Authority":
        folder.mkdir(parents=True, exist_ok=True)
        own = Certificate(folder / f"{name}.pem", folder / f"{name}.key")
        _openssl("req", "-x509", *_KEY, "-keyout", own.key, "-out", own.file, "-subj", f"/CN={name}", "-days", "2")
        return cls(own)

    def sign(self, common_name: str, *dns_names: str, expired: bool = False) -> Certificate:
        """A certificate for a common name and DNS names; `expired`: yesterday."""
        folder, name = self.own.file.parent, f"{self.own.file.stem}-{secrets.token_hex(4)}"
        made = Certificate(folder / f"{name}.pem", folder / f"{name}.key")
        request = folder / f"{name}.csr"
        names = ",".join(f"DNS:{one}" for one in dns_names)
        extensions = ("-addext", f"subjectAltName={names}") if names else ()
        _openssl(
            "req", "-new", *_KEY, "-keyout", made.key, "-out", request, "-subj", f"/O=Lab/CN={common_name}", *extensions
        )
        signed_by = ("-CA", self.own.file, "-CAkey", self.own.key, "-copy_extensions", "copy")
        _openssl("x509", "-req", "-in", request, *signed_by, "-days", "-1" if expired else "2", "-out", made.file)
        return made


def accepting(shown: Certificate) -> ssl.SSLContext:
    """What a server speaks TLS with; it asks for no certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(shown.file, shown.key)
    return context


def connecting(authority: Authority, shown: Certificate | None = None) -> ssl.SSLContext:
    """What a client speaks TLS with: it verifies the server by this authority, and may show a certificate."""
    context = ssl.create_default_context(cafile=str(authority.own.file))
    if shown is not None:
        context.load_cert_chain(shown.file, shown.key)
    return context


def _openssl(*arguments: str | Path) -> None:
    program = shutil.which("openssl")
    if program is None:
        raise LabError("openssl is not installed", mend="apt-get install openssl")
    result = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, timeout=30)
    if result.returncode:
        raise LabError(f"openssl {arguments[0]} failed: {result.stderr.strip()}")
