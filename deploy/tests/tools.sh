# Shared functions of the checks of deploy/; sourced, not run. Downloads are stored in
# DEPLOY_TESTS_CACHE (by default ~/.cache/deploy-tests), never in the repository.

deploy_cache=${DEPLOY_TESTS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/deploy-tests}

# need TOOL...: fails with the name of a missing tool.
need() {
  local tool
  for tool in "$@"; do
    command -v "$tool" >/dev/null || { echo "${0##*/} needs $tool, which is not installed" >&2; exit 1; }
  done
}

# npm_packages DIRECTORY: installs the packages of its package-lock.json, once per version of that
# file, and prints the path of node_modules.
npm_packages() {
  local packages
  packages=$deploy_cache/npm-$(cksum <"$1/package-lock.json" | tr ' ' '-')
  if [[ ! -f $packages/complete ]]; then
    mkdir -p "$packages"
    cp "$1/package.json" "$1/package-lock.json" "$packages"
    npm --prefix "$packages" ci --ignore-scripts --no-audit --no-fund --loglevel=error >&2
    touch "$packages/complete"
  fi
  echo "$packages/node_modules"
}

# python_packages DIRECTORY: creates a virtual environment with the packages of its
# requirements.txt, once per version of that file, and prints the path of its bin directory.
python_packages() {
  local packages
  packages=$deploy_cache/python-$(cksum <"$1/requirements.txt" | tr ' ' '-')
  if [[ ! -f $packages/complete ]]; then
    python3 -m venv "$packages" >&2
    "$packages/bin/pip" install --quiet --disable-pip-version-check --requirement "$1/requirements.txt" >&2
    touch "$packages/complete"
  fi
  echo "$packages/bin"
}

# debian_programs RELEASE PACKAGE...: unpacks packages of another Debian release without installing them, and prints the directory
# of their programs. It uses the configured apt mirror. This works for Go programs, which depend on little besides the C library.
debian_programs() {
  local release=$1 packages mirror options
  shift
  packages=$deploy_cache/debian-$release-$(tr ' ' '-' <<<"$*")
  if [[ ! -f $packages/complete ]]; then
    rm -rf "$packages"
    mkdir -p "$packages"/{lists/partial,cache/archives/partial,empty,unpacked}
    mirror=$(apt-get update --print-uris | sed -n "s|^'\(.*\)/dists/$(. /etc/os-release && echo "$VERSION_CODENAME")/InRelease'.*|\1|p" | head -n 1)
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${mirror:?apt knows no mirror of Debian} $release main" >"$packages/sources.list"
    options=(-qq -o "Dir::Etc::SourceList=$packages/sources.list" -o "Dir::Etc::SourceParts=$packages/empty"
      -o "Dir::State::Lists=$packages/lists" -o "Dir::Cache=$packages/cache")
    # The user _apt cannot write to these directories.
    [[ $(id -u) != 0 ]] || options+=(-o APT::Sandbox::User=root)
    apt-get "${options[@]}" update >&2
    (cd "$packages" && apt-get "${options[@]}" download "$@") >&2
    for package in "$packages"/*.deb; do dpkg-deb --extract "$package" "$packages/unpacked"; done
    rm -r "$packages"/{lists,cache,*.deb}
    touch "$packages/complete"
  fi
  echo "$packages/unpacked/usr/bin"
}

# program NAME: prints the path of a program of this workspace, built in the dev profile. The whole workspace is built as
# for the tests, because other features would recompile all dependencies.
program() {
  local root
  root=$(git -C "$(dirname "${BASH_SOURCE[0]}")" rev-parse --show-toplevel)
  cargo test --quiet --locked --workspace --no-run --manifest-path "$root/Cargo.toml" >&2
  echo "${CARGO_TARGET_DIR:-$root/target}/debug/$1"
}

checks_passed=0 checks_failed=0

# check NAME COMMAND...: runs the command and adds the number of checks that it reports. A failure prints the output.
check() {
  local name=$1 output status=0 count
  shift
  output=$("$@" 2>&1) || status=$?
  count=$(sed -nE 's/^# pass ([0-9]+)$/\1/p; s/^ +SUCCESS: ([0-9]+) rules found$/\1/p; s/^ +SUCCESS$/1/p; s/^([0-9]+) passed in .*/\1/p' <<<"$output" |
    awk '{ sum += $1 } END { print NR ? sum : 1 }')
  if ((status == 0 && count > 0)); then
    checks_passed=$((checks_passed + count))
    echo "ok      $name: $count"
  else
    checks_failed=$((checks_failed + 1))
    echo "FAILED  $name"
    awk '{ print "        " $0 }' <<<"$output"
  fi
}

# summary: prints the number of passed and failed checks, and fails if one failed.
summary() {
  echo "$checks_passed passed, $checks_failed failed"
  ((checks_failed == 0))
}
