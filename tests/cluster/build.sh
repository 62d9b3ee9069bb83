#!/usr/bin/env bash
# Builds what a node runs besides Kubernetes itself (../plane/build.sh --node): CoreDNS, and the images of the cluster's
# own pods. Prints the folder; everything else goes to stderr. Built once per machine, as the control plane.
set -euo pipefail
cd "$(dirname "$0")"

cache=${XDG_CACHE_HOME:-$HOME/.cache}/sluice/cluster-$(cat build.sh mkimage.py pause.c coredns/{main.go,go.mod,go.sum} | sha256sum | cut -c1-12)
if [ ! -e "$cache/complete" ]; then
    mkdir -p "$cache"
    exec 9>"$cache/.lock"
    flock 9
fi
if [ ! -e "$cache/complete" ]; then
    go=$(../../dev/go.sh)
    echo "test cluster: building CoreDNS and images into $cache; the first time this takes 1 to 3 minutes" >&2
    start=$SECONDS
    rm -rf "${cache:?}"/{bin,images}
    mkdir "$cache"/{bin,images}
    (cd coredns && CGO_ENABLED=0 nice -n 10 "$go" build -trimpath -ldflags "-s -w" -o "$cache/bin/coredns" .) >&2
    cc -static -Os -s -o "$cache/bin/pause" pause.c

    image() { python3 mkimage.py "$cache/images/$1.tar" "localhost/$1:1" "${@:2}" >&2; }
    image pause --entry /pause "$cache/bin/pause:/pause"
    image coredns --entry /coredns "$cache/bin/coredns:/coredns"
    # A shell with everything for looking around. busybox's wget is no substitute for curl: it crashes on names, being
    # linked statically with glibc.
    busybox=$(command -v busybox)
    applets=()
    for applet in $($busybox --list); do
        [ "$applet" = busybox ] || applets+=("@/bin/busybox:/bin/$applet")
    done
    image box --libraries --entry /bin/sh "$busybox:/bin/busybox" "${applets[@]}" "$(command -v curl):/usr/bin/curl"
    touch "$cache/complete"
    echo "test cluster: done after $((SECONDS - start)) s" >&2
fi
echo "$cache"
