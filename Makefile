# Everything that people do with this repository, by name: "make help" tells.
# It needs Go, make and git. What else it needs it builds from Go modules, once,
# into a folder of the user's cache, under a key of its versions.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

GO    ?= go
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/torrent-operator
TOOLS := $(CACHE)/tools-$(shell $(GO) env GOVERSION)-$(shell cat .ci/tools.mod .ci/tools.sum | cksum | tr ' ' -)

# Helm has a file of its own: it needs other versions of what tools share.
HELM  := $(CACHE)/helm-$(shell $(GO) env GOVERSION)-$(shell cat .ci/helm.mod .ci/helm.sum | cksum | tr ' ' -)/helm
CHART := charts/torrent-operator

# The race detector needs a C compiler, and nothing else here does.
RACE = $(shell command -v $$($(GO) env CC) >/dev/null && echo -race)

# What a program says of itself. The date is that of the commit, so that the
# same source makes the same program.
VERSION ?= $(or $(shell git describe --tags --dirty --match 'v*' 2>/dev/null),dev)
COMMIT  ?= $(shell git describe --always --dirty --abbrev=40 --exclude '*' 2>/dev/null)
DATE    ?= $(shell TZ=UTC git log -1 --date=format-local:%Y-%m-%dT%H:%M:%SZ --format=%cd 2>/dev/null)
STAMP    = -X github.com/torrent-operator/torrent-operator/internal/version.stamp=$(VERSION),$(COMMIT),$(DATE)

.PHONY: help
help: ## Tell what there is to make.
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build bin/torrent-operator and bin/kubectl-torrent, static.
	@mkdir -p bin
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags "$(STAMP)" -o bin/ . ./cmd/kubectl-torrent

# Where people run kubectl.
PLATFORMS = linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64

.PHONY: plugins
plugins: ## Build kubectl-torrent for each system that people have, as archives in dist/, with the licenses of others.
	@mkdir -p dist
	$(GO) run ./cmd/image -notices ./cmd/kubectl-torrent -output dist/THIRD-PARTY-NOTICES
	@set -e; for p in $(PLATFORMS); do os=$${p%/*} arch=$${p#*/}; to=dist/kubectl-torrent-$$os-$$arch; mkdir -p $$to; \
	  GOOS=$$os GOARCH=$$arch CGO_ENABLED=0 $(GO) build -trimpath -ldflags "$(STAMP)" -o $$to/ ./cmd/kubectl-torrent; \
	  cp LICENSE dist/THIRD-PARTY-NOTICES $$to/; tar -C $$to -czf $$to.tar.gz .; rm -r $$to; echo $$to.tar.gz; done

.PHONY: demo
demo: build ## Watch a TorrentDownload on a real API server, until Ctrl-C or, with EXIT=1, its end.
	@$(GO) build -o bin/demo ./test/demo
	@exec bin/demo --binary=bin/torrent-operator $(if $(EXIT),--exit)

.PHONY: test
test: ## Vet; run unit, simulation, loopback and API server tests with the race detector.
	$(GO) vet ./...
	@$(GO) run ./test/cluster/assets >/dev/null
ifeq ($(RACE),)
	@echo "There is no C compiler ($$($(GO) env CC)) here, so this runs without the race detector."
	$(GO) test -timeout 25m ./...
else
	CGO_ENABLED=1 $(GO) test $(RACE) -timeout 25m ./...
endif

.PHONY: interop
interop: build ## Exchange torrents with other clients, in both directions; WRITE=1 writes docs/interop.md.
	$(GO) test -tags interop -count 1 -timeout 40m -v ./test/interop $(if $(WRITE),-write)

.PHONY: browser
browser: ## Use the dashboard in headless Chromium; MEASURE=1 measures it, on a quiet machine.
	$(GO) test -tags browser -count 1 -timeout 10m -v ./test/dashboard $(if $(MEASURE),-measure)

.PHONY: process
process: ## Hold a real process of the command to its bounds of memory, with gigabytes.
	$(GO) test -tags slow -count 1 -timeout 20m ./test/process/...

.PHONY: e2e
e2e: export HELM := $(HELM)
e2e: export E2E_FROM := $(FROM)
e2e: $(HELM) ## Test the operator in Pods on a cluster with nodes (root, Linux), or on that of KUBECONFIG=FILE.
ifeq ($(origin KUBECONFIG),command line)
	E2E_KUBECONFIG=$(abspath $(KUBECONFIG)) E2E_LOAD="$(LOAD)" $(GO) test -tags e2e -count 1 -timeout 40m -parallel 8 -v ./test/pods
else
	$(GO) test -tags e2e -count 1 -p 1 -timeout 40m -parallel 8 -v ./test/cluster/nodes ./test/pods
endif

.PHONY: scale
scale: build ## Hold the operator to its bounds with 10,000 downloads, for four minutes; WRITE=1 writes docs/scale.md.
	@$(GO) build -o bin/scale ./test/scale
	bin/scale $(if $(WRITE),--write docs/scale.md)

.PHONY: cluster-up
cluster-up: ## Start a cluster with two nodes, to play with (root, Linux), and tell how to use it.
	@$(GO) build -o bin/up ./test/cluster/up
	@bin/up

.PHONY: cluster-down
cluster-down: ## End the cluster of cluster-up.
	@$(GO) build -o bin/up ./test/cluster/up
	@bin/up down

.PHONY: image
image: ## Build the image without Docker, for amd64 and arm64: dist/torrent-operator.tar.
	@mkdir -p dist
	$(GO) run ./cmd/image -output dist/torrent-operator.tar $(if $(NAME),-name $(NAME)) \
		-version "$(VERSION)" -commit "$(COMMIT)" -date "$(DATE)"

IMAGE ?= $(if $(NAME),$(NAME),ghcr.io/torrent-operator/torrent-operator:latest)

.PHONY: dist
dist: $(TOOLS) ## Write all that is installed to one file: dist/install.yaml, with the image IMAGE.
	@mkdir -p dist
	@dir=$$(mktemp -d -p .) && trap 'rm -rf "$$dir"' EXIT && cd $$dir && \
	$(TOOLS)/kustomize create --resources ../config/default && \
	$(TOOLS)/kustomize edit set image ghcr.io/torrent-operator/torrent-operator=$(IMAGE) && \
	$(TOOLS)/kustomize build . >../dist/install.yaml

KUBECTL ?= kubectl

.PHONY: install
install: ## Install the CustomResourceDefinition alone, on the cluster of kubectl.
	$(KUBECTL) apply --server-side -k config/crd

.PHONY: deploy
deploy: dist ## Install all of it, with the image IMAGE, on the cluster of kubectl.
	$(KUBECTL) apply --server-side -f dist/install.yaml

.PHONY: undeploy
undeploy: dist ## Take it away again, but for the CustomResourceDefinition, its objects and their data.
	$(TOOLS)/kustomize cfg grep --invert-match kind=CustomResourceDefinition <dist/install.yaml | $(KUBECTL) delete --ignore-not-found -f -

.PHONY: bench
bench: ## Measure the engine beside other clients, for an hour and a half, or CASES="one four".
	$(GO) run ./bench --write docs/performance.md $(CASES)

# A cache for each checkout: findings are kept with the paths of their files,
# and those of a checkout that is gone make the linter fail.
LINT = GOLANGCI_LINT_CACHE=$(CACHE)/lint$(subst /,-,$(CURDIR)) $(TOOLS)/golangci-lint

.PHONY: lint
lint: $(TOOLS) ## Run the linters; check that generated files and go.mod are up to date.
	$(LINT) run
	$(LINT)-kube-api-linter run -c .ci/kube-api-linter.yml --tests=false ./api/...
	$(TOOLS)/kustomize build config/dashboard >/dev/null
	$(TOOLS)/kustomize build config/samples >/dev/null
	$(TOOLS)/kustomize build config/policy >/dev/null
	GOOS=darwin $(GO) vet ./cmd/kubectl-torrent
	GOOS=windows $(GO) vet ./cmd/kubectl-torrent
	$(GO) mod tidy -diff
	@new=$$(mktemp -d) && trap 'rm -rf "$$new"' EXIT && $(call controller-gen,$$new) && \
	for f in $(GENERATED); do diff -u $$f $$new/$$f || stale=1; done; \
	if [ "$$stale" ]; then echo "Generated files are out of date: make generate" >&2; exit 1; fi

.PHONY: generate
generate: $(TOOLS) ## Generate the CRD, RBAC rules, deep copies and docs/reference.md from the Go types.
	$(call controller-gen,.)
	$(GO) test . -run Reference -write

.PHONY: fmt
fmt: $(TOOLS) ## Format the code.
	$(LINT) fmt

.PHONY: clean
clean: ## Remove what was built here; what lies in the cache stays.
	rm -rf bin dist

# What is generated, all of it. Below which folder is the argument.
GENERATED := api/v1alpha1/zz_generated.deepcopy.go config/crd/bases config/rbac/role.yaml
controller-gen = $(TOOLS)/controller-gen object crd rbac:roleName=torrent-operator \
	paths=./api/... paths=./controllers/... output:object:dir=$(1)/api/v1alpha1 \
	output:crd:artifacts:config=$(1)/config/crd/bases output:rbac:artifacts:config=$(1)/config/rbac

.PHONY: chart
chart: $(TOOLS) $(HELM) ## Test the Helm chart beside what kustomize makes, and its alerts on a real Prometheus.
	@for f in $(CHART)/values.yaml $(CHART)/ci/*.yaml; do $(HELM) lint --kube-version 1.36.0 --strict --quiet $(CHART) --values $$f || exit 1; done
	HELM=$(HELM) KUSTOMIZE=$(TOOLS)/kustomize $(GO) test -tags chart -count 1 ./test/chart
	@$(GO) run ./test/cluster/assets >/dev/null
	$(GO) test -tags chart -count 1 -run Prometheus ./test/e2e

$(HELM):
	@echo "Building helm, once for this machine: about three minutes on two cores."
	@mkdir -p $(@D) && $(GO) build -modfile=.ci/helm.mod -trimpath -ldflags "-s -w" -o $@.$$$$ helm.sh/helm/v3/cmd/helm && mv $@.$$$$ $@

# The tools' versions stand in .ci/tools.mod. controller-gen is told its own,
# because it writes it into the CRD and knows it only when installed alone.
$(TOOLS):
	@echo "Building the linters, controller-gen and kustomize, once for this machine: about six minutes on two cores."
	@version=$$($(GO) list -m -modfile=.ci/tools.mod -f '{{.Version}}' sigs.k8s.io/controller-tools) && \
	mkdir -p $(CACHE) && new=$$(mktemp -d $@.XXXXXX) && trap 'rm -rf "$$new"' EXIT && chmod 755 "$$new" && \
	GOBIN=$$new $(GO) install -modfile=.ci/tools.mod -trimpath \
		-ldflags "-s -w -X sigs.k8s.io/controller-tools/pkg/version.version=$$version" tool && \
	{ mv -T "$$new" $@ 2>/dev/null || [ -d $@ ]; }
