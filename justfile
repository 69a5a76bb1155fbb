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
    cargo bench -p spot-interruption-exporter --bench projects
    cargo bench -p exporter-common --bench users

# Memory after 100,000 scrapes of the small account.
bench-growth:
    SCRAPES=100000 cargo bench -p spacelift-promex --bench scrape

# The long versions of what CI runs in short: a minute of dying streams, 200 kills under 100,000 interruptions.
test-long:
    LONG_TESTS=1 cargo test -p spot-interruption-exporter --test it -- a_stream_that_dies however_often_the_process_is_killed

# Both exporters for an hour, with faults that come and go; fails if one of them grows or counts wrong.
soak time="1h":
    cargo build --release -p spacelift-promex -p spot-interruption-exporter -p soak
    target/release/soak --for {{time}}

# Fuzzes everything that strangers write, ten minutes each (needs cargo-fuzz; the sanitizer needs a nightly compiler or this variable).
fuzz seconds="600": (fuzz-target "spot-interruption-exporter" "audit_log" seconds "tests/it/fixtures") (fuzz-target "spacelift-promex" "answers" seconds) (fuzz-target "exporter-common" "web_config" seconds) (fuzz-target "exporter-common" "accept_header" seconds) (fuzz-target "exporter-common" "listen_address" seconds)

fuzz-target crate target seconds="600" *seeds="":
    mkdir -p crates/{{crate}}/fuzz/target/found/{{target}}
    cd crates/{{crate}} && RUSTC_BOOTSTRAP=1 cargo fuzz run {{target}} fuzz/target/found/{{target}} fuzz/corpus/{{target}} {{seeds}} -- -max_total_time={{seconds}}

# The checks of infra/: formatting, tests, filters, arguments.
infra:
    infra/tests/run

# The checks of charts, kustomizations, plain manifests and autoscaling examples.
charts:
    deploy/tests/charts/run

# Writes what is generated from the charts: schemas, README tables, kustomize bases.
charts-write:
    deploy/tests/charts/run --write

# Rules, dashboards and autoscaling examples, against a live Prometheus too.
monitoring:
    deploy/tests/monitoring/run

# The README's pictures, from a Prometheus that has watched for a while.
pictures url="http://localhost:9090" seconds="1800" interval="5":
    deploy/dashboards/render/run {{url}} {{seconds}} {{interval}}

# Clients that others wrote read the pages of both programs.
clients:
    deploy/tests/clients/run

# The images, docker-compose.yml and the workflows, without an engine.
images-test:
    deploy/tests/images/run

# The whole world on a laptop; Grafana at http://localhost:3000.
world:
    docker compose up --build

# The same on the Docker Engine that runs here, with the real images, asked whether it keeps its promises.
world-test:
    deploy/tests/images/engine --registry

# And without a registry: an engine of its own, with stand-ins made of Debian packages (needs root and docker.io).
engine:
    deploy/tests/images/engine

# Builds and pushes an image for the platform of this machine, with SBOM and provenance.
image-push image version:
    docker buildx build --file deploy/docker/Dockerfile --target "$(basename {{image}})" \
        --build-arg VERSION={{version}} --build-arg REVISION="$(git rev-parse HEAD)" --build-arg BRANCH="$(git rev-parse --abbrev-ref HEAD)" \
        --sbom true --provenance mode=max --push --tag {{image}}:{{version}}-{{arch()}} .

# Joins the images of both platforms under one tag and says its digest.
image-index image version:
    @docker buildx imagetools create --tag {{image}}:{{version}} {{image}}:{{version}}-x86_64 {{image}}:{{version}}-aarch64 >&2
    @docker buildx imagetools inspect --format '{{{{json .Manifest}}' {{image}}:{{version}} | jq --raw-output .digest

# Takes the program out of the image that was pushed for the platform of this machine, and packs it with its licence.
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

# Packages a chart under a version, pushes it and says its digest.
chart-push chart version registry:
    #!/usr/bin/env bash
    set -euo pipefail
    helm package deploy/helm/{{chart}} --version {{version}} --app-version {{version}} --destination target/charts >&2
    helm push target/charts/{{chart}}-{{version}}.tgz {{registry}} 2>&1 | tee /dev/stderr | sed -n 's/^Digest: //p'

# What each image is made of, as CycloneDX beside each Cargo.toml (needs cargo-cyclonedx); the images carry their own SBOM.
sbom:
    cargo cyclonedx --format json --spec-version 1.5 --target x86_64-unknown-linux-gnu
