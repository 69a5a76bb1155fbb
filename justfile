# Recipes for people and CI. `just --list` shows them.

default:
    @just --list

# The simulated world and the exporters in one process; Ctrl-C ends it.
demo:
    cargo run --release -p quickstart

# What CI runs, in its order, as far as this machine has the tools.
ci:
    .ci/run

test *arguments:
    cargo test --workspace {{arguments}}

lint:
    cargo fmt --all -- --check
    cargo clippy --workspace --all-targets -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items

# Licences, sources and duplicates of the dependencies; advisories where their database can be had.
deny:
    cargo deny check

# Writes the golden expositions and the README's tables anew; look at the diff.
golden:
    UPDATE_GOLDEN=1 cargo test -p spacelift-promex golden
    UPDATE_GOLDEN=1 cargo test -p spacelift-promex readme -- --test-threads=1

# The tables of BENCHMARKS.md.
bench:
    cargo bench -p spacelift-promex --bench scrape

# Memory after 100,000 scrapes of the small account.
bench-growth:
    SCRAPES=100000 cargo bench -p spacelift-promex --bench scrape

# The checks of infra/: formatting, tests, filters, arguments.
infra:
    infra/tests/run
