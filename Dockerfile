# syntax=docker/dockerfile:1

# The images, one per target:
#
#   docker build --target controller --tag sluice-controller:0.1.0 .
#   docker build --target gateway    --tag sluice-gateway:0.1.0    .
#   docker build --target cli        --tag sluice:0.1.0            .
#
# Each is a program, the libraries it names, roots of public certificate authorities and a user: no shell, no package
# manager, nothing to keep up to date but the program.

ARG RUST=1.95.0
ARG DEBIAN=bookworm

FROM rust:${RUST}-slim-${DEBIAN} AS build
SHELL ["/bin/bash", "-eu", "-o", "pipefail", "-c"]
# ring, mimalloc, zstd and zlib-ng are C. The version of the distribution pins those of its packages.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates cmake make \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
# The same sources give the same binaries, wherever they are built.
ENV CARGO_PROFILE_RELEASE_STRIP=symbols \
    CARGO_PROFILE_RELEASE_DEBUG=false \
    RUSTFLAGS="--remap-path-prefix=/source=. --remap-path-prefix=/usr/local/cargo=cargo"
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/source/target \
    cargo build --release --locked --package sluice-controller --package sluice-gateway --package sluice --bins \
    && mkdir -p /out \
    && cp target/release/sluice-controller target/release/sluice-gateway target/release/sluice /out/

# A root file system for each program: the program, what the loader will ask for, and nothing else.
FROM build AS roots
SHELL ["/bin/bash", "-eu", "-o", "pipefail", "-c"]
RUN for program in sluice-controller sluice-gateway sluice; do \
        root=/roots/$program; \
        mkdir -p "$root/usr/local/bin" "$root/etc/ssl/certs" "$root/var/lib/sluice"; \
        cp "/out/$program" "$root/usr/local/bin/"; \
        ldd "/out/$program" | grep -o '/[^ ]*' | while read -r library; do \
            mkdir -p "$root$(dirname "$library")"; \
            cp --dereference "$library" "$root$library"; \
        done; \
        cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"; \
        echo 'sluice:x:1337:1337::/nonexistent:/sbin/nologin' >"$root/etc/passwd"; \
        echo 'sluice:x:1337:' >"$root/etc/group"; \
        echo 'hosts: files dns' >"$root/etc/nsswitch.conf"; \
        chown 1337:1337 "$root/var/lib/sluice"; \
        test "$(du --summarize --block-size=1M "$root" | cut --fields=1)" -lt 40; \
    done

FROM scratch AS controller
COPY --from=roots /roots/sluice-controller/ /
USER 1337:1337
EXPOSE 15012 15014 15017 15021
ENTRYPOINT ["/usr/local/bin/sluice-controller"]
CMD ["run"]

FROM scratch AS gateway
COPY --from=roots /roots/sluice-gateway/ /
USER 1337:1337
EXPOSE 80 443 15020 15021
ENTRYPOINT ["/usr/local/bin/sluice-gateway"]
CMD ["run"]

FROM scratch AS cli
COPY --from=roots /roots/sluice/ /
USER 1337:1337
ENTRYPOINT ["/usr/local/bin/sluice"]
CMD ["--help"]
