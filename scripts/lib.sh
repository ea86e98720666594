# Helpers shared by the scripts of this folder. Sourced, never run.
# It starts no service, and it changes nothing on this host but installed packages and the cache.

set -euo pipefail

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${HA_OBSERVER_CACHE:-/var/cache/ha-observer-lab}

if [ -t 1 ]; then bold=$'\e[1m' plain=$'\e[0m'; else bold='' plain=''; fi

say() { printf '%s== %s%s\n' "$bold" "$*" "$plain"; }

# The last argument is always what to do about it.
die() {
    printf 'error: %s\n' "$1" >&2
    shift
    for line in "$@"; do printf '       %s\n' "$line" >&2; done
    exit 1
}

need_root() {
    [ "$(id -u)" = 0 ] || die "$(basename "$0") boots machines and needs root" "run: sudo $0 $*"
}

# Lets debootstrap take the way out that apt takes.
use_proxies_of_apt() {
    eval "$(apt-config shell http_proxy Acquire::http::Proxy https_proxy Acquire::https::Proxy)"
    [ -z "${http_proxy:-}" ] || export http_proxy
    [ -z "${https_proxy:-}" ] || export https_proxy
}

# Prints those of the named Debian packages that are not installed.
missing_packages() {
    local package
    for package in "$@"; do
        dpkg-query -W -f='${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed ||
            printf '%s\n' "$package"
    done
}

# Installs what is missing of the named packages, and lets no service of theirs start: a policy
# that forbids starts lies in place for the time of the installation only.
install_packages() {
    local missing policy=/usr/sbin/policy-rc.d kept='' result=0
    missing=$(missing_packages "$@")
    [ -n "$missing" ] || return 0
    command -v apt-get >/dev/null || die "missing packages: ${missing//$'\n'/ }" \
        "this host has no apt-get: install them by its own means"
    [ "$(id -u)" = 0 ] || die "missing packages: ${missing//$'\n'/ }" \
        "run: sudo apt-get install ${missing//$'\n'/ }"
    say "installing ${missing//$'\n'/ }"
    if [ -e "$policy" ]; then
        kept=$(mktemp "$policy.kept.XXXXXX")
        cp -a "$policy" "$kept"
    fi
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    {
        apt-get update -q &&
            # shellcheck disable=SC2086 # one word per package is meant
            DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends $missing
    } >&2 || result=$?
    if [ -n "$kept" ]; then mv "$kept" "$policy"; else rm -f "$policy"; fi
    [ "$result" = 0 ] || die "apt-get could not install ${missing//$'\n'/ }" \
        "look at its messages above"
}

# What the lab of real machines needs on the host that it runs on.
install_lab_needs() {
    install_packages debootstrap systemd-container iproute2 nftables util-linux procps
}

# What building this workspace needs: a C compiler for the bundled SQLite, and a recent cargo.
install_build_needs() {
    local wanted found
    command -v cc >/dev/null || install_packages build-essential pkg-config
    if ! command -v cargo >/dev/null && [ -x "$HOME/.cargo/bin/cargo" ]; then
        PATH=$HOME/.cargo/bin:$PATH
    fi
    command -v cargo >/dev/null || install_packages cargo rustfmt rust-clippy
    wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$repository/Cargo.toml")
    found=$(cargo --version | cut -d' ' -f2)
    printf '%s\n%s\n' "$wanted" "$found" | sort -CV ||
        die "cargo is $found, this workspace needs $wanted or newer" \
            "install a current toolchain with rustup, or set PATH to one"
}

# Makes everything that `cargo test` and `lab` need on this host.
prepare_lab() {
    need_root
    install_lab_needs
    "$repository/scripts/lab-clean"
    "$repository/scripts/lab-image"
    forget_old_images
}

# An image of an earlier lab-image is 720 MB that nothing will boot from again, unless a lab
# that is up stands on it.
forget_old_images() {
    local current old
    current=$("$repository/scripts/lab-image" --print)
    for old in "$cache"/image-*; do
        case $old in "$current" | *.building.* | *.lock | *.log) continue ;; esac
        grep -qF "$old" /proc/mounts || rm -rf --one-file-system "$old"
    done
}
