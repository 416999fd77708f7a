# Sourced by examples/run and tests/run, from the root of the sources. POSIX sh.

has() { command -v "$1" >/dev/null 2>&1; }

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif has sudo; then
        sudo "$@"
    else
        echo "Please run this as root, then start again:  $*" >&2
        exit 1
    fi
}

# install PACKAGE...: Debian packages, of which those that are there are left alone
install() {
    absent=
    for package; do
        dpkg -s "$package" 2>/dev/null | grep -q '^Status: .* installed$' || absent="$absent $package"
    done
    [ -n "$absent" ] || return 0
    echo "Installing$absent"
    # shellcheck disable=SC2086
    as_root apt-get -qq update &&
        as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends -o Dpkg::Use-Pty=0 install $absent >/dev/null
}

# What it takes to build: a compiler, meson (which brings ninja and Python), pkg-config, libuv, doctest.
install_what_is_missing() {
    missing=
    has "${CXX:-c++}" || missing="$missing g++"
    has "${CC:-cc}" || missing="$missing gcc"
    has meson || missing="$missing meson"
    has ninja || missing="$missing ninja-build"
    has pkg-config || missing="$missing pkg-config"
    pkg-config --exists 'libuv >= 1.44' 2>/dev/null || missing="$missing libuv1-dev"
    echo '#include <doctest/doctest.h>' | "${CXX:-c++}" -E -x c++ - >/dev/null 2>&1 || missing="$missing doctest-dev"
    [ -n "$missing" ] || return 0

    if has apt-get; then
        # shellcheck disable=SC2086
        install $missing
        return
    fi
    cat >&2 <<END
Missing here, by their Debian names:$missing
Please install them, then start again:
    Fedora      sudo dnf install gcc-c++ meson ninja-build pkgconf libuv-devel doctest-devel
    openSUSE    sudo zypper install gcc-c++ meson ninja pkg-config libuv-devel doctest-devel
    Arch        sudo pacman -S --needed gcc meson ninja pkgconf libuv doctest
    macOS       brew install meson ninja pkgconf libuv doctest
END
    exit 1
}

# build [TARGET...]: without a target, everything
build() {
    [ -f build/build.ninja ] || meson setup build --unity on --unity-size 8
    meson compile -C build "$@"
}
