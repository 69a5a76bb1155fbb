# Recipes for people and CI. `just --list` shows them.

default:
    @just --list

# The simulated world and the exporters in one process; Ctrl-C ends it.
demo:
    cargo run -p quickstart

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
    UPDATE_GOLDEN=1 cargo test -p spot-interruption-exporter golden
    UPDATE_GOLDEN=1 cargo test -p spot-interruption-exporter readme -- --test-threads=1

# The tables of BENCHMARKS.md.
bench:
    cargo bench -p spacelift-promex --bench scrape
    cargo bench -p spot-interruption-exporter --bench core
    cargo bench -p spot-interruption-exporter --bench storm

# Memory after 100,000 scrapes of the small account.
bench-growth:
    SCRAPES=100000 cargo bench -p spacelift-promex --bench scrape

# A stream that dies every second, for a whole minute instead of five seconds.
test-long:
    LONG_TESTS=1 cargo test -p spot-interruption-exporter --test it faults

# Fuzzes the parser of audit logs for ten minutes (needs cargo-fuzz; the sanitizer needs a nightly compiler or this variable).
fuzz seconds="600":
    mkdir -p crates/spot-interruption-exporter/fuzz/target/found
    cd crates/spot-interruption-exporter && RUSTC_BOOTSTRAP=1 cargo fuzz run audit_log fuzz/target/found fuzz/corpus/audit_log tests/it/fixtures -- -max_total_time={{seconds}}

# The checks of infra/: formatting, tests, filters, arguments.
infra:
    infra/tests/run
