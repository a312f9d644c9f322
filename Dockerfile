# One image per binary:
#
#   docker build --target metal-operator -t metal-operator:0.1.0 .
#
# Targets: metal-operator, boot-operator, netboot, metalman, hosts, metalprobe, simulator. Each holds one static binary,
# the certificate authorities of the web, and nothing else; needs BuildKit. The targets kubectl-metal and agents are no
# images but files, and metal-host is an image of files for a COPY --from (docs/hosts.md):
#
#   docker build --target kubectl-metal --output /usr/local/bin .
#   docker build --target agents --output out .       metal-agent and metal-installer, for disk and netboot images
#   docker build --target metal-host -t metal-host:0.1.0 .

FROM rust:1.95-bookworm AS source
WORKDIR /src
COPY . .
# A target of its own keeps the flags away from build scripts and macros.
ENV RUSTFLAGS="-C target-feature=+crt-static" CARGO_INCREMENTAL=0
RUN rustc -vV | sed -n 's/^host: //p' > /host

FROM source AS operators
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target,sharing=locked \
    cargo build --locked --release --target "$(cat /host)" -p metal-operator -p boot-operator -p netboot -p metalman \
      -p hosts -p kubectl-metal \
    && mkdir /out && cd "target/$(cat /host)/release" \
    && cp metal-operator boot-operator netboot metalman hosts kubectl-metal /out/

FROM source AS agent
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target,sharing=locked \
    cargo build --locked --profile probe --target "$(cat /host)" -p metalprobe \
    && mkdir /out && cp "target/$(cat /host)/probe/metalprobe" /out/ \
    # The peer's ignition starts the agent by this name.
    && ln -s metalprobe /out/launch.sh

FROM source AS rented
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target,sharing=locked \
    cargo build --locked --profile probe --target "$(cat /host)" -p metal-host \
    && install -D "target/$(cat /host)/probe/metal-host" /out/usr/bin/metal-host \
    && install -D agent/host/activate /out/usr/libexec/bloomery/activate \
    && install -D --mode=0644 agent/host/metal-host.service /out/usr/lib/systemd/system/metal-host.service

# Each is small before fast, as metalprobe is: they travel with images.
FROM source AS node
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target,sharing=locked \
    cargo build --locked --profile probe --target "$(cat /host)" -p metal-agent -p metal-installer \
    && mkdir /out && cd "target/$(cat /host)/probe" && cp metal-agent metal-installer /out/

FROM source AS machines
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target,sharing=locked \
    cargo build --locked --release --target "$(cat /host)" -p metal-simulator \
    && mkdir /out && cp "target/$(cat /host)/release/simulator" /out/

# What every image begins with: whom TLS trusts, and a folder for files that do not last.
FROM rust:1.95-bookworm AS root
RUN mkdir -p /root-fs/etc/ssl/certs /root-fs/tmp /cache-fs/var/cache/boot-operator && chmod 1777 /root-fs/tmp \
    && mkdir /links && ln -s kubectl-metal /links/kubectl-unbounded \
    && cp /etc/ssl/certs/ca-certificates.crt /root-fs/etc/ssl/certs/ \
    && echo 'nonroot:x:65532:65532::/:' > /root-fs/etc/passwd \
    && echo 'hosts: files dns' > /root-fs/etc/nsswitch.conf

FROM scratch AS base
COPY --from=root /root-fs/ /
WORKDIR /
USER 65532:65532

FROM base AS metal-operator
# By default, glibc has an arena for each thread, and what tasks free in the arena of another thread is of no use to
# their own; and with every large piece that is freed it raises the size from which memory is given back.
ENV MALLOC_ARENA_MAX=1 MALLOC_MMAP_THRESHOLD_=131072 MALLOC_TRIM_THRESHOLD_=131072
COPY --from=operators /out/metal-operator /
EXPOSE 10000/tcp 8081/tcp 8443/tcp
ENTRYPOINT ["/metal-operator"]

FROM base AS boot-operator
# Where it keeps images unless --image-cache-dir says otherwise.
COPY --from=root --chown=65532:65532 /cache-fs/ /
COPY --from=operators /out/boot-operator /
EXPOSE 8082/tcp 8083/tcp 8444/tcp 8081/tcp 8443/tcp
ENTRYPOINT ["/boot-operator"]

# Its ports and sockets need capabilities, which a container gets as root: see bases/netboot.
FROM base AS netboot
COPY --from=operators /out/netboot /
EXPOSE 67/udp 69/udp 547/udp 4011/udp 9443/tcp
ENTRYPOINT ["/netboot"]

FROM base AS metalman
COPY --from=operators /out/metalman /
EXPOSE 8880/tcp 8081/tcp 67/udp 69/udp
ENTRYPOINT ["/metalman"]

FROM base AS hosts
COPY --from=operators /out/hosts /
EXPOSE 8444/tcp 8081/tcp 8443/tcp
ENTRYPOINT ["/hosts"]

# The plugin, under both of its names.
FROM scratch AS kubectl-metal
COPY --from=operators /out/kubectl-metal /
COPY --from=root /links/ /

FROM scratch AS agents
COPY --from=node /out/ /

# Reads what only root may read, on a machine that is nobody's yet.
FROM base AS metalprobe
COPY --from=agent /out/ /
USER 0:0
ENTRYPOINT ["/metalprobe"]

# Agent, hook and unit of a rented server, where an image of bootc has them.
FROM scratch AS metal-host
COPY --from=rented /out/ /

FROM base AS simulator
COPY --from=machines /out/simulator /
EXPOSE 8000/tcp
ENTRYPOINT ["/simulator"]
