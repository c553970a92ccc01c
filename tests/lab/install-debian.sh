#!/bin/sh
# Install the Debian packages that Holdfast's demo and tests run on, those that are missing. Starts no service: packages
# that come with a daemon are installed with its start denied, and what runs already is left alone.
set -eu

PACKAGES="kamailio kamailio-python3-modules kamailio-tls-modules kamailio-utils-modules kamailio-extra-modules
    kamailio-presence-modules postgresql-15 rtpengine-daemon baresip-core sip-tester prometheus sox
    asterisk-core-sounds-en-wav openssl python3-venv python3-dev gcc libc6-dev"

. /etc/os-release
[ "${ID:-}" = debian ] && [ "${VERSION_ID:-}" = 12 ] ||
    echo "warning: this is ${PRETTY_NAME:-not Debian}; Holdfast is made for Debian 12" >&2

missing=""
for package in $PACKAGES; do
    case "$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null)" in
        "install ok installed") ;;
        *) missing="$missing $package" ;;
    esac
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ]; then
    as_root=""
elif command -v sudo >/dev/null; then
    as_root="sudo"
else
    echo "error: these Debian packages are missing:$missing" >&2
    echo "mend: run this as root, or install sudo, or have an administrator install them" >&2
    exit 2
fi

echo "Installing Debian packages:$missing"
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null
    $as_root chmod 755 "$policy"
    trap '$as_root rm -f "$policy"' EXIT INT TERM
fi
log=$(mktemp)
if ! { $as_root apt-get -o DPkg::Lock::Timeout=300 update &&
       $as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 \
           -o Dpkg::Options::=--force-confold install -y --no-install-recommends $missing; } >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    echo "error: the packages could not be installed; the whole log is in $log" >&2
    exit 2
fi
rm -f "$log"
