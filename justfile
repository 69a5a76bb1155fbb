# Recipes for development and CI. `just --list` shows them.

default:
    @just --list

# Runs simulated services and both exporters in one process; Ctrl-C stops it.
demo:
    cargo run -p quickstart

# Runs the steps of CI. Requires the tools that .ci/tools lists.
ci:
    .ci/run

test *arguments:
    cargo test --workspace {{arguments}}

lint:
    cargo fmt --all -- --check
    cargo clippy --workspace --all-targets -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items

# Checks licences, sources and duplicates of the dependencies, and advisories if their database is reachable.
deny:
    cargo deny check

# Regenerates the golden expositions and the tables of the READMEs. Review the diff.
golden:
    UPDATE_GOLDEN=1 cargo test -p spacelift-promex golden
    UPDATE_GOLDEN=1 cargo test -p spacelift-promex readme -- --test-threads=1
    UPDATE_GOLDEN=1 cargo test -p spot-interruption-exporter golden
    UPDATE_GOLDEN=1 cargo test -p spot-interruption-exporter readme -- --test-threads=1

# Runs the benchmarks of BENCHMARKS.md.
bench:
    cargo bench -p spacelift-promex --bench scrape
    cargo bench -p spot-interruption-exporter --bench core
    cargo bench -p spot-interruption-exporter --bench burst
    cargo bench -p spot-interruption-exporter --bench projects
    cargo bench -p spot-interruption-exporter --bench aws
    cargo bench -p exporter-common --bench users

# Measures memory after 100,000 scrapes of the small account.
bench-growth:
    SCRAPES=100000 cargo bench -p spacelift-promex --bench scrape

# Long versions of tests that CI runs in short: one minute of stream resets, and 200 kills with 100,000 interruptions.
test-long:
    LONG_TESTS=1 cargo test -p spot-interruption-exporter --test it -- streams_are_reset_every_second interruption_once_across_kills

# Runs both exporters for an hour with intermittent faults; fails if memory grows or counts are wrong.
soak time="1h":
    cargo build --release -p spacelift-promex -p spot-interruption-exporter -p soak
    target/release/soak --for {{time}}

# Fuzzes all parsers of untrusted input, ten minutes each (requires cargo-fuzz; RUSTC_BOOTSTRAP replaces a nightly compiler).
fuzz seconds="600": (fuzz-target "spot-interruption-exporter" "audit_log" seconds "tests/it/fixtures") (fuzz-target "spot-interruption-exporter" "aws_event" seconds) (fuzz-target "spot-interruption-exporter" "ec2_page" seconds) (fuzz-target "spacelift-promex" "responses" seconds) (fuzz-target "spacelift-promex" "webhook_payload" seconds) (fuzz-target "exporter-common" "web_config" seconds) (fuzz-target "exporter-common" "accept_header" seconds) (fuzz-target "exporter-common" "listen_address" seconds)

fuzz-target crate target seconds="600" *seeds="":
    mkdir -p crates/{{crate}}/fuzz/target/found/{{target}}
    cd crates/{{crate}} && RUSTC_BOOTSTRAP=1 cargo fuzz run {{target}} fuzz/target/found/{{target}} fuzz/corpus/{{target}} {{seeds}} -- -max_total_time={{seconds}}

# Checks infra/: formatting, tests, filters, arguments.
infra:
    infra/tests/run

# Checks charts, kustomizations, plain manifests and autoscaling examples.
charts:
    deploy/tests/charts/run

# Regenerates files from the charts: schemas, README tables, kustomize bases.
charts-write:
    deploy/tests/charts/run --write

# Checks rules, dashboards and autoscaling examples, also with a running Prometheus.
monitoring:
    deploy/tests/monitoring/run

# Renders the pictures of the README from a Prometheus with some history.
pictures url="http://localhost:9090" seconds="1800" interval="5":
    deploy/dashboards/render/run {{url}} {{seconds}} {{interval}}

# Checks that third-party clients can read the metrics of both programs.
clients:
    deploy/tests/clients/run

# Checks that the exporter works with moto, a third-party simulator of AWS.
moto:
    deploy/tests/aws/run

# Checks the images, docker-compose.yml and the workflows without a container engine.
images-test:
    deploy/tests/images/run

# Starts the simulated services, both exporters, Prometheus, Alertmanager and Grafana (http://localhost:3000).
world:
    docker compose up --build

# Starts docker-compose.yml with the real images on the local Docker Engine and checks it.
world-test:
    deploy/tests/images/engine --registry

# The same without a registry: a separate engine with stand-in images of Debian packages (requires root and docker.io).
engine:
    deploy/tests/images/engine

# Builds and pushes an image for the platform of this machine, with SBOM and provenance.
image-push image version:
    docker buildx build --file deploy/docker/Dockerfile --target "$(basename {{image}})" \
        --build-arg VERSION={{version}} --build-arg REVISION="$(git rev-parse HEAD)" --build-arg BRANCH="$(git rev-parse --abbrev-ref HEAD)" \
        --sbom true --provenance mode=max --push --tag {{image}}:{{version}}-{{arch()}} .

# Combines the images of both platforms under one tag and prints its digest.
image-index image version:
    @docker buildx imagetools create --tag {{image}}:{{version}} {{image}}:{{version}}-x86_64 {{image}}:{{version}}-aarch64 >&2
    @docker buildx imagetools inspect --format '{{{{json .Manifest}}' {{image}}:{{version}} | jq --raw-output .digest

# Extracts the program from the pushed image for this platform, and packs it with its licence.
image-binary image version:
    #!/usr/bin/env bash
    set -euo pipefail
    name=$(basename {{image}})
    packed=$PWD/target/release-files/${name}_{{version}}_linux_{{if arch() == "aarch64" { "arm64" } else { "amd64" }}}.tar.gz
    work=$(mktemp -d)
    container=$(docker create --pull always {{image}}:{{version}}-{{arch()}})
    docker cp "$container:/usr/local/bin/$name" "$work"
    docker rm "$container" >/dev/null
    cp LICENSE CHANGELOG.md "$work"
    "$work/$name" --version
    mkdir -p "$(dirname "$packed")"
    tar --create --gzip --file "$packed" --directory "$work" --sort=name --owner=0 --group=0 --numeric-owner \
        --mtime="@$(git log -1 --format=%ct)" .
    rm -r "$work"

# Packages a chart with a version, pushes it and prints its digest.
chart-push chart version registry:
    #!/usr/bin/env bash
    set -euo pipefail
    helm package deploy/helm/{{chart}} --version {{version}} --app-version {{version}} --destination target/charts >&2
    helm push target/charts/{{chart}}-{{version}}.tgz {{registry}} 2>&1 | tee /dev/stderr | sed -n 's/^Digest: //p'

# Writes a CycloneDX SBOM next to each Cargo.toml (requires cargo-cyclonedx); the images contain their own SBOM.
sbom:
    cargo cyclonedx --format json --spec-version 1.5 --target x86_64-unknown-linux-gnu
