// Package chart tests the Helm chart and the kustomizations without a cluster:
// that both make the same objects, that those are what Kubernetes reads, and
// that wrong values are refused. "make chart" runs it and hands it the programs.
package chart
