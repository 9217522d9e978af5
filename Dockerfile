# The one image: a static binary, run by a user without rights, with nothing
# else but the certificates of the system.
#
#   docker build --build-arg VERSION=v0.1.0 --build-arg COMMIT=$(git rev-parse HEAD) -t torrent-operator .
#
# "make image" makes the same without Docker, and without a base below it.
#
# For several architectures at once: docker buildx build --platform
# linux/amd64,linux/arm64. The build runs on the machine's own architecture and
# crosses over.
FROM --platform=$BUILDPLATFORM golang:1.26 AS build
ARG TARGETOS=linux
ARG TARGETARCH
ARG VERSION=dev
ARG COMMIT=
ARG DATE=
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -buildvcs=false \
    -ldflags "-s -w -X github.com/torrent-operator/torrent-operator/internal/version.stamp=$VERSION,$COMMIT,$DATE" \
    -o /out/torrent-operator . && \
    go run ./cmd/image -sbom /out/torrent-operator -version "$VERSION" -date "$DATE" -output /out/torrent-operator.spdx.json && \
    go run ./cmd/image -notices . -output /out/THIRD-PARTY-NOTICES

FROM gcr.io/distroless/static:nonroot
ARG VERSION=dev
ARG COMMIT=
ARG DATE=
LABEL org.opencontainers.image.title="torrent-operator" \
      org.opencontainers.image.description="Turns a TorrentDownload into verified bytes on a PersistentVolume" \
      org.opencontainers.image.source="https://github.com/torrent-operator/torrent-operator" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$COMMIT" \
      org.opencontainers.image.created="$DATE"
COPY --from=build /out/torrent-operator.spdx.json /usr/share/sbom/torrent-operator.spdx.json
COPY --from=build /out/THIRD-PARTY-NOTICES /usr/share/doc/torrent-operator/THIRD-PARTY-NOTICES
COPY --from=build /out/torrent-operator /torrent-operator
USER 65532:65532
ENTRYPOINT ["/torrent-operator"]
