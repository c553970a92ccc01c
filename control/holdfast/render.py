"""What `holdfast render` writes: the configuration of the programs that are not ours, from the one settings file.

Every file appears whole or not at all (written beside its place, then renamed). Rendering twice gives the same files.
"""

import os
import re
import secrets
import ssl
import stat
from pathlib import Path
from xml.sax.saxutils import escape

from holdfast import ip_table
from holdfast.core.headers import uri_host
from holdfast.core.numbers import native_patterns
from holdfast.errors import SettingsError
from holdfast.settings import LANGUAGE, Settings

#: The checkout (or copy of it) that this package runs from: the configuration lies beside the code, not in a wheel.
_SOURCES = Path(__file__).resolve().parents[2]
_SECRET_BYTES = 32
#: FreeSWITCH would expand, split or cut these, however they are written: ${x}, a!b, {options}path, path@@offset.
_UNTELLABLE = re.compile(r"[\x00-\x1f\x7f$\\{}!]|@@")


def esl_password(settings: Settings) -> str:
    """The ESL password; a new random one is written to its file (mode 0600) if there is none yet.

    Two processes that do this at once get the same one: the file is linked into place, which fails if it exists.
    Raises SettingsError for a file that cannot be made or read, that others may read, or that is too short.
    """
    path = settings.media.esl_password_file
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            _link_new(path, secrets.token_urlsafe(_SECRET_BYTES) + "\n")
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError as error:
        raise SettingsError(
            f"media.esl_password_file: {path}: {error.strerror}", mend="name a file that this user may write"
        ) from error
    if mode & stat.S_IRWXO:
        raise SettingsError(
            f"media.esl_password_file: {path} is open to every user of this machine", mend=f"run: chmod o= {path}"
        )
    return settings.media.esl_password()


def freeswitch(settings: Settings, out_dir: Path) -> None:
    """Write FreeSWITCH's whole configuration to `out_dir`, and make the folders that it writes to while it runs.

    Languages are those whose folders lie in media.prompts_dir now: render again after adding one. Raises
    SettingsError for a value that FreeSWITCH cannot be told, and for a folder that cannot be written.
    """
    variables = _vars_xml(_freeswitch_variables(settings))
    source = _source("freeswitch/conf")
    try:
        for file in sorted(source.rglob("*.xml")):
            _write(out_dir / file.relative_to(source), file.read_text(encoding="utf-8"))
        _write(out_dir / "vars.xml", variables, mode=0o600)
        # FreeSWITCH puts the configuration it has read, password and all, into its log folder.
        for folder in (_log_dir(settings), _certs_dir(settings), _run_dir(settings), _db_dir(settings)):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(
            f"{error.filename}: {error.strerror}", mend="let this user write there, or name another folder"
        ) from error


def freeswitch_argv(settings: Settings, binary: Path, out_dir: Path) -> list[str]:
    """The command line that runs FreeSWITCH in the foreground with the configuration rendered to `out_dir`.

    -nf stays in the foreground; -nc reads no commands from standard input, where an end of file would spin. Without
    -conf the sample configuration would listen on every address with a password that everybody knows.
    """
    argv = [str(binary), "-nf", "-nc", "-nonat"]
    argv += ["-conf", str(out_dir), "-log", str(_log_dir(settings))]
    argv += ["-run", str(_run_dir(settings)), "-db", str(_db_dir(settings))]
    argv += ["-sounds", str(settings.media.prompts_dir), "-certs", str(_certs_dir(settings))]
    modules = _modules_dir(binary)
    return argv + (["-mod", str(modules)] if modules else [])


def kamailio(settings: Settings, out_file: Path) -> None:
    """Write the file that Kamailio is started with: this node's #!defines, then our kamailio.cfg.

    Where it speaks TLS, tls.cfg beside it; `kamcmd tls.reload` reads that file and the certificates again. Raises
    SettingsError for certificates that cannot be used.
    """
    sip, media, node = settings.sip, settings.media, settings.node
    host = uri_host(sip.address)
    quoted = {
        "SCRIPT": str(_source("kamailio") / "emergency_routes.py"),
        "EDGE_STORE": str(node.edge_store),
        "RPC_SOCKET": str(node.kamailio_rpc),
        "CTL_SOCKET": f"unix:{node.run_dir / 'kamailio.ctl'}",
        "SIP_HOSTPORT": f"{host}:{sip.port}",
        "MEDIA_ADDRESS": media.address,
        "MEDIA_PORT": str(media.sip_port),
        "LANGUAGE": media.language,
        "HTTP_PORT": str(settings.kamailio.http_port),
        "FALLBACK_TRUNK": settings.kamailio.fallback_trunk,
        "RTPENGINE": settings.kamailio.rtpengine,
        "DEFAULT_COUNTRY": sip.default_country,
        "IP_COUNTRY_FILE": str(ip_table.default_table(node.state_dir)),
        "LOCATION_BASE_URL": settings.api.location_base_url,
        "LOCATION_VALID_S": str(settings.api.location_valid_s),
        "HEP_COLLECTOR": f"sip:{settings.kamailio.hep_collector}" if settings.kamailio.hep_collector else "",
    }
    bare = {
        "LISTEN_UDP": f"udp:{host}:{sip.port}",
        "LISTEN_TCP": f"tcp:{host}:{sip.port}",
        "LISTEN_HTTP": f"tcp:{settings.kamailio.http_address}:{settings.kamailio.http_port}",
        "WORKERS": str(sip.workers),
        "SIP_DOMAIN": sip.domain,
    }
    if sip.speaks_tls:
        bare["LISTEN_TLS"] = f"tls:{host}:{sip.tls_port}"
        quoted["TLS_CONFIG"] = str(_tls_config(settings, out_file.with_name("tls.cfg")))
    lines = ["#!KAMAILIO", "# Generated by `holdfast render`; change the settings file instead."]
    lines += [f"#!define {name} {value}" for name, value in bare.items()]
    quoted["EMERGENCY_URI"], quoted["EMERGENCY_USER"] = native_patterns()
    lines += [f'#!define {name} "{value}"' for name, value in quoted.items() if value]
    lines += [f'include_file "{_source("kamailio") / "kamailio.cfg"}"', ""]
    _write(out_file, "\n".join(lines))


def _tls_config(settings: Settings, out_file: Path) -> Path:
    """Write how Kamailio speaks TLS: as a server, and as the client of trunks.

    A client may show any certificate or none, for no call for help may fail on it: the routing code asks whether it was
    verified, where that counts. A trunk that is called must show one that tls_ca_file vouches for, if there is any.
    """
    sip = settings.sip
    _check_certificate(sip.tls_certificate, sip.tls_private_key, sip.tls_ca_file)
    common = ["method = TLSv1.2+", f'certificate = "{sip.tls_certificate}"', f'private_key = "{sip.tls_private_key}"']
    common += [f'ca_list = "{sip.tls_ca_file}"'] if sip.tls_ca_file else []
    verified = "yes" if sip.tls_ca_file else "no"
    server = ["[server:default]", *common, "verify_client = optional_no_ca"]
    client = ["[client:default]", *common, f"verify_certificate = {verified}", f"require_certificate = {verified}"]
    _write(out_file, "\n".join([*server, "", *client, ""]))
    return out_file


def _check_certificate(certificate: Path | None, key: Path | None, authorities: Path | None) -> None:
    """Try them as Kamailio will: it would say no more than that it cannot start."""
    if certificate is None or key is None:
        raise SettingsError("sip.tls_port is set without a certificate", mend="name it in sip.tls_certificate")
    try:
        if stat.S_IMODE(key.stat().st_mode) & stat.S_IRWXO:
            raise SettingsError(
                f"sip.tls_private_key: {key} is open to every user of this machine", mend=f"run: chmod o= {key}"
            )
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password="")
    except (OSError, ValueError) as error:  # ssl.SSLError among them
        raise SettingsError(
            f"sip.tls_certificate: {certificate} with {key}: {error}",
            mend="name a PEM certificate and its own PEM key, without a passphrase, that this user may read",
        ) from error
    try:
        if authorities:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(authorities)
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"sip.tls_ca_file: {authorities}: {error}", mend="name a file of PEM certificates that this user may read"
        ) from error


def kamailio_argv(settings: Settings, binary: Path, config_file: Path) -> list[str]:
    """Kamailio's command line, in the foreground. Its Python finds our packages through PYTHONPATH (kamailio_env)."""
    run = settings.node.run_dir
    return [str(binary), "-DD", "-E", "-f", str(config_file), "-P", str(run / "kamailio.pid"), "-Y", str(run),
            "-m", "256", "-M", "16"]  # fmt: skip


def kamailio_env() -> dict[str, str]:
    """What must stand in Kamailio's environment: its Python needs `holdfast.core` and `holdfast.edge.store`."""
    return {"PYTHONPATH": str(_source("control")), "PYTHONDONTWRITEBYTECODE": "1"}


def _log_dir(settings: Settings) -> Path:
    return settings.node.state_dir / "freeswitch" / "log"


def _certs_dir(settings: Settings) -> Path:
    # FreeSWITCH makes itself certificates at start, used or not; it must not need its own prefix to be writable.
    return settings.node.state_dir / "freeswitch" / "certs"


def _run_dir(settings: Settings) -> Path:
    return settings.node.run_dir / "freeswitch"


def _db_dir(settings: Settings) -> Path:
    # Calls in progress stand in it; below run_dir it is memory on most systems and gone after a restart (D6).
    return settings.node.run_dir / "freeswitch" / "db"


def _modules_dir(binary: Path) -> Path | None:
    """The modules beside the binary, wherever its tree was moved to; None: it knows them by itself."""
    prefix = binary.resolve().parent.parent
    for folder in (prefix / "lib" / "freeswitch" / "mod", prefix / "mod"):
        if (folder / "mod_sofia.so").exists():
            return folder
    return None


def _freeswitch_variables(settings: Settings) -> dict[str, str]:
    media, controller, sip = settings.media, settings.controller, settings.sip
    return {
        "holdfast_node": settings.node.name,
        "holdfast_media_address": media.address,
        "holdfast_sip_port": str(media.sip_port),
        "holdfast_rtp_first_port": str(media.rtp_first_port),
        "holdfast_rtp_last_port": str(media.rtp_last_port - media.rtp_last_port % 2),  # RTP takes even ports
        "holdfast_esl_port": str(media.esl_port),
        "holdfast_esl_password": esl_password(settings),
        "holdfast_edge": f"{uri_host(sip.address)}:{sip.port}",
        "holdfast_edge_cidr": f"{sip.address}/128" if ":" in sip.address else f"{sip.address}/32",
        "holdfast_controller": f"{controller.address}:{controller.port}",
        "holdfast_control_s": str(controller.holds_a_call_for_s),
        "holdfast_ring_s": str(controller.ring_s),
        "holdfast_attempts_in_ones": "1" * controller.callback_attempts,
        "holdfast_prompts_dir": str(media.prompts_dir),
        "holdfast_languages": "|".join(_languages(settings)),
        "holdfast_language_by_default": media.language,
        # FreeSWITCH's own channel variables, preset for every channel. No RTP for this long (ms): the BYE was lost.
        "media_timeout": "300000",
        # The phone is offered both laws, the PSAP's first: with one alone, a phone that has only the other is lost.
        "media_mix_inbound_outbound_codecs": "true",
    }


def _languages(settings: Settings) -> list[str]:
    """The default language, and every folder of the prompts that is named like one."""
    default = settings.media.language
    if not LANGUAGE.fullmatch(default):
        raise SettingsError(
            f"media.language: {default!r} is not a language tag", mend="use a tag such as en or pt-BR (BCP 47)"
        )
    return sorted({default, *settings.media.languages()})


def _vars_xml(variables: dict[str, str]) -> str:
    lines = [
        f'  <X-PRE-PROCESS cmd="set" data="{name}={_for_freeswitch(name, value)}"/>'
        for name, value in variables.items()
    ]
    return "\n".join(["<include>", *lines, "</include>", ""])


def _for_freeswitch(name: str, value: str) -> str:
    """The value as XML text: the preprocessor pastes it unparsed into XML attributes."""
    if not value or value != value.strip() or _UNTELLABLE.search(value):
        raise SettingsError(
            f"{name.removeprefix('holdfast_')}: FreeSWITCH cannot be told {value!r}",
            mend="use letters, digits and plain punctuation in this setting",
        )
    return escape(value, {'"': "&quot;", "'": "&apos;"})


def _source(folder: str) -> Path:
    path = _SOURCES / folder
    if not path.is_dir():
        raise SettingsError(f"no folder {path}", mend="run Holdfast from its checkout: pip install -e <checkout>")
    return path


def _link_new(path: Path, text: str) -> None:
    temporary = _temporary(path, text, 0o600)
    try:
        os.link(temporary, path)
    except FileExistsError:
        pass  # somebody else was first, and theirs is as good
    finally:
        temporary.unlink()


def _write(path: Path, text: str, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    _temporary(path, text, mode).replace(path)


def _temporary(path: Path, text: str, mode: int) -> Path:
    """A new file beside `path` with this text, on disk; never readable to more people than the finished one."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return temporary
