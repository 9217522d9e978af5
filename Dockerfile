# The one image: a static binary, run by a user without rights, with nothing
# else but the certificates of the system.
#
#   docker build --build-arg VERSION=v0.1.0 -t torrent-operator .
#
# For several architectures at once: docker buildx build --platform
# linux/amd64,linux/arm64. The build runs on the machine's own architecture and
# crosses over.
FROM --platform=$BUILDPLATFORM golang:1.26 AS build
ARG TARGETOS=linux
ARG TARGETARCH
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -trimpath -ldflags "-s -w" -o /out/torrent-operator .

FROM gcr.io/distroless/static:nonroot
ARG VERSION=dev
LABEL org.opencontainers.image.title="torrent-operator" \
      org.opencontainers.image.description="Turns a TorrentDownload into verified bytes on a PersistentVolume" \
      org.opencontainers.image.source="https://github.com/torrent-operator/torrent-operator" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION"
COPY --from=build /out/torrent-operator /torrent-operator
USER 65532:65532
ENTRYPOINT ["/torrent-operator"]
