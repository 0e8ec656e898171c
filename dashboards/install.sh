#!/bin/sh
# Installs the Metrist agent on this machine, updates it, or removes it. Run it again as often as you like.
#
#   curl -fsS SERVER/install.sh | sh                    as root: a service of the machine; else yours alone
#   curl -fsS SERVER/install.sh | sh -s -- --user       yours alone, also as root
#   curl -fsS SERVER/install.sh | sh -s -- --uninstall  stop it and remove all of it
#
# The API key comes from METRIST_KEY, or is asked for at the terminal; it is kept in a file that only its owner reads.
# METRIST_NODE, METRIST_EPHEMERAL, METRIST_AGENT_LABELS and METRIST_AGENT_ALLOW_MONITORS, where they are set, are kept
# beside it; without them, what is there stays. PYTHON names the Python to use.
set -eu

SERVER='@SERVER@'
WHEEL='@WHEEL@'
SHA256='@SHA256@'
NAME=metrist-agent
TOLD='METRIST_NODE METRIST_EPHEMERAL METRIST_AGENT_LABELS METRIST_AGENT_ALLOW_MONITORS'

main() {
    umask 022
    scope=user
    [ "$(id -u)" -ne 0 ] || scope=system
    action=install_agent
    for argument in "$@"; do
        case "$argument" in
        --user) scope=user ;;
        --uninstall) action=uninstall_agent ;;
        *) die "there is no option $argument; there are --user and --uninstall" ;;
        esac
    done
    choose_places
    "$action"
}

choose_places() {
    if [ "$scope" = system ]; then
        prefix=/opt/$NAME
        env_file=/etc/$NAME.env
        unit_dir=/etc/systemd/system
        state_dir=/var/lib/$NAME
    else
        [ -n "${HOME:-}" ] || die "HOME is not set: whose agent is it to be?"
        prefix=${XDG_DATA_HOME:-$HOME/.local/share}/$NAME
        env_file=${XDG_CONFIG_HOME:-$HOME/.config}/$NAME.env
        unit_dir=${XDG_CONFIG_HOME:-$HOME/.config}/systemd/user
        state_dir=${XDG_STATE_HOME:-$HOME/.local/state}/$NAME
    fi
    unit=$unit_dir/$NAME.service
    case "$prefix$env_file$state_dir" in
    *[[:space:]\'\"\\%]*) die "the folders of this user have characters that systemd reads otherwise: $prefix" ;;
    esac
}

install_agent() {
    find_python
    find_key
    check_told
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    say "Asking $SERVER for the agent"
    fetch || exit 1
    put_program
    put_settings
    put_starter
    start
}

# --- what is needed

find_python() {
    for candidate in ${PYTHON:+"$PYTHON"} python3 python3.15 python3.14 python3.13 python3.12 python3.11; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            python=$candidate
            if "$python" -c 'import ensurepip, venv' 2>/dev/null; then
                refuse_private_python
                return
            fi
        fi
    done
    if [ -n "${python:-}" ]; then
        die "$python can make no virtual environment. $(remedy python3-venv python3 py3-virtualenv)"
    fi
    die "the agent needs Python 3.11 or newer, with venv. $(remedy 'python3 python3-venv' python3.12 python3)
If yours has another name, run this again with PYTHON=/path/to/python3.12 before \`sh\`."
}

# A service of the machine runs as a user of its own, who reads nobody's home.
refuse_private_python() {
    [ "$scope" = system ] || return 0
    case "$("$python" -c 'import os, sys; print(os.path.realpath(sys.executable))')" in
    /root/* | /home/*) die "$python lies in somebody's home, where the agent's own user cannot read it: set PYTHON to another" ;;
    esac
}

# What to type here: the packages of Debian, of Fedora, of Alpine.
remedy() {
    if command -v apt-get >/dev/null; then
        echo "Install it: apt-get install $1"
    elif command -v dnf >/dev/null; then
        echo "Install it: dnf install $2"
    elif command -v apk >/dev/null; then
        echo "Install it: apk add $3"
    else
        echo "Install it with this system's package manager."
    fi
}

# From the environment, from before, or from whoever sits at the terminal. Never an argument: `ps` shows those.
find_key() {
    key=${METRIST_KEY:-}
    [ -n "$key" ] || key=$(kept METRIST_KEY)
    if [ -z "$key" ] && (: </dev/tty) 2>/dev/null; then
        printf 'API key (%s/settings/keys): ' "$SERVER" >/dev/tty
        stty -echo </dev/tty
        IFS= read -r key </dev/tty || key=
        stty echo </dev/tty
        echo >/dev/tty
    fi
    [ -n "$key" ] || die "which API key? Make one at $SERVER/settings/keys and run this again with METRIST_KEY set"
    case "$key" in
    *[!A-Za-z0-9_-]*) die "METRIST_KEY is no API key: one reads mtr_… and has letters, digits, _ and - only" ;;
    esac
}

# What is kept beside the key must read the same to systemd and to a shell.
check_told() {
    for name in $TOLD; do
        case "$(told "$name")" in
        *[\"\\\$\`]* | *"
"*) die "$name may hold no quotes, backslashes, dollars or line ends" ;;
        esac
    done
}

told() {
    eval "printf '%s' \"\${$1-}\""
}

# The wheel, if it is the one that this script was made for; and the key, tried where the agent will use it.
fetch() {
    METRIST_KEY=$key "$python" -I - "$SERVER" "$WHEEL" "$SHA256" "$work/$WHEEL" <<'PYTHON'
import hashlib, os, sys, urllib.error, urllib.request

server, wheel, expected, place = sys.argv[1:]


def get(path, headers):
    with urllib.request.urlopen(urllib.request.Request(server + path, headers=headers), timeout=60) as answer:
        return answer.read()


try:
    data = get(f"/download/{wheel}", {})
    if hashlib.sha256(data).hexdigest() != expected:
        sys.exit("metrist: the agent that came is not the one that was promised; fetch this script anew and run that")
    with open(place, "wb") as file:
        file.write(data)
    get("/api/v1/monitors/key", {"Authorization": "Bearer " + os.environ["METRIST_KEY"]})
except urllib.error.HTTPError as error:
    said = {
        401: "the API key is mistyped, unknown or revoked: make a new one and run this again with METRIST_KEY set to it",
        403: "the API key may not report: it needs the scope ingest",
        404: "the server has another release now: fetch this script anew and run that",
    }
    sys.exit("metrist: " + said.get(error.code, f"{server} answers {error.code}; try again in a minute"))
except OSError as error:
    sys.exit(f"metrist: {server} cannot be reached from here: {getattr(error, 'reason', error)}")
PYTHON
}

# --- what is put where

# Beside the one that runs, and switched to when it is whole.
put_program() {
    release=$prefix/$(printf '%s' "$SHA256" | cut -c 1-16)
    if [ ! -e "$release/complete" ]; then
        say "Installing into $release"
        rm -rf "$release"
        mkdir -p "$prefix"
        "$python" -m venv "$release" </dev/null
        "$release/bin/python" -m pip install --quiet --disable-pip-version-check "$work/$WHEEL" </dev/null ||
            die "pip could not install the agent and its libraries; what it says is above"
        "$release/bin/metrist-agent" --help >/dev/null </dev/null
        : >"$release/complete"
    fi
    ln -sfn "$release" "$prefix/.next"
    mv -T "$prefix/.next" "$prefix/current" 2>/dev/null || { rm -f "$prefix/current" && mv "$prefix/.next" "$prefix/current"; }
}

# Earlier releases, once nothing runs them any more.
drop_old() {
    for old in "$prefix"/*; do
        case "$old" in
        "$release" | "$prefix/current" | "$prefix/run") ;;
        *) rm -rf "$old" ;;
        esac
    done
}

# One NAME="value" a line, as systemd and a shell both read it.
put_settings() {
    mkdir -p "$(dirname "$env_file")"
    new=$work/env
    (
        umask 077
        {
            echo "METRIST_SERVER=\"$SERVER\""
            echo "METRIST_KEY=\"$key\""
            [ "$scope" = system ] || echo "METRIST_AGENT_STATE=\"$state_dir\""
            for name in $TOLD; do
                value=$(told "$name")
                [ -z "$value" ] || echo "$name=\"$value\""
            done
        } >"$new"
        # what somebody has added by hand stays
        if [ -e "$env_file" ]; then
            while IFS= read -r line; do
                grep -q "^${line%%=*}=" "$new" || printf '%s\n' "$line"
            done <"$env_file" >"$work/kept"
            cat "$work/kept" >>"$new"
        fi
        cp "$new" "$env_file.new"
    ) || exit 1
    chmod 600 "$env_file.new"
    mv "$env_file.new" "$env_file"
}

# A value of the settings that are there.
kept() {
    [ ! -e "$env_file" ] || sed -n "s/^$1=\"\{0,1\}\([^\"]*\)\"\{0,1\}\$/\1/p" "$env_file" | tail -n 1
}

# For where no systemd is: cron's @reboot, an init script, or a person.
put_starter() {
    {
        echo '#!/bin/sh'
        echo 'set -ae'
        echo ". $env_file"
        [ "$scope" = user ] || echo ": \"\${METRIST_AGENT_STATE:=$state_dir}\""
        echo "exec $prefix/current/bin/metrist-agent \"\$@\""
    } >"$prefix/run"
    chmod 755 "$prefix/run"
}

put_unit() {
    mkdir -p "$unit_dir"
    if [ "$scope" = system ]; then system_unit >"$unit"; else user_unit >"$unit"; fi
    chmod 644 "$unit"
}

system_unit() {
    cat <<'UNIT'
@UNIT@
UNIT
}

# A user's own manager can take away less than the machine's; these need no rights of it.
user_unit() {
    cat <<UNIT
[Unit]
Description=Metrist agent
StartLimitIntervalSec=0

[Service]
ExecStart=$prefix/current/bin/metrist-agent
EnvironmentFile=$env_file
Restart=always
RestartSec=5
LockPersonality=yes
MemoryDenyWriteExecute=yes
NoNewPrivileges=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_NETLINK AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM
UMask=0077

[Install]
WantedBy=default.target
UNIT
}

# --- starting and stopping

start() {
    if ! command -v systemctl >/dev/null || ! is_running; then
        [ ! -e "$unit" ] || put_unit
        say "The agent is installed. systemd does not run here, so start it by hand, or from what starts things here:"
        say "    $prefix/run"
        return
    fi
    put_unit
    ctl daemon-reload
    ctl --quiet enable "$NAME"
    ctl restart "$NAME"
    drop_old
    sleep 2
    if ! ctl --quiet is-active "$NAME"; then
        ctl --no-pager --lines 20 status "$NAME" >&2 || true
        die "the agent is installed but does not run; what it says is above"
    fi
    say "The agent runs. What it says: journalctl $([ "$scope" = system ] || echo '--user ')-u $NAME"
    [ "$scope" = system ] || linger
}

# Without it a user's services end when the user signs out.
linger() {
    loginctl enable-linger 2>/dev/null ||
        say "It ends when you sign out; to keep it, let root run: loginctl enable-linger $(id -un)"
}

is_running() {
    if [ "$scope" = system ]; then [ -d /run/systemd/system ]; else systemctl --user show-environment >/dev/null 2>&1; fi
}

ctl() {
    if [ "$scope" = system ]; then systemctl "$@"; else systemctl --user "$@"; fi
}

uninstall_agent() {
    if command -v systemctl >/dev/null && is_running && [ -e "$unit" ]; then
        ctl --quiet disable --now "$NAME" || true
        rm -f "$unit"
        ctl daemon-reload
    fi
    rm -f "$unit" "$env_file" "$env_file.new"
    rm -rf "$prefix" "$state_dir"
    [ "$scope" = user ] || rm -rf "/var/lib/private/$NAME" # where systemd keeps the state of a dynamic user
    say "The agent is removed. What it sent stays; remove its node on its page, and its key at $SERVER/settings/keys"
}

say() {
    printf '%s\n' "$*"
}

die() {
    printf 'metrist: %s\n' "$*" >&2
    exit 1
}

main "$@"
