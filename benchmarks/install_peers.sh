#!/usr/bin/env bash
# Install what smart-router is measured beside, each in a virtual environment of its own.
#
#     install_peers.sh [ENV_DIR]
#
# Takes some minutes and 1.1 GB; run again it only does what is missing. Packages come from wherever pip and apt are
# configured to find them. What cannot be installed is left out: its reason is kept in ENV_DIR/NAME.absent, and the
# benchmark's tables repeat it.
set -uo pipefail

bench="${1:-.bench}"
python="${PYTHON:-python3.11}"

main() {
    mkdir -p "$bench"
    echo '*' >"$bench/.gitignore"
    system_package nginx
    system_package wrk
    environment vllm-router "vllm-router==0.1.17"
    environment sglang-router "sglang-router==0.3.2"
    environment litellm "litellm[proxy]"  # not pinned: the newest one whose requirements can be met
    environment py-spy "py-spy==0.4.3"
}

# environment NAME REQUIREMENT
environment() {
    local env="$bench/$1" stamp="$bench/$1/.installed"
    [[ -f "$stamp" && "$(<"$stamp")" == "$2" ]] && return
    say "installing $2"
    rm -f "$bench/$1.absent"
    if "$python" -m venv "$env" >"$bench/$1.log" 2>&1 &&
        "$env/bin/python" -m pip install -q --disable-pip-version-check "$2" >>"$bench/$1.log" 2>&1; then
        echo "$2" >"$stamp"
    else
        absent "$1" "pip could not install $2"
    fi
}

system_package() {
    command -v "$1" >/dev/null || [[ -x "/usr/sbin/$1" ]] && return
    rm -f "$bench/$1.absent"
    if [[ "$(id -u)" != 0 ]] || ! command -v apt-get >/dev/null; then
        absent "$1" "not installed, and only root with apt could do that"
    elif ! apt_install "$1" >"$bench/$1.log" 2>&1; then
        absent "$1" "apt could not install it"
    fi
}

# Without starting the service that a package brings.
apt_install() {
    say "installing $1"
    apt-get update -q && DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -qy --no-install-recommends "$1"
}

absent() {
    echo "$2" >"$bench/$1.absent"
    say "$1: $2"
}

say() {
    echo "benchmarks: $*" >&2
}

main
